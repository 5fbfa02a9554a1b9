//! Reads logs of Flagsmith's processes, in one pass and bounded memory; `causes` says what is wrong.
//!
//! Bytes → lines (`lines`, `clean`, `pretty`, `csv`) → lines without collectors' prefixes (`prefix`) → records and
//! tracebacks (`record`, `json`, `traceback`) → events of one process at one moment (`group`). Lines without any word
//! of interest are not parsed at all (`prefilter`), so that a gigabyte of access log takes seconds.
//!
//! Lines are written by whoever can make Flagsmith log something: reading one takes time in proportion to its length,
//! and no stack that grows with it.

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

#[cfg(test)]
mod tests;
