//! The codes of all causes: condition reasons, catalogue keys and anchors of the documentation.

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($name:ident),+ $(,)?) => {
        /// The stable name of a cause. A name is never given to another cause.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[allow(missing_docs, reason = "the catalogue documents each code for users and developers alike")]
        pub enum Code {
            $($name,)+
        }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The code as users read it, for example `DatabaseSecretMissing`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }
        }
    };
}

codes! {
    // Database
    DatabaseSecretMissing,
    DatabaseSecretKeyMissing,
    DatabaseUrlInvalid,
    DatabaseHostNotFound,
    DatabaseUnreachable,
    DatabaseTlsMismatch,
    DatabaseAccessRejected,
    DatabaseAuthenticationFailed,
    DatabaseNotFound,
    DatabaseStarting,
    DatabaseConnectionsExhausted,
    DatabaseConnectionLost,
    DatabaseReadOnly,
    DatabaseDiskFull,
    DatabaseVersionUnsupported,
    DatabasePoolerRejectsOptions,
    ConnectionBudgetExceeded,
    EmbeddedDatabaseInUse,
    // Migrations
    MigrationsPending,
    MigrationPermissionDenied,
    MigrationSchemaConflict,
    MigrationHistoryInconsistent,
    MigrationGraphBroken,
    MigrationLockTimeout,
    MigrationStatementTimeout,
    MigrationDeadlock,
    MigrationDataConflict,
    MigrationExtensionUnavailable,
    MigrationConcurrent,
    MigrationOutOfMemory,
    MigrationDeadlineExceeded,
    MigrationImagePullFailed,
    MigrationPodUnschedulable,
    MigrationJobNotOwned,
    MigrationFailed,
    InvalidIndexLeft,
    LongTransactionOpen,
    BackupPending,
    BackupFailed,
    ReleaseHasKnownDefect,
    UpgradeSkipsVersions,
    DowngradeBlocked,
    RollbackLosesData,
    UnsupportedVersion,
    // Task processor
    TaskProcessorMissing,
    TaskProcessorScaledToZero,
    TaskProcessorNotReady,
    TaskRunMethodUnset,
    TaskProcessorVersionSkew,
    TaskProcessorReleaseBroken,
    TaskProcessorMigratesItself,
    TaskProcessorDatabaseMismatch,
    TaskQueueStalled,
    TaskQueueGrowing,
    TasksStuckLocked,
    TasksFailing,
    TaskUnregistered,
    RecurringTasksDisabled,
    TaskSleepIntervalHigh,
    TaskTableBloated,
    TaskProcessorModeOff,
    // 502s and timeouts
    GunicornWorkerTimeout,
    GunicornWorkerStalled,
    GunicornWorkerOutOfMemory,
    GunicornWorkerKilled,
    GunicornWorkerClassUnavailable,
    GunicornWorkersSaturated,
    GunicornSettingsIgnored,
    ProxyTimeoutBelowGunicorn,
    KeepAliveBelowProxyIdle,
    GraceBelowGracefulTimeout,
    PreStopTooShort,
    ProxyNotChecked,
    WorkersExceedLimits,
    LivenessProbeKilling,
    ContainerOutOfMemory,
    // Workloads
    ImagePullFailed,
    ContainerConfigError,
    CrashLooping,
    ProbeFailing,
    PodUnschedulable,
    QuotaExceeded,
    AdmissionDenied,
    ReadOnlyFilesystem,
    AllowedHostsRejected,
    SecretKeyEphemeral,
    FrontendCannotReachApi,
    DjangoSecretMissing,
    RolloutDeadlineExceeded,
    HttpRouteApiMissing,
    RouteNotAccepted,
    ReplicasContested,
    ScaledToZero,
    InstallationNotFound,
    ReleaseUnknown,
    // Operator
    Forbidden,
    ChildNotOwned,
    CrdOutdated,
    Suspended,
    InvalidSpec,
}

impl Code {
    /// The code of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == name)
    }

    /// Whether no migration may start while this stands: it would fail, or do harm.
    #[must_use]
    pub const fn blocks_migration(self) -> bool {
        matches!(
            self,
            Self::DatabaseSecretMissing
                | Self::DatabaseSecretKeyMissing
                | Self::DatabaseUrlInvalid
                | Self::DatabaseHostNotFound
                | Self::DatabaseUnreachable
                | Self::DatabaseTlsMismatch
                | Self::DatabaseAccessRejected
                | Self::DatabaseAuthenticationFailed
                | Self::DatabaseNotFound
                | Self::DatabaseStarting
                | Self::DatabaseConnectionsExhausted
                | Self::DatabaseReadOnly
                | Self::DatabaseVersionUnsupported
                | Self::DjangoSecretMissing
                | Self::DowngradeBlocked
                | Self::MigrationPermissionDenied
                | Self::MigrationExtensionUnavailable
                | Self::LongTransactionOpen
        )
    }
}

impl Code {
    /// Whether it is a connection to the database that does not come about or breaks: whatever the words, one trouble
    /// with one database.
    #[must_use]
    pub const fn is_connection(self) -> bool {
        matches!(
            self,
            Self::DatabaseHostNotFound
                | Self::DatabaseUnreachable
                | Self::DatabaseTlsMismatch
                | Self::DatabaseAccessRejected
                | Self::DatabaseAuthenticationFailed
                | Self::DatabaseNotFound
                | Self::DatabaseStarting
                | Self::DatabaseConnectionsExhausted
                | Self::DatabaseConnectionLost
                | Self::DatabasePoolerRejectsOptions
        )
    }

    /// Whether the operator goes on by itself once the outside world has changed; otherwise a person must change
    /// the resource, an object or an annotation first.
    #[must_use]
    pub const fn passes_by_itself(self) -> bool {
        !matches!(
            self,
            Self::InvalidSpec
                | Self::UnsupportedVersion
                | Self::DowngradeBlocked
                | Self::BackupFailed
                | Self::MigrationFailed
                | Self::MigrationDeadlineExceeded
                | Self::MigrationJobNotOwned
                | Self::ChildNotOwned
                | Self::Forbidden
                | Self::AdmissionDenied
                | Self::QuotaExceeded
                | Self::RolloutDeadlineExceeded
                | Self::DatabaseVersionUnsupported
                | Self::RouteNotAccepted
        )
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}
