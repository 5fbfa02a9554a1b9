//! The page of the command line, `docs/cli.md`, and the pages of `man`, from the commands' own help.

use std::fmt::Write as _;

use clap::Command;

use super::failure::{HEALTHY, NO_ANSWER, UNHEALTHY, UNUSABLE};

/// The whole page of this program.
pub(super) fn markdown(mut program: Command) -> String {
    let mut page = format!(
        "# Command line\n\n\
         <!-- Generated from src/cli by `make generate`; do not edit. -->\n\n\
         One binary, `flagsmith-operator`. Under the name `kubectl-flagsmith` in the PATH it is a plugin of kubectl:\n\n\
         ```\n\
         install flagsmith-operator /usr/local/bin/kubectl-flagsmith\n\
         kubectl flagsmith status\n\
         ```\n\n\
         kubectl completes commands, installations and causes once it finds a program `kubectl_complete-flagsmith`: \
         `ln -s kubectl-flagsmith /usr/local/bin/kubectl_complete-flagsmith`. The names are those that your kubeconfig shows; \
         a cluster that does not answer within three seconds has none.\n\n\
         The API server is reached as kubectl reaches it, through `proxy-url` of the kubeconfig (http, https, socks5) or \
         HTTPS_PROXY, and past it where NO_PROXY names the server. Users of the kubeconfig may log in by token, certificate, \
         a program (`exec`), or OpenID Connect.\n\n\
         Commands that ask a cluster use the kubeconfig and rights of whoever calls them, and need no operator in the \
         cluster. `--namespace`, `--context` and `--kubeconfig` may stand before the command or behind it.\n\n\
         Where an operator looks after the namespace and its status is of the resource as it is, `diagnose` and `status` show \
         what it has found too, with the time since when. Whether it does is told by its Lease: the label \
         `app.kubernetes.io/name=flagsmith-operator` finds it, its annotation `operator.flagsmith.com/namespaces` says what \
         its holder looks after, and a holder that has not renewed it for a minute counts as gone. Then the status is one of \
         the past, and OperatorNotRunning or NamespaceNotWatched says so. What neither the operator nor your rights and this \
         machine's network show is said under \"not seen\".\n\n\
         | exit status | means |\n\
         |---|---|\n\
         | {HEALTHY} | nothing was found in what could be looked at (`diagnose`); Ready is True, in a status of the present (`status`, and for each of `list`); nothing holds the steps back (`plan`) |\n\
         | {UNHEALTHY} | something was diagnosed; Ready is not True; a person is needed before all steps happen |\n\
         | {UNUSABLE} | the call, a file or a name is wrong |\n\
         | {NO_ANSWER} | the cluster did not answer, or did not allow it |\n"
    );
    program.build();
    for command in program.get_subcommands().filter(|command| !command.is_hide_set()) {
        let name = command.get_name();
        if name == "help" {
            continue;
        }
        // The environment of whoever generates the page does not belong on it.
        let help = command
            .clone()
            .mut_args(|argument| argument.hide_env_values(true))
            .render_long_help()
            .to_string();
        let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
        let _ = write!(page, "\n## {name}\n\n```\n{}\n```\n", lines.join("\n").trim_end());
    }
    page
}

/// The page of `man` for the plugin, or for one of its commands: `kubectl-flagsmith` and `kubectl-flagsmith-status`.
pub(super) fn man(mut program: Command, page: Option<&str>) -> Result<String, String> {
    program = program.name("kubectl-flagsmith").bin_name("kubectl flagsmith");
    program.build();
    let command = match page {
        None => program.clone(),
        Some(name) => {
            program.find_subcommand(name).ok_or_else(|| format!("there is no command {name}"))?.clone()
        }
    };
    let command = command.mut_args(|argument| argument.hide_env_values(true));
    let mut text = Vec::new();
    clap_mangen::Man::new(command).render(&mut text).map_err(|error| error.to_string())?;
    String::from_utf8(text).map_err(|error| error.to_string())
}
