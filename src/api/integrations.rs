//! What Flagsmith works with besides its database.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SecretValueSource;

/// Django's default (`EMAIL_PORT` of Flagsmith).
const SUBMISSION: i32 = 587;

/// What Flagsmith works with besides its database. Settings without a field here are variables in `env`; logins by Google,
/// GitHub, SAML and Okta are set up in the dashboard.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IntegrationsSpec {
    /// A Redis that all pods share. Flagsmith works without it while it does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis: Option<RedisSpec>,

    /// How mails are sent: invitations, passwords that were forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<EmailSpec>,

    /// Where usage data is kept, in place of PostgreSQL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub influxdb: Option<InfluxDbSpec>,

    /// Logins by LDAP, with Flagsmith Enterprise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ldap: Option<LdapSpec>,
}

/// The Redis that holds environment documents, which SDKs of local evaluation and edge proxies fetch. They are renewed when
/// a flag changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RedisSpec {
    /// Its URL, such as `redis://:PASSWORD@HOST:6379/0`.
    pub url_from: SecretValueSource,
}

/// The sender of mails, and the way that they take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.smtp) != has(self.sendGridKeyFrom)").message("exactly one of smtp and sendGridKeyFrom is needed"))]
pub struct EmailSpec {
    /// The address that mails come from.
    #[schemars(length(min = 3, max = 320))]
    #[x_kube(validation = Rule::new("self.matches('^[^@ ]+@[^@ ]+$')").message("must be an address, such as \"flags@example.com\""))]
    pub sender: String,

    /// A mail server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smtp: Option<SmtpSpec>,

    /// An API key of `SendGrid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_grid_key_from: Option<SecretValueSource>,
}

/// A mail server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SmtpSpec {
    /// Its host.
    #[schemars(length(min = 1, max = 253))]
    pub host: String,

    /// Its port.
    #[serde(default = "submission")]
    #[schemars(range(min = 1, max = 65_535))]
    pub port: i32,

    /// Whether the connection is encrypted by STARTTLS.
    #[serde(rename = "startTLS", default = "yes")]
    pub start_tls: bool,

    /// The user, where it wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_from: Option<SecretValueSource>,

    /// The user's password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_from: Option<SecretValueSource>,
}

/// An `InfluxDB` of version 2.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InfluxDbSpec {
    /// Its URL, such as `http://influxdb:8086`.
    #[schemars(length(min = 1, max = 2048))]
    pub url: String,

    /// The organization, by name or id.
    #[schemars(length(min = 1, max = 255))]
    pub organization: String,

    /// The bucket; `NAME_downsampled_15m` and `NAME_downsampled_1h` have to be there beside it.
    #[schemars(length(min = 1, max = 255))]
    pub bucket: String,

    /// A token that may read and write these buckets.
    pub token_from: SecretValueSource,
}

/// A directory whose users may log in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LdapSpec {
    /// Its URL, such as `ldap://directory.example.com:389`.
    #[schemars(length(min = 1, max = 2048))]
    pub url: String,

    /// Whether the connection is encrypted by STARTTLS.
    #[serde(rename = "startTLS", default = "yes")]
    pub start_tls: bool,

    /// Where users are looked for, such as `ou=people,dc=example,dc=com`.
    #[schemars(length(min = 1, max = 1024))]
    pub search_base: String,

    /// The group whose members may log in, by its DN. If not set, every user may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub login_group: Option<String>,
}

const fn submission() -> i32 {
    SUBMISSION
}

const fn yes() -> bool {
    true
}
