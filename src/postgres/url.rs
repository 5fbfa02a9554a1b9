//! `DATABASE_URL`, as Flagsmith reads it (dj-database-url) and as the operator needs it.

use std::{
    collections::BTreeMap,
    fmt,
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{
    identity::DatabaseIdentity,
    trust::{NoTrust, TlsSettings, Trust},
};

/// The port of PostgreSQL when the URL names none.
const DEFAULT_PORT: u16 = 5432;

/// Schemes that dj-database-url maps to PostgreSQL.
const SCHEMES: &[&str] = &["postgres", "postgresql", "pgsql"];

/// Schemes of other databases, which may be named: what stands before the colon of any other value may be a secret.
const OTHER_SCHEMES: &[&str] = &[
    "cockroach",
    "http",
    "https",
    "jdbc",
    "mariadb",
    "mongodb",
    "mssql",
    "mysql",
    "mysql2",
    "mysqlx",
    "oracle",
    "postgis",
    "redis",
    "rediss",
    "redshift",
    "sqlite",
    "timescale",
];

/// A parsed `DATABASE_URL`. Its password can be used but not printed.
#[derive(Clone)]
pub struct DatabaseUrl {
    /// Which database it is.
    pub identity: DatabaseIdentity,
    /// The role, percent-decoded.
    pub user: String,
    /// The password, percent-decoded.
    pub password: Option<SecretString>,
    /// Options of the query string, for example `sslmode`.
    pub options: BTreeMap<String, String>,
    /// The host as the URL has it: whose the server's certificate must be, wherever that is reached from.
    pub server_name: String,
    /// What is said about the server's certificate outside of the URL.
    pub tls: TlsSettings,
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
    Scheme(&'static str),
    /// Something else than a URL of a database.
    #[error("the value does not begin with postgresql://")]
    NoScheme,
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
    /// Tells this URL from another one, or from the same with another role or password, within this process.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.identity.hash(&mut hasher);
        self.user.hash(&mut hasher);
        self.password.as_ref().map(ExposeSecret::expose_secret).hash(&mut hasher);
        self.options.hash(&mut hasher);
        hasher.finish()
    }

    /// Parses the value of a Secret.
    ///
    /// ```
    /// use flagsmith_operator::postgres::{DatabaseUrl, InvalidDatabaseUrl};
    ///
    /// let url = DatabaseUrl::parse("postgresql://flags:p%40ss@db.prod/flagsmith").unwrap();
    /// assert_eq!((url.identity.host.as_str(), url.identity.port), ("db.prod", 5432));
    /// assert!(matches!(DatabaseUrl::parse("postgresql://db/flagsmith"), Err(InvalidDatabaseUrl::UserMissing)));
    /// ```
    pub fn parse(value: &str) -> Result<Self, InvalidDatabaseUrl> {
        if value.trim().is_empty() {
            return Err(InvalidDatabaseUrl::Empty);
        }
        if value.trim() != value {
            return Err(InvalidDatabaseUrl::WhiteSpace);
        }
        let url = Url::parse(value).map_err(|_| InvalidDatabaseUrl::Unparsable)?;
        if !SCHEMES.contains(&url.scheme()) {
            let other = OTHER_SCHEMES.iter().find(|known| **known == url.scheme());
            return Err(other.map_or(InvalidDatabaseUrl::NoScheme, |known| InvalidDatabaseUrl::Scheme(known)));
        }
        if url.fragment().is_some() {
            return Err(InvalidDatabaseUrl::Unparsable);
        }
        let options: BTreeMap<_, _> =
            url.query_pairs().map(|(key, value)| (key.into_owned(), value.into_owned())).collect();
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
        let identity = DatabaseIdentity { host, port: url.port().unwrap_or(DEFAULT_PORT), name };
        let password = url.password().map(|password| SecretString::from(decoded(password)));
        Ok(Self { options, ..Self::from_parts(identity, user, password) })
    }

    /// The URL of a database that is given in parts, without options.
    #[must_use]
    pub fn from_parts(identity: DatabaseIdentity, user: String, password: Option<SecretString>) -> Self {
        Self {
            server_name: identity.host.clone(),
            identity,
            user,
            password,
            options: BTreeMap::new(),
            tls: TlsSettings::default(),
        }
    }

    /// The text of a URL, as every reader of URLs takes it apart again into these parts.
    #[must_use]
    pub fn compose(
        identity: &DatabaseIdentity,
        user: &str,
        password: &str,
        options: &[(&str, &str)],
    ) -> SecretString {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let DatabaseIdentity { host, port, name } = identity;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let options: Vec<String> =
            options.iter().map(|(key, value)| format!("{key}={}", encoded(value))).collect();
        let query = if options.is_empty() { String::new() } else { format!("?{}", options.join("&")) };
        SecretString::from(format!(
            "postgresql://{}:{}@{host}:{port}/{}{query}",
            encoded(user),
            encoded(password),
            encoded(name),
        ))
    }

    /// Whom it trusts.
    pub fn trust(&self) -> Result<Trust, NoTrust> {
        let option = |name: &str| self.options.get(name).map(String::as_str);
        Trust::decide(option("sslmode"), option("sslrootcert"), option("channel_binding"), &self.tls)
    }

    /// The same database as a pod of another namespace reaches it: a name without a dot is a Service of the
    /// installation's own namespace, as its pods resolve it. `None` where only the pod itself can reach it; what a
    /// name leads to is judged once it is resolved (`address::out_of_bounds`).
    #[must_use]
    pub fn from_elsewhere(mut self, namespace: &str) -> Option<Self> {
        if self.identity.is_of_pod() {
            return None;
        }
        let host = &self.identity.host;
        if !host.contains(['.', ':']) {
            self.identity.host = format!("{host}.{namespace}.svc");
        }
        Some(self)
    }
}

/// Neither the role nor the options, which may hold a password.
impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("DatabaseUrl").field("identity", &self.identity).finish_non_exhaustive()
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
        assert_eq!(url.password.as_ref().map(ExposeSecret::expose_secret), password);
    }

    #[rstest]
    #[case("database", Some("database.prod.svc"))]
    #[case("db.other", Some("db.other"))]
    #[case("10.0.0.7", Some("10.0.0.7"))]
    #[case("[fd00::7]", Some("fd00::7"))]
    #[case("localhost", None)]
    #[case("LOCALHOST.", None)]
    #[case("db.localhost", None)]
    #[case("127.0.0.1", None)]
    #[case("0.0.0.0", None)]
    #[case("169.254.169.254", Some("169.254.169.254"))]
    #[case("[::ffff:127.0.0.1]", None)]
    #[case("2130706433", Some("2130706433.prod.svc"))]
    #[case("%2Fvar%2Frun", None)]
    fn is_reached_from_elsewhere(#[case] host: &str, #[case] expected: Option<&str>) {
        let url = DatabaseUrl::parse(&format!("postgresql://a:b@{host}/n")).unwrap();
        let host = url.from_elsewhere("prod").map(|url| url.identity.host);
        assert_eq!(host.as_deref(), expected);
    }

    #[rstest]
    #[case("", InvalidDatabaseUrl::Empty)]
    #[case("postgresql://a:b@h/n\n", InvalidDatabaseUrl::WhiteSpace)]
    #[case("mysql://a:b@h/n", InvalidDatabaseUrl::Scheme("mysql"))]
    #[case("hunter2secret:rest", InvalidDatabaseUrl::NoScheme)]
    #[case("host=db user=app", InvalidDatabaseUrl::Unparsable)]
    #[case("postgresql://a:p#w@h/n", InvalidDatabaseUrl::Unparsable)]
    #[case("postgresql://a:b@h/", InvalidDatabaseUrl::NameMissing)]
    #[case("postgresql://h/n", InvalidDatabaseUrl::UserMissing)]
    #[case("postgresql:///n", InvalidDatabaseUrl::HostMissing)]
    fn refuses(#[case] value: &str, #[case] expected: InvalidDatabaseUrl) {
        assert_eq!(DatabaseUrl::parse(value).unwrap_err(), expected);
    }

    /// What Django gets of it: `urllib.parse.urlsplit` and `unquote`, as dj-database-url uses them.
    fn as_django_reads(url: &str) -> (String, String, String, String) {
        let rest = url.strip_prefix("postgresql://").unwrap();
        let (rest, _) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap();
        let (login, server) = authority.rsplit_once('@').unwrap();
        let (user, password) = login.split_once(':').unwrap();
        assert!(!url.contains(['#', '[', '\\', ' ', '"', '<']), "{url}");
        (decoded(user), decoded(password), server.to_owned(), decoded(path))
    }

    #[test]
    fn every_character_of_a_password_arrives() {
        let password = r##"!"#$%&'()*+,-./:;<=>?@[\]^_{|}~ `%41+%zz"##;
        let identity = DatabaseIdentity { host: "db.prod".to_owned(), port: 6432, name: "a/b c".to_owned() };
        let options = [("sslmode", "verify-full"), ("sslrootcert", "/etc/ca.crt")];
        let text = DatabaseUrl::compose(&identity, "app@x:y", password, &options);
        let url = DatabaseUrl::parse(text.expose_secret()).unwrap();
        assert_eq!(url.password.as_ref().map(ExposeSecret::expose_secret), Some(password));
        assert_eq!((url.identity, url.user.as_str()), (identity, "app@x:y"));
        assert_eq!(url.options.get("sslrootcert").map(String::as_str), Some("/etc/ca.crt"));
    }

    proptest! {
        #[test]
        fn parts_come_out_as_they_went_in(
            user in "\\PC{1,12}", password in "[ -~\u{e4}\u{4e2d}\u{1f600}]{1,40}", name in "\\PC{1,12}",
            host in prop_oneof!["[a-z][a-z0-9]{0,8}(\\.[a-z][a-z0-9]{0,8}){0,2}", Just("10.0.0.7".to_owned())],
            port in 1_u16..,
        ) {
            // A path of dots alone is no path in any URL; nobody can be told of such a database.
            prop_assume!(!matches!(name.as_str(), "." | ".."));
            let identity = DatabaseIdentity { host, port, name };
            let text = DatabaseUrl::compose(&identity, &user, &password, &[]);
            let url = DatabaseUrl::parse(text.expose_secret()).unwrap();
            prop_assert_eq!(url.password.as_ref().map(ExposeSecret::expose_secret), Some(password.as_str()));
            prop_assert_eq!(&url.identity, &identity);
            prop_assert_eq!(&url.user, &user);
            let django = as_django_reads(text.expose_secret());
            prop_assert_eq!(django, (user, password, format!("{}:{port}", identity.host), identity.name));
        }

        #[test]
        fn neither_error_nor_debug_shows_the_password(password in "[A-Z]{12}", tail in "\\PC{0,20}") {
            let value = format!("postgresql://app:{password}{tail}@db/flags");
            let shown = shown(&value);
            // A password with "@" or "/" in it is cut there by every URL parser; what follows is the host.
            prop_assume!(!tail.contains(['@', '/', '?', '#', '\\', ':']));
            prop_assert!(!shown.contains(&password), "{}", shown);
        }

        #[test]
        fn no_other_value_is_shown(secret in "[A-Z]{12}", head in "[a-z0-9+.-]{0,4}", tail in "(:|://|@|/)\\PC{0,20}") {
            for value in [format!("{head}{secret}{tail}"), format!("postgresql://a:b@h/n?{secret}=1&password={secret}")] {
                prop_assert!(!shown(&value).to_uppercase().contains(&secret), "{}", shown(&value));
            }
        }
    }

    fn shown(value: &str) -> String {
        match DatabaseUrl::parse(value) {
            Ok(url) => format!("{url:?} {}", url.identity),
            Err(error) => format!("{error} {error:?}"),
        }
    }
}
