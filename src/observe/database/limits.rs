//! What one session with a server may cost. An honest answer to every question of a look is below a tenth of it.

use std::time::Duration;

/// How long a whole session may take, from the first packet to the last answer: a database that does not answer
/// within five seconds is as good as away for a request, and a pass must not hang on it.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);

/// How many sessions there are at once over all installations: the operator must not be the one who uses up the
/// connections of a shared server.
const CONCURRENT: usize = 16;

/// How many of them are with servers that kept silent when they were last asked. Each of those costs the whole deadline,
/// a healthy one a few milliseconds: they stand in a queue of their own.
pub(super) const SILENT: usize = 4;
pub(super) const ANSWERING: usize = CONCURRENT - SILENT;

/// How many are with the databases of one namespace, of each kind.
pub(super) const SILENT_OF_NAMESPACE: usize = 2;
pub(super) const ANSWERING_OF_NAMESPACE: usize = 4;

/// Bytes of a message before the server has let the session in. libpq takes 30,000 there; what is sent are nonces,
/// salts, and one error.
pub(super) const MESSAGE_BEFORE_LOGIN: usize = 16 * 1024;

/// Bytes of a message after that. The longest rows have two texts of at most 600 characters.
pub(super) const MESSAGE: usize = 64 * 1024;

/// Bytes of a session, as they come over the network. The longest answer of all, the newest runs of a hundred
/// recurring tasks, is below 300 KB.
pub(super) const SESSION: usize = 2 * 1024 * 1024;

/// Messages of a session: about twelve questions, of which the longest has 500 rows.
pub(super) const MESSAGES: u32 = 5_000;

/// Notices of a session, which nobody reads. An honest server sends none here.
pub(super) const NOTICES: u32 = 100;

/// Rows of an answer. Each question limits its rows itself, to 500 at most.
pub(super) const ROWS: usize = 1_000;

/// Iterations that a server may ask for in SCRAM: PostgreSQL's default is 4,096; a hundred thousand take a quarter
/// of a second of a processor, which is spent on another thread.
pub(super) const SCRAM_ITERATIONS: u32 = 100_000;

/// Addresses of a host that are tried. More do not fit into the deadline.
pub(super) const ADDRESSES: usize = 8;

/// What all sessions together may hold, whatever the servers are: far below the 256 MiB of the chart.
const TOGETHER: usize = 32 * 1024 * 1024;
const _: () = assert!(CONCURRENT * SESSION <= TOGETHER);
