//! The server's files belong to another major version of PostgreSQL.

use crate::causes::{log::server::Failed, prelude::*};

pub(crate) static CAUSE: Cause = Cause {
    explains: &[
        Explains::everywhere(consequences::WITHOUT_DATABASE),
        Explains::in_logs(&[
            Code::DatabaseNotStarting,
            Code::DatabaseHostNotFound,
            Code::DatabaseUnreachable,
            Code::DatabaseStarting,
        ]),
    ],
    in_logs: Some(in_logs),
    ..Cause::critical(Component::Database, include_str!("files_incompatible.md"))
};

/// What the server says (`ValidatePgVersion`, `ReadControlFile`), and the images from 18 on, which keep their data elsewhere.
const WORDS: &[&str] = &[
    "database files are incompatible with server",
    "in 18+, these Docker images are configured",
    "incorrect checksum in control file",
];

/// Whether a server ends because of its files' version.
fn is_told_by(failed: &Failed) -> bool {
    WORDS.iter().any(|words| failed.first.message.contains(words))
}

fn in_logs(evidence: &LogEvidence) -> Option<Finding> {
    let failed = evidence.servers.failed().filter(|failed| is_told_by(failed))?;
    let said = &failed.first.message;
    let version = |words: &str| {
        let (_, rest) = said.split_once(words)?;
        let version: String = rest.chars().take_while(|it| it.is_ascii_digit() || *it == '.').collect();
        let version = version.trim_end_matches('.');
        (!version.is_empty()).then(|| version.to_owned())
    };
    let (old, new) =
        (version("initialized by PostgreSQL version "), version("not compatible with this version "));
    let which = match (&old, &new) {
        (Some(old), Some(new)) => {
            format!("its data directory was made by PostgreSQL {old}, and the server is {new}")
        }
        _ => "its data directory was made by another major version than the server's".to_owned(),
    };
    let old = old.unwrap_or_else(|| "OLD".to_owned());
    let explained = Explanation::new(
        Code::DatabaseFilesIncompatible,
        format!(
            "PostgreSQL does not start: {which}. Nothing is lost. That its host name is not found or refuses follows from it."
        ),
        format!(
            "Set the image back to the version of the data (postgres:{old}); a tag such as postgres:latest moves to the next major \
             version by itself. To upgrade: dump with the old version (pg_dumpall -U USER > all.sql), start the new one on an empty \
             volume, restore (psql -U USER -f all.sql postgres). From 18 on, the official image wants its volume at \
             /var/lib/postgresql, not at /var/lib/postgresql/data."
        ),
    );
    Some(Finding::new(explained, vec![failed.first.clone(), failed.last.clone()]))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::causes::diagnose_log;

    const NAME: &str = "api-1  | django.db.utils.OperationalError: could not translate host name \"postgres\" to address: Name or service not known\n";

    fn found(server: &str) -> Vec<(Code, String)> {
        let log = format!("{server}postgres-1 exited with code 1\n{NAME}");
        let found = diagnose_log(Component::Api, None, "log", log.as_bytes());
        found.into_iter().map(|(_, it)| (it.code, it.message.to_string())).collect()
    }

    #[test]
    fn the_versions_are_named() {
        let found = found(
            "postgres-1  | 2026-11-28 09:00:00.118 UTC [1] FATAL:  database files are incompatible with server\n\
             postgres-1  | 2026-11-28 09:00:00.118 UTC [1] DETAIL:  The data directory was initialized by PostgreSQL version 15, which is not compatible with this version 17.2 (Debian 17.2-1.pgdg120+1).\n",
        );
        let [(code, message)] = found.as_slice() else { panic!("{found:#?}") };
        assert_eq!(*code, Code::DatabaseFilesIncompatible);
        assert!(message.contains("made by PostgreSQL 15, and the server is 17.2."), "{message}");
    }

    #[rstest]
    #[case::of_an_image(
        "postgres-1  | Error: in 18+, these Docker images are configured to store database data in a\n",
        Code::DatabaseFilesIncompatible
    )]
    #[case::another_reason(
        "postgres-1  | 2026-11-28 09:00:00.118 UTC [1] FATAL:  data directory \"/data\" has wrong ownership\n",
        Code::DatabaseNotStarting
    )]
    fn is_told_apart(#[case] server: &str, #[case] expected: Code) {
        let codes: Vec<Code> = found(server).into_iter().map(|(code, _)| code).collect();
        assert_eq!(codes, [expected]);
    }
}
