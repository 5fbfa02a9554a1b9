//! Reads logs of Flagsmith's processes, in one pass and bounded memory; `causes` says what is wrong.
//!
//! Bytes → lines (`lines`, `clean`, `pretty`, `csv`) → lines without collectors' prefixes (`prefix`) → records and
//! tracebacks (`record`, `json`, `traceback`) → events of one process at one moment (`group`). Lines without any word
//! of interest are not parsed at all (`prefilter`), so that a gigabyte of access log takes seconds.
//!
//! Lines are written by whoever can make Flagsmith log something: reading one takes time in proportion to its length,
//! and no stack that grows with it.

pub(crate) mod clean;
pub(crate) mod csv;
pub(crate) mod event;
pub(crate) mod group;
mod json;
pub(crate) mod lines;
pub(crate) mod order;
pub(crate) mod prefilter;
pub(crate) mod prefix;
pub(crate) mod pretty;
mod record;
pub(crate) mod time;
mod traceback;

#[cfg(test)]
mod tests;
