//! The server itself, or the pooler before it, says why it does not run.

use crate::causes::prelude::*;

pub(crate) static CAUSE: Cause = Cause {
    explains: &[
        Explains::everywhere(consequences::WITHOUT_DATABASE),
        Explains::in_logs(&[Code::DatabaseHostNotFound, Code::DatabaseUnreachable, Code::DatabaseStarting]),
    ],
    in_logs: Some(in_logs),
    ..Cause::critical(Component::Database, include_str!("not_starting.md"))
};

/// Words of the server or of its image, and what to do about them.
const REMEDIES: &[(&[&str], &str)] = &[
    (
        &["superuser password is not specified"],
        "Set POSTGRES_PASSWORD for the PostgreSQL container; the image makes the database with it at its first start.",
    ),
    (
        &["exists but is not empty"],
        "The volume's root has files already, such as lost+found: set PGDATA to a directory below it, for example \
         /var/lib/postgresql/data/pgdata, or mount with subPath.",
    ),
    (
        &[
            "wrong ownership",
            "could not change permissions",
            "invalid permissions",
            "Operation not permitted",
            "Permission denied",
            "cannot create directory",
        ],
        "The data directory has to belong to the user that runs PostgreSQL, with mode 0700 or 0750: set fsGroup and runAsUser in the \
         pod's securityContext to that user (999 in the Debian image, 70 in the Alpine one, 1001 in Bitnami's), or chown the volume.",
    ),
    (&["root\" execution"], "Run the container as the user postgres (runAsUser: 999), not as root."),
    (
        &[
            "valid checkpoint record",
            "required checkpoint record",
            "invalid checkpoint",
            "is not a valid data directory",
            "could not read from control file",
            "requested timeline",
        ],
        "Its files are damaged or incomplete: restore the last backup. Keep a copy of the volume before anything else is tried; \
         pg_resetwal loses data and is the last resort.",
    ),
    (
        &["lock file \"", "already exists", "Is another postmaster"],
        "Another server uses this data directory, on this or another node: end that one first. Never delete postmaster.pid while a \
         server may run.",
    ),
    (
        &["insufficient parameter settings", "lower setting than on the primary"],
        "A standby needs at least the primary's max_connections, max_worker_processes, max_wal_senders, max_prepared_transactions and \
         max_locks_per_transaction: raise them and start it again.",
    ),
    (
        &["cannot load config file", "TLS setup failed", "failed to parse listen_addr", "nowhere to listen"],
        "Correct what it names in pgbouncer.ini, or in the variables of which the image writes it, then start it again.",
    ),
    (
        &[
            "configuration file",
            "invalid value for parameter",
            "unrecognized configuration parameter",
            "could not load pg_hba.conf",
            "requires a",
        ],
        "Correct what it names in postgresql.conf, pg_hba.conf or the server's command line (args), then start it again.",
    ),
    (
        &["could not access file", "could not load library"],
        "shared_preload_libraries names a library that this image does not have: use an image with that extension, or take the name out.",
    ),
    (
        &["certificate file", "private key file"],
        "Mount certificate and key where ssl_cert_file and ssl_key_file name them, the key with mode 0600 (0640 where root owns it).",
    ),
];

fn in_logs(evidence: &LogEvidence) -> Option<Finding> {
    let failed = evidence.servers.failed()?;
    let said = failed.first.message.lines().next().unwrap_or_default();
    let known = REMEDIES.iter().find(|(words, _)| words.iter().any(|it| failed.first.message.contains(it)));
    let program = failed.program;
    let remedy = known.map_or_else(
        || {
            format!(
                "Read {program}'s own log from the line given, and remove what it names; then start it again."
            )
        },
        |(_, remedy)| (*remedy).to_owned(),
    );
    let explained = Explanation::new(
        Code::DatabaseNotStarting,
        format!(
            "{program} itself does not run, and says why: {}. That Flagsmith does not find or reach it follows from that.",
            said.trim_end_matches('.')
        ),
        remedy,
    );
    Some(Finding::new(explained, vec![failed.first.clone(), failed.last.clone()]))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::causes::diagnose_log;

    const NAME: &str = "api-1  | django.db.utils.OperationalError: could not translate host name \"postgres\" to address: Name or service not known\n";
    const REFUSED: &str = "api-1  | django.db.utils.OperationalError: connection to server at \"postgres\" (10.0.0.2), port 5432 failed: Connection refused\n";

    fn found(log: &str) -> Vec<(Code, String, String)> {
        let found = diagnose_log(Component::Api, None, "log", log.as_bytes());
        found.into_iter().map(|(_, it)| (it.code, it.message.to_string(), it.remedy.to_string())).collect()
    }

    #[rstest]
    #[case(
        "2026-11-28 09:00:00.118 UTC [1] FATAL:  data directory \"/var/lib/postgresql/data\" has wrong ownership",
        "fsGroup"
    )]
    #[case(
        "2026-11-28 09:00:00.118 UTC [1] PANIC:  could not locate a valid checkpoint record at 0/16B3748",
        "restore"
    )]
    #[case("Error: Database is uninitialized and superuser password is not specified.", "POSTGRES_PASSWORD")]
    #[case("initdb: error: directory \"/var/lib/postgresql/data\" exists but is not empty", "PGDATA")]
    #[case(
        "2026-11-28 09:00:00.118 UTC [1] FATAL:  a reason that nobody has met",
        "Read PostgreSQL's own log"
    )]
    fn its_own_words_come_before_what_follows(#[case] said: &str, #[case] remedy: &str) {
        for client in [NAME, REFUSED] {
            let found = found(&format!("postgres-1  | {said}\npostgres-1 exited with code 1\n{client}"));
            let [(code, message, advice)] = found.as_slice() else { panic!("{found:#?}") };
            assert_eq!(*code, Code::DatabaseNotStarting);
            let words = said.split(":  ").last().unwrap().trim_end_matches('.');
            assert!(message.contains(words) && advice.contains(remedy), "{message} {advice}");
        }
    }

    /// A refusal of one client, and a server that came up.
    #[rstest]
    #[case(
        "2026-11-28 09:00:00.118 UTC [81] FATAL:  password authentication failed for user \"x\"",
        Code::DatabaseUnreachable
    )]
    #[case(
        "2026-11-28 09:00:00.118 UTC [81] FATAL:  role \"root\" does not exist",
        Code::DatabaseUnreachable
    )]
    fn a_refused_client_is_no_reason(#[case] said: &str, #[case] expected: Code) {
        let found = found(&format!("postgres-1  | {said}\npostgres-1 exited with code 0\n{REFUSED}"));
        assert_eq!(found.iter().map(|(code, ..)| *code).collect::<Vec<_>>(), [expected]);
    }
}
