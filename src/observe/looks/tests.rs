use std::net::TcpListener;

use rstest::rstest;
use serde_json::json;
use tokio::{sync::mpsc, time::timeout};

use super::{
    answer::MigrationAnswer,
    question::{Migration, MigrationSubject},
    *,
};
use crate::{
    fixtures,
    observe::{DatabaseProbe, ProbeFailureKind, database::Sight},
    postgres::DatabaseUrl,
    runtime::metrics::Metrics,
    validate::MigrationKey,
};

const INTERVAL: Duration = Duration::from_mins(1);

fn url(port: u16, password: &str) -> DatabaseUrl {
    DatabaseUrl::parse(&format!("postgresql://flagsmith:{password}@127.0.0.1:{port}/flags")).unwrap()
}

fn key() -> MigrationKey {
    let installation = fixtures::installation(&json!({
        "version": "2.265.0",
        "database": { "urlFrom": { "secretKeyRef": { "name": "db", "key": "DATABASE_URL" } } },
    }));
    MigrationKey::migrate(&installation, installation.release, &fixtures::database())
}

fn question(url: &DatabaseUrl) -> Question {
    Question { main: Some(url.clone()), separate: None, processors: Vec::new(), migration: None }
}

fn before_a_migration(url: &DatabaseUrl, due: bool) -> Question {
    let subject = MigrationSubject {
        key: key(),
        retry: None,
        due,
        recorded: None,
        login: url.fingerprint(),
        asks_role: true,
        compares: false,
    };
    let migration = Migration { subject, url: url.clone(), fresh_for: Duration::from_secs(10) };
    Question { migration: Some(migration), ..question(url) }
}

/// An answer that was there so many seconds ago.
fn answer(question: &Question, database: DatabaseProbe, seconds: u64) -> Answer {
    let at = Instant::now() - Duration::from_secs(seconds);
    let subject = question.subject();
    Answer {
        databases: subject.databases,
        at,
        began: Timestamp::now() - Duration::from_secs(seconds),
        fresh_for: INTERVAL,
        sight: Sight::of(database),
        migration: subject.migration.map(|subject| MigrationAnswer {
            subject,
            reachable: true,
            at,
            fresh_for: Duration::from_secs(10),
            preflight: None,
            comparison: None,
        }),
    }
}

const PENDING: Look = Look::Pending(Duration::ZERO);

const WORKS: DatabaseProbe = DatabaseProbe::Reachable { version: 150_018, read_only: None };

/// An answer to one question, seen by another one: how it stands to it, whether it is known of the databases at all, and
/// whether a look begins now.
#[rstest]
#[case::the_same(|_: &mut Question| {}, 5, Look::Fresh, true, false)]
#[case::the_same_a_while_later(|_: &mut Question| {}, 61, Look::Stale, true, true)]
#[case::other_processors(|it: &mut Question| it.processors.push(("a".to_owned(), None)), 5, Look::Stale, true, true)]
#[case::another_password(|it: &mut Question| it.main = Some(url(1, "other")), 5, Look::Stale, true, true)]
#[case::another_server(|it: &mut Question| it.main = Some(url(2, "secret")), 5, PENDING, false, true)]
#[case::one_more_server(|it: &mut Question| it.separate = Some(url(2, "secret")), 5, PENDING, false, true)]
#[case::a_migration_that_is_due(|it: &mut Question| *it = before_a_migration(&url(1, "secret"), true), 5, PENDING, true, true)]
#[case::one_that_was_applied(|it: &mut Question| *it = before_a_migration(&url(1, "secret"), false), 5, Look::Fresh, true, true)]
#[case::no_database(|it: &mut Question| it.main = None, 5, Look::Fresh, false, false)]
#[tokio::test]
async fn an_answer_holds_for_a_question(
    #[case] change: fn(&mut Question),
    #[case] seconds: u64,
    #[case] expected: Look,
    #[case] known: bool,
    #[case] begins: bool,
) {
    let mut asked = question(&url(1, "secret"));
    let mut entry = Entry::answered(answer(&asked, WORKS, seconds));
    change(&mut asked);
    let now = Instant::now();
    let seen = entry.seen(&asked.subject(), now);
    assert_eq!(seen.look, expected);
    assert_eq!(seen.database == WORKS, known);
    assert_eq!(entry.begins(&asked.subject(), now).is_some_and(|at| at <= now), begins);
}

#[rstest]
#[case::just_answered(5, None, Look::Fresh)]
#[case::older_than_a_job_may_be_made_of(11, None, Look::Stale)]
#[case::another_attempt(5, Some("again"), PENDING)]
#[tokio::test]
async fn a_migration_waits_for_its_own_answer(
    #[case] seconds: u64,
    #[case] retry: Option<&str>,
    #[case] expected: Look,
) {
    let mut asked = before_a_migration(&url(1, "secret"), true);
    let mut entry = Entry::answered(answer(&asked, WORKS, seconds));
    if let Some(migration) = &mut asked.migration {
        migration.subject.retry = retry.map(str::to_owned);
    }
    assert_eq!(entry.seen(&asked.subject(), Instant::now()).look, expected);
}

#[tokio::test]
async fn a_log_that_was_read_after_a_look_raises_a_doubt_once() {
    let asked = question(&url(1, "secret"));
    let mut entry = Entry::answered(answer(&asked, WORKS, 5));
    let read = |seconds| Timestamp::now() - Duration::from_secs(seconds);
    assert!(!entry.doubt(read(9)), "the look is newer");
    assert_eq!(entry.seen(&asked.subject(), Instant::now()).look, Look::Fresh);
    let read = read(2);
    assert_eq!((entry.doubt(read), entry.doubt(read)), (true, false));
    assert_eq!(entry.seen(&asked.subject(), Instant::now()).look, Look::Stale);
}

#[tokio::test(start_paused = true)]
async fn what_has_begun_goes_on_unless_the_url_is_another() {
    let asked = question(&url(1, "secret"));
    let mut entry = Entry::default();
    let now = Instant::now();
    entry.put_under_way(&asked.subject(), now, |_| tokio::spawn(std::future::pending()));
    let other = Question { processors: vec![("a".to_owned(), None)], ..asked.clone() };
    assert_eq!(entry.begins(&other.subject(), now), None);
    assert_eq!(entry.begins(&question(&url(1, "other")).subject(), now), Some(now));
    // One that waits for its time does not keep an earlier one back.
    entry.put_under_way(&asked.subject(), now + INTERVAL, |_| tokio::spawn(std::future::pending()));
    assert_eq!(entry.begins(&asked.subject(), now), Some(now));
    // One that has died is made again.
    entry.put_under_way(&asked.subject(), now, |_| tokio::spawn(std::future::ready(())));
    tokio::task::yield_now().await;
    assert_eq!(entry.begins(&asked.subject(), now), Some(now));
}

#[tokio::test]
async fn an_answer_of_a_look_that_was_replaced_is_dropped() {
    let asked = question(&url(1, "secret"));
    let mut entry = Entry::default();
    for _ in 0..2 {
        entry.put_under_way(&asked.subject(), Instant::now(), |_| tokio::spawn(std::future::pending()));
    }
    assert!(!entry.take(1, answer(&asked, WORKS, 0)));
    assert!(entry.take(2, answer(&asked, WORKS, 0)));
    assert_eq!(entry.seen(&asked.subject(), Instant::now()).look, Look::Fresh);
}

/// Servers that accept and say nothing, fifty installations of one namespace, and one of another namespace: nobody waits
/// but for his own.
#[tokio::test]
async fn silent_servers_hold_up_nobody_else() {
    const SOON: Duration = Duration::from_secs(1);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (wake, mut woken) = mpsc::channel(100);
    let looks = DatabaseLooks::new(Databases::new(Metrics::new()).allowing_loopback(), INTERVAL, Some(wake));
    let identity = |namespace: &str, name: &str| Identity {
        name: name.to_owned(),
        namespace: namespace.to_owned(),
        uid: format!("{namespace}/{name}"),
        generation: 1,
    };
    let asking = async {
        for number in 0..50 {
            let asked = question(&url(silent.local_addr().unwrap().port(), "secret"));
            let seen = looks.ask(&identity("silent", &number.to_string()), asked).await;
            assert!(matches!(seen.look, Look::Pending(_)));
        }
        looks.ask(&identity("other", "a"), question(&url(closed, "secret"))).await
    };
    let seen = timeout(SOON, asking).await.unwrap();
    assert!(matches!(seen.look, Look::Pending(_)));
    let trigger = timeout(SOON, woken.recv()).await.unwrap().unwrap();
    assert_eq!(trigger.installation.namespace.as_deref(), Some("other"));
    let seen = looks.ask(&identity("other", "a"), question(&url(closed, "secret"))).await;
    assert_eq!(seen.look, Look::Fresh);
    let DatabaseProbe::Failed(failure) = seen.database else { panic!("{:?}", seen.database) };
    assert_eq!(failure.kind, ProbeFailureKind::Refused);
    // What is forgotten is not looked at any more, and not remembered again.
    for number in 0..50 {
        looks.forget(&identity("silent", &number.to_string()).uid);
    }
    assert!(timeout(SOON, woken.recv()).await.is_err());
}

#[tokio::test]
async fn whoever_is_not_woken_waits() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let looks = DatabaseLooks::new(Databases::new(Metrics::new()).allowing_loopback(), INTERVAL, None);
    let identity =
        Identity { name: "a".to_owned(), namespace: "b".to_owned(), uid: "c".to_owned(), generation: 1 };
    let seen = looks.ask(&identity, question(&url(closed, "secret"))).await;
    assert_eq!(seen.look, Look::Fresh);
    assert!(matches!(seen.database, DatabaseProbe::Failed(_)));
}
