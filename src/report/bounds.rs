//! A status that can always be written. Pure.
//!
//! Its texts are bounded one by one where they are made, and what is left of each is meant to be read. This is for what
//! adds up: a label selector or the name of a database may be as long as its author likes.

use serde_json::Value;

use crate::{api::FlagsmithDeploymentStatus, model::text::bounded};

/// Bytes of a status as JSON: twice what ten diagnoses with long evidence take, and less than a tenth of the 1.5 MiB that
/// etcd takes of a whole object.
pub(super) const STATUS: usize = 128 * 1024;

/// What a status is shortened to until it fits: characters of each text, and texts of each list. The last leaves every
/// status below 64 KiB.
const STEPS: [(usize, usize); 3] = [(1_000, 10), (400, 5), (LEAST.0, LEAST.1)];
const LEAST: (usize, usize) = (150, 2);

/// The status, with texts shortened as far as it takes to fit.
pub(super) fn fitting(status: FlagsmithDeploymentStatus) -> FlagsmithDeploymentStatus {
    let mut fitting = status;
    for (longest, most) in STEPS {
        if bytes(&fitting) <= STATUS {
            break;
        }
        fitting = shortened(fitting, longest, most);
    }
    fitting
}

/// The status with nothing but the beginnings of its texts: where the resource itself leaves no room for more.
pub(super) fn least(status: &FlagsmithDeploymentStatus) -> FlagsmithDeploymentStatus {
    shortened(status.clone(), LEAST.0, LEAST.1)
}

fn bytes(status: &FlagsmithDeploymentStatus) -> usize {
    serde_json::to_vec(status).map_or(0, |json| json.len())
}

fn shortened(status: FlagsmithDeploymentStatus, longest: usize, most: usize) -> FlagsmithDeploymentStatus {
    let Ok(mut json) = serde_json::to_value(&status) else {
        return status;
    };
    shorten(&mut json, longest, most);
    serde_json::from_value(json).unwrap_or(status)
}

/// Shortens texts, and lists of texts; other lists (conditions, diagnoses) keep every entry.
fn shorten(value: &mut Value, longest: usize, most: usize) {
    match value {
        Value::String(text) => *text = bounded(text, longest),
        Value::Array(entries) => {
            if entries.iter().all(Value::is_string) {
                entries.truncate(most);
            }
            for entry in entries {
                shorten(entry, longest, most);
            }
        }
        Value::Object(fields) => {
            for field in fields.values_mut() {
                shorten(field, longest, most);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

    use super::*;
    use crate::{
        api::{BackupStatus, ComponentStatus, ComponentsStatus, MigrationStatus},
        model::{Code, Component, Diagnosis, DocsUrl, Draft, Severity},
        report::{
            backups::MOST_BACKUPS,
            condition::ConditionType,
            migration::HISTORY,
            status::{MOST_DIAGNOSES, diagnoses},
        },
    };

    /// Four bytes in UTF-8, and one that JSON escapes.
    fn text(length: usize) -> String {
        "\u{10348}\"".repeat(length / 2)
    }

    fn found(evidence: usize) -> Diagnosis {
        Diagnosis::from(Draft {
            code: Code::TaskProcessorDatabaseMismatch,
            severity: Severity::Critical,
            component: Component::TaskProcessor,
            message: text(5_000),
            evidence: vec![text(5_000); evidence],
            remedy: text(5_000),
        })
    }

    fn condition(kind: ConditionType) -> Condition {
        Condition {
            type_: kind.as_str().to_owned(),
            status: "False".to_owned(),
            reason: Code::TaskProcessorDatabaseMismatch.as_str().to_owned(),
            message: text(30_000),
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
            observed_generation: Some(1),
        }
    }

    fn component() -> ComponentStatus {
        ComponentStatus { selector: text(1_000_000), summary: "1/2".to_owned(), ..ComponentStatus::default() }
    }

    /// Everything as long as somebody could make it.
    fn worst() -> FlagsmithDeploymentStatus {
        let migration = MigrationStatus {
            key: Some("a".repeat(64)),
            version: "2.265.0".to_owned(),
            from: Some("2.264.0".to_owned()),
            job: Some(text(63)),
            current: Some(text(5_000)),
            failed_at: Some(text(5_000)),
            database: Some(text(1_000_000)),
            backup: Some(text(63)),
            ..MigrationStatus::default()
        };
        let backup = BackupStatus {
            name: "a".repeat(63),
            finished: Some(Time(Timestamp::UNIX_EPOCH)),
            version: Some("2.265.0".to_owned()),
            volume_claim: Some(text(1_000_000)),
            bytes: Some(i64::MAX),
        };
        FlagsmithDeploymentStatus {
            migration: Some(migration.clone()),
            migration_history: vec![migration; HISTORY],
            backups: vec![backup; MOST_BACKUPS],
            components: Some(ComponentsStatus {
                api: Some(component()),
                task_processor: Some(component()),
                frontend: Some(component()),
                edge_proxy: Some(component()),
            }),
            diagnoses: diagnoses(
                &vec![found(100); 20],
                &[],
                &Time(Timestamp::UNIX_EPOCH),
                &DocsUrl::default(),
            ),
            conditions: ConditionType::PARTS
                .into_iter()
                .chain(ConditionType::SUMMARY)
                .map(condition)
                .collect(),
            ..FlagsmithDeploymentStatus::default()
        }
    }

    #[test]
    fn the_worst_status_fits_and_keeps_what_programs_read() {
        let worst = worst();
        assert!(bytes(&worst) > 10 * STATUS);
        for fitting in [fitting(worst.clone()), least(&worst)] {
            assert!(bytes(&fitting) <= STATUS, "{}", bytes(&fitting));
            assert_eq!(fitting.conditions.len(), 10);
            assert_eq!(fitting.diagnoses.len(), MOST_DIAGNOSES);
            assert!(fitting.diagnoses.iter().all(|it| !it.evidence.is_empty() && !it.remedy.is_empty()));
            let reasons = |status: &FlagsmithDeploymentStatus| -> Vec<_> {
                let conditions = status.conditions.iter();
                conditions.map(|it| (it.type_.clone(), it.status.clone(), it.reason.clone())).collect()
            };
            assert_eq!(reasons(&fitting), reasons(&worst));
            let keys = |status: &FlagsmithDeploymentStatus| -> Vec<_> {
                let migrations = status.migration.iter().chain(&status.migration_history);
                migrations.map(|it| (it.key.clone(), it.version.clone())).collect()
            };
            assert_eq!(keys(&fitting), keys(&worst));
        }
        assert!(bytes(&least(&worst)) <= STATUS / 2, "{}", bytes(&least(&worst)));
    }

    #[test]
    fn a_status_that_fits_is_left_alone() {
        let status = FlagsmithDeploymentStatus {
            diagnoses: diagnoses(&[found(3)], &[], &Time(Timestamp::UNIX_EPOCH), &DocsUrl::default()),
            ..FlagsmithDeploymentStatus::default()
        };
        assert_eq!(fitting(status.clone()), status);
    }

    #[test]
    fn what_fits_is_not_shortened_again() {
        let once = fitting(worst());
        assert_eq!(fitting(once.clone()), once);
    }
}
