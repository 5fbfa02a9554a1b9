//! What a migration would meet: asked as the role that migrates, before its Job is created and while it runs.

use jiff::Timestamp;

use super::{probe::ProbeFailure, session::Session};

/// What the migrating role sees of its database.
#[expect(clippy::struct_excessive_bools, reason = "each is the answer to a question of its own")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preflight {
    /// Whether a migration was due when this was asked; otherwise only [`Self::invalid_indexes`] was.
    pub complete: bool,
    /// Whether start-up options come through; a pooler may refuse them.
    pub takes_options: bool,
    /// The role.
    pub role: String,
    /// The schema that new tables go to; `None` when the role may use none of its `search_path`.
    pub schema: Option<String>,
    /// Whether the role may create tables in that schema.
    pub creates_tables: bool,
    /// Whether the role may create a trusted extension (CREATE on the database).
    pub creates_extensions: bool,
    /// Whether the extension hstore is installed.
    pub hstore: bool,
    /// Whether the role may not read the history, although there is one.
    pub history_unreadable: bool,
    /// Owners of Flagsmith's tables whose rights the role does not have, with the number of tables and one of them.
    pub owners: Vec<Owner>,
    /// Client connections that the server allows to ordinary roles.
    pub connections_allowed: i32,
    /// Client connections that are there.
    pub connections_used: i32,
    /// Other sessions whose transactions hold locks on Flagsmith's tables for long, the oldest first.
    pub holders: Vec<OtherSession>,
    /// Other sessions that a running migration of the operator waits for.
    pub blockers: Vec<OtherSession>,
    /// Other sessions that change the schema at this moment.
    pub migrators: Vec<OtherSession>,
    /// Indexes on Flagsmith's tables that an interrupted `CREATE INDEX CONCURRENTLY` has left.
    pub invalid_indexes: Vec<String>,
    /// What `django_migrations` says.
    pub history: History,
}

/// Who owns tables that a migration changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The owning role.
    pub name: String,
    /// How many tables it owns.
    pub tables: i64,
    /// One of them.
    pub example: String,
}

/// A session of somebody else, without its statement: that may hold secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherSession {
    /// Its process.
    pub pid: i32,
    /// What it calls itself; often empty.
    pub application: String,
    /// Its role.
    pub role: String,
    /// `active`, `idle in transaction`, …
    pub state: String,
    /// When its transaction began, in microseconds since 1970; hidden from a role that is neither the same nor in
    /// `pg_read_all_stats`.
    pub since: Option<i64>,
    /// A table that it holds a lock on.
    pub relation: String,
}

/// The migrations that are applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// How many.
    pub count: i64,
    /// The newest, as `app.name`.
    pub last: Option<String>,
    /// When the newest was applied, in microseconds since 1970.
    pub last_applied: Option<i64>,
    /// The number of the newest migration of the app `task_processor`, for example `0015`.
    pub task_processor: Option<String>,
}

impl OtherSession {
    /// When its transaction began.
    #[must_use]
    pub fn since(&self) -> Option<Timestamp> {
        Timestamp::from_microsecond(self.since?).ok()
    }
}

impl History {
    /// When the newest migration was applied.
    #[must_use]
    pub fn last_applied(&self) -> Option<Timestamp> {
        Timestamp::from_microsecond(self.last_applied?).ok()
    }
}

/// The most sessions that are named: one is enough to act on, more than a few are one cause.
const NAMED: u8 = 3;

/// Tables of Flagsmith: their names begin with the label of an app that has migrations. Other programs may keep
/// theirs in the same schema.
const TABLES: &str = "SELECT c.oid, c.relname, c.relowner FROM pg_class c \
     JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = current_schema() \
     WHERE c.relkind IN ('r', 'p') AND (c.relname = 'django_migrations' \
     OR EXISTS (SELECT FROM django_migrations m WHERE starts_with(c.relname, m.app || '_')))";

const RIGHTS: &str = "SELECT current_user::text, current_schema()::text, \
     coalesce(has_schema_privilege(current_schema(), 'CREATE'), false), \
     has_database_privilege(current_database(), 'CREATE'), \
     EXISTS (SELECT FROM pg_extension WHERE extname = 'hstore'), \
     current_setting('max_connections')::int4 - current_setting('superuser_reserved_connections')::int4, \
     (SELECT count(datid)::int4 FROM pg_stat_activity), \
     coalesce(to_regclass('django_migrations') IS NOT NULL, false), \
     coalesce(has_table_privilege(to_regclass('django_migrations'), 'SELECT'), false)";

const HISTORY: &str = "SELECT count(*) AS count, \
     (SELECT app || '.' || name FROM django_migrations ORDER BY id DESC LIMIT 1) AS last, \
     (extract(epoch FROM max(applied)) * 1000000)::int8 AS last_applied, \
     max(left(name, 4)) FILTER (WHERE app = 'task_processor') AS task_processor FROM django_migrations";

type Rights = (String, Option<String>, bool, bool, bool, i32, i32, bool, bool);

/// Asks everything when a migration is due, and otherwise only what may be wrong without one.
pub(super) async fn ask(session: &mut Session, due: bool) -> Result<Preflight, ProbeFailure> {
    let (
        role,
        schema,
        creates_tables,
        creates_extensions,
        hstore,
        connections_allowed,
        connections_used,
        exists,
        readable,
    ): Rights = session.one(RIGHTS).await?;
    let mut preflight = Preflight {
        complete: due,
        role,
        schema,
        creates_tables,
        creates_extensions,
        hstore,
        history_unreadable: exists && !readable,
        connections_allowed,
        connections_used,
        ..Preflight::default()
    };
    if !readable {
        return Ok(preflight);
    }
    preflight.invalid_indexes = invalid_indexes(session).await?;
    if due {
        let (count, last, last_applied, task_processor) = session.one(HISTORY).await?;
        preflight.history = History { count, last, last_applied, task_processor };
        preflight.owners = owners(session).await?;
        preflight.holders = others(session, HOLDERS).await?;
        preflight.migrators = others(session, MIGRATORS).await?;
        preflight.blockers = others(session, BLOCKERS).await?;
    }
    Ok(preflight)
}

async fn invalid_indexes(session: &mut Session) -> Result<Vec<String>, ProbeFailure> {
    // One that is being built is not valid yet either.
    let rows: Vec<(String,)> = session
        .all(&format!(
            "SELECT i.indexrelid::regclass::text FROM pg_index i JOIN ({TABLES}) t ON t.oid = i.indrelid \
             WHERE NOT i.indisvalid AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p \
             WHERE p.relid = i.indrelid) ORDER BY 1 LIMIT {NAMED}"
        ))
        .await?;
    Ok(rows.into_iter().map(|(name,)| name).collect())
}

async fn owners(session: &mut Session) -> Result<Vec<Owner>, ProbeFailure> {
    let rows: Vec<(String, i64, String)> = session
        .all(&format!(
            "SELECT pg_get_userbyid(t.relowner)::text, count(*), min(t.relname)::text FROM ({TABLES}) t \
             WHERE NOT pg_has_role(current_user, t.relowner, 'USAGE') GROUP BY 1 ORDER BY 2 DESC LIMIT {NAMED}"
        ))
        .await?;
    Ok(rows.into_iter().map(|(name, tables, example)| Owner { name, tables, example }).collect())
}

async fn others(session: &mut Session, condition: &str) -> Result<Vec<OtherSession>, ProbeFailure> {
    let rows: Vec<(i32, String, String, String, Option<i64>, String)> = session
        .all(&format!(
            "SELECT a.pid, coalesce(a.application_name, ''), coalesce(a.usename::text, ''), coalesce(a.state, ''), \
             (extract(epoch FROM min(a.xact_start)) * 1000000)::int8, min(t.relname)::text \
             FROM pg_stat_activity a JOIN pg_locks l ON l.pid = a.pid JOIN ({TABLES}) t ON t.oid = l.relation \
             WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() \
             AND coalesce(a.backend_type, 'client backend') = 'client backend' AND l.granted \
             AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
             AND {condition} GROUP BY 1, 2, 3, 4 ORDER BY 5, 1 LIMIT {NAMED}"
        ))
        .await?;
    Ok(rows
        .into_iter()
        .map(|(pid, application, role, state, since, relation)| OtherSession {
            pid,
            application,
            role,
            state,
            since,
            relation,
        })
        .collect())
}

/// Any lock on a table makes a change of that table wait; the age tells a request (at most 30 s by default) from a
/// hold-up.
const HOLDERS: &str = "a.xact_start < now() - interval '60 s'";

/// Locks that only changes of the schema take, however young they are. `CREATE INDEX CONCURRENTLY` takes a weaker
/// one, and so does VACUUM: its statement tells. What another role does is hidden from an ordinary one, its locks
/// are not.
const MIGRATORS: &str = "(l.mode IN ('AccessExclusiveLock', 'ShareRowExclusiveLock') \
     OR l.mode = 'ShareUpdateExclusiveLock' AND a.query ~* '^\\s*(CREATE|DROP|ALTER)')";

/// Who holds up a session of a migration Job, by the name that the operator has it give to PostgreSQL.
const BLOCKERS: &str = "a.pid IN (SELECT unnest(pg_blocking_pids(w.pid)) FROM pg_stat_activity w \
     WHERE w.datname = current_database() AND w.wait_event_type = 'Lock' \
     AND w.application_name ~ '-(migrate|rollback)-[0-9a-f]{10}')";
