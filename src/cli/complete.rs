//! `__complete WORD…`: what `kubectl flagsmith` may be continued with. kubectl asks a program `kubectl_complete-flagsmith`
//! for it, which is this one by another name, and reads the answer in the form of cobra: one candidate a line, with its
//! description behind a tab, and last what the shell is to do with them.

use std::{
    ffi::{OsStr, OsString},
    fmt::Write as _,
    path::Path,
    process::ExitCode,
    time::Duration,
};

use clap::Command;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, complete};

use super::{cluster::ClusterArgs, failure::Failure, list};
use crate::model::Code;

/// What kubectl calls.
const COMPLETER: &str = "kubectl_complete-flagsmith";
/// The command by which a script calls it.
const COMMAND: &str = "__complete";
/// How long a person waits at a prompt for names of the cluster.
const PATIENCE: Duration = Duration::from_secs(3);
/// Cobra's number for: no file names besides.
const NO_FILES: u8 = 4;
/// Cobra's number for: no space after it, since a path goes on.
const NO_SPACE: u8 = 2;

/// The words so far, when this process was called to complete them; the last is the one that is being typed.
pub(super) fn asked(mut arguments: impl Iterator<Item = OsString>) -> Option<Vec<OsString>> {
    let called = arguments.next()?;
    if Path::new(&called).file_stem() == Some(OsStr::new(COMPLETER)) {
        return Some(arguments.collect());
    }
    (arguments.next()? == COMMAND).then(|| arguments.collect())
}

/// Prints the candidates. Nothing is ever said on standard error: it would land in the middle of a prompt.
pub(super) fn run(program: Command, words: Vec<OsString>) -> ExitCode {
    super::output::print(&answer(program, words, installations));
    ExitCode::SUCCESS
}

fn answer<N>(program: Command, words: Vec<OsString>, names: N) -> String
where
    N: Fn(&ClusterArgs) -> Vec<String> + Clone + Send + Sync + 'static,
{
    let mut line = vec![OsString::from(program.get_name())];
    line.extend(words);
    if line.len() == 1 {
        line.push(OsString::new());
    }
    let cluster = cluster(program.clone(), &line);
    let mut program = with_names(program, &cluster, names);
    let typed = line.len() - 1;
    let candidates = complete(&mut program, line, typed, std::env::current_dir().ok().as_deref());
    write(&candidates.unwrap_or_default())
}

fn write(candidates: &[CompletionCandidate]) -> String {
    let mut text = String::new();
    let shown = candidates.iter().filter(|candidate| !candidate.is_hide_set());
    let mut folders = true;
    for candidate in shown {
        let value = candidate.get_value().to_string_lossy();
        folders &= value.ends_with('/');
        let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(text, "{value}\t{}", help.lines().next().unwrap_or_default());
    }
    let directive = if folders && !text.is_empty() { NO_FILES | NO_SPACE } else { NO_FILES };
    let _ = writeln!(text, ":{directive}");
    text
}

/// The options that say which cluster, of a line that is not finished.
fn cluster(program: Command, line: &[OsString]) -> ClusterArgs {
    let read = program.arg_required_else_help(false).ignore_errors(true).try_get_matches_from(line);
    let Ok(matches) = read else {
        return ClusterArgs::default();
    };
    let of = |matches: &clap::ArgMatches| ClusterArgs {
        namespace: matches.try_get_one("namespace").ok().flatten().cloned(),
        context: matches.try_get_one("context").ok().flatten().cloned(),
        kubeconfig: matches.try_get_one("kubeconfig").ok().flatten().cloned(),
    };
    let mut nearer = matches.subcommand().map(|(_, matches)| of(matches)).unwrap_or_default();
    nearer.fill(of(&matches));
    nearer
}

/// Adds what only the cluster and the list of causes know: installations where a command takes one, and codes.
fn with_names<N>(mut program: Command, cluster: &ClusterArgs, names: N) -> Command
where
    N: Fn(&ClusterArgs) -> Vec<String> + Clone + Send + Sync + 'static,
{
    let takes = |command: &Command, id: &str| command.get_arguments().any(|it| it.get_id() == id);
    let commands: Vec<String> = program
        .get_subcommands()
        .filter(|command| takes(command, "name"))
        .map(|command| command.get_name().to_owned())
        .collect();
    for command in commands {
        let (cluster, names) = (cluster.clone(), names.clone());
        let completer = ArgValueCompleter::new(move |typed: &OsStr| {
            beginning_with(typed, names(&cluster).into_iter().map(|name| (name, None)))
        });
        program = program.mut_subcommand(command, |it| it.mut_arg("name", |name| name.add(completer)));
    }
    let codes = ArgValueCompleter::new(|typed: &OsStr| {
        let all = Code::ALL.iter().map(|code| (code.to_string(), Some(code.prose().title.to_string())));
        beginning_with(typed, all)
    });
    program.mut_subcommand("explain", |it| it.mut_arg("code", |code| code.add(codes)))
}

fn beginning_with(
    typed: &OsStr,
    all: impl Iterator<Item = (String, Option<String>)>,
) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy().to_lowercase();
    all.filter(|(value, _)| value.to_lowercase().starts_with(&typed))
        .map(|(value, help)| CompletionCandidate::new(value).help(help.map(Into::into)))
        .collect()
}

/// The installations of the namespace; none where the cluster does not answer in time, or does not allow it.
fn installations(cluster: &ClusterArgs) -> Vec<String> {
    let asked = super::context::block_on(async {
        let list = async {
            let cluster = cluster.connect().await?;
            list::names(&cluster).await.map_err(|error| Failure::internal(&error))
        };
        tokio::time::timeout(PATIENCE, list).await.map_err(|late| Failure::internal(&late))?
    });
    asked.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use rstest::rstest;

    use super::*;

    fn completed(words: &[&str]) -> Vec<String> {
        let words = words.iter().map(OsString::from).collect();
        let names = |cluster: &ClusterArgs| match cluster.namespace.as_deref() {
            Some("staging") => vec!["trial".to_owned()],
            _ => vec!["flagsmith".to_owned(), "flags-two".to_owned(), "other".to_owned()],
        };
        let text = answer(super::super::Cli::command(), words, names);
        let mut lines: Vec<String> =
            text.lines().map(|line| line.split('\t').next().unwrap_or_default().to_owned()).collect();
        assert_eq!(lines.pop().as_deref(), Some(":4"));
        lines
    }

    #[rstest]
    #[case::a_command(&["diag"], &["diagnose"])]
    #[case::an_installation(&["status", "fl"], &["flagsmith", "flags-two"])]
    #[case::all_installations(&["plan", ""], &["flagsmith", "flags-two", "other"])]
    #[case::of_the_namespace_before(&["-n", "staging", "status", ""], &["trial"])]
    #[case::of_the_namespace_behind(&["diagnose", "--namespace", "staging", ""], &["trial"])]
    #[case::a_cause(&["explain", "migrationlockt"], &["MigrationLockTimeout"])]
    #[case::an_option(&["status", "--wat"], &["--watch"])]
    #[case::a_value(&["status", "--output", "y"], &["yaml"])]
    fn what_is_typed_is_continued(#[case] words: &[&str], #[case] expected: &[&str]) {
        let mut found = completed(words);
        // Options may be offered besides where a word could begin with a dash.
        if !words.last().is_some_and(|word| word.starts_with('-')) {
            found.retain(|it| !it.starts_with('-'));
        }
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_hidden_is_not_offered() {
        let found = completed(&[""]);
        assert!(found.iter().any(|it| it == "list"), "{found:?}");
        assert!(!found.iter().any(|it| it == "generate"), "{found:?}");
    }

    #[rstest]
    #[case(&["/usr/local/bin/kubectl_complete-flagsmith", "status", ""], Some(&["status", ""] as &[&str]))]
    #[case(&["kubectl-flagsmith", "__complete", "sta"], Some(&["sta"] as &[&str]))]
    #[case(&["kubectl-flagsmith", "status"], None)]
    fn it_is_asked_by_name_or_by_command(#[case] line: &[&str], #[case] expected: Option<&[&str]>) {
        let found = asked(line.iter().map(OsString::from));
        let expected: Option<Vec<OsString>> = expected.map(|it| it.iter().map(OsString::from).collect());
        assert_eq!(found, expected);
    }
}
