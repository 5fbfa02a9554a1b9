use rstest::rstest;

use crate::{
    causes::task_processor::shared::testing::{assert_typed_at_helm, codes, with_queue},
    model::Code,
    observe::database::Connections,
};

#[rstest]
#[case::enough(100, 5432, false)]
#[case::too_few(20, 5432, true)]
#[case::behind_a_pooler(20, 6432, false)]
fn connections(#[case] limit: i64, #[case] port: u16, #[case] expected: bool) {
    let mut observation = with_queue(|queue| {
        queue.connections = Some(Connections {
            limit,
            reserved: 3,
            used: 5,
        });
    });
    let database = crate::postgres::DatabaseIdentity {
        port,
        ..crate::fixtures::database()
    };
    observation.secrets.database = crate::observe::SecretState::Present(database);
    let expected = if expected {
        vec![Code::ConnectionBudgetExceeded]
    } else {
        vec![]
    };
    assert_eq!(codes(&observation), expected);
}

#[test]
fn the_remedy_can_be_typed_at_the_chart() {
    assert_typed_at_helm(
        &with_queue(|_| {}),
        Code::ConnectionBudgetExceeded,
        "--set taskProcessor.numThreads=41",
    );
}
