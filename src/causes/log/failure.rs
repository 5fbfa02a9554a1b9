//! One exception of a log as the rules read it, and the names that PostgreSQL and libpq put into their messages.

use std::{cell::OnceCell, fmt};

use crate::logs::event::Service;
use crate::model::{Component, redact::redact};
use crate::postgres::phrases::{self, Phrase};

/// In which part of its life a process failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Stage {
    /// `waitfordb` tried, and would have tried again.
    Wait,
    /// `migrate`.
    Migrate,
    /// Before it served or worked.
    Boot,
    /// While it served requests or ran tasks.
    Serve,
    /// A connection pooler says it of one of its clients.
    Pooled,
    /// A connection pooler says it of itself and the server behind it.
    Pooler,
}

impl Stage {
    /// Whether a connection pooler says it, and no process of Flagsmith.
    pub(crate) const fn is_of_pooler(self) -> bool {
        matches!(self, Self::Pooled | Self::Pooler)
    }
}

/// One exception, with where it was raised.
#[derive(Clone, Debug)]
pub(crate) struct Failure<'a> {
    /// The dotted class, for example `psycopg2.errors.UndefinedTable`; possibly without its module.
    pub(crate) class: &'a str,
    /// The message with DETAIL and HINT.
    pub(crate) message: &'a str,
    /// The process whose log this is.
    pub(crate) component: Component,
    /// What the process was doing.
    pub(crate) stage: Stage,
    /// The migration that was being applied.
    pub(crate) migration: Option<&'a str>,
    /// What its traceback ends in.
    pub(crate) service: Option<Service>,
    /// Whether it is of the database: many rules ask.
    is_database: OnceCell<bool>,
}

/// Something is missing that belongs to a session, not to the schema: SQLSTATE 34000, 26000, 3B001. It was there on the
/// connection before.
pub(crate) const OF_SESSION: &[&str] =
    &["InvalidCursorName", "InvalidSqlStatementName", "InvalidSavepointSpecification"];

/// Begins the names of Django's cursors.
pub(crate) const CURSOR: &str = "_django_curs_";

impl<'a> Failure<'a> {
    /// One of a process at this stage, of which nothing else is known.
    pub(crate) const fn new(class: &'a str, message: &'a str, component: Component, stage: Stage) -> Self {
        let is_database = OnceCell::new();
        Self { class, message, component, stage, migration: None, service: None, is_database }
    }

    /// The class without its module, for example `UndefinedTable`.
    pub(crate) fn kind(&self) -> &str {
        self.class.rsplit('.').next().unwrap_or_default()
    }

    /// Whether the class is one of these, without module.
    pub(crate) fn is(&self, kinds: &[&str]) -> bool {
        kinds.contains(&self.kind())
    }

    /// Whether the message has this text.
    pub(crate) fn says(&self, text: &str) -> bool {
        self.message.contains(text)
    }

    /// Whether the message has one of these texts.
    pub(crate) fn says_any(&self, texts: &[&str]) -> bool {
        texts.iter().any(|text| self.says(text))
    }

    /// Whether it is Docker Compose's word of a container that ended with SIGKILL: 128 and the signal's number.
    pub(crate) fn is_killed_container(&self) -> bool {
        self.class.is_empty() && self.message.trim().starts_with("exited with code 137")
    }

    /// What PostgreSQL said, in any language; the name in it.
    pub(crate) fn phrase(&self, phrase: Phrase) -> Option<&str> {
        phrases::find(phrase, self.message)
    }

    /// Whether this comes from the PostgreSQL driver, not from an HTTP or Redis client with the same words.
    pub(crate) fn is_database(&self) -> bool {
        *self.is_database.get_or_init(|| self.comes_from_the_driver())
    }

    fn comes_from_the_driver(&self) -> bool {
        self.class.starts_with("psycopg")
            || self.class.starts_with("django.db")
            || matches!(
                self.class,
                "OperationalError"
                    | "InterfaceError"
                    | "DatabaseError"
                    | "InternalError"
                    | "ProgrammingError"
                    | "IntegrityError"
                    | "NotSupportedError"
            )
            || self.says_any(&[
                "connection to server ",
                "could not connect to server",
                "could not translate host name",
            ])
    }

    /// Whether what is missing belongs to a session.
    #[must_use]
    pub(crate) fn is_of_session(&self) -> bool {
        self.is(OF_SESSION) || self.is_database() && self.says("does not exist") && self.says(CURSOR)
    }

    /// The server that libpq names.
    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::read(self.message)
    }

    /// What is about the server, the role and the database in the message.
    pub(crate) fn details(&self) -> FailureDetails {
        FailureDetails {
            endpoint: self.endpoint(),
            role: quoted_after(self.message, &[", user ", " user ", "role "]).map(str::to_owned),
            database: quoted_after(self.message, &[", database ", "database "]).map(str::to_owned),
            ..FailureDetails::default()
        }
    }
}

/// What a failure speaks of. Two failures with the same code and subject are one trouble.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FailureDetails {
    /// The server.
    pub(crate) endpoint: Endpoint,
    /// The role.
    pub(crate) role: Option<String>,
    /// The database.
    pub(crate) database: Option<String>,
    /// The table, column, index, variable, … by kind and name, for example `table users_ffadminuser`.
    pub(crate) object: Option<String>,
    /// Which signature of its rule matched.
    pub(crate) signature: u8,
    /// A detail in the server's words.
    pub(crate) detail: Option<String>,
    /// It says that something failed and not why: it gives way to whatever tells more.
    pub(crate) is_vague: bool,
}

impl FailureDetails {
    /// Without secrets: what it holds comes from the log and goes into messages and commands.
    pub(crate) fn redacted(self) -> Self {
        let clean = |text: Option<String>| text.map(|text| redact(&text));
        Self {
            endpoint: Endpoint { host: clean(self.endpoint.host), port: self.endpoint.port },
            role: clean(self.role),
            database: clean(self.database),
            object: clean(self.object),
            signature: self.signature,
            detail: clean(self.detail),
            is_vague: self.is_vague,
        }
    }

    /// With this object.
    pub(crate) fn object(mut self, object: impl Into<String>) -> Self {
        self.object = Some(object.into());
        self
    }
}

/// A database server as libpq names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Endpoint {
    /// Host name, address, or the path of a socket.
    pub(crate) host: Option<String>,
    /// TCP port.
    pub(crate) port: Option<u16>,
}

impl Endpoint {
    /// Reads `connection to server at "H" (A), port P`, `… on socket "S"`, and the wording before PostgreSQL 14.
    pub(crate) fn read(message: &str) -> Self {
        // Of several hosts the last one is what libpq gave up on.
        let starts = [
            "server at ",
            "on socket ",
            "running on host ",
            "domain socket ",
            "host name ",
            "entry for host ",
            "connection for host ",
        ];
        let at = starts.iter().find_map(|start| Some((message.rfind(start)?, *start)));
        let Some((position, start)) = at else {
            return Self::default();
        };
        let rest = message.get(position + start.len()..).unwrap_or_default();
        // The host that pg_hba.conf speaks of is the client's, not the server's.
        if start.ends_with("for host ") {
            return Self::default();
        }
        let host = unquote(rest).map(str::to_owned);
        let port = rest.split_once("port ").and_then(|(_, after)| {
            let end = after.find(|digit: char| !digit.is_ascii_digit()).unwrap_or(after.len());
            after.get(..end)?.parse().ok()
        });
        Self { host, port }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, self.port) {
            (Some(host), Some(port)) if host.contains(':') => write!(formatter, "[{host}]:{port}"),
            (Some(host), Some(port)) => write!(formatter, "{host}:{port}"),
            (Some(host), None) => formatter.write_str(host),
            (None, _) => formatter.write_str("the database server"),
        }
    }
}

/// PostgreSQL's quotation marks of any language, opening and closing.
const QUOTATION_MARKS: [(char, char); 6] =
    [('"', '"'), ('»', '«'), ('«', '»'), ('„', '“'), ('“', '”'), ('\'', '\'')];

/// What follows a quotation mark at the beginning of `text`, and the mark that closes it.
fn quotation(text: &str) -> Option<(&str, char)> {
    let text = text.trim_start();
    let mut marks = QUOTATION_MARKS.into_iter();
    marks.find_map(|(open, close)| Some((text.strip_prefix(open)?, close)))
}

/// The quoted name at the beginning of `text`, in PostgreSQL's quotation marks of any language.
pub(crate) fn unquote(text: &str) -> Option<&str> {
    let (rest, close) = quotation(text)?;
    let (name, _) = rest.split_once(close)?;
    Some(name.trim())
}

/// The quoted name behind the first of these words that has one.
pub(crate) fn quoted_after<'a>(text: &'a str, words: &[&str]) -> Option<&'a str> {
    // A mark that does not come again after one place does not come after a later one either: asked once, so that a
    // text of nothing but opening marks is not read to its end for each of them.
    let mut missing = Vec::new();
    words.iter().find_map(|word| {
        missing.clear();
        text.match_indices(word).find_map(|(start, _)| {
            let (rest, close) = quotation(text.get(start + word.len()..)?)?;
            if missing.contains(&close) {
                return None;
            }
            let name = rest.split_once(close).map(|(name, _)| name.trim());
            if name.is_none() {
                missing.push(close);
            }
            name
        })
    })
}

/// The first quoted name of the first line, in whatever language.
pub(crate) fn first_quoted(text: &str) -> Option<&str> {
    let line = text.lines().next()?;
    let start = line.find(['"', '»', '«', '„', '“'])?;
    unquote(line.get(start..)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("connection to server at \"127.0.0.1\", port 1 failed: Connection refused", "127.0.0.1:1")]
    #[case(
        "connection to server at \"db.prod.svc\" (10.0.0.5), port 5432 failed: timeout expired",
        "db.prod.svc:5432"
    )]
    #[case("connection to server at \"::1\", port 5432 failed: x", "[::1]:5432")]
    #[case(
        "connection to server on socket \"/run/pg/.s.PGSQL.5432\" failed: No such file or directory",
        "/run/pg/.s.PGSQL.5432"
    )]
    #[case(
        "could not connect to server: Connection refused\nIs the server running on host \"db\" (10.0.0.5) and accepting\nTCP/IP connections on port 5432?",
        "db:5432"
    )]
    #[case(
        "could not translate host name \"nosuch.invalid\" to address: Name or service not known",
        "nosuch.invalid"
    )]
    #[case(
        "connection to server at \"a\", port 1 failed: x\nconnection to server at \"b\", port 2 failed: y",
        "b:2"
    )]
    #[case(
        "FATAL:  no pg_hba.conf entry for host \"10.1.1.1\", user \"u\", database \"d\", no encryption",
        "the database server"
    )]
    #[case("FATAL:  sorry, too many clients already", "the database server")]
    fn endpoints(#[case] message: &str, #[case] expected: &str) {
        assert_eq!(Endpoint::read(message).to_string(), expected);
    }

    proptest! {
        #[test]
        fn the_first_word_that_has_a_name_counts(text in "([ab\"'»«„“”]|role | role |database ){0,24}") {
            let words = [" role ", "role ", "database "];
            let plainly = words.iter().find_map(|word| {
                let mut places = text.match_indices(word);
                places.find_map(|(start, _)| unquote(&text[start + word.len()..]))
            });
            prop_assert_eq!(quoted_after(&text, &words), plainly);
        }
    }

    /// Read to the end for each mark, this would take minutes.
    #[rstest]
    #[case("role „")]
    #[case("role «")]
    #[case("role “")]
    fn a_text_of_opening_marks_is_read_in_time_that_grows_with_its_length(#[case] part: &str) {
        let text = part.repeat(400_000);
        let begun = std::time::Instant::now();
        assert_eq!(quoted_after(&text, &["role ", " role "]), None);
        assert!(begun.elapsed() < std::time::Duration::from_secs(30), "{:?}", begun.elapsed());
    }

    #[rstest]
    #[case("relation \"users_ffadminuser\" does not exist", Some("users_ffadminuser"))]
    #[case("Relation »users« existiert nicht", Some("users"))]
    #[case("la relation « users » existe déjà", Some("users"))]
    #[case("nothing", None)]
    fn quotes(#[case] message: &str, #[case] name: Option<&str>) {
        assert_eq!(first_quoted(message), name);
    }
}
