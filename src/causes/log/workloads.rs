//! The container, its command line and its neighbours.

use super::evidence::{LogEvidence, Occurrence};
use super::failure::{Failure, FailureDetails, Stage, quoted_after};
use super::phrasing::component;
use super::{finding::Explanation, rule::Plain};
use crate::model::{Code, Component, Severity};

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
        Code::GunicornWorkerClassUnavailable,
        Plain {
            precedence: 110,
            last_resort: false,
            recognise: worker_class,
            explain: explain_worker_class,
            is_over: None,
        },
    ),
    (
        Code::GunicornSettingsIgnored,
        Plain {
            precedence: 115,
            last_resort: false,
            recognise: arguments,
            explain: explain_arguments,
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
        Code::ContainerOutOfMemory,
        Plain {
            precedence: 130,
            last_resort: false,
            recognise: memory,
            explain: explain_memory,
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

fn worker_class(failure: &Failure<'_>) -> Option<FailureDetails> {
    let message = failure.message;
    if let Some((_, rest)) = message.split_once("class uri ") {
        if !rest.contains("invalid or not found") {
            return None;
        }
        return Some(FailureDetails::default().object(super::failure::unquote(rest).unwrap_or("unknown")));
    }
    let (name, _) = message.split_once(" worker requires ")?;
    let name = name.rsplit([' ', ':']).next().unwrap_or(name);
    Some(FailureDetails::default().object(name))
}

fn explain_worker_class(_: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let class = occurrence.details.object.as_deref().unwrap_or("unknown");
    Explanation::new(
        Code::GunicornWorkerClassUnavailable,
        format!(
            "Gunicorn does not start: the image does not have the worker class \"{class}\" that it is told to use."
        ),
        "Remove --worker-class (also from GUNICORN_CMD_ARGS): Flagsmith's image has sync and gthread only, and chooses gthread by itself when GUNICORN_THREADS is above 1.",
    )
}

fn arguments(failure: &Failure<'_>) -> Option<FailureDetails> {
    let (before, rest) = failure.message.split_once("error: ")?;
    let (form, arguments) = rest
        .strip_prefix("unrecognized arguments: ")
        .map(|arguments| ("unknown", arguments))
        .or_else(|| Some(("value", rest.strip_prefix("argument ")?)))?;
    let command = before.trim_end_matches(": ").trim();
    (command.starts_with("flagsmith") || command.contains("manage.py") || command.starts_with("gunicorn"))
        .then(|| FailureDetails {
            object: Some(arguments.to_owned()),
            detail: Some(command.to_owned()),
            form,
            ..FailureDetails::default()
        })
}

fn explain_arguments(case: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let arguments = occurrence.details.object.as_deref().unwrap_or_default();
    let process = if case.component == Component::TaskProcessor {
        "task-processor"
    } else {
        "api"
    };
    if occurrence.details.form == "value" {
        return Explanation::new(
            Code::GunicornSettingsIgnored,
            format!(
                "{} does not start: its command line has an argument with a value that it cannot have ({}).",
                component(case.component),
                arguments.trim_end_matches('.')
            ),
            "Correct that value in the container's args.",
        )
        .with(Severity::Critical);
    }
    Explanation::new(
        Code::GunicornSettingsIgnored,
        format!("{} does not start: its command line has {arguments} where that is not accepted. Gunicorn's flags stand between \"start\" and the sub-command; \"serve\" takes none.", component(case.component)),
        format!("Set the container's args to [\"start\", \"--timeout\", \"60\", \"--keep-alive\", \"75\", \"{process}\"], with your flags in that place, and its command to [\"flagsmith\"]."),
    )
    .with(Severity::Critical)
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

/// The form of a container that ended with SIGKILL, as Docker Compose tells it.
pub(super) const KILLED_CONTAINER: &str = "container";

fn memory(failure: &Failure<'_>) -> Option<FailureDetails> {
    if failure.stage == Stage::Migrate {
        return None;
    }
    let line = failure.message.trim();
    let form = if failure.is_killed_container() {
        KILLED_CONTAINER
    } else if failure.says("JavaScript heap out of memory") {
        "node"
    } else if failure.is(&["MemoryError"]) {
        "python"
    } else if failure.class.is_empty()
        && (line == "Killed"
            || line.contains(": ") && line.contains(" Killed ")
            || line.contains("OOMKilled"))
    {
        "killed"
    } else {
        return None;
    };
    Some(FailureDetails::form(form))
}

fn explain_memory(case: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let who = component(case.component);
    let (message, remedy) = match occurrence.details.form {
        "node" => (
            "The frontend ended because Node.js had used up its heap.",
            "Raise the memory limit of the frontend's container and set NODE_OPTIONS=--max-old-space-size=(three quarters of it, in MiB).",
        ),
        "python" => (
            "got no more memory from its container.",
            "Raise the memory limit of its container, or lower GUNICORN_WORKERS: each process needs 190 to 220 MiB idle.",
        ),
        KILLED_CONTAINER => (
            "was ended with SIGKILL (exit status 137): by the kernel when it goes over its memory limit, or by somebody who stopped or killed the container.",
            "If nobody stopped it, raise the memory limit of its container, or lower GUNICORN_WORKERS: each process needs 190 to 220 MiB idle. Confirm: docker inspect -f '{{.State.OOMKilled}}' CONTAINER",
        ),
        _ => (
            "was ended by the kernel (SIGKILL), which nearly always means that it went over its memory limit.",
            "Raise the memory limit of its container, or lower GUNICORN_WORKERS: each process needs 190 to 220 MiB idle. Confirm: kubectl get pod POD -o jsonpath='{.status.containerStatuses[0].lastState.terminated.reason}' says OOMKilled.",
        ),
    };
    let message = if occurrence.details.form == "node" {
        message.to_owned()
    } else {
        format!("{who} {message}")
    };
    Explanation::new(Code::ContainerOutOfMemory, message, remedy)
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
        "RuntimeError",
        "class uri 'gevent' invalid or not found:",
        GunicornWorkerClassUnavailable,
        ""
    )]
    #[case(
        "RuntimeError",
        "gevent worker requires gevent 1.4 or higher",
        GunicornWorkerClassUnavailable,
        ""
    )]
    #[case(
        "",
        "flagsmith start: error: unrecognized arguments: --timeout 60",
        GunicornSettingsIgnored,
        "unknown"
    )]
    #[case(
        "",
        "flagsmith start task-processor: error: argument --numthreads: invalid int value: 'many'",
        GunicornSettingsIgnored,
        "value"
    )]
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
    #[case("MemoryError", "", ContainerOutOfMemory, "python")]
    #[case(
        "",
        "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory",
        ContainerOutOfMemory,
        "node"
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
