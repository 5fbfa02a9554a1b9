//! Reads values of Secrets and `ConfigMaps` of one namespace by name, each object once.

use k8s_openapi::{
    ByteString,
    api::core::v1::{ConfigMap, Secret},
};
use kube::{Api, Client};
use secrecy::{ExposeSecret as _, SecretString};

use super::state::SecretState;
use crate::{
    api::object_name::is_object_name,
    postgres::DatabaseUrl,
    validate::SecretKey,
};

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
            SecretState::KeyMissing => SecretState::KeyMissing,
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
        if !is_object_name(name) {
            return Ok(None);
        }
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

    /// A value of a Secret. What cannot be a name or a key is missing without a request: it would become part of the
    /// request's path.
    pub(in crate::observe) async fn value(&mut self, key: &SecretKey) -> SecretState<SecretString> {
        if !is_object_name(&key.name) {
            return SecretState::Missing;
        }
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
        return SecretState::KeyMissing;
    };
    match std::str::from_utf8(bytes) {
        Ok("") => SecretState::Unusable("the value is empty".to_owned()),
        Ok(text) => SecretState::Present(SecretString::from(text)),
        Err(_) => SecretState::Unusable("the value is not UTF-8 text".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::{Arc, Mutex},
    };

    use http::{Request, Response};
    use kube::client::Body;
    use rstest::rstest;

    use super::*;

    /// A client whose server knows a Secret and a `ConfigMap` of every name, and the paths that it was asked for.
    fn client() -> (Client, Arc<Mutex<Vec<String>>>) {
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&asked);
        let service = tower::service_fn(move |request: Request<Body>| {
            seen.lock().unwrap().push(request.uri().to_string());
            let answer = r#"{"metadata":{},"data":{}}"#;
            async move { Ok::<_, Infallible>(Response::new(Body::from(answer.as_bytes().to_vec()))) }
        });
        (Client::new(service, "prod"), asked)
    }

    #[rstest]
    #[case("g-db?x=/../..#")]
    #[case("../../kube-system/secrets/v")]
    #[case("..")]
    #[case("")]
    #[tokio::test]
    async fn what_is_no_name_is_not_asked_for(#[case] name: &str) {
        let (client, asked) = client();
        let mut reader = Reader::new(&client, "prod");
        let key = SecretKey {
            name: name.to_owned(),
            key: "URL".to_owned(),
        };
        assert!(matches!(reader.value(&key).await, SecretState::Missing));
        assert_eq!(reader.setting(name, "URL").await, Ok(None));
        assert_eq!(*asked.lock().unwrap(), [""; 0]);
    }

    #[tokio::test]
    async fn a_name_is_asked_for_once() {
        let (client, asked) = client();
        let mut reader = Reader::new(&client, "prod");
        for key in ["A", "B"] {
            let key = SecretKey {
                name: "db".to_owned(),
                key: key.to_owned(),
            };
            assert!(matches!(reader.value(&key).await, SecretState::KeyMissing));
        }
        assert_eq!(*asked.lock().unwrap(), ["/api/v1/namespaces/prod/secrets/db"]);
    }
}
