//! The image is for another processor than the node's.

use crate::causes::{log::phrasing::component, prelude::*};

pub(crate) static CAUSE: Cause = Cause {
    explains: &[
        Explains::same_component(consequences::WITHOUT_START),
        Explains::from_api(consequences::WITHOUT_API),
        Explains::same_component(&[
            Code::MigrationFailed,
            Code::GunicornWorkerKilled,
            Code::GunicornWorkersFailing,
        ]),
    ],
    log: &[&LOG],
    ..Cause::critical(Component::Api, include_str!("image_architecture.md"))
};

/// What does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// The kernel cannot run it: ENOEXEC, as runtimes and shells pass it on, or an emulation without the libraries.
    Architecture,
    /// The registry has no image for it.
    Manifest,
    /// The architecture is right, and the processor too old.
    Processor,
}

static LOG: Rule<Variant> = Rule {
    precedence: 140,
    signatures: &[
        Signature::of_words(Variant::Architecture, &["exec format error", "Exec format error"]),
        Signature::of_words(
            Variant::Architecture,
            &["Could not open '/lib", "rosetta error: failed to open elf"],
        )
        .also(&["qemu-", "rosetta"]),
        Signature::of_words(
            Variant::Manifest,
            &[
                "no matching manifest for ",
                "no match for platform in manifest",
                "does not match the specified platform",
            ],
        ),
        Signature::of_words(Variant::Processor, &["CPU does not support x86-64-v", "Illegal instruction"]),
    ],
    details: |failure, _| {
        // Of what a request was about nothing is said here: a runtime, a shell or the C library speaks.
        let speaks = failure.class.is_empty() || failure.is(&["OSError"]);
        speaks.then(FailureDetails::default)
    },
    explain,
    is_over: None,
};

fn explain(evidence: &LogEvidence, _: &Occurrence, variant: Variant) -> Explanation {
    let who = component(evidence.component);
    let (message, remedy) = match variant {
        Variant::Architecture | Variant::Manifest => (
            format!(
                "{who} cannot start: {}.",
                if variant == Variant::Manifest {
                    "its image does not exist for the processor architecture of its node (or of this computer)"
                } else {
                    "its image, or a binary in it, is built for another processor architecture than its node's (exec format error)"
                }
            ),
            "See kubectl get nodes -L kubernetes.io/arch; then the platforms of the image: docker manifest inspect IMAGE. Flagsmith's own \
             images are for amd64 and arm64; a mirror or an image of your own may have one of them only: build it with docker buildx \
             build --platform linux/amd64,linux/arm64, copy all platforms of a mirror (crane copy, skopeo copy --all), or choose nodes \
             with nodeSelector kubernetes.io/arch.",
        ),
        Variant::Processor => (
            format!(
                "{who} cannot start: its image needs instructions that the node's processor does not have."
            ),
            "Choose newer nodes, or let the hypervisor pass the processor on (QEMU, Proxmox: CPU type host instead of kvm64 or qemu64), or \
             use an image for older processors.",
        ),
    };
    Explanation::new(Code::ImageArchitecture, message, remedy)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::causes::log::testing::recognise;

    #[rstest]
    #[case("", "exec ./scripts/run-docker.sh: exec format error", Variant::Architecture)]
    #[case(
        "",
        "standard_init_linux.go:228: exec user process caused: exec format error",
        Variant::Architecture
    )]
    #[case(
        "",
        "/app/scripts/run-docker.sh: line 3: /usr/bin/python: cannot execute binary file: Exec format error",
        Variant::Architecture
    )]
    #[case("", "sh: 1: ./flagsmith: Exec format error", Variant::Architecture)]
    #[case("OSError", "[Errno 8] Exec format error: 'flagsmith'", Variant::Architecture)]
    #[case(
        "",
        "qemu-x86_64: Could not open '/lib64/ld-linux-x86-64.so.2': No such file or directory",
        Variant::Architecture
    )]
    #[case("", "no matching manifest for linux/arm64/v8 in the manifest list entries", Variant::Manifest)]
    #[case("", "Fatal glibc error: CPU does not support x86-64-v2", Variant::Processor)]
    #[case("", "Illegal instruction (core dumped)", Variant::Processor)]
    fn recognises(#[case] class: &str, #[case] message: &str, #[case] expected: Variant) {
        for stage in [Stage::Boot, Stage::Migrate] {
            let (code, details) = recognise(stage, class, message).unwrap();
            assert_eq!((code, LOG.variant(&details)), (Code::ImageArchitecture, Some(expected)));
        }
    }
}
