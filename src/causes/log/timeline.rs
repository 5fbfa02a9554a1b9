//! What one source did, in order: started, connected, migrated, served. Says whether a failure was overcome.

use crate::logs::event::{Event, Exception};
use crate::logs::time::Moment;

/// Seconds without a failed health check after which it counts as passed: probes come every ten seconds.
pub(crate) const HEALTH_QUIET_SECONDS: i64 = 30;

/// The most runs of `migrate` of one source that are kept, the newest.
const RUNS: usize = 16;

/// One run of Django's `migrate` on one database.
#[derive(Clone, Debug, Default)]
pub(crate) struct Run {
    /// The line of `Operations to perform:` or of its first migration.
    pub line: u64,
    /// The first migration was one of the first of all: the database was empty, or nearly, when it began.
    pub fresh: bool,
    /// How many migrations it applied.
    pub applied: u32,
    /// The last one that it applied.
    pub last_applied: Option<String>,
    /// The one that it began and has not ended.
    pub current: Option<String>,
    /// The line where it began the current one.
    pub current_line: u64,
    /// It said that there is nothing to do.
    pub nothing_to_do: bool,
    /// It takes migrations back.
    pub backwards: bool,
    /// Which of the databases of one process it is, from 0.
    pub database: u32,
}

/// What one source did; lines are 0 when it did not.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProcessTimeline {
    /// Where the web server or the task processor last came up.
    pub up: u64,
    /// Where it last showed that it can use the database.
    pub connected: u64,
    /// Where it last answered a request that needs the database.
    pub served: u64,
    /// Where `migrate` last ended a migration, or had none to do.
    pub migrated: u64,
    /// Where waiting for migrations last ended well.
    pub caught_up: u64,
    /// Where it was told to stop, and when.
    pub stopping: Option<(u64, Option<Moment>)>,
    /// The first line that was read, and that begins an event.
    pub first_line: u64,
    /// The last such line.
    pub last_line: u64,
    /// Where Node.js named its version: it does so when an error ends it.
    pub node_ended: u64,
    /// The time of its last line that was read.
    pub last_time: Option<Moment>,
    /// The runs of `migrate`, the newest last.
    pub runs: Vec<Run>,
    /// How many migrations `showmigrations` listed as not applied before the last run.
    pub planned: u32,
    migrating: bool,
}

impl ProcessTimeline {
    /// Seconds from a moment to the last line; 0 where the log does not say.
    pub(crate) fn seconds_since(&self, moment: Option<Moment>) -> i64 {
        self.last_time.zip(moment).map_or(0, |(end, moment)| end.seconds_since(moment))
    }

    /// Whether it is within a run of `migrate`.
    pub(crate) const fn is_migrating(&self) -> bool {
        self.migrating
    }

    /// Whether a container that ended with SIGKILL was Flagsmith's and at work: `docker compose stop` kills what does
    /// not end in time, and other services' logs are none of Flagsmith's.
    pub(crate) fn died_of_a_kill(&self) -> bool {
        match self.runs.last() {
            Some(run) if self.up == 0 => run.current.is_some(),
            _ => self.up > 0 && self.stopping.is_none(),
        }
    }

    /// Notes what an event shows; returns the name of a migration that it ended.
    pub(crate) fn observe(&mut self, event: &Event) -> Option<String> {
        if event.time.is_some() {
            self.last_time = event.time.or(self.last_time);
        }
        let message = event.message.trim();
        let line = event.line;
        if self.first_line == 0 || line < self.first_line {
            self.first_line = line;
        }
        self.last_line = self.last_line.max(line);
        if event.chain.iter().any(names_sqlstate) {
            self.connected = line;
        }
        let starts = |start: &str| message.starts_with(start);
        if starts("Node.js v") {
            self.node_ended = line;
        }
        if starts("Listening at") || starts("Booting worker") || starts("Processor starting") {
            self.up = line;
            self.connected = line;
            self.migrating = false;
            self.stopping = None;
        } else if starts("Handling signal: term")
            || starts("Handling signal: int")
            || starts("Handling signal: quit")
        {
            self.stopping = Some((line, event.time));
        } else if starts("Shutting down") {
            self.stopping.get_or_insert((line, event.time));
        } else if starts("Successfully connected to the database") {
            self.connected = line;
        } else if starts("No pending migrations detected") {
            self.connected = line;
            self.caught_up = line;
        } else if starts("Operations to perform") {
            self.begin_run(line);
        } else if starts("Running migrations") {
            self.connected = line;
        } else if starts("No migrations to apply") {
            self.connected = line;
            self.migrated = line;
            self.run(line).nothing_to_do = true;
        } else if message.starts_with("[ ] ") {
            if self.migrating {
                self.planned = 0;
                self.migrating = false;
            }
            self.planned += 1;
        } else if message == "OK" {
            return self.end_migration(line);
        } else if let Some(progress) = message.strip_prefix("Applying ") {
            return self.apply(line, progress, false);
        } else if let Some(progress) = message.strip_prefix("Unapplying ") {
            return self.apply(line, progress, true);
        }
        None
    }

    fn begin_run(&mut self, line: u64) {
        // A process migrates its databases one after the other: it goes on only if the run before ended well.
        let database = match self.runs.last() {
            Some(run) if self.migrating && run.current.is_none() && self.migrated > run.line => {
                run.database + 1
            }
            _ => 0,
        };
        if self.runs.len() >= RUNS {
            self.runs.remove(0);
        }
        self.runs.push(Run { line, database, ..Run::default() });
        self.connected = line;
        self.migrating = true;
    }

    fn run(&mut self, line: u64) -> &mut Run {
        if self.runs.is_empty() {
            self.begin_run(line);
        }
        let last = self.runs.len() - 1;
        #[allow(clippy::indexing_slicing, reason = "a run was pushed above when there was none")]
        &mut self.runs[last]
    }

    fn apply(&mut self, line: u64, progress: &str, backwards: bool) -> Option<String> {
        let (name, outcome) = progress.split_once("...")?;
        self.connected = line;
        let run = self.run(line);
        if run.applied == 0 && run.current.is_none() {
            // No upgrade has had migrations of these apps for years: they come first on an empty database.
            run.fresh = name.starts_with("contenttypes.") || name.starts_with("auth.");
        }
        run.backwards = backwards;
        run.current = Some(name.to_owned());
        run.current_line = line;
        (!outcome.trim().is_empty()).then(|| self.end_migration(line)).flatten()
    }

    fn end_migration(&mut self, line: u64) -> Option<String> {
        let run = self.run(line);
        let ended = run.current.take()?;
        run.applied += 1;
        run.last_applied = Some(ended.clone());
        self.migrated = line;
        Some(ended)
    }
}

/// Whether the server has answered on an open connection: psycopg2 names the class of an SQLSTATE only then. Those
/// with which the server ends the connection are no sign of one.
fn names_sqlstate(exception: &Exception) -> bool {
    const ENDS: &[&str] = &["Shutdown", "Connection", "Timeout", "CannotConnectNow", "DatabaseDropped"];
    exception
        .class
        .strip_prefix("psycopg2.errors.")
        .is_some_and(|class| !ENDS.iter().any(|end| class.contains(end)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::event::Origin;

    fn life(messages: &[&str]) -> ProcessTimeline {
        let mut life = ProcessTimeline::default();
        for (line, message) in (1..).zip(messages) {
            let mut event = Event::new(line, 0, Origin::Plain);
            (*message).clone_into(&mut event.message);
            life.observe(&event);
        }
        life
    }

    #[test]
    fn counts_migrations_and_knows_the_current_one() {
        let life = life(&[
            "Operations to perform:",
            "Running migrations:",
            "Applying contenttypes.0001_initial... OK",
            "Applying auth.0001_initial... OK (0.021s)",
            "Applying users.0001_initial...",
        ]);
        let run = life.runs.last().unwrap();
        assert_eq!((run.applied, run.fresh, run.current.as_deref()), (2, true, Some("users.0001_initial")));
        assert_eq!(run.last_applied.as_deref(), Some("auth.0001_initial"));
    }

    #[test]
    fn planned_migrations_are_those_listed_before_the_run() {
        let life = life(&["[ ] 0001_a", "[ ] 0002_b", "Operations to perform:", "Applying a.0001_a... OK"]);
        assert_eq!((life.planned, life.runs.last().unwrap().applied), (2, 1));
    }

    #[test]
    fn second_database_of_a_process_is_told_from_a_new_attempt() {
        let second = life(&["Operations to perform:", "No migrations to apply.", "Operations to perform:"]);
        assert_eq!(second.runs.last().unwrap().database, 1);
        let again = life(&["Operations to perform:", "Applying a.0001_x...", "Operations to perform:"]);
        assert_eq!(again.runs.last().unwrap().database, 0);
    }
}
