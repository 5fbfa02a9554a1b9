//! What pods are told about the database server's certificate beside its URL, and by what the operator verifies it.

use k8s_openapi::api::core::v1::{Container, EnvFromSource, EnvVar};
use secrecy::ExposeSecret as _;

use super::secrets::{reader::Reader, state::SecretState};
use crate::{
    postgres::{Authority, TlsSettings, Variable},
    validate::{CertificatesKey, Installation, SecretKey},
};

/// libpq's variables.
const MODE: &str = "PGSSLMODE";
const ROOT_CERTIFICATE: &str = "PGSSLROOTCERT";
const CHANNEL_BINDING: &str = "PGCHANNELBINDING";

/// Where the variables of a container come from: of several the last counts, and `env` before `envFrom`.
pub(super) struct Environment<'a> {
    env: Vec<&'a EnvVar>,
    env_from: Vec<&'a EnvFromSource>,
}

/// What a container of a pod template has of it.
pub(super) fn environment(container: &Container) -> (Vec<EnvVar>, Vec<EnvFromSource>) {
    let variables = container.env.iter().flatten();
    let read = [MODE, ROOT_CERTIFICATE, CHANNEL_BINDING];
    let variables = variables.filter(|variable| read.contains(&variable.name.as_str()));
    (variables.cloned().collect(), container.env_from.clone().unwrap_or_default())
}

impl<'a> Environment<'a> {
    pub(super) fn new(env: &'a [EnvVar], env_from: &'a [EnvFromSource]) -> Self {
        Self { env: env.iter().collect(), env_from: env_from.iter().collect() }
    }

    /// Of the API's pods.
    pub(super) fn of_api(installation: &'a Installation) -> Self {
        let own = &installation.api.container;
        Self {
            env: installation.env.iter().chain(&own.env).collect(),
            env_from: installation.env_from.iter().chain(&own.env_from).collect(),
        }
    }

    /// Of the migration Job's.
    pub(super) fn of_migrations(installation: &'a Installation) -> Self {
        let own = &installation.migrations;
        Self {
            env: installation.env.iter().chain(&own.env).collect(),
            env_from: installation.env_from.iter().chain(&own.env_from).collect(),
        }
    }

    /// Reads it, and the certificates that the resource names.
    pub(super) async fn read(
        &self,
        reader: &mut Reader,
        authorities: Option<&CertificatesKey>,
    ) -> TlsSettings {
        TlsSettings {
            mode: self.variable(reader, MODE).await,
            root_certificate: self.variable(reader, ROOT_CERTIFICATE).await,
            channel_binding: self.variable(reader, CHANNEL_BINDING).await,
            authority: match authorities {
                Some(key) => authority(reader, key).await,
                None => Authority::Unnamed,
            },
        }
    }

    async fn variable(&self, reader: &mut Reader, name: &str) -> Variable {
        if let Some(variable) = self.env.iter().rfind(|variable| variable.name == name) {
            return of_env(reader, variable).await;
        }
        for source in self.env_from.iter().rev() {
            let prefix = source.prefix.as_deref().unwrap_or_default();
            let Some(key) = name.strip_prefix(prefix) else {
                continue;
            };
            let found = if let Some(map) = &source.config_map_ref {
                of_config_map(reader, &map.name, key).await
            } else if let Some(secret) = &source.secret_ref {
                of_secret(reader, &secret.name, key).await
            } else {
                Variable::Unset
            };
            if found != Variable::Unset {
                return found;
            }
        }
        Variable::Unset
    }
}

async fn of_env(reader: &mut Reader, variable: &EnvVar) -> Variable {
    let Some(source) = &variable.value_from else {
        return Variable::Value(variable.value.clone().unwrap_or_default());
    };
    if let Some(key) = &source.config_map_key_ref {
        of_config_map(reader, &key.name, &key.key).await
    } else if let Some(key) = &source.secret_key_ref {
        of_secret(reader, &key.name, &key.key).await
    } else {
        Variable::Hidden
    }
}

async fn of_config_map(reader: &mut Reader, name: &str, key: &str) -> Variable {
    match reader.setting(name, key).await {
        Ok(value) => value.map_or(Variable::Unset, Variable::Value),
        Err(_) => Variable::Hidden,
    }
}

async fn of_secret(reader: &mut Reader, name: &str, key: &str) -> Variable {
    let key = SecretKey { name: name.to_owned(), key: key.to_owned() };
    match reader.value(&key).await {
        SecretState::Present(value) => Variable::Value(value.expose_secret().to_owned()),
        SecretState::Missing | SecretState::KeyMissing => Variable::Unset,
        SecretState::NotOwned(_)
        | SecretState::Unusable(_)
        | SecretState::Unreadable(_)
        | SecretState::Unread => Variable::Hidden,
    }
}

async fn authority(reader: &mut Reader, key: &CertificatesKey) -> Authority {
    let (name, read) = match key {
        CertificatesKey::Secret(key) => {
            let read = match reader.value(key).await {
                SecretState::Present(value) => Ok(value.expose_secret().to_owned()),
                SecretState::Missing => Err("it does not exist".to_owned()),
                SecretState::KeyMissing => Err(format!("it has no key {}", key.key)),
                SecretState::NotOwned(why) | SecretState::Unusable(why) | SecretState::Unreadable(why) => {
                    Err(why)
                }
                SecretState::Unread => Err("it was not read".to_owned()),
            };
            (format!("Secret {}", key.name), read)
        }
        CertificatesKey::ConfigMap { name, key } => {
            let read = match reader.setting(name, key).await {
                Ok(Some(value)) => Ok(value),
                Ok(None) => Err(format!("it does not exist or has no key {key}")),
                Err(why) => Err(why),
            };
            (format!("ConfigMap {name}"), read)
        }
    };
    match read {
        Ok(pem) => Authority::Pem(pem.into()),
        Err(why) => Authority::Unreadable(format!("{name}: {why}")),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::{Request, Response};
    use k8s_openapi::ByteString;
    use kube::{Client, client::Body};
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    /// An API server with a `ConfigMap`, a Secret, and one of each that may not be read.
    fn client() -> Client {
        let service = tower::service_fn(|request: Request<Body>| async move {
            let value = |text: &str| json!(ByteString(text.as_bytes().to_vec()));
            let (status, answer) = match request.uri().path() {
                "/api/v1/namespaces/prod/configmaps/settings" => (
                    200,
                    json!({ "metadata": {}, "data": { "PGSSLMODE": "verify-ca", "mode": "require", "ca.crt": "PEM" } }),
                ),
                "/api/v1/namespaces/prod/secrets/hidden" => (
                    200,
                    json!({ "metadata": {}, "data": { "PGSSLMODE": value("verify-full"), "ca.crt": value("PEM") } }),
                ),
                path if path.ends_with("/forbidden") => (403, status(403, "Forbidden")),
                _ => (404, status(404, "NotFound")),
            };
            let body = Body::from(serde_json::to_vec(&answer).unwrap());
            Ok::<_, Infallible>(Response::builder().status(status).body(body).unwrap())
        });
        Client::new(service, "prod")
    }

    fn status(code: u16, reason: &str) -> Value {
        json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code, "reason": reason, "message": reason })
    }

    #[rstest]
    #[case::nothing(json!([]), json!([]), Variable::Unset)]
    #[case::literal(json!([{ "name": "PGSSLMODE", "value": "require" }]), json!([]), Variable::Value("require".to_owned()))]
    #[case::the_last_counts(json!([{ "name": "PGSSLMODE", "value": "require" }, { "name": "PGSSLMODE", "value": "disable" }]), json!([]), Variable::Value("disable".to_owned()))]
    #[case::of_a_config_map(json!([{ "name": "PGSSLMODE", "valueFrom": { "configMapKeyRef": { "name": "settings", "key": "mode" } } }]), json!([]), Variable::Value("require".to_owned()))]
    #[case::of_a_secret(json!([{ "name": "PGSSLMODE", "valueFrom": { "secretKeyRef": { "name": "hidden", "key": "PGSSLMODE" } } }]), json!([]), Variable::Value("verify-full".to_owned()))]
    #[case::of_a_field(json!([{ "name": "PGSSLMODE", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }]), json!([]), Variable::Hidden)]
    #[case::all_of_a_config_map(json!([]), json!([{ "configMapRef": { "name": "settings" } }]), Variable::Value("verify-ca".to_owned()))]
    #[case::all_of_a_secret(json!([]), json!([{ "configMapRef": { "name": "settings" } }, { "secretRef": { "name": "hidden" } }]), Variable::Value("verify-full".to_owned()))]
    #[case::with_a_prefix(json!([]), json!([{ "prefix": "X_", "configMapRef": { "name": "settings" } }]), Variable::Unset)]
    #[case::of_what_is_not_there(json!([]), json!([{ "configMapRef": { "name": "none" } }, { "secretRef": { "name": "none" } }]), Variable::Unset)]
    #[case::of_what_may_not_be_read(json!([]), json!([{ "secretRef": { "name": "forbidden" } }]), Variable::Hidden)]
    #[tokio::test]
    async fn a_variable_is_read_as_the_kubelet_reads_it(
        #[case] env: Value,
        #[case] env_from: Value,
        #[case] expected: Variable,
    ) {
        let env: Vec<EnvVar> = serde_json::from_value(env).unwrap();
        let env_from: Vec<EnvFromSource> = serde_json::from_value(env_from).unwrap();
        let mut reader = Reader::new(&client(), "prod");
        let settings = Environment::new(&env, &env_from).read(&mut reader, None).await;
        assert_eq!(settings.mode, expected);
        assert_eq!(settings.authority, Authority::Unnamed);
    }

    #[tokio::test]
    async fn every_variable_is_read() {
        let container: Container = serde_json::from_value(json!({ "name": "api", "env": [
            { "name": "PGSSLMODE", "value": "require" },
            { "name": "PGSSLROOTCERT", "value": "system" },
            { "name": "PGCHANNELBINDING", "value": "require" },
            { "name": "PGUSER", "value": "a" },
        ] }))
        .unwrap();
        let (env, env_from) = environment(&container);
        let mut reader = Reader::new(&client(), "prod");
        let settings = Environment::new(&env, &env_from).read(&mut reader, None).await;
        let value = |text: &str| Variable::Value(text.to_owned());
        assert_eq!(
            [settings.mode, settings.root_certificate, settings.channel_binding],
            ["require", "system", "require"].map(value)
        );
        assert_eq!(env.len(), 3);
    }

    #[rstest]
    #[case("settings", Authority::Pem("PEM".into()))]
    #[case("none", Authority::Unreadable("ConfigMap none: it does not exist or has no key ca.crt".to_owned()))]
    #[tokio::test]
    async fn authorities_of_a_config_map(#[case] name: &str, #[case] expected: Authority) {
        let key = CertificatesKey::ConfigMap { name: name.to_owned(), key: "ca.crt".to_owned() };
        let mut reader = Reader::new(&client(), "prod");
        assert_eq!(authority(&mut reader, &key).await, expected);
    }

    #[rstest]
    #[case("hidden", "ca.crt", Authority::Pem("PEM".into()))]
    #[case("hidden", "tls.crt", Authority::Unreadable("Secret hidden: it has no key tls.crt".to_owned()))]
    #[case("none", "ca.crt", Authority::Unreadable("Secret none: it does not exist".to_owned()))]
    #[tokio::test]
    async fn authorities_of_a_secret(#[case] name: &str, #[case] key: &str, #[case] expected: Authority) {
        let key = CertificatesKey::Secret(SecretKey { name: name.to_owned(), key: key.to_owned() });
        let mut reader = Reader::new(&client(), "prod");
        assert_eq!(authority(&mut reader, &key).await, expected);
    }
}
