//! URLs of databases that are given in parts: put together here, and kept in a Secret that the operator owns.

use std::collections::BTreeMap;

use kube::Client;
use secrecy::{ExposeSecret as _, SecretString};

use super::{
    reader::{Reader, Url},
    state::{KeptUrls, MissingPart, SecretState},
};
use crate::{
    api::SslMode,
    postgres::{DatabaseIdentity, DatabaseUrl},
    validate::{Database, Identity, Installation, SecretKey, UrlParts},
};

/// Where `spec.database.caFrom` is mounted in every pod that connects to a database.
pub const CA_FILE: &str = "/etc/flagsmith-database/ca.crt";

/// The URLs of a database that is given in parts, by the keys that they are kept in.
pub(super) struct Composed {
    urls: BTreeMap<String, Url>,
    /// Parts that keep a URL from being put together.
    pub(super) missing: Vec<MissingPart>,
}

/// The URLs that belong into the operator's own Secret, as its keys and values: `None` while a part is missing.
pub async fn urls(client: &Client, installation: &Installation) -> Option<BTreeMap<String, SecretString>> {
    let mut reader = Reader::new(client, &installation.identity.namespace);
    let composed = Composed::read(&mut reader, &installation.database).await;
    let text = |(key, url)| match url {
        SecretState::Present((_, text)) => Some((key, text)),
        _ => None,
    };
    composed.urls.into_iter().map(text).collect()
}

impl Composed {
    /// Reads the parts, and puts them together.
    pub(super) async fn read(reader: &mut Reader, database: &Database) -> Self {
        let mut composed = Self { urls: BTreeMap::new(), missing: Vec::new() };
        let verified = database.authorities().is_some();
        for parts in database.parts() {
            let user = part(reader, &parts.user).await;
            let password = part(reader, &parts.password).await;
            for (state, key, field) in
                [(&user, &parts.user, "userFrom"), (&password, &parts.password, "passwordFrom")]
            {
                if !matches!(state, SecretState::Present(_)) {
                    let field = format!("{}.{field}", parts.field);
                    composed.missing.push(MissingPart { url: parts.key.clone(), key: key.clone(), field });
                }
            }
            composed.urls.insert(parts.key.key.clone(), compose(parts, user, password, verified));
        }
        composed
    }

    /// The URL of a key: put together, or as it is in the user's Secret.
    pub(super) async fn url(&self, reader: &mut Reader, database: &Database, key: &SecretKey) -> Url {
        let own = database.parts().iter().any(|parts| parts.key == *key);
        match self.urls.get(&key.key).filter(|_| own) {
            Some(url) => url.clone(),
            None => reader.url(key).await,
        }
    }

    /// The text of a key, whatever it is.
    pub(super) async fn text(
        &self,
        reader: &mut Reader,
        database: &Database,
        key: &SecretKey,
    ) -> SecretState<SecretString> {
        let own = database.parts().iter().any(|parts| parts.key == *key);
        match self.urls.get(&key.key).filter(|_| own) {
            Some(SecretState::Present((_, text))) => SecretState::Present(text.clone()),
            Some(state) => state.clone().without_value(),
            None => reader.value(key).await,
        }
    }

    /// Whether the operator's own Secret has what belongs into it.
    pub(super) async fn kept(&self, reader: &mut Reader, database: &Database, own: &Identity) -> KeptUrls {
        for parts in database.parts() {
            let Some(SecretState::Present((_, wanted))) = self.urls.get(&parts.key.key) else {
                return KeptUrls::Unknown;
            };
            match reader.generated_value(&parts.key, own).await {
                SecretState::Present(kept) if kept.expose_secret() == wanted.expose_secret() => {}
                SecretState::NotOwned(owner) => return KeptUrls::NotOwned(owner),
                SecretState::Unreadable(_) => return KeptUrls::Unknown,
                _ => return KeptUrls::Outdated,
            }
        }
        KeptUrls::Current
    }
}

/// A role or a password. What surrounds it was not meant.
async fn part(reader: &mut Reader, key: &SecretKey) -> SecretState<SecretString> {
    match reader.value(key).await {
        SecretState::Present(value) if value.expose_secret().contains(['\n', '\r', '\0']) => {
            SecretState::Unusable(
                "the value has a line break in it, for example one from \"echo\" without -n".to_owned(),
            )
        }
        state => state,
    }
}

fn compose(
    parts: &UrlParts,
    user: SecretState<SecretString>,
    password: SecretState<SecretString>,
    verified: bool,
) -> Url {
    let (user, password) = match (user, password) {
        (SecretState::Present(user), SecretState::Present(password)) => (user, password),
        (SecretState::Present(_), state) | (state, _) => return state.without_value(),
    };
    let mut options = Vec::new();
    if let Some(mode) = parts.ssl_mode {
        options.push(("sslmode", mode.as_str()));
        if verified && matches!(mode, SslMode::VerifyCa | SslMode::VerifyFull) {
            options.push(("sslrootcert", CA_FILE));
        }
    }
    let identity = DatabaseIdentity { host: parts.host.clone(), port: parts.port, name: parts.name.clone() };
    let text = DatabaseUrl::compose(&identity, user.expose_secret(), password.expose_secret(), &options);
    match DatabaseUrl::parse(text.expose_secret()) {
        Ok(url) => SecretState::Present((url, text)),
        Err(error) => SecretState::Unusable(error.to_string()),
    }
}
