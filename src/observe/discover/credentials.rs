//! Where somebody else's installation keeps its database's URL and its secret key, and a look at them.

use k8s_openapi::api::core::v1::{Container, EnvFromSource, EnvVar};
use kube::Client;
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    flagsmith::env,
    observe::{
        ConfigMaps, ProcessorDatabases, SecretState, Secrets,
        secrets::{
            credentials::{Credentials, identity_of, usable},
            reader::{Reader, Url as ReadUrl},
        },
        tls,
    },
    postgres::{DatabaseIdentity, DatabaseUrl},
    validate::{CertificatesKey, ObservedInstallation, SecretKey},
};

/// The port of PostgreSQL when nothing else is said (`DJANGO_DB_PORT` of Flagsmith's settings).
const DEFAULT_PORT: u16 = 5432;

/// Where credentials are kept, as the API's container says.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `DATABASE_URL`.
    pub url: Url,
    /// `TASK_PROCESSOR_DATABASE_URL`, where the task processor has a database of its own.
    pub task_processor: Option<Url>,
    /// `DJANGO_SECRET_KEY`, where it is a key of a Secret.
    pub django: Option<SecretKey>,
    /// Variables of the API's container and what they are read from, for libpq's.
    pub environment: (Vec<EnvVar>, Vec<EnvFromSource>),
    /// By what the owner of the resource has the server verified.
    pub authorities: Option<CertificatesKey>,
    /// The task processor's own `DATABASE_URL` and `TASK_PROCESSOR_DATABASE_URL`, where there is one.
    pub of_processor: Option<(Url, Option<Url>)>,
}

/// Where the database's URL is.
#[derive(Clone, Debug, Default)]
pub enum Url {
    /// Nothing says.
    #[default]
    Unknown,
    /// In one of these keys, the first that exists.
    Keys(Vec<SecretKey>),
    /// In the pod template itself.
    Literal(SecretString),
    /// In the `DJANGO_DB_*` variables.
    Parts {
        /// Host, port and name.
        identity: DatabaseIdentity,
        /// The role.
        user: Value,
        /// The password.
        password: Value,
    },
}

/// A literal, or a key of a Secret.
#[derive(Clone, Debug)]
pub enum Value {
    /// In the pod template itself.
    Literal(SecretString),
    /// In a Secret.
    Key(SecretKey),
}

impl Sources {
    /// Reads the containers of two pod templates. The subject has what the owner of the resource says himself.
    #[must_use]
    pub fn new(
        api: Option<&Container>,
        processor: Option<&Container>,
        config_maps: &ConfigMaps,
        subject: &ObservedInstallation,
    ) -> Self {
        let of = |container| Variables { container, config_maps };
        let variables = of(api);
        let url =
            subject.database.as_ref().map_or_else(|| variables.main(), |key| Url::Keys(vec![key.clone()]));
        let task_processor = variables.separate();
        let django = match variables.value(env::DJANGO_SECRET_KEY) {
            Some(Value::Key(key)) => Some(key),
            _ => None,
        };
        Self {
            url,
            task_processor,
            django,
            environment: api.map(tls::environment).unwrap_or_default(),
            authorities: subject.authorities.clone(),
            of_processor: processor.map(|container| {
                let variables = of(Some(container));
                (variables.main(), variables.separate())
            }),
        }
    }
}

struct Variables<'a> {
    container: Option<&'a Container>,
    config_maps: &'a ConfigMaps,
}

impl Variables<'_> {
    fn main(&self) -> Url {
        match self.value(env::DATABASE_URL) {
            Some(Value::Key(key)) => Url::Keys(vec![key]),
            Some(Value::Literal(url)) => Url::Literal(url),
            None => self.parts().unwrap_or_else(|| self.anywhere()),
        }
    }

    fn separate(&self) -> Option<Url> {
        match self.value(env::TASK_PROCESSOR_DATABASE_URL)? {
            Value::Key(key) => Some(Url::Keys(vec![key])),
            Value::Literal(url) => Some(Url::Literal(url)),
        }
    }

    /// A variable's value, as far as it may be told without reading a Secret.
    fn value(&self, name: &str) -> Option<Value> {
        let container = self.container?;
        let literal = |text: &str| Some(Value::Literal(SecretString::from(text)));
        let mut variables = container.env.iter().flatten();
        let Some(variable) = variables.rfind(|it| it.name == name) else {
            let mut maps =
                container.env_from.iter().flatten().filter_map(|source| {
                    self.config_maps.get(&source.config_map_ref.as_ref()?.name)?.get(name)
                });
            return maps.next_back().and_then(|text| literal(text));
        };
        let EnvVar { value, value_from, .. } = variable;
        let Some(source) = value_from else {
            return literal(value.as_deref()?);
        };
        if let Some(key) = &source.secret_key_ref {
            return Some(Value::Key(SecretKey { name: key.name.clone(), key: key.key.clone() }));
        }
        let key = source.config_map_key_ref.as_ref()?;
        literal(self.config_maps.get(&key.name)?.get(&key.key)?)
    }

    fn text(&self, name: &str) -> Option<String> {
        match self.value(name)? {
            Value::Literal(text) => Some(text.expose_secret().to_owned()).filter(|text| !text.is_empty()),
            Value::Key(_) => None,
        }
    }

    /// The `DJANGO_DB_*` variables, which count where there is no `DATABASE_URL`.
    fn parts(&self) -> Option<Url> {
        Some(Url::Parts {
            identity: DatabaseIdentity {
                host: self.text("DJANGO_DB_HOST")?,
                port: self.text("DJANGO_DB_PORT").and_then(|port| port.parse().ok()).unwrap_or(DEFAULT_PORT),
                name: self.text("DJANGO_DB_NAME")?,
            },
            user: self.value("DJANGO_DB_USER")?,
            password: self.value("DJANGO_DB_PASSWORD")?,
        })
    }

    /// Any of the Secrets whose keys become variables.
    fn anywhere(&self) -> Url {
        let sources = self.container.and_then(|container| container.env_from.as_ref());
        let keys: Vec<SecretKey> = sources
            .into_iter()
            .flatten()
            .filter_map(|source| {
                Some(SecretKey {
                    name: source.secret_ref.as_ref()?.name.clone(),
                    key: env::DATABASE_URL.to_owned(),
                })
            })
            .collect();
        if keys.is_empty() { Url::Unknown } else { Url::Keys(keys) }
    }
}

/// Looks at what the sources name.
pub(in crate::observe) async fn read(client: &Client, namespace: &str, sources: &Sources) -> Credentials {
    let mut reader = Reader::new(client, namespace);
    let url = parsed(&mut reader, &sources.url).await;
    let task_processor_url = match &sources.task_processor {
        Some(source) => Some(parsed(&mut reader, source).await),
        None => None,
    };
    // Each Secret is read once, so this costs a read only where the two differ.
    let of_processor = match &sources.of_processor {
        Some((main, separate)) => Some(ProcessorDatabases {
            database: identity_of(&parsed(&mut reader, main).await),
            task_processor_database: match separate {
                Some(source) => Some(identity_of(&parsed(&mut reader, source).await)),
                None => None,
            },
        }),
        None => None,
    };
    let django = match &sources.django {
        Some(key) => reader.value(key).await,
        None => SecretState::Unread,
    };
    let (variables, from) = &sources.environment;
    let tls = tls::Environment::new(variables, from).read(&mut reader, sources.authorities.as_ref()).await;
    let database = identity_of(&url);
    Credentials {
        secrets: Secrets {
            urls: crate::observe::KeptUrls::default(),
            missing_parts: Vec::new(),
            migration_database: database.clone(),
            database,
            task_processor_database: task_processor_url.as_ref().map(identity_of),
            of_processor,
            django: django.map(|_| ()),
            // Nothing is started with it; that nothing is missing is what counts.
            hash: matches!(url, SecretState::Present(_)).then(String::new),
            migration_hash: None,
        },
        url: usable(url, namespace, &tls),
        migration_url: None,
        task_processor_url: task_processor_url.and_then(|url| usable(url, namespace, &tls)),
    }
}

async fn parsed(reader: &mut Reader, source: &Url) -> ReadUrl {
    match source {
        Url::Unknown => SecretState::Unread,
        Url::Literal(text) => match DatabaseUrl::parse(text.expose_secret()) {
            Ok(url) => SecretState::Present((url, text.clone())),
            Err(error) => SecretState::Unusable(error.to_string()),
        },
        Url::Keys(keys) => {
            let mut first = None;
            for key in keys {
                let state = reader.url(key).await;
                let absent = matches!(state, SecretState::Missing | SecretState::KeyMissing);
                if !absent || first.is_none() {
                    first = Some(state);
                }
                if !absent {
                    break;
                }
            }
            first.unwrap_or(SecretState::Unread)
        }
        Url::Parts { identity, user, password } => {
            match (value(reader, user).await, value(reader, password).await) {
                (SecretState::Present(user), SecretState::Present(password)) => SecretState::Present((
                    DatabaseUrl::from_parts(
                        identity.clone(),
                        user.expose_secret().to_owned(),
                        Some(password.clone()),
                    ),
                    password,
                )),
                _ => SecretState::Unread,
            }
        }
    }
}

async fn value(reader: &mut Reader, value: &Value) -> SecretState<SecretString> {
    match value {
        Value::Literal(text) => SecretState::Present(text.clone()),
        Value::Key(key) => reader.value(key).await,
    }
}
