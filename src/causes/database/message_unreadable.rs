//! The server's message cannot be decoded, so that nobody gets to read it.

use crate::{
    causes::{log::phrasing::who, prelude::*},
    logs::event::Service,
};

pub(crate) static CAUSE: Cause = Cause {
    blocks_migration: true,
    is_connection: true,
    explains: consequences::OF_NO_CONNECTION,
    log: &[&LOG],
    ..Cause::critical(Component::Database, include_str!("message_unreadable.md"))
};

/// psycopg2 takes what libpq says of a connection that failed for UTF-8; the server wrote it in the encoding of its own
/// locale, before any has been agreed on.
static LOG: Rule<()> = Rule {
    precedence: 305,
    signatures: &[
        Signature::of(()).class(&["UnicodeDecodeError"]).through(Service::Connect),
        Signature::of(()).class(&["UnicodeDecodeError"]).stage(&[Stage::Wait]),
    ],
    details: |_, ()| Some(FailureDetails::default()),
    explain: |evidence, occurrence, ()| {
        Explanation::new(
            Code::DatabaseMessageUnreadable,
            format!(
                "{} cannot connect to its database, and the reason is lost: the server gave it in another encoding than UTF-8, which \
                 psycopg2 does not decode. The UnicodeDecodeError is not the trouble itself; most often role, password or database are \
                 wrong, or pg_hba.conf refuses.",
                who(evidence, occurrence)
            ),
            "Read the reason in PostgreSQL's own log at that time, or connect by psql with the same URL: it prints it. To get it in English from now on: ALTER SYSTEM SET lc_messages = 'C'; SELECT pg_reload_conf();",
        )
    },
    is_over: None,
};

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::causes::diagnose_log;

    fn codes(frame: &str) -> Vec<Code> {
        let log = format!(
            "Traceback (most recent call last):\n  File \"/app/manage.py\", line 22, in <module>\n    main()\n  \
             File \"/usr/local/lib/python3.13/site-packages/{frame}\n    conn = _connect(dsn)\n\
             UnicodeDecodeError: 'utf-8' codec can't decode byte 0xfc in position 96: invalid start byte\n\n"
        );
        let found = diagnose_log(Component::Api, None, "log", log.as_bytes());
        found.into_iter().map(|(_, it)| it.code).collect()
    }

    #[rstest]
    #[case::of_a_connection("psycopg2/__init__.py\", line 122, in connect", true)]
    #[case::of_a_file("environ/environ.py\", line 22, in read_env", false)]
    fn only_a_connection(#[case] frame: &str, #[case] expected: bool) {
        assert_eq!(codes(frame) == [Code::DatabaseMessageUnreadable], expected);
    }
}
