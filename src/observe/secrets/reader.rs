//! Reads values of Secrets and `ConfigMaps` of one namespace by name, each object once.

use std::collections::BTreeMap;

use k8s_openapi::{
    ByteString,
    api::core::v1::{ConfigMap, Secret},
};
use kube::{Api, Client, api::ObjectMeta};
use secrecy::{ExposeSecret as _, SecretString};

use super::state::SecretState;
use crate::{
    api::object_name::is_object_name,
    model::child::marks,
    postgres::DatabaseUrl,
    validate::{Identity, SecretKey},
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

    /// The same with these Secrets, which are not asked for.
    pub(super) fn knowing(mut self, secrets: Vec<Secret>) -> Self {
        let named = |secret: Secret| Some((secret.metadata.name.clone()?, Ok(Some(secret))));
        self.fetched.extend(secrets.into_iter().filter_map(named));
        self
    }

    /// The Secrets that there are of those that were asked for.
    pub(super) fn found(self) -> Vec<Secret> {
        self.fetched.into_iter().filter_map(|(_, fetched)| fetched.ok().flatten()).collect()
    }

    pub(in crate::observe) async fn url(&mut self, key: &SecretKey) -> Url {
        as_url(self.value(key).await)
    }

    /// The same of a Secret that the operator generates.
    pub(in crate::observe) async fn generated_url(&mut self, key: &SecretKey, own: &Identity) -> Url {
        as_url(self.generated_value(key, own).await)
    }

    /// A value of a Secret that the operator generates: one that somebody else made is not used, whatever it holds.
    ///
    /// It is the operator's if this resource owns it, or if it says that it was generated for a resource of this name
    /// and belongs to none: so one is found again that was kept when an earlier resource was deleted. Whoever can write
    /// that into a Secret of this namespace can read and change the generated one as well.
    pub(in crate::observe) async fn generated_value(
        &mut self,
        key: &SecretKey,
        own: &Identity,
    ) -> SecretState<SecretString> {
        let value = self.value(key).await;
        let fetched = self.fetched.iter().find(|(name, _)| *name == key.name);
        match fetched {
            Some((_, Ok(Some(secret)))) if !is_own(&secret.metadata, own) => {
                SecretState::NotOwned(owner(&secret.metadata))
            }
            _ => value,
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
            self.fetched_maps.push((name.to_owned(), fetched.map_err(|error| error.to_string())));
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
            let fetched = self.api.get_opt(&key.name).await.map_err(|error| error.to_string());
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

fn is_own(secret: &ObjectMeta, own: &Identity) -> bool {
    let mut owners = secret.owner_references.iter().flatten().peekable();
    if owners.peek().is_some() {
        return owners.any(|owner| owner.uid == own.uid);
    }
    let says =
        |all: Option<&BTreeMap<String, String>>, name: &str| all.and_then(|all| all.get(name)).cloned();
    says(secret.labels.as_ref(), marks::MANAGED_BY).as_deref() == Some(marks::OPERATOR)
        && says(secret.annotations.as_ref(), marks::GENERATED_FOR).as_ref() == Some(&own.name)
}

fn owner(secret: &ObjectMeta) -> String {
    match secret.owner_references.iter().flatten().next() {
        Some(owner) => format!("it belongs to {} {} (uid {})", owner.kind, owner.name, owner.uid),
        None => format!("it has no owner, and no annotation {} with this name", marks::GENERATED_FOR),
    }
}

fn as_url(value: SecretState<SecretString>) -> Url {
    match value {
        SecretState::Present(value) => match DatabaseUrl::parse(value.expose_secret()) {
            Ok(url) => SecretState::Present((url, value)),
            Err(error) => SecretState::Unusable(error.to_string()),
        },
        SecretState::Missing => SecretState::Missing,
        SecretState::KeyMissing => SecretState::KeyMissing,
        SecretState::NotOwned(owner) => SecretState::NotOwned(owner),
        SecretState::Unusable(why) => SecretState::Unusable(why),
        SecretState::Unreadable(why) => SecretState::Unreadable(why),
        SecretState::Unread => SecretState::Unread,
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
    use serde_json::{Value, json};

    use super::*;
    use crate::fixtures::{installation, minimal};

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
        let key = SecretKey { name: name.to_owned(), key: "URL".to_owned() };
        assert!(matches!(reader.value(&key).await, SecretState::Missing));
        assert_eq!(reader.setting(name, "URL").await, Ok(None));
        assert_eq!(*asked.lock().unwrap(), [""; 0]);
    }

    #[rstest]
    #[case::own(json!({ "ownerReferences": [owner("b9b0b7a6")] }), true)]
    #[case::kept(json!({ "labels": ours(), "annotations": { marks::GENERATED_FOR: "flagsmith" } }), true)]
    #[case::of_somebody_else(json!({ "ownerReferences": [owner("other")], "labels": ours(), "annotations": { marks::GENERATED_FOR: "flagsmith" } }), false)]
    #[case::kept_for_another(json!({ "labels": ours(), "annotations": { marks::GENERATED_FOR: "other" } }), false)]
    #[case::not_said_by_the_operator(json!({ "annotations": { marks::GENERATED_FOR: "flagsmith" } }), false)]
    #[case::of_nobody(json!({ "labels": ours() }), false)]
    fn generated_secrets_are_known(#[case] metadata: Value, #[case] expected: bool) {
        let metadata: ObjectMeta = serde_json::from_value(metadata).unwrap();
        assert_eq!(is_own(&metadata, &installation(&minimal()).identity), expected);
    }

    fn owner(uid: &str) -> Value {
        json!({ "apiVersion": "operator.flagsmith.com/v1alpha1", "kind": "FlagsmithDeployment", "name": "flagsmith", "uid": uid })
    }

    fn ours() -> Value {
        json!({ marks::MANAGED_BY: marks::OPERATOR })
    }

    #[tokio::test]
    async fn what_the_operator_did_not_generate_is_not_used() {
        let (client, _) = client();
        let mut reader = Reader::new(&client, "prod");
        let key = SecretKey { name: "flagsmith-django".to_owned(), key: "A".to_owned() };
        let own = installation(&minimal()).identity;
        let state = reader.generated_value(&key, &own).await;
        assert!(matches!(state, SecretState::NotOwned(_)));
        assert!(matches!(reader.value(&key).await, SecretState::KeyMissing));
    }

    #[tokio::test]
    async fn a_name_is_asked_for_once() {
        let (client, asked) = client();
        let mut reader = Reader::new(&client, "prod");
        for key in ["A", "B"] {
            let key = SecretKey { name: "db".to_owned(), key: key.to_owned() };
            assert!(matches!(reader.value(&key).await, SecretState::KeyMissing));
        }
        assert_eq!(*asked.lock().unwrap(), ["/api/v1/namespaces/prod/secrets/db"]);
    }
}
