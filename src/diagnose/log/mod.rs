//! Reads logs of Flagsmith's processes and says what is wrong, in one pass and bounded memory.
//!
//! Bytes → lines (`lines`, `clean`, `pretty`) → lines without collectors' prefixes (`prefix`) → records and tracebacks
//! (`record`, `json`, `traceback`) → events of one process at one moment (`group`) → [`crate::diagnose::rules`].
//! Lines without any word of interest are not parsed at all (`needles`), so that a gigabyte of access log takes
//! seconds.

mod clean;
mod csv;
pub mod event;
mod group;
mod investigation;
mod json;
pub mod lines;
mod needles;
mod order;
mod prefix;
mod pretty;
mod record;
pub mod time;
mod traceback;

pub use investigation::{Investigation, diagnose_log};
