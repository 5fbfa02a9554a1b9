//! Reads logs of Flagsmith's processes and says what is wrong, in one pass and bounded memory.
//!
//! Bytes → lines (`lines`, `clean`, `pretty`) → lines without collectors' prefixes (`prefix`) → records and tracebacks
//! (`record`, `json`, `traceback`) → events of one process at one moment (`group`) → [`crate::causes::rules`].
//! Lines without any word of interest are not parsed at all (`needles`), so that a gigabyte of access log takes
//! seconds.

pub mod clean;
pub mod csv;
pub mod event;
pub mod group;
mod json;
pub mod lines;
pub mod order;
pub mod prefilter;
pub mod prefix;
pub mod pretty;
mod record;
pub mod time;
mod traceback;
