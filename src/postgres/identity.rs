//! Which database a URL names, and by which one name everybody in a cluster knows it.

use std::{fmt, net::IpAddr};

use super::address::{self, OutOfBounds};

/// The label of a Service's name that its namespace stands before.
const SERVICE: &str = "svc";

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

impl DatabaseIdentity {
    /// Whether only the pod itself can reach it: the directory of a socket, or its own addresses.
    #[must_use]
    pub fn is_of_pod(&self) -> bool {
        let host = &self.host;
        let name = host.trim_end_matches('.').to_ascii_lowercase();
        host.starts_with('/')
            || name == "localhost"
            || name.ends_with(".localhost")
            || name
                .parse::<IpAddr>()
                .is_ok_and(|address| address::out_of_bounds(address).is_some_and(OutOfBounds::is_own))
    }

    /// The same database under the one name that it has all over the cluster, as pods of this namespace understand its
    /// host: they find a Service as `db`, `db.prod`, `db.prod.svc` and `db.prod.svc.cluster.local`, and `db` of another
    /// namespace is another server. What only a pod itself reaches belongs to its namespace.
    ///
    /// What follows the namespace of a Service is left out; a host of the public DNS stays as it is.
    #[must_use]
    pub fn within(&self, namespace: &str) -> Self {
        Self { host: self.host_within(namespace), ..self.clone() }
    }

    fn host_within(&self, namespace: &str) -> String {
        if self.is_of_pod() {
            return format!("{}@{namespace}", self.host);
        }
        if let Ok(address) = self.host.parse::<IpAddr>() {
            return address.to_canonical().to_string();
        }
        let host = self.host.trim_end_matches('.').to_ascii_lowercase();
        let labels: Vec<&str> = host.split('.').collect();
        match labels.as_slice() {
            [name] => format!("{name}.{namespace}"),
            [name, namespace, SERVICE, ..] => format!("{name}.{namespace}"),
            // One pod of a StatefulSet.
            [pod, name, namespace, SERVICE, ..] => format!("{pod}.{name}.{namespace}"),
            _ => host,
        }
    }
}

impl fmt::Display for DatabaseIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}/{}", self.host, self.port, self.name)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn of(host: &str) -> DatabaseIdentity {
        DatabaseIdentity { host: host.to_owned(), port: 5432, name: "flags".to_owned() }
    }

    #[rstest]
    #[case("pg", "pg.prod")]
    #[case("PG.", "pg.prod")]
    #[case("pg.prod", "pg.prod")]
    #[case("pg.prod.svc", "pg.prod")]
    #[case("pg.prod.svc.cluster.local", "pg.prod")]
    #[case("pg.prod.svc.corp.example.", "pg.prod")]
    #[case("pg.other", "pg.other")]
    #[case("pg-0.pg.prod", "pg-0.pg.prod")]
    #[case("pg-0.pg.prod.svc", "pg-0.pg.prod")]
    #[case("pg-0.pg.prod.svc.cluster.local", "pg-0.pg.prod")]
    #[case("DB.example.com", "db.example.com")]
    #[case("10.0.0.7", "10.0.0.7")]
    #[case("::ffff:10.0.0.7", "10.0.0.7")]
    #[case("fd00:0::7", "fd00::7")]
    #[case("localhost", "localhost@prod")]
    #[case("localhost.", "localhost.@prod")]
    #[case("127.0.0.1", "127.0.0.1@prod")]
    #[case("127.0.0.1.", "127.0.0.1.@prod")]
    #[case("/cloudsql/a", "/cloudsql/a@prod")]
    fn has_one_name(#[case] host: &str, #[case] expected: &str) {
        let named = of(host).within("prod");
        assert_eq!(named.to_string(), format!("{expected}:5432/flags"));
    }

    proptest! {
        #[test]
        fn a_short_name_is_another_server_in_each_namespace(host in "[a-z][a-z0-9-]{0,20}", a in "[a-z]{1,9}", b in "[a-z]{1,9}") {
            prop_assume!(a != b);
            prop_assert_ne!(of(&host).within(&a), of(&host).within(&b));
        }

        #[test]
        fn a_name_stays_what_it_became(host in "[a-z0-9./:-]{1,30}", namespace in "[a-z]{1,9}") {
            let once = of(&host).within(&namespace);
            prop_assume!(!once.host.contains('@'));
            prop_assert_eq!(once.within("elsewhere"), once.clone());
        }
    }
}
