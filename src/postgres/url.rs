//! `DATABASE_URL`, as Flagsmith reads it (dj-database-url) and as the operator needs it.

use std::{collections::BTreeMap, fmt, net::IpAddr};

use percent_encoding::percent_decode_str;
use secrecy::SecretString;
use url::Url;

/// The port of PostgreSQL when the URL names none.
const DEFAULT_PORT: u16 = 5432;

/// Schemes that dj-database-url maps to PostgreSQL.
const SCHEMES: &[&str] = &["postgres", "postgresql", "pgsql"];

/// A parsed `DATABASE_URL`. Its password can be used but not printed.
#[derive(Clone, Debug)]
pub struct DatabaseUrl {
    /// Which database it is.
    pub identity: DatabaseIdentity,
    /// The role, percent-decoded.
    pub user: String,
    /// The password, percent-decoded.
    pub password: Option<SecretString>,
    /// Options of the query string, for example `sslmode`.
    pub options: BTreeMap<String, String>,
}

/// Which database: the part of a URL that says where data lives, without credentials.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DatabaseIdentity {
    /// Host name, address, or the directory of a Unix socket.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Name of the database.
    pub name: String,
}

/// Why a value is no usable `DATABASE_URL`. Never contains the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDatabaseUrl {
    /// The value is empty or blank.
    #[error("the value is empty")]
    Empty,
    /// The value cannot be parsed, usually because a character of the password is not percent-encoded.
    #[error("the value is not a URL; characters such as # [ ] / @ in the password must be percent-encoded")]
    Unparsable,
    /// Another kind of database.
    #[error("the scheme is {0:?}, but Flagsmith needs postgresql://")]
    Scheme(String),
    /// No host.
    #[error("the host is missing")]
    HostMissing,
    /// No database name.
    #[error("the name of the database is missing after the host")]
    NameMissing,
    /// No role.
    #[error("the role (user name) is missing before the host")]
    UserMissing,
    /// White space around the value, usually a newline from `echo` without -n.
    #[error("the value begins or ends with white space, for example a newline from \"echo\" without -n")]
    WhiteSpace,
}

impl DatabaseUrl {
    /// Parses the value of a Secret.
    pub fn parse(value: &str) -> Result<Self, InvalidDatabaseUrl> {
        if value.trim().is_empty() {
            return Err(InvalidDatabaseUrl::Empty);
        }
        if value.trim() != value {
            return Err(InvalidDatabaseUrl::WhiteSpace);
        }
        let url = Url::parse(value).map_err(|_| InvalidDatabaseUrl::Unparsable)?;
        if !SCHEMES.contains(&url.scheme()) {
            return Err(InvalidDatabaseUrl::Scheme(url.scheme().to_owned()));
        }
        if url.fragment().is_some() {
            return Err(InvalidDatabaseUrl::Unparsable);
        }
        let options: BTreeMap<_, _> = url
            .query_pairs()
            .map(|(key, value)| (key.into_owned(), value.into_owned()))
            .collect();
        let host = url
            .host_str()
            .map(|host| decoded(host.trim_start_matches('[').trim_end_matches(']')))
            .filter(|host| !host.is_empty())
            .or_else(|| options.get("host").cloned())
            .ok_or(InvalidDatabaseUrl::HostMissing)?;
        let name = decoded(url.path().trim_start_matches('/'));
        if name.is_empty() {
            return Err(InvalidDatabaseUrl::NameMissing);
        }
        let user = decoded(url.username());
        if user.is_empty() {
            return Err(InvalidDatabaseUrl::UserMissing);
        }
        Ok(Self {
            identity: DatabaseIdentity {
                host,
                port: url.port().unwrap_or(DEFAULT_PORT),
                name,
            },
            user,
            password: url
                .password()
                .map(|password| SecretString::from(decoded(password))),
            options,
        })
    }
}

impl DatabaseUrl {
    /// The same database as a pod of another namespace reaches it: a name without a dot is a Service of the
    /// installation's own namespace, as its pods resolve it. `None` where only the pod itself can reach it.
    #[must_use]
    pub fn from_elsewhere(mut self, namespace: &str) -> Option<Self> {
        let host = &self.identity.host;
        let own = host.starts_with('/')
            || host == "localhost"
            || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        if own {
            return None;
        }
        if !host.contains(['.', ':']) {
            self.identity.host = format!("{host}.{namespace}.svc");
        }
        Some(self)
    }
}

impl fmt::Display for DatabaseIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}/{}", self.host, self.port, self.name)
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(
        "postgresql://app:s%23cret@db.prod:6432/flags?sslmode=require",
        "db.prod:6432/flags",
        "app",
        Some("s#cret")
    )]
    #[case("postgres://app@[::1]/flags", "::1:5432/flags", "app", None)]
    #[case(
        "postgresql://app:x@%2Fvar%2Frun%2Fpostgresql:5433/flags",
        "/var/run/postgresql:5433/flags",
        "app",
        Some("x")
    )]
    fn parses(
        #[case] value: &str,
        #[case] identity: &str,
        #[case] user: &str,
        #[case] password: Option<&str>,
    ) {
        let url = DatabaseUrl::parse(value).unwrap();
        assert_eq!(url.identity.to_string(), identity);
        assert_eq!(url.user, user);
        assert_eq!(
            url.password.as_ref().map(secrecy::ExposeSecret::expose_secret),
            password
        );
    }

    #[rstest]
    #[case("database", Some("database.prod.svc"))]
    #[case("db.other", Some("db.other"))]
    #[case("10.0.0.7", Some("10.0.0.7"))]
    #[case("[fd00::7]", Some("fd00::7"))]
    #[case("localhost", None)]
    #[case("127.0.0.1", None)]
    #[case("%2Fvar%2Frun", None)]
    fn is_reached_from_elsewhere(#[case] host: &str, #[case] expected: Option<&str>) {
        let url = DatabaseUrl::parse(&format!("postgresql://a:b@{host}/n")).unwrap();
        let host = url.from_elsewhere("prod").map(|url| url.identity.host);
        assert_eq!(host.as_deref(), expected);
    }

    #[rstest]
    #[case("", InvalidDatabaseUrl::Empty)]
    #[case("postgresql://a:b@h/n\n", InvalidDatabaseUrl::WhiteSpace)]
    #[case("mysql://a:b@h/n", InvalidDatabaseUrl::Scheme("mysql".to_owned()))]
    #[case("host=db user=app", InvalidDatabaseUrl::Unparsable)]
    #[case("postgresql://a:p#w@h/n", InvalidDatabaseUrl::Unparsable)]
    #[case("postgresql://a:b@h/", InvalidDatabaseUrl::NameMissing)]
    #[case("postgresql://h/n", InvalidDatabaseUrl::UserMissing)]
    #[case("postgresql:///n", InvalidDatabaseUrl::HostMissing)]
    fn refuses(#[case] value: &str, #[case] expected: InvalidDatabaseUrl) {
        assert_eq!(DatabaseUrl::parse(value).unwrap_err(), expected);
    }

    proptest! {
        #[test]
        fn neither_error_nor_debug_shows_the_password(password in "[A-Z]{12}", tail in "\\PC{0,20}") {
            let value = format!("postgresql://app:{password}{tail}@db/flags");
            let shown = match DatabaseUrl::parse(&value) {
                Ok(url) => format!("{url:?} {}", url.identity),
                Err(error) => format!("{error} {error:?}"),
            };
            // A password with "@" or "/" in it is cut there by every URL parser; what follows is the host.
            prop_assume!(!tail.contains(['@', '/', '?', '#', '\\', ':']));
            prop_assert!(!shown.contains(&password), "{}", shown);
        }
    }
}
