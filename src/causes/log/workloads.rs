//! The container, its command line and its neighbours.

use super::evidence::{LogEvidence, Occurrence};
use super::failure::{Failure, FailureDetails, quoted_after};
use super::phrasing::component;
use super::{finding::Explanation, rule::Plain};
use crate::model::{Code, Component};

pub const CAUSES: &[(Code, Plain)] = &[
    (
        Code::ReadOnlyFilesystem,
        Plain {
            precedence: 105,
            last_resort: false,
            recognise: filesystem,
            explain: explain_filesystem,
            is_over: None,
        },
    ),
    (
        Code::UnsupportedVersion,
        Plain {
            precedence: 120,
            last_resort: false,
            recognise: version,
            explain: explain_version,
            is_over: None,
        },
    ),
    (
        Code::FrontendCannotReachApi,
        Plain {
            precedence: 125,
            last_resort: false,
            recognise: frontend,
            explain: explain_frontend,
            is_over: None,
        },
    ),
    (
        Code::CrashLooping,
        Plain {
            precedence: 135,
            last_resort: false,
            recognise: port,
            explain: explain_port,
            is_over: None,
        },
    ),
    (
        Code::CrashLooping,
        Plain {
            precedence: 140,
            last_resort: false,
            recognise: architecture,
            explain: explain_architecture,
            is_over: None,
        },
    ),
];

fn filesystem(failure: &Failure<'_>) -> Option<FailureDetails> {
    let prometheus = failure.says("prometheus") || failure.says(".db'");
    let form = if failure.says("Read-only file system") {
        "read-only"
    } else if failure.says("No usable temporary directory found") {
        "no-tmp"
    } else if failure.is(&["PermissionError"]) && failure.says("Permission denied: '/") && prometheus {
        "denied"
    } else if failure.is(&["FileNotFoundError"])
        && prometheus
        && failure.says("No such file or directory: '/")
    {
        "absent"
    } else {
        return None;
    };
    // PostgreSQL's own disk can be read-only as well; that is not this container's.
    if failure.is_database() {
        return None;
    }
    Some(FailureDetails {
        form,
        object: quoted_after(failure.message, &[": "]).map(str::to_owned),
        ..FailureDetails::default()
    })
}

fn explain_filesystem(case: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let who = component(case.component);
    let path = occurrence.details.object.as_deref().unwrap_or("its files");
    let directory = path
        .rsplit_once('/')
        .map_or("/tmp/prometheus", |(directory, _)| directory);
    let (message, remedy) = match occurrence.details.form {
        "denied" => (
            format!("{who} cannot start: its user may not write {path}. Images 2.201.1 to 2.258.x let only user 65534 write there; with any image, a volume that is mounted there can belong to another user."),
            format!("Run as user 65534 (remove runAsUser), upgrade to 2.259.0 or later, or mount an emptyDir at {directory}. With a volume of your own set fsGroup in the pod's securityContext."),
        ),
        "absent" if !path.starts_with("/tmp/prometheus/") => (
            format!("{who} cannot start: the directory {directory}, to which it has to write, does not exist."),
            format!("Mount an emptyDir at {directory}, or unset PROMETHEUS_MULTIPROC_DIR if it names it."),
        ),
        "absent" => (
            format!("{who} cannot start: the directory of {path} does not exist. The image has it, so a volume hides it: one on /tmp takes {directory} away."),
            format!("Mount an emptyDir at {directory} as well."),
        ),
        "no-tmp" => (
            format!("{who} cannot start: no directory for temporary files is writable, the container's root file system is read-only."),
            "Mount an emptyDir at /tmp and another one at /tmp/prometheus.".to_owned(),
        ),
        _ => (
            format!("{who} cannot start: it has to write {path}, and the container's root file system is read-only. Flagsmith writes there even with PROMETHEUS_ENABLED=false."),
            "Mount an emptyDir at /tmp/prometheus and another one at /tmp (with only /tmp the directory below it is missing), or set readOnlyRootFilesystem: false.".to_owned(),
        ),
    };
    Explanation::new(Code::ReadOnlyFilesystem, message, remedy)
}

fn version(failure: &Failure<'_>) -> Option<FailureDetails> {
    let missing = failure.says("flagsmith")
        && failure.says_any(&[
            "executable file not found in $PATH",
            "flagsmith: not found",
            "flagsmith: command not found",
        ]);
    let verb = failure.says("ERROR: unrecognised command");
    (missing || verb).then(|| FailureDetails::form(if missing { "cli" } else { "verb" }))
}

fn explain_version(_: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let (what, since) = if occurrence.details.form == "cli" {
        ("the command \"flagsmith\"", "2.170.0")
    } else {
        ("the command that it is started with", "2.51.0")
    };
    Explanation::new(
        Code::UnsupportedVersion,
        format!("The image does not know {what}: it is older than {since}."),
        "Use an image of 2.170.0 or later, or the args of the older one: [\"serve\"], [\"migrate\"], [\"run-task-processor\"] with the image's own entry point.",
    )
}

fn frontend(failure: &Failure<'_>) -> Option<FailureDetails> {
    if failure.component != Component::Frontend {
        return None;
    }
    let error = [
        "ECONNREFUSED",
        "ENOTFOUND",
        "EAI_AGAIN",
        "ETIMEDOUT",
        "ECONNRESET",
        "EHOSTUNREACH",
        "HPE_INVALID",
    ]
    .into_iter()
    .find(|error| failure.says(error))?;
    if !failure.says_any(&["[HPM]", "proxy", "connect E", "getaddrinfo"]) {
        return None;
    }
    let target = failure
        .message
        .split_once(" to ")
        .and_then(|(_, rest)| rest.split([' ', '[']).next());
    Some(FailureDetails {
        form: error,
        object: target.map(str::to_owned),
        ..FailureDetails::default()
    })
}

fn explain_frontend(_: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let target = occurrence
        .details
        .object
        .as_deref()
        .filter(|target| !target.is_empty())
        .unwrap_or("FLAGSMITH_PROXY_API_URL");
    let why = match occurrence.details.form {
        "ECONNREFUSED" => "nothing accepts connections there",
        "ENOTFOUND" | "EAI_AGAIN" => "its name cannot be resolved",
        "ETIMEDOUT" | "EHOSTUNREACH" => "it does not answer",
        "HPE_INVALID" => "its answer is no HTTP",
        _ => "it closed the connection",
    };
    Explanation::new(
        Code::FrontendCannotReachApi,
        format!(
            "The frontend passes API requests on to {target} and fails: {why} ({}). Browsers get 504, also when the API is just restarting.",
            occurrence.details.form
        ),
        "See whether the API's pods are ready, and set FLAGSMITH_PROXY_API_URL on the frontend to the API's Service (http://RELEASE-api.NAMESPACE.svc:8000). Better, route /api/ to the API in the Ingress, without the frontend between.",
    )
}

fn port(failure: &Failure<'_>) -> Option<FailureDetails> {
    let taken = failure.says("Connection in use: (") || failure.says("EADDRINUSE");
    taken.then(|| FailureDetails::form("port").object(failure.message.lines().next().unwrap_or_default()))
}

fn explain_port(case: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    Explanation::new(
        Code::CrashLooping,
        format!(
            "{} cannot listen on its port, another process has it: {}.",
            component(case.component),
            occurrence.details.object.as_deref().unwrap_or_default()
        ),
        "Two Flagsmith processes of one pod cannot share a port (8000 and 9100 are fixed): run them in pods of their own, and without hostNetwork.",
    )
}

/// The kernel's ENOEXEC, as runc, containerd and shells pass it on.
fn architecture(failure: &Failure<'_>) -> Option<FailureDetails> {
    let of_exec = failure.class.is_empty() && failure.says("exec ");
    (of_exec && failure.says("exec format error")).then(|| FailureDetails::form("architecture"))
}

fn explain_architecture(case: &LogEvidence, _: &Occurrence) -> Explanation {
    let code = if case.component == Component::Migrations {
        Code::MigrationFailed
    } else {
        Code::CrashLooping
    };
    Explanation::new(
        code,
        format!(
            "{} cannot start: its image, or a binary in it, is built for another processor architecture than its node's (exec format error).",
            component(case.component)
        ),
        "Compare kubectl get nodes -L kubernetes.io/arch with the image's platforms (docker manifest inspect IMAGE). Flagsmith's own images are for amd64 and arm64; a mirror or an image of your own may have one of them only. Copy all platforms, or choose nodes with nodeSelector kubernetes.io/arch.",
    )
}

#[cfg(test)]
mod tests {
    use crate::causes::log::failure::Stage;
    use crate::causes::log::testing::recognise;
    use crate::model::Code::{self, *};
    use rstest::rstest;

    #[rstest]
    #[case(
        "OSError",
        "[Errno 30] Read-only file system: '/tmp/prometheus/counter_1.db'",
        ReadOnlyFilesystem,
        "read-only"
    )]
    #[case(
        "FileNotFoundError",
        "[Errno 2] No such file or directory: '/tmp/prometheus/counter_1.db'",
        ReadOnlyFilesystem,
        "absent"
    )]
    #[case(
        "PermissionError",
        "[Errno 13] Permission denied: '/tmp/prometheus/counter_1.db'",
        ReadOnlyFilesystem,
        "denied"
    )]
    #[case(
        "FileNotFoundError",
        "[Errno 2] No usable temporary directory found in ['/tmp', '/var/tmp', '/usr/tmp', '/app']",
        ReadOnlyFilesystem,
        "no-tmp"
    )]
    #[case(
        "",
        "exec: \"flagsmith\": executable file not found in $PATH: unknown",
        UnsupportedVersion,
        "cli"
    )]
    #[case("", "ERROR: unrecognised command 'start'", UnsupportedVersion, "verb")]
    #[case(
        "environs.exceptions.EnvValidationError",
        "Environment variable \"GUNICORN_WORKERS\" invalid: Not a valid integer.",
        CrashLooping,
        "variable"
    )]
    #[case(
        "environs.EnvError",
        "Environment variable \"ADMIN_EMAIL\" not set",
        CrashLooping,
        "variable"
    )]
    #[case("", "Connection in use: ('0.0.0.0', 8000)", CrashLooping, "port")]
    #[case(
        "",
        "exec ./scripts/run-docker.sh: exec format error",
        CrashLooping,
        "architecture"
    )]
    #[case(
        "",
        "standard_init_linux.go:228: exec user process caused: exec format error",
        CrashLooping,
        "architecture"
    )]
    #[case(
        "ModuleNotFoundError",
        "No module named 'health_check.plugins'",
        CrashLooping,
        "crash"
    )]
    fn recognises(#[case] class: &str, #[case] message: &str, #[case] expected: Code, #[case] form: &str) {
        let (code, details) = recognise(Stage::Boot, class, message).unwrap();
        assert_eq!((code, details.form), (expected, form));
    }

    #[rstest]
    #[case("SystemExit", "1")]
    #[case("CommandError", "something")]
    fn is_no_crash(#[case] class: &str, #[case] message: &str) {
        assert_eq!(recognise(Stage::Boot, class, message), None);
    }
}
