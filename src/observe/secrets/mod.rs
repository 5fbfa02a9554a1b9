//! The Secrets that an installation refers to: read by name, judged, hashed, and dropped again.

pub(super) mod cache;
pub(super) mod credentials;
pub(super) mod reader;
pub(super) mod state;
pub(super) mod urls;
