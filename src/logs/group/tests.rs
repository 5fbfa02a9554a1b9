use super::*;
use crate::logs::peel::{Content, Wrapping, peel};

fn events(text: &str) -> Vec<Event> {
    let mut grouper = Grouper::new(0);
    let mut events = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let mut sink = |event| events.push(event);
        match peel(line, None, &Wrapping::default()).content {
            Content::Text(text) => grouper.line(number, &text, None, &mut sink),
            Content::Record(record) => grouper.json_record(number, *record, None, &mut sink),
        }
    }
    grouper.finish(&mut |event| events.push(event));
    events
}

fn classes(event: &Event) -> Vec<&str> {
    event.chain.iter().map(|exception| exception.class.as_str()).collect()
}

const CHAIN: &str = r#"  Applying users.0041_add_onboarding_field...Traceback (most recent call last):
  File "/x/django/db/backends/utils.py", line 103, in _execute
    return self.cursor.execute(sql)
           ~~~~^^^^
psycopg2.errors.LockNotAvailable: canceling statement due to lock timeout


The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/x/django/core/management/commands/migrate.py", line 353, in handle
    post_migrate_state = executor.migrate(
django.db.utils.OperationalError: canceling statement due to lock timeout

"#;

#[test]
fn chain_behind_a_migration_is_one_event() {
    let events = events(CHAIN);
    assert_eq!(events.len(), 2);
    assert_eq!(events[0].message, "Applying users.0041_add_onboarding_field...");
    assert_eq!(classes(&events[1]), ["psycopg2.errors.LockNotAvailable", "django.db.utils.OperationalError"]);
    assert_eq!((events[1].chain[0].line, events[1].chain[1].link), (5, Link::Cause));
    assert!(events[1].frames.migrate);
}

#[test]
fn message_of_several_lines_ends_with_its_logger() {
    let events = events(
        "2026-11-22T15:33:21.3Z [warning  ] Error was: OperationalError: connection to server at \"::1\", port 1 failed: Connection refused\n\
         \tIs the server running on that host and accepting TCP/IP connections?\n \
         [common.waitfordb] positional_args=('OperationalError',)\n\
         2026-11-22T15:33:21.6Z [error    ] Failed to connect to DB within 5 seconds. [common.waitfordb] positional_args=()\n\
         CommandError: Failed to connect to DB within 5 seconds.\n",
    );
    assert_eq!(events.len(), 3);
    assert_eq!(events[0].logger, "common.waitfordb");
    assert!(
        events[0].message.ends_with("Is the server running on that host and accepting TCP/IP connections?")
    );
    assert_eq!(classes(&events[2]), ["CommandError"]);
}

#[test]
fn traceback_belongs_to_the_record_before_it() {
    let events = events(
        "2026-11-22T16:08:21.9Z [error    ] Error handling tasks from database 'default': x [task_processor.threads] positional_args=()\n\
         Traceback (most recent call last):\n  File \"x.py\", line 1, in f\npsycopg2.OperationalError: server closed\n\tThis probably means\n\n\
         2026-11-22T16:08:22.9Z [info     ] next [a] positional_args=()\n",
    );
    assert_eq!(events.len(), 2);
    assert_eq!(
        (events[0].level, classes(&events[0])),
        (Some(Level::Error), vec!["psycopg2.OperationalError"])
    );
    assert_eq!(events[0].chain[0].message, "server closed\nThis probably means");
}

#[test]
fn other_processes_lines_do_not_break_a_traceback() {
    for stranger in [
        "{\"message\": \"Booting worker with pid: 7\", \"levelname\": \"INFO\", \"logger_name\": \"gunicorn.error\", \"pid\": 1}",
        "2026-11-22T16:08:22.9Z [info     ] Booting worker with pid: 7 [gunicorn.error] positional_args=(7,)",
        "10.0.0.1 - - [22/Nov/2026:15:40:56 +0000] \"GET / HTTP/1.1\" 200 5",
    ] {
        for position in 1..14 {
            let mut lines: Vec<&str> = CHAIN.lines().collect();
            lines.insert(position, stranger);
            let events = events(&lines.join("\n"));
            let found: Vec<&str> = events.iter().flat_map(classes).collect();
            assert_eq!(
                found,
                ["psycopg2.errors.LockNotAvailable", "django.db.utils.OperationalError"],
                "{stranger} at {position}"
            );
        }
    }
}

#[test]
fn cut_beginning_still_has_its_exceptions() {
    let tail = CHAIN.lines().skip(3).collect::<Vec<_>>().join("\n");
    let events = events(&tail);
    assert_eq!(events.iter().flat_map(classes).count(), 2);
}

#[test]
fn json_traceback_is_read() {
    let text = "Traceback (most recent call last):\n  File \"x.py\"\npsycopg2.errors.DiskFull: could not extend file\n\n\nThe above exception was the direct cause of the following exception:\n\nTraceback (most recent call last):\n  File \"y.py\"\ndjango.db.utils.OperationalError: could not extend file\n";
    let line =
        serde_json::json!({"message": "Internal Server Error: /x", "levelname": "ERROR", "exc_info": text})
            .to_string();
    let events = events(&line);
    assert_eq!(classes(&events[0]), ["psycopg2.errors.DiskFull", "django.db.utils.OperationalError"]);
}

#[test]
fn endless_traceback_is_given_up() {
    let mut text = String::from("Traceback (most recent call last):\n");
    text.push_str(&"  File \"x.py\", line 1, in f\n".repeat(5_000));
    text.push_str("ValueError: no\n");
    let events = events(&text);
    assert_eq!(events.iter().flat_map(classes).collect::<Vec<_>>(), ["ValueError"]);
}

#[rstest::rstest]
#[case::innermost_of_the_application(
    &["/x/site-packages/django/core/handlers/base.py", "/app/a/views.py", "/app/a/models.py", "/x/site-packages/redis/client.py"],
    "/app/a/models.py"
)]
#[case::libraries_only(
    &["/x/dist-packages/django/core/handlers/base.py", "/usr/lib/python3.11/socket.py"],
    "/usr/lib/python3.11/socket.py"
)]
fn an_exception_has_its_place(#[case] files: &[&str], #[case] expected: &str) {
    let frames: Vec<String> =
        files.iter().map(|file| format!("  File \"{file}\", line 7, in run\n    go()")).collect();
    let frames = frames.join("\n");
    let events = events(&format!(
        "Traceback (most recent call last):\n{frames}\nKeyError: 'x'\n\nDuring handling of the above exception, another exception occurred:\n\n\
         Traceback (most recent call last):\n  File \"/app/b.py\", line 9, in b\nValueError: y\n"
    ));
    let places: Vec<String> =
        events[0].chain.iter().map(|exception| exception.place.as_ref().unwrap().to_string()).collect();
    assert_eq!(places, [format!("{expected}, line 7, in run"), "/app/b.py, line 9, in b".to_owned()]);
}
