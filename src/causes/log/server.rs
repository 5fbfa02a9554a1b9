//! What a PostgreSQL server, or a PgBouncer before it, says of itself, in a log that has its lines as well: Docker Compose, `kubectl logs -l`.

use std::{borrow::Cow, collections::BTreeMap};

use super::{location::LogLocation, pooler};
use crate::logs::event::{Event, Origin, append_line};

/// The most servers that are kept apart.
const SERVERS: usize = 16;

/// The servers of the logs, by source.
#[derive(Debug, Default)]
pub(crate) struct Servers {
    servers: BTreeMap<u16, Server>,
}

/// What one server said last.
#[derive(Debug, Default)]
struct Server {
    /// Why it cannot go on; with DETAIL and HINT.
    failed: Option<Failed>,
    /// What it said last of a setting that it cannot have.
    setting: Option<String>,
    /// Nothing but that came since, or it has ended.
    ended: bool,
    /// It took connections, and has not ended of a failure.
    ready: bool,
}

/// Why a server cannot start, or had to end.
#[derive(Clone, Debug)]
pub(crate) struct Failed {
    /// The first time.
    pub(crate) first: LogLocation,
    /// The last time.
    pub(crate) last: LogLocation,
    /// How often.
    pub(crate) count: u64,
    /// Which program says so.
    pub(crate) program: &'static str,
}

/// Severities with which a server ends, or with which `initdb` and the entry points of images do.
const ENDS: &[&str] = &["FATAL", "PANIC"];
/// What the entry points of images, `initdb` and `pg_ctl` say before they end, at the beginning of a line.
const OF_ENTRYPOINT: &[&str] = &[
    "Error: Database is uninitialized and superuser password is not specified",
    "Error: in 18+, these Docker images are configured",
    "initdb: error: ",
    "pg_ctl: could not start server",
    "\"root\" execution of the PostgreSQL server is not permitted",
    "chown: changing ownership of '/var/lib/postgresql",
    "chmod: changing permissions of '/var/lib/postgresql",
    "mkdir: cannot create directory '/var/lib/postgresql",
    "mkdir: cannot create directory '/bitnami/postgresql",
];
/// How refusals of one client begin, at which a server goes on. They are FATAL to the client's session only.
const OF_A_CLIENT: &[&str] = &[
    "role \"",
    "database \"",
    "no pg_hba.conf entry",
    "pg_hba.conf rejects",
    "sorry, too many clients",
    "too many connections for",
    "remaining connection slots",
    "the database system is ",
    "terminating ",
    "connection to client lost",
    "canceling authentication",
    "permission denied for database",
    "unsupported frontend protocol",
    "unsupported startup",
    "no PostgreSQL user name",
    "invalid length of startup packet",
    "invalid startup packet",
    "expected ",
    "unrecognized SSL",
    "must be superuser",
    "could not receive data from client",
];
/// What it says of each wrong line of its configuration, before it ends because of all of them.
const OF_A_SETTING: &[&str] = &[
    "unrecognized configuration parameter",
    "invalid value for parameter",
    "syntax error in file",
    "is outside the valid range",
];
/// And what all of them say whose name or password was refused.
const OF_A_LOGIN: &str = "authentication failed";

fn is_of_a_client(said: &str) -> bool {
    said.contains(OF_A_LOGIN) || OF_A_CLIENT.iter().any(|words| said.starts_with(words))
}

impl Servers {
    /// Notes what an event shows of a server.
    pub(crate) fn observe(&mut self, event: &Event, input: u16) {
        // `Error: …` of a shell script looks like the end of a traceback.
        let of_script = event.chain.first().filter(|_| event.is_headless());
        let message: Cow<'_, str> = match of_script {
            Some(error) => format!("{}: {}", error.class, error.message).into(),
            None if event.origin == Origin::Plain => event.message.as_str().into(),
            None => return,
        };
        let message: &str = &message;
        if message.starts_with("exited with code ") {
            if let Some(server) = self.servers.get_mut(&event.source) {
                server.end();
            }
            return;
        }
        let location = || LogLocation { message: message.to_owned(), ..LogLocation::of(event, input) };
        if OF_ENTRYPOINT.iter().any(|words| message.starts_with(words)) {
            if let Some(server) = self.server(event.source) {
                server.fail(location());
                server.end();
            }
            return;
        }
        if let Some((level, said)) = pooler::record(message) {
            if let Some(server) = self.server(event.source) {
                server.observe_pooler(level, said, location);
            }
            return;
        }
        let Some((severity, said)) = postgres(message) else {
            return;
        };
        let Some(server) = self.server(event.source) else {
            return;
        };
        match severity {
            "LOG" if said.contains("ready to accept connections") => {
                *server = Server { ready: true, ..Server::default() };
            }
            "LOG" if said.contains("database system is shut down") => server.end(),
            // It goes on, or has begun again.
            "LOG" => {
                server.ended = false;
                if OF_A_SETTING.iter().any(|words| said.contains(words)) {
                    server.setting = Some(said.to_owned());
                }
            }
            "DETAIL" | "HINT" => {
                if let Some(failed) = &mut server.failed
                    && failed.count == 1
                {
                    append_line(&mut failed.first.message, said);
                }
            }
            _ if ENDS.contains(&severity) && !is_of_a_client(said) => {
                let setting = server.setting.take().filter(|_| said.contains("contains errors"));
                let message = setting.map_or_else(|| said.to_owned(), |setting| format!("{setting}\n{said}"));
                server.fail(LogLocation { message, ..location() });
            }
            _ => {}
        }
    }

    fn server(&mut self, source: u16) -> Option<&mut Server> {
        if self.servers.len() >= SERVERS && !self.servers.contains_key(&source) {
            return None;
        }
        Some(self.servers.entry(source).or_default())
    }

    /// Why a server of the logs does not run, where it says so and has ended.
    pub(crate) fn failed(&self) -> Option<&Failed> {
        let down = self.servers.values().filter(|server| server.ended && !server.ready);
        down.filter_map(|server| server.failed.as_ref()).max_by_key(|failed| failed.count)
    }
}

impl Server {
    /// Notes what PgBouncer says in a line.
    fn observe_pooler(&mut self, level: &str, said: &str, location: impl Fn() -> LogLocation) {
        let of_connection = said.starts_with("C-0x") || said.starts_with("S-0x");
        match level {
            "LOG" if said.starts_with("process up: ") => *self = Self { ready: true, ..Self::default() },
            "ERROR" if !of_connection => self.setting = Some(said.to_owned()),
            // It ends at each of them; an error before it says more than that the settings could not be read.
            "FATAL" => {
                let message = self
                    .setting
                    .take()
                    .map_or_else(|| said.to_owned(), |setting| format!("{setting}\n{said}"));
                self.ready = false;
                self.fail_as("PgBouncer", LogLocation { message, ..location() });
            }
            _ => {}
        }
    }

    fn fail(&mut self, location: LogLocation) {
        self.fail_as("PostgreSQL", location);
    }

    fn fail_as(&mut self, program: &'static str, location: LogLocation) {
        match &mut self.failed {
            Some(known) if same(&known.first.message, &location.message) => {
                known.last = location;
                known.count += 1;
            }
            // What comes last follows from what came first.
            Some(known) if self.ended => known.last = location,
            _ => self.failed = Some(Failed { first: location.clone(), last: location, count: 1, program }),
        }
        self.ended = true;
    }

    /// It has ended, of what it said before.
    fn end(&mut self) {
        self.ended = true;
        self.ready &= self.failed.is_none();
    }
}

fn same(known: &str, new: &str) -> bool {
    known.lines().next() == new.lines().next()
}

/// Severity and message of a line that PostgreSQL wrote: what `log_line_prefix` makes of the beginning differs, the
/// severity has a colon and two blanks behind it.
fn postgres(line: &str) -> Option<(&str, &str)> {
    let (before, said) = line.split_once(":  ")?;
    let severity = before.rsplit(' ').next()?;
    // A line that PostgreSQL did not write has no stamp and process before that.
    let prefix = before.strip_suffix(severity)?;
    let known = ["LOG", "FATAL", "PANIC", "DETAIL", "HINT", "ERROR", "WARNING"].contains(&severity);
    let stamped = prefix.is_empty() || prefix.bytes().any(|byte| byte.is_ascii_digit());
    (known && stamped && !prefix.contains('"')).then_some((severity, said.trim()))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn failed(lines: &[&str]) -> Option<(String, u64)> {
        let mut servers = Servers::default();
        for (number, line) in (1..).zip(lines) {
            let mut event = Event::new(number, 0, Origin::Plain);
            (*line).clone_into(&mut event.message);
            servers.observe(&event, 0);
        }
        servers.failed().map(|failed| (failed.first.message.clone(), failed.count))
    }

    const FATAL: &str = "2026-11-28 09:00:00.118 UTC [1] FATAL:  database files are incompatible with server";
    const DETAIL: &str = "2026-11-28 09:00:00.118 UTC [1] DETAIL:  The data directory was initialized by PostgreSQL version 15.";
    const CLIENT: &str =
        "2026-11-28 09:00:00.118 UTC [41] FATAL:  password authentication failed for user \"x\"";
    const READY: &str =
        "2026-11-28 09:00:01.118 UTC [1] LOG:  database system is ready to accept connections";
    const GOES_ON: &str = "2026-11-28 09:00:01.118 UTC [1] LOG:  checkpoint starting: time";
    const DOWN: &str = "2026-11-28 09:00:01.118 UTC [1] LOG:  database system is shut down";
    const EXITED: &str = "exited with code 1";

    #[test]
    fn the_reason_is_kept_with_its_detail_and_counted() {
        let (said, count) = failed(&[FATAL, DETAIL, EXITED, FATAL, DETAIL, EXITED]).unwrap();
        assert!(
            said.starts_with("database files are incompatible with server\nThe data directory"),
            "{said}"
        );
        assert_eq!(count, 2);
    }

    #[rstest]
    #[case::a_client_was_refused(&[READY, CLIENT, DOWN])]
    #[case::it_started_after_all(&[FATAL, EXITED, READY])]
    #[case::it_goes_on(&[READY, FATAL, GOES_ON])]
    #[case::a_process_of_it_ended(&[READY, FATAL])]
    #[case::it_was_stopped(&[READY, DOWN, EXITED])]
    #[case::another_program(&["level=x FATAL:  no", EXITED])]
    fn silent(#[case] lines: &[&str]) {
        assert_eq!(failed(lines), None);
    }

    #[test]
    fn the_last_line_may_be_the_reason() {
        assert!(failed(&[FATAL]).is_some());
    }

    #[test]
    fn an_entry_point_says_it_without_a_severity() {
        let said = "Error: Database is uninitialized and superuser password is not specified.";
        assert_eq!(failed(&[said]), Some((said.to_owned(), 1)));
    }
}
