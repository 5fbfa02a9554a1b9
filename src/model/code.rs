//! The codes of all causes: condition reasons, keys of the documentation and its anchors, and the one list in which a
//! cause is registered.

use serde::{Deserialize, Serialize};

/// Every cause, once: its code and its room, `causes/<family>/<room>.rs`, in the order of the documentation. What is
/// given as `$use` is called with the list: here it becomes the enum, in `causes` the modules and their table.
macro_rules! for_each_cause {
    ($use:ident) => {
        $use! {
            database "Database" {
                DatabaseSecretMissing: secret_missing,
                DatabaseSecretKeyMissing: secret_key_missing,
                DatabaseUrlInvalid: url_invalid,
                DatabaseHostNotFound: host_not_found,
                DatabaseUnreachable: unreachable,
                DatabaseTlsMismatch: tls_mismatch,
                DatabaseAccessRejected: access_rejected,
                DatabaseAuthenticationFailed: authentication_failed,
                DatabaseNotFound: not_found,
                DatabaseStarting: starting,
                DatabaseConnectionsExhausted: connections_exhausted,
                DatabaseConnectionLost: connection_lost,
                DatabaseReadOnly: read_only,
                DatabaseDiskFull: disk_full,
                DatabaseVersionUnsupported: version_unsupported,
                MigrationDatabaseMismatch: migration_database_mismatch,
                DatabasePoolerRejectsOptions: pooler_rejects_options,
                ConnectionBudgetExceeded: connection_budget_exceeded,
                EmbeddedDatabaseInUse: embedded_database_in_use,
                DatabasePoolerTenantUnknown: pooler_tenant_unknown,
                DatabasePoolerLosesSession: pooler_loses_session,
                DatabaseMessageUnreadable: message_unreadable,
                DatabaseFilesIncompatible: files_incompatible,
                DatabaseSharedMemoryFull: shared_memory_full,
                DatabaseNotStarting: not_starting,
                DatabaseLockTableFull: lock_table_full,
                DatabaseStatementTimeout: statement_timeout,
                ReplicaConflict: replica_conflict,
                SequenceBehind: sequence_behind,
                SequenceExhausted: sequence_exhausted,
                ConnectionSharedAfterFork: connection_shared_after_fork,
            }
            migrations "Migrations" {
                MigrationsPending: pending,
                MigrationPermissionDenied: permission_denied,
                MigrationSchemaConflict: schema_conflict,
                MigrationHistoryInconsistent: history_inconsistent,
                MigrationGraphBroken: graph_broken,
                MigrationLockTimeout: lock_timeout,
                MigrationStatementTimeout: statement_timeout,
                MigrationDeadlock: deadlock,
                MigrationDataConflict: data_conflict,
                MigrationExtensionUnavailable: extension_unavailable,
                MigrationConcurrent: concurrent,
                MigrationOutOfMemory: out_of_memory,
                MigrationDeadlineExceeded: deadline_exceeded,
                MigrationImagePending: image_pending,
                MigrationImagePullFailed: image_pull_failed,
                MigrationPodUnschedulable: pod_unschedulable,
                MigrationJobNotOwned: job_not_owned,
                MigrationFailed: failed,
                InvalidIndexLeft: invalid_index_left,
                LongTransactionOpen: long_transaction_open,
                BackupPending: backup_pending,
                BackupFailed: backup_failed,
                RestoreNotStarted: restore_not_started,
                RestoreFailed: restore_failed,
                ReleaseHasKnownDefect: release_has_known_defect,
                UpgradeSkipsVersions: upgrade_skips_versions,
                ReleaseBehindSchema: release_behind_schema,
                DowngradeBlocked: downgrade_blocked,
                OlderPodsPending: older_pods_pending,
                RollbackLosesData: rollback_loses_data,
                UnsupportedVersion: unsupported_version,
                ReleaseNotKnown: release_not_known,
            }
            task_processor "Task processor" {
                TaskProcessorMissing: processor_missing,
                TaskProcessorScaledToZero: processor_scaled_to_zero,
                TaskProcessorNotReady: processor_not_ready,
                TaskRunMethodUnset: task_run_method_unset,
                TaskProcessorVersionSkew: processor_version_skew,
                TaskProcessorReleaseBroken: processor_release_broken,
                TaskProcessorMigratesItself: processor_migrates_itself,
                TaskProcessorDatabaseMismatch: processor_database_mismatch,
                TaskQueueStalled: task_queue_stalled,
                TaskQueueGrowing: task_queue_growing,
                TasksStuckLocked: tasks_stuck_locked,
                TasksFailing: tasks_failing,
                TaskUnregistered: task_unregistered,
                RecurringTasksDisabled: recurring_tasks_disabled,
                TaskSleepIntervalHigh: task_sleep_interval_high,
                TaskTableBloated: task_table_bloated,
                TaskProcessorModeOff: processor_mode_off,
                TaskProcessorLeaksConnections: processor_leaks_connections,
                TaskLoopFailing: loop_failing,
            }
            gunicorn "502s and timeouts" {
                GunicornWorkerTimeout: worker_timeout,
                GunicornWorkerStalled: worker_stalled,
                GunicornWorkerOutOfMemory: worker_out_of_memory,
                GunicornWorkerKilled: worker_killed,
                GunicornWorkerClassUnavailable: worker_class_unavailable,
                GunicornWorkersSaturated: workers_saturated,
                GunicornSettingsIgnored: settings_ignored,
                ProxyTimeoutBelowGunicorn: proxy_timeout_below_gunicorn,
                KeepAliveBelowProxyIdle: keep_alive_below_proxy_idle,
                GraceBelowGracefulTimeout: grace_below_graceful_timeout,
                PreStopTooShort: pre_stop_too_short,
                ProxyNotChecked: proxy_not_checked,
                WorkersExceedLimits: workers_exceed_limits,
                LivenessProbeKilling: liveness_probe_killing,
                ContainerOutOfMemory: container_out_of_memory,
                GunicornWorkersFailing: workers_failing,
            }
            workloads "Workloads" {
                ImagePullFailed: image_pull_failed,
                ContainerConfigError: container_config_error,
                CrashLooping: crash_looping,
                ProbeFailing: probe_failing,
                PodUnschedulable: pod_unschedulable,
                QuotaExceeded: quota_exceeded,
                AdmissionDenied: admission_denied,
                ReadOnlyFilesystem: read_only_filesystem,
                AllowedHostsRejected: allowed_hosts_rejected,
                CsrfOriginRejected: csrf_origin_rejected,
                HostNameInvalid: host_name_invalid,
                SslRedirectBreaksProbes: ssl_redirect_breaks_probes,
                ImageArchitecture: image_architecture,
                ImageCannotImport: image_cannot_import,
                ThreadLimit: thread_limit,
                FileDescriptorLimit: file_descriptor_limit,
                CacheUnreachable: cache_unreachable,
                EmailServerUnreachable: email_server_unreachable,
                AnalyticsStoreFailing: analytics_store_failing,
                RequestsFailing: requests_failing,
                ErrorsRecurring: errors_recurring,
                SecretKeyEphemeral: secret_key_ephemeral,
                FrontendCannotReachApi: frontend_cannot_reach_api,
                EdgeProxyCannotUpdate: edge_proxy_cannot_update,
                DjangoSecretMissing: django_secret_missing,
                RolloutDeadlineExceeded: rollout_deadline_exceeded,
                HttpRouteApiMissing: http_route_api_missing,
                RouteNotAccepted: route_not_accepted,
                MetricsNotCollected: metrics_not_collected,
                ReplicasContested: replicas_contested,
                ScaledToZero: scaled_to_zero,
                InstallationNotFound: installation_not_found,
                DeploymentMissing: deployment_missing,
                ReleaseUnknown: release_unknown,
            }
            operator "Operator" {
                Forbidden: forbidden,
                ChildNotOwned: child_not_owned,
                CrdOutdated: crd_outdated,
                Suspended: suspended,
                InvalidSpec: invalid_spec,
                OperatorNotRunning: not_running,
                NamespaceNotWatched: namespace_not_watched,
                NotALog: not_a_log,
            }
        }
    };
}
pub(crate) use for_each_cause;

macro_rules! codes {
    ($($family:ident $title:literal { $($name:ident: $room:ident,)* })*) => {
        /// The stable name of a cause. A name is never given to another cause.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[allow(missing_docs, reason = "the cause's own prose documents it for users and developers alike")]
        pub enum Code {
            $($($name,)*)*
        }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$($(Self::$name,)*)*];

            /// The code as users read it, for example `DatabaseSecretMissing`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $($(Self::$name => stringify!($name),)*)*
                }
            }
        }
    };
}
for_each_cause!(codes);

impl Code {
    /// The code of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == name)
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}
