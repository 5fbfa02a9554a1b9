//! What the runs show: failures, recurring tasks, tables that are not cleaned.

use jiff::SignedDuration;
use rstest::rstest;

use super::{codes, found, recurring, runs, seconds, with_queue};
use crate::{
    model::Code,
    observe::database::{LastRun, Recurring, Runs},
};

#[rstest]
#[case::given_up(runs("tasks.call_webhook", 10, 3, true), 1, true)]
#[case::fails_each_time(runs("tasks.call_webhook", 3, 3, true), 0, true)]
#[case::a_later_one_succeeded(runs("tasks.call_webhook", 10, 3, false), 1, false)]
#[case::will_be_tried_again(runs("tasks.call_webhook", 10, 1, true), 0, false)]
fn failing(#[case] of: Runs, #[case] given_up: i64, #[case] expected: bool) {
    let observation = with_queue(|queue| {
        queue.given_up = vec![(of.identifier.clone(), given_up)];
        queue.runs = vec![of.clone()];
    });
    let expected = if expected {
        vec![Code::TasksFailing]
    } else {
        vec![]
    };
    assert_eq!(codes(&observation), expected);
    if let Some(first) = found(&observation).first() {
        assert!(
            first
                .evidence
                .iter()
                .any(|line| line.contains("ConnectionError: no answer")),
            "{first:?}"
        );
    }
}

#[test]
fn a_recurring_task_is_told_while_it_fails_and_when_it_is_off() {
    let of = |disabled, failures| {
        with_queue(|queue| {
            let last = Some(LastRun {
                succeeded: Some(false),
                began: seconds(5),
                error: Some("RuntimeError: told to fail".to_owned()),
            });
            let fails = Recurring {
                disabled,
                failures,
                last,
                ..recurring("tasks.push_usage", 1)
            };
            queue.recurring.as_mut().unwrap().push(fails);
        })
    };
    assert_eq!(codes(&of(false, 1)), []);
    assert_eq!(codes(&of(false, 3)), [Code::TasksFailing]);
    assert_eq!(codes(&of(true, 4)), [Code::RecurringTasksDisabled]);
    let text = format!("{:?}", found(&of(true, 4)));
    assert!(
        text.contains("told to fail") && text.contains("WHERE task_identifier = 'tasks.push_usage'"),
        "{text}"
    );
}

#[test]
fn a_large_table_is_bloated_only_without_its_clean_up() {
    let of = |change: fn(&mut Vec<Recurring>)| {
        codes(&with_queue(|queue| {
            queue.rows = 56_000_000;
            change(queue.recurring.as_mut().unwrap());
        }))
    };
    assert_eq!(of(|_| {}), []);
    assert_eq!(of(|tasks| drop(tasks.remove(0))), [Code::TaskTableBloated]);
    assert_eq!(
        of(|tasks| tasks[0].last.as_mut().unwrap().began = SignedDuration::from_hours(100)),
        [Code::TaskTableBloated]
    );
}
