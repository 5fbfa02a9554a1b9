//! What is known of Secrets, without any of their values.

use crate::{postgres::DatabaseIdentity, validate::SecretKey};

/// The Secrets that an installation refers to.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// Where `DATABASE_URL` of the running components points.
    pub database: SecretState<DatabaseIdentity>,
    /// Where `DATABASE_URL` of the migration Job points.
    pub migration_database: SecretState<DatabaseIdentity>,
    /// Where `TASK_PROCESSOR_DATABASE_URL` points, where a separate database holds the tasks.
    pub task_processor_database: Option<SecretState<DatabaseIdentity>>,
    /// The same of the task processor's own environment; `None` where it is the API's.
    pub of_processor: Option<ProcessorDatabases>,
    /// Django's secret key.
    pub django: SecretState<()>,
    /// Whether the URLs of a database in parts are kept where pods read them.
    pub urls: KeptUrls,
    /// Parts that keep such a URL from being put together.
    pub missing_parts: Vec<MissingPart>,
    /// A keyed hash of everything that pods read from Secrets at their start; `None` while a value is missing.
    pub hash: Option<String>,
    /// A keyed hash of `DATABASE_URL` of the migration Job; `None` while it or the key is missing.
    pub migration_hash: Option<String>,
}

/// The Secret that the operator keeps the URLs of a database in parts in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeptUrls {
    /// It has what it should have, or there is none to keep.
    #[default]
    Current,
    /// It is not there, or a part has changed since.
    Outdated,
    /// A part is missing, or it cannot be read.
    Unknown,
    /// One of that name is somebody else's; whose, as far as it says.
    NotOwned(String),
}

/// A key of a Secret without which a URL cannot be put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingPart {
    /// Where the URL would be kept.
    pub url: SecretKey,
    /// The key that is missing, or has no use.
    pub key: SecretKey,
    /// The field that names it.
    pub field: String,
}

/// Where a task processor's own environment points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessorDatabases {
    /// `DATABASE_URL`.
    pub database: SecretState<DatabaseIdentity>,
    /// `TASK_PROCESSOR_DATABASE_URL`, where it has one.
    pub task_processor_database: Option<SecretState<DatabaseIdentity>>,
}

/// One key of one Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretState<T> {
    /// It is there and makes sense.
    Present(T),
    /// There is no such Secret.
    Missing,
    /// The Secret has no such key. Which others it has is nobody's business who may only name it.
    KeyMissing,
    /// The operator would generate it, and one of that name is there which it did not make; whose it is, as far as it
    /// says. What is in it is not looked at.
    NotOwned(String),
    /// The value cannot be used; why, without the value.
    Unusable(String),
    /// The API server did not let the operator read it.
    Unreadable(String),
    /// Nobody looked: it is not known where it is, or it is somebody else's and no probe needs it.
    Unread,
}

impl<T> SecretState<T> {
    /// The same state of a value that there is none of: one that was present is taken for missing.
    pub(super) fn without_value<U>(self) -> SecretState<U> {
        match self {
            Self::Present(_) | Self::Missing => SecretState::Missing,
            Self::KeyMissing => SecretState::KeyMissing,
            Self::NotOwned(owner) => SecretState::NotOwned(owner),
            Self::Unusable(why) => SecretState::Unusable(why),
            Self::Unreadable(why) => SecretState::Unreadable(why),
            Self::Unread => SecretState::Unread,
        }
    }

    /// The same state of something else.
    pub fn map<U>(&self, with: impl FnOnce(&T) -> U) -> SecretState<U> {
        match self {
            Self::Present(value) => SecretState::Present(with(value)),
            Self::Missing => SecretState::Missing,
            Self::KeyMissing => SecretState::KeyMissing,
            Self::NotOwned(owner) => SecretState::NotOwned(owner.clone()),
            Self::Unusable(why) => SecretState::Unusable(why.clone()),
            Self::Unreadable(why) => SecretState::Unreadable(why.clone()),
            Self::Unread => SecretState::Unread,
        }
    }
}

impl Secrets {
    /// Of an installation whose Secrets nobody looked at.
    #[must_use]
    pub const fn unread() -> Self {
        Self {
            database: SecretState::Unread,
            migration_database: SecretState::Unread,
            task_processor_database: None,
            of_processor: None,
            django: SecretState::Unread,
            urls: KeptUrls::Current,
            missing_parts: Vec::new(),
            hash: Some(String::new()),
            migration_hash: None,
        }
    }
}
