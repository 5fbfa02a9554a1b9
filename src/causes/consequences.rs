//! Consequences that several causes have in common.

use super::cause::Explains;
use crate::model::Code;

/// What follows where nothing can work on the database.
pub(crate) const WITHOUT_DATABASE: &[Code] = &[
    Code::DatabaseConnectionLost,
    Code::CrashLooping,
    Code::ProbeFailing,
    Code::LivenessProbeKilling,
    Code::RolloutDeadlineExceeded,
    Code::GunicornWorkerTimeout,
    Code::GunicornWorkerStalled,
    Code::GunicornWorkersSaturated,
    Code::TaskProcessorNotReady,
    Code::TaskQueueStalled,
    Code::TaskQueueGrowing,
    Code::TasksFailing,
    Code::FrontendCannotReachApi,
    Code::EdgeProxyCannotUpdate,
    Code::MigrationFailed,
];

/// What follows where a container cannot start, or ends because its environment lacks something.
pub(crate) const WITHOUT_START: &[Code] = &[
    Code::CrashLooping,
    Code::ProbeFailing,
    Code::LivenessProbeKilling,
    Code::RolloutDeadlineExceeded,
    Code::TaskProcessorNotReady,
];

/// What follows where no process works on the queue.
pub(crate) const WITHOUT_PROCESSOR: &[Code] =
    &[Code::TaskQueueStalled, Code::TaskQueueGrowing, Code::TasksStuckLocked];

/// What follows in others where the API does not answer.
pub(crate) const WITHOUT_API: &[Code] = &[Code::FrontendCannotReachApi, Code::EdgeProxyCannotUpdate];

/// Of everything that keeps a client from connecting to the database.
pub(crate) const OF_NO_CONNECTION: &[Explains] =
    &[Explains::everywhere(WITHOUT_DATABASE), Explains::everywhere(&[Code::DatabaseStarting])];

/// Of everything that stops a migration: the schema stays behind, wherever the migration ran.
pub(crate) const OF_STOPPED_MIGRATION: &[Explains] = &[
    Explains::in_logs(&[Code::TaskProcessorMigratesItself]),
    Explains::everywhere(&[Code::MigrationsPending]),
];

/// Of everything that keeps a component's containers from starting.
pub(crate) const OF_NO_START: &[Explains] =
    &[Explains::same_component(WITHOUT_START), Explains::from_api(WITHOUT_API)];
