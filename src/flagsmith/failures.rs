//! Failures of a migration that the next attempt may not meet. Extended regular expressions, because they are looked for
//! by `grep` in the migration's own container.

/// Exit status of a migration that failed with one of [`TRANSIENT`] (`EX_TEMPFAIL` of sysexits.h).
pub(crate) const TRANSIENT_STATUS: i32 = 75;

/// PostgreSQL's, libpq's and PgBouncer's words for what passes by itself: the network, a server that starts or stops,
/// used-up connections, locks. Rights, history and schema do not.
pub(crate) const TRANSIENT: &str = "Connection refused|timeout expired|Connection timed out|No route to host\
|Network is unreachable|Connection reset by peer|could not translate host name\
|server closed the connection unexpectedly|SSL connection has been closed|connection already closed\
|terminating connection due to|the database system is\
|too many clients|too many connections for|connection slots are reserved|no more connections allowed\
|query_wait_timeout|due to lock timeout|deadlock detected|No such file or directory.*Is the server running";

/// What the slower of two migrators meets: the object is there already, or was made between look and insert.
pub(crate) const RACES: &str =
    "already exists|duplicate key value violates unique constraint|tuple concurrently updated";
