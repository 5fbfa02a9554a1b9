//! What may have to be changed, and what each way of changing it has in common.

use crate::{model::Component, validate::secret_key::SecretKey};

/// One thing to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// The number of pods.
    Replicas(Component, i32),
    /// The tag of the image: a release.
    Tag(Component, &'a str),
    /// The memory limit.
    Memory(Component, &'a str),
    /// An environment variable.
    Env(Component, &'a str, &'a str),
    /// An environment variable that is to go.
    NoEnv(Component, &'a str),
    /// An environment variable that the task processor is to have from where the API has it: from this Secret, where
    /// it is one.
    SameAsApi {
        /// The task processor's Deployment.
        deployment: &'a str,
        /// The variable.
        variable: &'a str,
        /// The key of the Secret that the API has it from.
        key: Option<&'a SecretKey>,
    },
    /// What the container is started with: the image's `flagsmith` and these arguments.
    Start(Component, &'a [&'a str]),
    /// A task processor where there is none.
    EnableTaskProcessor,
    /// No migration in the API's init containers; one Job instead.
    MigrateInJob,
    /// Seconds between SIGTERM and SIGKILL.
    GracePeriod(Component, i32),
    /// Seconds that the container sleeps before SIGTERM.
    PreStop(Component, i32),
    /// `timeoutSeconds` and `failureThreshold` of the liveness probe.
    Liveness(Component, i32, i32),
    /// No CPU limit.
    NoCpuLimit(Component),
    /// An annotation of an object that is no Deployment.
    Annotation {
        /// Its kind, as kubectl takes it.
        kind: &'a str,
        /// Its name.
        name: &'a str,
        /// The chart's value with its annotations, where the chart made it.
        values: Option<&'a str>,
        /// The annotation's key.
        key: &'a str,
        /// Its value.
        value: &'a str,
    },
    /// A number of pods that only the autoscaler decides.
    LeaveReplicas(Component),
}

/// The name of a component in the specification and in the chart's values.
pub(super) const fn key(component: Component) -> &'static str {
    match component {
        Component::TaskProcessor => "taskProcessor",
        Component::Frontend => "frontend",
        Component::EdgeProxy => "edgeProxy",
        Component::Migrations => "migrations",
        _ => "api",
    }
}
