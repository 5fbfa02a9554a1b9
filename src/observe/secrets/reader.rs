//! Reads values of Secrets and `ConfigMaps` of one namespace by name, each object once.

use k8s_openapi::{
    ByteString,
    api::core::v1::{ConfigMap, Secret},
};
use kube::{Api, Client};
use secrecy::{ExposeSecret as _, SecretString};

use super::state::SecretState;
use crate::{postgres::DatabaseUrl, validate::SecretKey};

/// Reads Secrets and `ConfigMaps` of one namespace, each once.
pub(in crate::observe) struct Reader {
    api: Api<Secret>,
    fetched: Vec<(String, Result<Option<Secret>, String>)>,
    config_maps: Api<ConfigMap>,
    fetched_maps: Vec<(String, Result<Option<ConfigMap>, String>)>,
}

/// A parsed URL and its text.
pub(in crate::observe) type Url = SecretState<(DatabaseUrl, SecretString)>;

impl Reader {
    pub(in crate::observe) fn new(client: &Client, namespace: &str) -> Self {
        Self {
            api: Api::namespaced(client.clone(), namespace),
            fetched: Vec::new(),
            config_maps: Api::namespaced(client.clone(), namespace),
            fetched_maps: Vec::new(),
        }
    }

    pub(in crate::observe) async fn url(&mut self, key: &SecretKey) -> Url {
        match self.value(key).await {
            SecretState::Present(value) => match DatabaseUrl::parse(value.expose_secret()) {
                Ok(url) => SecretState::Present((url, value)),
                Err(error) => SecretState::Unusable(error.to_string()),
            },
            SecretState::Missing => SecretState::Missing,
            SecretState::KeyMissing { keys } => SecretState::KeyMissing { keys },
            SecretState::Unusable(why) => SecretState::Unusable(why),
            SecretState::Unreadable(why) => SecretState::Unreadable(why),
            SecretState::Unread => SecretState::Unread,
        }
    }

    /// A value of a `ConfigMap`; `Ok(None)` where there is none.
    pub(in crate::observe) async fn setting(
        &mut self,
        name: &str,
        key: &str,
    ) -> Result<Option<String>, String> {
        let known = self.fetched_maps.iter().position(|(known, _)| known == name);
        let position = if let Some(position) = known {
            position
        } else {
            let fetched = self.config_maps.get_opt(name).await;
            self.fetched_maps
                .push((name.to_owned(), fetched.map_err(|error| error.to_string())));
            self.fetched_maps.len() - 1
        };
        match self.fetched_maps.get(position).map(|(_, fetched)| fetched) {
            Some(Ok(Some(map))) => Ok(map.data.as_ref().and_then(|data| data.get(key)).cloned()),
            Some(Err(error)) => Err(error.clone()),
            Some(Ok(None)) | None => Ok(None),
        }
    }

    pub(in crate::observe) async fn value(&mut self, key: &SecretKey) -> SecretState<SecretString> {
        let known = self.fetched.iter().position(|(name, _)| *name == key.name);
        let position = if let Some(position) = known {
            position
        } else {
            let fetched = self
                .api
                .get_opt(&key.name)
                .await
                .map_err(|error| error.to_string());
            self.fetched.push((key.name.clone(), fetched));
            self.fetched.len() - 1
        };
        match self.fetched.get(position).map(|(_, fetched)| fetched) {
            Some(Ok(Some(secret))) => text(secret, &key.key),
            Some(Err(error)) => SecretState::Unreadable(error.clone()),
            Some(Ok(None)) | None => SecretState::Missing,
        }
    }
}

fn text(secret: &Secret, key: &str) -> SecretState<SecretString> {
    let data = secret.data.as_ref();
    let Some(ByteString(bytes)) = data.and_then(|data| data.get(key)) else {
        return SecretState::KeyMissing {
            keys: data.into_iter().flat_map(|data| data.keys().cloned()).collect(),
        };
    };
    match std::str::from_utf8(bytes) {
        Ok("") => SecretState::Unusable("the value is empty".to_owned()),
        Ok(text) => SecretState::Present(SecretString::from(text)),
        Err(_) => SecretState::Unusable("the value is not UTF-8 text".to_owned()),
    }
}
