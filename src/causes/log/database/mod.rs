//! The database cannot be reached, refuses, breaks off, or cannot write.

mod lost;
mod reach;
mod refuse;
mod state;
mod url;

use super::rule::Plain;
use crate::model::Code;

/// The causes of this family, the more specific ones first.
pub const CAUSES: &[(Code, Plain)] = &[
    url::DATABASE_URL_INVALID,
    state::DATABASE_POOLER_REJECTS_OPTIONS,
    state::DATABASE_VERSION_UNSUPPORTED,
    state::DATABASE_CONNECTIONS_EXHAUSTED,
    refuse::DATABASE_ACCESS_REJECTED,
    refuse::DATABASE_AUTHENTICATION_FAILED,
    refuse::DATABASE_NOT_FOUND,
    lost::DATABASE_STARTING,
    reach::DATABASE_HOST_NOT_FOUND,
    lost::DATABASE_CONNECTION_LOST,
    reach::DATABASE_TLS_MISMATCH,
    state::DATABASE_READ_ONLY,
    state::DATABASE_DISK_FULL,
    reach::DATABASE_UNREACHABLE,
];
