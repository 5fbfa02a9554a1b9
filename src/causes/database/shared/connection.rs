//! A connection to the database that failed, whoever saw it: one of Flagsmith's processes in its log, or the operator.

use crate::{
    causes::log::{
        evidence::{LogEvidence, Occurrence},
        failure::{Endpoint, Failure, FailureDetails, Stage},
        finding::Explanation,
        phrasing,
    },
    flagsmith::env,
    model::shell,
    postgres::sql,
};

/// A connection that failed, as every cause of this family explains it.
pub(crate) struct ConnectionFailure<'a, V> {
    /// Which of the cause's variants it is.
    pub(crate) variant: V,
    /// Who could not connect, at the beginning of a sentence.
    pub(crate) who: &'static str,
    /// What that process was doing.
    pub(crate) stage: Stage,
    /// The server, the role, the database, and the server's words.
    pub(crate) details: FailureDetails,
    /// How often, where that is known: `, 12 times in this log`.
    pub(crate) attempts: String,
    /// The environment variable that holds the URL.
    pub(crate) variable: &'static str,
    /// The installation's namespace, where the operator saw it.
    pub(crate) namespace: Option<&'a str>,
}

impl<V> ConnectionFailure<'_, V> {
    /// What a log shows.
    pub(crate) fn logged(evidence: &LogEvidence, occurrence: &Occurrence, variant: V) -> Self {
        Self {
            variant,
            who: phrasing::who(evidence, occurrence),
            stage: occurrence.stage,
            details: occurrence.details.clone(),
            attempts: attempts(occurrence),
            variable: if occurrence.stage == Stage::Pooler { OF_POOLER } else { env::DATABASE_URL },
            namespace: None,
        }
    }

    /// The server.
    pub(crate) const fn endpoint(&self) -> &Endpoint {
        &self.details.endpoint
    }

    /// ` at db:5432`, or nothing where the server is not known.
    pub(crate) fn at(&self) -> String {
        phrasing::at(&self.details.endpoint)
    }

    /// `role "x"`, or the one that the URL names.
    pub(crate) fn role(&self) -> String {
        self.details
            .role
            .as_ref()
            .map_or_else(|| format!("the role in {}", self.variable), |name| format!("role \"{name}\""))
    }

    /// The role in a command for psql.
    pub(crate) fn role_in_sql(&self) -> String {
        sql::identifier(self.details.role.as_deref().unwrap_or_default(), "ROLE")
    }

    /// `database "x"`, or the one that the URL names.
    pub(crate) fn database(&self) -> String {
        self.details.database.as_ref().map_or_else(
            || format!("the database in {}", self.variable),
            |name| format!("database \"{name}\""),
        )
    }

    /// The database in a command for psql.
    pub(crate) fn database_in_sql(&self) -> String {
        sql::identifier(self.details.database.as_deref().unwrap_or_default(), "DATABASE")
    }

    /// The words of the server or of the library, without a full stop.
    pub(crate) fn said<'a>(&'a self, otherwise: &'a str) -> &'a str {
        let said = self.details.detail.as_deref().filter(|said| !said.is_empty());
        said.unwrap_or(otherwise).trim_end_matches('.')
    }

    /// `The API reaches the connection pooler, but the pooler`, or the pooler alone where it says so itself.
    pub(crate) fn pooler_behind(&self) -> String {
        match self.stage {
            Stage::Pooler => self.who.to_owned(),
            _ => format!("{} reaches the connection pooler{}, but the pooler", self.who, self.at()),
        }
    }

    /// A command that tries the connection from where it failed.
    pub(crate) fn connect_test(&self) -> String {
        let Endpoint { host, port } = self.endpoint();
        let host = shell::host(host.as_deref().unwrap_or_default(), "HOST");
        let port = port.map_or_else(|| "PORT".to_owned(), |port| port.to_string());
        match self.namespace {
            Some(namespace) => format!(
                "To try it: kubectl -n {namespace} run psql --rm -it --image=postgres:17 --restart=Never -- pg_isready -h {host} -p {port}"
            ),
            None if self.stage == Stage::Pooler => {
                format!("Test from where the pooler runs: pg_isready -h {host} -p {port}")
            }
            None => format!(
                "Test from the pod: python -c \"import socket; socket.create_connection(('{host}', {port}), 5)\""
            ),
        }
    }

    /// A command that looks the host up from where that failed.
    pub(crate) fn name_test(&self) -> String {
        let host = shell::host(self.endpoint().host.as_deref().unwrap_or_default(), "HOST");
        // In a pod of its own: one that cannot start for want of the name is up for seconds.
        let namespace = self.namespace.unwrap_or("NAMESPACE");
        format!(
            "To look it up: kubectl -n {namespace} run lookup --rm -it --image=busybox --restart=Never -- nslookup {host}"
        )
    }
}

/// Where a pooler has host, port, user and password of the server behind it.
const OF_POOLER: &str = "the pooler's settings";

/// What a log shows of a failed connection, in the words of its cause.
pub(crate) fn explained<V>(
    evidence: &LogEvidence,
    occurrence: &Occurrence,
    variant: V,
    words: fn(&ConnectionFailure<'_, V>) -> (String, String),
) -> Explanation {
    let (message, remedy) = words(&ConnectionFailure::logged(evidence, occurrence, variant));
    Explanation::new(occurrence.code, message, remedy)
}

/// The details of a failure of which only the server is of interest.
#[expect(clippy::unnecessary_wraps, reason = "the form of a rule's function")]
pub(crate) fn with_endpoint<V>(failure: &Failure<'_>, _: V) -> Option<FailureDetails> {
    Some(FailureDetails { endpoint: failure.endpoint(), ..FailureDetails::default() })
}

fn attempts(occurrence: &Occurrence) -> String {
    let seconds =
        occurrence.last.time.zip(occurrence.first.time).map_or(0, |(last, first)| last.seconds_since(first));
    match (occurrence.stage, occurrence.count, seconds) {
        (Stage::Wait | Stage::Pooled | Stage::Pooler, count, seconds) if count > 1 && seconds > 0 => {
            format!(", {count} attempts in {seconds} s")
        }
        (_, count, _) if count > 1 => format!(", {count} times in this log"),
        _ => String::new(),
    }
}
