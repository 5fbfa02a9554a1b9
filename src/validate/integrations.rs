//! The variables of Flagsmith that integrations are, and the field that decides each of them.

use super::secret_key::SecretKey;
use crate::{
    api::{EmailSpec, InfluxDbSpec, IntegrationsSpec, LdapSpec, RedisSpec, SecretValueSource, SmtpSpec},
    flagsmith::env,
};

/// A variable of a Django container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: VariableValue,
    /// The field that decides it.
    pub field: &'static str,
}

/// The value of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VariableValue {
    /// As it is.
    Text(String),
    /// From a Secret.
    Secret(SecretKey),
}

/// What the containers that run Django need to know of these integrations.
pub(super) fn variables(spec: &IntegrationsSpec) -> Vec<Variable> {
    let mut variables = Variables(Vec::new());
    if let Some(spec) = &spec.redis {
        variables.redis(spec);
    }
    if let Some(spec) = &spec.email {
        variables.email(spec);
    }
    if let Some(spec) = &spec.influxdb {
        variables.influxdb(spec);
    }
    if let Some(spec) = &spec.ldap {
        variables.ldap(spec);
    }
    variables.0
}

struct Variables(Vec<Variable>);

impl Variables {
    fn text(&mut self, name: &'static str, value: impl Into<String>, field: &'static str) {
        self.0.push(Variable { name, value: VariableValue::Text(value.into()), field });
    }

    fn secret(&mut self, name: &'static str, source: Option<&SecretValueSource>, field: &'static str) {
        let secret = |source| Variable { name, value: VariableValue::Secret(SecretKey::from(source)), field };
        self.0.extend(source.map(secret));
    }

    fn redis(&mut self, spec: &RedisSpec) {
        let field = "spec.integrations.redis";
        self.text(env::CACHE_ENVIRONMENT_DOCUMENT_MODE, "PERSISTENT", field);
        self.text(env::CACHE_ENVIRONMENT_DOCUMENT_BACKEND, "django_redis.cache.RedisCache", field);
        self.secret(
            env::CACHE_ENVIRONMENT_DOCUMENT_LOCATION,
            Some(&spec.url_from),
            "spec.integrations.redis.urlFrom",
        );
    }

    fn email(&mut self, EmailSpec { sender, smtp, send_grid_key_from }: &EmailSpec) {
        self.text(env::SENDER_EMAIL, sender, "spec.integrations.email.sender");
        let key = "spec.integrations.email.sendGridKeyFrom";
        self.secret(env::SENDGRID_API_KEY, send_grid_key_from.as_ref(), key);
        let Some(SmtpSpec { host, port, start_tls, user_from, password_from }) = smtp else { return };
        // Written out: behind envFrom there may be a key of SendGrid, which would decide otherwise.
        self.text(
            env::EMAIL_BACKEND,
            "django.core.mail.backends.smtp.EmailBackend",
            "spec.integrations.email.smtp",
        );
        self.text(env::EMAIL_HOST, host, "spec.integrations.email.smtp.host");
        self.text(env::EMAIL_PORT, port.to_string(), "spec.integrations.email.smtp.port");
        self.text(env::EMAIL_USE_TLS, start_tls.to_string(), "spec.integrations.email.smtp.startTLS");
        self.secret(env::EMAIL_HOST_USER, user_from.as_ref(), "spec.integrations.email.smtp.userFrom");
        self.secret(
            env::EMAIL_HOST_PASSWORD,
            password_from.as_ref(),
            "spec.integrations.email.smtp.passwordFrom",
        );
    }

    fn influxdb(&mut self, InfluxDbSpec { url, organization, bucket, token_from }: &InfluxDbSpec) {
        self.text(env::INFLUXDB_URL, url, "spec.integrations.influxdb.url");
        self.text(env::INFLUXDB_ORG, organization, "spec.integrations.influxdb.organization");
        self.text(env::INFLUXDB_BUCKET, bucket, "spec.integrations.influxdb.bucket");
        self.secret(env::INFLUXDB_TOKEN, Some(token_from), "spec.integrations.influxdb.tokenFrom");
    }

    fn ldap(&mut self, LdapSpec { url, start_tls, search_base, login_group }: &LdapSpec) {
        self.text(env::LDAP_AUTH_URL, url, "spec.integrations.ldap.url");
        self.text(env::LDAP_AUTH_USE_TLS, start_tls.to_string(), "spec.integrations.ldap.startTLS");
        self.text(env::LDAP_AUTH_SEARCH_BASE, search_base, "spec.integrations.ldap.searchBase");
        if let Some(group) = login_group {
            self.text(env::LDAP_LOGIN_GROUP, group, "spec.integrations.ldap.loginGroup");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Each variable with its value, `SECRET/KEY` where it comes from one.
    fn told(spec: Value) -> Vec<String> {
        let spec = serde_json::from_value(spec).unwrap();
        let told = |it: Variable| match it.value {
            VariableValue::Text(text) => format!("{}={text}", it.name),
            VariableValue::Secret(key) => format!("{}={}/{}", it.name, key.name, key.key),
        };
        variables(&spec).into_iter().map(told).collect()
    }

    fn from(key: &str) -> Value {
        json!({ "secretKeyRef": { "name": "s", "key": key } })
    }

    #[test]
    fn each_is_what_flagsmith_reads() {
        let smtp = json!({ "host": "mail", "userFrom": from("user"), "passwordFrom": from("password") });
        let all = told(json!({
            "redis": { "urlFrom": from("redis") },
            "email": { "sender": "flags@example.com", "smtp": smtp },
            "influxdb": { "url": "http://influxdb:8086", "organization": "o", "bucket": "b", "tokenFrom": from("token") },
            "ldap": { "url": "ldap://d", "searchBase": "ou=people", "loginGroup": "cn=flags" },
        }));
        assert_eq!(
            all,
            [
                "CACHE_ENVIRONMENT_DOCUMENT_MODE=PERSISTENT",
                "CACHE_ENVIRONMENT_DOCUMENT_BACKEND=django_redis.cache.RedisCache",
                "CACHE_ENVIRONMENT_DOCUMENT_LOCATION=s/redis",
                "SENDER_EMAIL=flags@example.com",
                "EMAIL_BACKEND=django.core.mail.backends.smtp.EmailBackend",
                "EMAIL_HOST=mail",
                "EMAIL_PORT=587",
                "EMAIL_USE_TLS=true",
                "EMAIL_HOST_USER=s/user",
                "EMAIL_HOST_PASSWORD=s/password",
                "INFLUXDB_URL=http://influxdb:8086",
                "INFLUXDB_ORG=o",
                "INFLUXDB_BUCKET=b",
                "INFLUXDB_TOKEN=s/token",
                "LDAP_AUTH_URL=ldap://d",
                "LDAP_AUTH_USE_TLS=true",
                "LDAP_AUTH_SEARCH_BASE=ou=people",
                "LDAP_LOGIN_GROUP=cn=flags",
            ]
        );
    }

    #[test]
    fn sendgrid_needs_its_key_only() {
        let email = json!({ "sender": "a@b", "sendGridKeyFrom": from("key") });
        assert_eq!(told(json!({ "email": email })), ["SENDER_EMAIL=a@b", "SENDGRID_API_KEY=s/key"]);
    }

    #[test]
    fn nothing_is_set_of_what_is_not_wanted() {
        assert_eq!(told(json!({})), Vec::<String>::new());
    }
}
