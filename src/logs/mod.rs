//! Reads logs of Flagsmith's processes, in one pass and bounded memory; `causes` says what is wrong.
//!
//! Bytes → lines (`lines`, `clean`, `pretty`, `csv`) → lines without collectors' prefixes (`prefix`) → records and
//! tracebacks (`record`, `json`, `traceback`) → events of one process at one moment (`group`). Lines without any word
//! of interest are not parsed at all (`prefilter`), so that a gigabyte of access log takes seconds. What kubectl describes
//! is no log, and is read beside it (`description`).
//!
//! Lines are written by whoever can make Flagsmith log something: reading one takes time in proportion to its length,
//! and no stack that grows with it.

mod beginning;
pub(crate) mod clean;
mod csv;
pub(crate) mod description;
mod documents;
mod encoding;
pub(crate) mod event;
pub(crate) mod form;
mod frame;
pub(crate) mod group;
mod json;
mod layer;
mod leaves;
pub(crate) mod lines;
mod order;
pub(crate) mod peel;
pub(crate) mod prefilter;
mod prefix;
mod record;
mod scan;
pub(crate) mod time;
mod traceback;
mod wrap;

#[cfg(test)]
mod tests;
