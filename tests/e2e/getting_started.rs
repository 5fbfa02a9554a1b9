//! docs/getting-started.md, command by command as it stands there.
//!
//! Stand-ins take the place of what this machine does not have: `docker` and `kind`, whose image is the operator's as
//! it is built for these tests, and the registries of Flagsmith and PostgreSQL, whose names the images of tests/images
//! get.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command},
    time::Duration,
};

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::{
    http,
    kubectl::{helm, kubectl, require_cluster, wait_until},
    namespace::{REMOVAL, step},
    operator::{self, SYSTEM},
};

const PAGE: &str = "docs/getting-started.md";

/// From when port-forward is called until it listens.
const LISTENS: Duration = Duration::from_secs(20);

/// The images that the page's resource names, and those of tests/images that get these names.
const IMAGES: &[(&str, &str)] = &[
    ("docker.io/local/flagsmith-api:2.265.0", "docker.flagsmith.com/flagsmith/flagsmith-api:2.265.0"),
    (
        "docker.io/local/flagsmith-frontend:2.265.0",
        "docker.flagsmith.com/flagsmith/flagsmith-frontend:2.265.0",
    ),
    ("docker.io/local/postgres:15", "docker.io/library/postgres:17"),
];

/// One fenced block: the words after the fence, and what is in it.
struct Block {
    kind: String,
    text: String,
}

fn blocks() -> Vec<Block> {
    let page = fs::read_to_string(PAGE).unwrap();
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for event in Parser::new(&page) {
        match (event, &mut open) {
            (Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(kind))), _) => {
                open = Some(Block { kind: kind.into_string(), text: String::new() });
            }
            (Event::Text(text), Some(block)) => block.text += &text,
            (Event::End(TagEnd::CodeBlock), _) => blocks.extend(open.take()),
            _ => {}
        }
    }
    blocks
}

/// A shell between two commands: what was exported lasts.
struct Shell {
    folder: tempfile::TempDir,
    background: Vec<Child>,
}

impl Shell {
    fn new() -> Self {
        let shell = Self { folder: tempfile::tempdir().unwrap(), background: Vec::new() };
        fs::write(shell.exported(), "").unwrap();
        shell
    }

    fn exported(&self) -> PathBuf {
        self.folder.path().join("exported")
    }

    /// A program that is found before that of its name, as a script.
    fn stand_in(&self, name: &str, script: &str) {
        let path = self.folder.path().join(name);
        fs::write(&path, format!("#!/bin/bash\nset -euo pipefail\n{script}")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn command(&self, text: &str) -> Command {
        let mut command = Command::new("bash");
        let exported = self.exported();
        let script = format!("source {0}\n{text}\nexport -p >{0}", exported.display());
        let path = std::env::var("PATH").unwrap();
        command.args(["-euo", "pipefail", "-c", &script]);
        command.env("PATH", format!("{}:{path}", self.folder.path().display()));
        command
    }

    fn run(&self, text: &str) -> String {
        let output = self.command(text).output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        println!("{out}{err}");
        assert!(output.status.success(), "{text}");
        out.into_owned()
    }

    /// What its user leaves running in another terminal.
    fn leave_running(&mut self, text: &str) {
        self.background.push(self.command(text).process_group(0).spawn().unwrap());
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        for child in &mut self.background {
            let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            // Its own children too: the shell does not pass a signal on.
            group.map(|group| kill_process_group(group, Signal::TERM).ok());
            child.wait().ok();
        }
    }
}

/// Gives an image of the node another name besides.
fn tag(from: &str, to: &str) -> String {
    let socket = Path::new(&std::env::var("TESTBED_DIR").unwrap()).join("node/containerd.sock");
    format!("ctr --address {} --namespace k8s.io images tag --force {from} {to}", socket.display())
}

#[test]
fn every_command_of_getting_started_does_what_is_written() {
    require_cluster();
    if !helm(&["list", "--namespace", SYSTEM, "--short"]).trim().is_empty() {
        operator::uninstall();
        kubectl(&["delete", "namespace", SYSTEM]);
    }
    let mut shell = Shell::new();
    let binary = env!("CARGO_BIN_EXE_flagsmith-operator");
    // build, create and cp are what the page asks of it.
    shell.stand_in(
        "docker",
        &format!(
            "case $1 in build) ;; create) echo container ;; cp) cp {binary} \"$3\" ;; *) exit 64 ;; esac\n"
        ),
    );
    let loaded = tag("docker.io/local/flagsmith-operator:dev", "\"docker.io/library/$3\"");
    shell.stand_in("kind", &format!("[[ \"$1 $2\" == 'load docker-image' ]]\n{loaded}\n"));
    for (from, to) in IMAGES {
        shell.run(&tag(from, to));
    }
    let mut said = String::new();
    let mut ran = 0;
    for block in blocks() {
        match block.kind.as_str() {
            "sh" => {
                let first = block.text.lines().next().unwrap_or_default();
                said = step(first, || shell.run(&block.text));
                ran += 1;
            }
            "sh background" => {
                shell.leave_running(&block.text);
                serves();
            }
            "text" => shows(&said, &block.text),
            // With names of the reader's own.
            _ => {}
        }
    }
    assert!(ran > 8, "{ran} blocks ran");
    fs::remove_file("kubectl-flagsmith").unwrap();
    wait_until(REMOVAL, "nothing is left", || {
        let left = kubectl(&["get", "pods,pvc,secrets", "-n", "default", "-o", "name"]);
        left.trim().is_empty().then_some(()).ok_or(left)
    });
}

/// What is served in the browser, and to an SDK.
fn serves() {
    wait_until(LISTENS, "the forwarded port answers", || {
        let page = http::get("127.0.0.1", 8080, "/", &[]);
        (page.status == 200 && page.body.contains("<html")).then_some(()).ok_or(page.body)
    });
    let flags = http::get("127.0.0.1", 8080, "/api/v1/flags/", &[("X-Environment-Key", "anything")]);
    assert_eq!(flags.status, 200, "{}", flags.body);
}

/// Each line of an output that the page shows was printed, up to an ellipsis; columns may be wider.
fn shows(said: &str, shown: &str) {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let said: Vec<String> = said.lines().map(words).collect();
    for line in shown.lines().filter(|line| !line.trim().is_empty()) {
        let wanted = words(line.split('…').next().unwrap());
        assert!(said.iter().any(|line| line.starts_with(&wanted)), "{wanted:?} is not in {said:#?}");
    }
}
