//! The container cannot write the files that it needs.

use crate::causes::{
    log::{failure::quoted_after, phrasing::component},
    prelude::*,
};

pub(crate) static CAUSE: Cause = Cause {
    explains: consequences::OF_NO_START,
    log: &[&LOG],
    ..Cause::critical(Component::Api, include_str!("read_only_filesystem.md"))
};

/// Why a file cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// The root file system is read-only.
    ReadOnly,
    /// No directory for temporary files is writable.
    NoTemporaryDirectory,
    /// The user may not write there.
    Denied,
    /// The directory does not exist.
    Absent,
}

/// Words of Flagsmith's metrics files, which it writes at its start.
const METRICS: &[&str] = &["prometheus", ".db'"];

static LOG: Rule<Variant> = Rule {
    precedence: 105,
    signatures: &[
        Signature::of_words(Variant::ReadOnly, &["Read-only file system"]),
        Signature::of_words(Variant::NoTemporaryDirectory, &["No usable temporary directory found"]),
        Signature::of_words(Variant::Denied, METRICS)
            .class(&["PermissionError"])
            .all(&["Permission denied: '/"]),
        Signature::of_words(Variant::Absent, METRICS)
            .class(&["FileNotFoundError"])
            .all(&["No such file or directory: '/"]),
    ],
    details,
    explain,
    is_over: None,
};

fn details(failure: &Failure<'_>, _: Variant) -> Option<FailureDetails> {
    // PostgreSQL's own disk can be read-only as well; that is not this container's.
    (!failure.is_database()).then(|| FailureDetails {
        object: quoted_after(failure.message, &[": "]).map(str::to_owned),
        ..FailureDetails::default()
    })
}

fn explain(evidence: &LogEvidence, occurrence: &Occurrence, variant: Variant) -> Explanation {
    let who = component(evidence.component);
    let path = occurrence.details.object.as_deref().unwrap_or("its files");
    let directory = path.rsplit_once('/').map_or("/tmp/prometheus", |(directory, _)| directory);
    let (message, remedy) = match variant {
        Variant::Denied => (
            format!(
                "{who} cannot start: its user may not write {path}. Images 2.201.1 to 2.258.x let only user 65534 write \
                 there; with any image, a volume that is mounted there can belong to another user."
            ),
            format!(
                "Run as user 65534 (remove runAsUser), upgrade to 2.259.0 or later, or mount an emptyDir at {directory}. \
                 With a volume of your own set fsGroup in the pod's securityContext."
            ),
        ),
        Variant::Absent if !path.starts_with("/tmp/prometheus/") => (
            format!("{who} cannot start: the directory {directory}, to which it has to write, does not exist."),
            format!("Mount an emptyDir at {directory}, or unset PROMETHEUS_MULTIPROC_DIR if it names it."),
        ),
        Variant::Absent => (
            format!(
                "{who} cannot start: the directory of {path} does not exist. The image has it, so a volume hides it: one \
                 on /tmp takes {directory} away."
            ),
            format!("Mount an emptyDir at {directory} as well."),
        ),
        Variant::NoTemporaryDirectory => (
            format!(
                "{who} cannot start: no directory for temporary files is writable, the container's root file system is \
                 read-only."
            ),
            "Mount an emptyDir at /tmp and another one at /tmp/prometheus.".to_owned(),
        ),
        Variant::ReadOnly => (
            format!(
                "{who} cannot start: it has to write {path}, and the container's root file system is read-only. Flagsmith \
                 writes there even with PROMETHEUS_ENABLED=false."
            ),
            "Mount an emptyDir at /tmp/prometheus and another one at /tmp (with only /tmp the directory below it is \
             missing), or set readOnlyRootFilesystem: false."
                .to_owned(),
        ),
    };
    Explanation::new(Code::ReadOnlyFilesystem, message, remedy)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::LOG;
    use crate::{
        causes::log::{failure::Stage, testing::recognise},
        model::Code,
    };

    #[rstest]
    #[case("OSError", "[Errno 30] Read-only file system: '/tmp/prometheus/counter_1.db'", "ReadOnly")]
    #[case(
        "FileNotFoundError",
        "[Errno 2] No such file or directory: '/tmp/prometheus/counter_1.db'",
        "Absent"
    )]
    #[case("PermissionError", "[Errno 13] Permission denied: '/tmp/prometheus/counter_1.db'", "Denied")]
    #[case(
        "FileNotFoundError",
        "[Errno 2] No usable temporary directory found in ['/tmp', '/var/tmp', '/usr/tmp', '/app']",
        "NoTemporaryDirectory"
    )]
    fn each_variant_has_its_words(#[case] class: &str, #[case] message: &str, #[case] variant: &str) {
        let (code, details) = recognise(Stage::Boot, class, message).unwrap();
        let found = LOG.signatures[usize::from(details.signature)].variant;
        assert_eq!((code, format!("{found:?}").as_str()), (Code::ReadOnlyFilesystem, variant));
    }
}
