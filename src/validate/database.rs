//! The database of an installation, parsed.

use super::{certificates_key::CertificatesKey, secret_key::SecretKey};
use crate::api::{DatabaseParts, DatabaseSpec, EmbeddedDatabaseSpec, SslMode};

/// The key of the generated Secrets that hold `DATABASE_URL`.
const URL_KEY: &str = "DATABASE_URL";
/// What follows an installation's name in that of the Secret with the URLs of a database in parts.
const URLS: &str = "database-url";
/// The port of PostgreSQL.
const DEFAULT_PORT: u16 = 5432;

/// The database of an installation.
#[derive(Clone, Debug, PartialEq)]
pub enum Database {
    /// A database that somebody else runs.
    External {
        /// `DATABASE_URL`.
        url: SecretKey,
        /// `DATABASE_URL` of the migration Job, when it has a role of its own.
        migration_url: Option<SecretKey>,
        /// `TASK_PROCESSOR_DATABASE_URL`.
        task_processor_url: Option<SecretKey>,
        /// `ANALYTICS_DATABASE_URL`.
        analytics_url: Option<SecretKey>,
        /// `REPLICA_DATABASE_URL_0` and so on.
        replica_urls: Vec<SecretKey>,
        /// By what servers are verified.
        authorities: Option<CertificatesKey>,
        /// What the operator puts the URLs together from, each with the key of its own Secret that it belongs into;
        /// empty where the user gives URLs.
        parts: Vec<UrlParts>,
    },
    /// A PostgreSQL that the operator runs.
    Embedded {
        /// Its settings.
        settings: EmbeddedDatabaseSpec,
        /// The generated `DATABASE_URL`.
        url: SecretKey,
    },
}

/// A database in parts, and where its URL is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlParts {
    /// Where the URL is kept.
    pub key: SecretKey,
    /// The field that describes it, for example `spec.database.migration`.
    pub field: String,
    /// The host, as the user wrote it.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The name of the database.
    pub name: String,
    /// The role.
    pub user: SecretKey,
    /// The role's password.
    pub password: SecretKey,
    /// `sslmode`.
    pub ssl_mode: Option<SslMode>,
}

impl Database {
    pub(super) fn new(name: &str, spec: Option<&DatabaseSpec>) -> Self {
        let embedded = |settings| Self::Embedded {
            settings,
            url: SecretKey { name: format!("{name}-database"), key: URL_KEY.to_owned() },
        };
        let Some(spec) = spec else {
            // The API server refuses a resource with neither, and `rules` does too.
            return embedded(EmbeddedDatabaseSpec::default());
        };
        let mut parts = Parts { secret: format!("{name}-{URLS}"), spec, all: Vec::new() };
        let main = parts.add(URL_KEY, "spec.database", &DatabaseParts::default());
        let Some(url) = spec.url_from.as_ref().map(SecretKey::from).or(main) else {
            return embedded(spec.embedded.clone().unwrap_or_default());
        };
        let mut one = |key: &str, field: &str, given: Option<&DatabaseParts>, source: Option<&_>| {
            let own = given.and_then(|given| parts.add(key, &format!("spec.database.{field}"), given));
            own.or_else(|| source.map(SecretKey::from))
        };
        let migration_url = one(
            "MIGRATION_DATABASE_URL",
            "migration",
            spec.migration.as_ref(),
            spec.migration_url_from.as_ref(),
        );
        let task_processor_url = one(
            "TASK_PROCESSOR_DATABASE_URL",
            "taskProcessor",
            spec.task_processor.as_ref(),
            spec.task_processor_url_from.as_ref(),
        );
        let analytics_url = one(
            "ANALYTICS_DATABASE_URL",
            "analytics",
            spec.analytics.as_ref(),
            spec.analytics_url_from.as_ref(),
        );
        let replicas = spec.replicas.iter().flatten().enumerate();
        let mut replica_urls: Vec<SecretKey> = replicas
            .filter_map(|(index, given)| {
                one(
                    &format!("REPLICA_DATABASE_URL_{index}"),
                    &format!("replicas[{index}]"),
                    Some(given),
                    None,
                )
            })
            .collect();
        replica_urls.extend(spec.replica_urls_from.iter().flatten().map(SecretKey::from));
        Self::External {
            url,
            migration_url,
            task_processor_url,
            analytics_url,
            replica_urls,
            authorities: spec.ca_from.as_ref().and_then(CertificatesKey::of),
            parts: parts.all,
        }
    }

    /// The key that holds `DATABASE_URL` of the running components.
    #[must_use]
    pub const fn url(&self) -> &SecretKey {
        match self {
            Self::External { url, .. } | Self::Embedded { url, .. } => url,
        }
    }

    /// By what servers are verified.
    #[must_use]
    pub const fn authorities(&self) -> Option<&CertificatesKey> {
        match self {
            Self::External { authorities, .. } => authorities.as_ref(),
            Self::Embedded { .. } => None,
        }
    }

    /// What the operator puts URLs together from; empty where the user gives them.
    #[must_use]
    pub fn parts(&self) -> &[UrlParts] {
        match self {
            Self::External { parts, .. } => parts,
            Self::Embedded { .. } => &[],
        }
    }

    /// The key that holds `TASK_PROCESSOR_DATABASE_URL`, where tasks have a database of their own.
    #[must_use]
    pub const fn task_processor_url(&self) -> Option<&SecretKey> {
        match self {
            Self::External { task_processor_url, .. } => task_processor_url.as_ref(),
            Self::Embedded { .. } => None,
        }
    }

    /// The key that holds `DATABASE_URL` of the migration Job.
    #[must_use]
    pub fn migration_url(&self) -> &SecretKey {
        match self {
            Self::External { url, migration_url, .. } => migration_url.as_ref().unwrap_or(url),
            Self::Embedded { url, .. } => url,
        }
    }
}

/// Puts the parts of databases together with those that they have in common.
struct Parts<'a> {
    secret: String,
    spec: &'a DatabaseSpec,
    all: Vec<UrlParts>,
}

impl Parts<'_> {
    /// Where the URL of a database is kept; `None` where the main one is not given in parts.
    fn add(&mut self, key: &str, field: &str, given: &DatabaseParts) -> Option<SecretKey> {
        let main = self.spec;
        let source = |own: &Option<_>, main: &Option<_>| own.as_ref().or(main.as_ref()).map(SecretKey::from);
        let port = given.port.or(main.port).and_then(|port| u16::try_from(port).ok());
        let key = SecretKey { name: self.secret.clone(), key: key.to_owned() };
        self.all.push(UrlParts {
            key: key.clone(),
            field: field.to_owned(),
            host: given.host.clone().or_else(|| main.host.clone())?,
            port: port.unwrap_or(DEFAULT_PORT),
            name: given.name.clone().or_else(|| main.name.clone())?,
            user: source(&given.user_from, &main.user_from)?,
            password: source(&given.password_from, &main.password_from)?,
            ssl_mode: given.ssl_mode.or(main.ssl_mode),
        });
        Some(key)
    }
}
