//! Several processes speak on one database connection.

use crate::causes::{log::phrasing::times, prelude::*};

pub(crate) static CAUSE: Cause = Cause {
    log: &[&LOG],
    explains: &[Explains::in_logs(&[Code::DatabaseConnectionLost])],
    ..Cause::warning(Component::Api, include_str!("connection_shared_after_fork.md"))
};

/// How it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// Each process goes on counting the records of the encryption by itself.
    Encrypted,
    /// One reads the answer to the other's question.
    Mixed,
}

/// On a connection that works already: while one is made the same words can mean another thing.
const OPEN: &[Stage] = &[Stage::Migrate, Stage::Boot, Stage::Serve];
/// What libpq says while it connects.
const CONNECTING: &[&str] = &["connection to server ", "could not connect to server"];

static LOG: Rule<Variant> = Rule {
    precedence: 348,
    signatures: &[
        Signature::of_database(
            Variant::Encrypted,
            &[
                "bad record mac",
                "bad length",
                "SSL error: wrong version number",
                "SSL error: unexpected record",
                "SSL error: unexpected message",
                "SSL error: invalid alert",
                "SSL error: data length too long",
                "SSL error: record layer failure",
                "block cipher pad is wrong",
            ],
        )
        .stage(OPEN)
        .none(CONNECTING),
        Signature::of_database(
            Variant::Mixed,
            &[
                "lost synchronization with server",
                "message type 0x",
                "with status PGRES_TUPLES_OK and no message",
                "with status PGRES_COMMAND_OK and no message",
                "message contents do not agree with length",
                "without prior row description",
                "unexpected field count in",
            ],
        )
        .stage(OPEN)
        .none(CONNECTING),
    ],
    details: |_, _| Some(FailureDetails::default()),
    explain,
    is_over: None,
};

fn explain(_: &LogEvidence, occurrence: &Occurrence, variant: Variant) -> Explanation {
    let how = match variant {
        Variant::Encrypted => {
            "records of a TLS connection that had worked could not be decrypted. This is no disagreement on TLS and no matter of \
             certificates"
        }
        Variant::Mixed => "the answers on a connection did not fit its questions",
    };
    Explanation::new(
        Code::ConnectionSharedAfterFork,
        format!(
            "Requests failed {} because {how}: most likely a connection that was opened before Gunicorn forked its workers \
             (--preload, or workers of class sync, which go on with the one that Flagsmith opens at its start) is used by several of \
             them. The database is well. One lone failure can be a damaged packet as well.",
            times(occurrence.count)
        ),
        "Start Gunicorn without --preload (preload_app in a gunicorn.conf.py), and set GUNICORN_THREADS=2 or more: \
         threads open connections of their own. Code of your own that queries at import has to close what it opened: from django.db \
         import connections; connections.close_all()",
    )
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::causes::log::testing::code;

    #[rstest]
    #[case("psycopg2.OperationalError", "SSL error: decryption failed or bad record mac")]
    #[case("psycopg2.OperationalError", "SSL error: sslv3 alert bad record mac")]
    #[case("psycopg2.OperationalError", "SSL error: ssl/tls alert bad record mac")]
    #[case(
        "psycopg2.OperationalError",
        "lost synchronization with server: got message type \"5\", length 808333366"
    )]
    #[case("psycopg2.DatabaseError", "error with status PGRES_TUPLES_OK and no message from the libpq")]
    fn recognises(#[case] class: &str, #[case] message: &str) {
        assert_eq!(code(Stage::Serve, class, message), Some(Code::ConnectionSharedAfterFork));
    }

    #[rstest]
    #[case(
        Stage::Wait,
        "connection to server at \"db\" (10.0.0.9), port 5432 failed: SSL error: wrong version number"
    )]
    #[case(
        Stage::Boot,
        "connection to server at \"db\" (10.0.0.9), port 5432 failed: SSL error: tlsv1 alert protocol version"
    )]
    fn a_handshake_is_another_cause(#[case] stage: Stage, #[case] message: &str) {
        assert_eq!(code(stage, "psycopg2.OperationalError", message), Some(Code::DatabaseTlsMismatch));
    }
}
