//! What a user sees, on a real node: the chart, real containers, a real database. One story in each file, each in a
//! namespace of its own, one after the other.
//!
//! Run by `tests/e2e/run`, which starts the cluster and imports the images; its argument selects stories by name.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::items_after_statements,
    reason = "a test stops where something is not as it must be, and says what it uses where it uses it"
)]

mod audit;
mod availability_monitor;
mod chart_settings;
mod findings;
mod getting_started;
mod healthy_hour;
mod helm;
mod http;
mod installation;
mod kubectl;
mod lifecycle;
mod live_cases;
#[path = "../reconcile/support/merge.rs"]
mod merge;
mod migration_trials;
mod migrations;
mod monitoring;
mod namespace;
mod nginx;
mod observed;
mod observed_tasks;
mod observed_trials;
mod official_chart;
mod operator;
mod prometheus;
mod restore;
mod rollback;
mod statuses;
mod stepwise;
mod tasks;
mod tasks_for_long;
mod timeouts;
mod troubles;
mod two_ingresses;
