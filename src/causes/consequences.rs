//! Consequences that several causes have in common.

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
pub(crate) const WITHOUT_PROCESSOR: &[Code] = &[
    Code::TaskQueueStalled,
    Code::TaskQueueGrowing,
    Code::TasksStuckLocked,
];
