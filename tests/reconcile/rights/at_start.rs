//! The rights that the operator asks for at its start.

use std::time::Duration;

use flagsmith_operator::{
    controller::readiness::{
        Gate, Readiness,
        rights::{Purpose, check},
    },
    observe::Scope,
};
use k8s_openapi::api::rbac::v1::{PolicyRule, Role};
use kube::{Api, Client, Config, api::PostParams};
use tokio::time::{sleep, timeout};

use super::{NAMESPACE, RELEASE};
use crate::support::{SOON, Sandbox};

/// What the operator asks at its start is answered by `/readyz`, until the role is whole.
pub async fn a_missing_one_is_named(administrator: &Client, sandbox: &Sandbox, config: Config) {
    let roles: Api<Role> = Api::namespaced(administrator.clone(), &sandbox.namespace);
    let name = format!("{NAMESPACE}:{RELEASE}");
    let whole = roles.get(&name).await.unwrap();
    let mut without = whole.clone();
    let is_log = |rule: &PolicyRule| rule.resources.iter().flatten().any(|it| it == "pods/log");
    without.rules.as_mut().unwrap().retain(|rule| !is_log(rule));
    roles.replace(&name, &PostParams::default(), &without).await.unwrap();

    let readiness = Readiness::new();
    let scope = Scope::Namespaces(vec![sandbox.namespace.clone()]);
    let client = Client::try_from(config).unwrap();
    let says = || readiness.gates().into_iter().find(|it| it.gate == Gate::Rights).unwrap().closed;
    let expected = format!("its roles do not allow: get pods/log in {}", sandbox.namespace);
    let checking = check(client, &scope, Purpose::Manage, &readiness);
    let story = async {
        while says() != Some(expected.clone()) {
            sleep(Duration::from_millis(200)).await;
        }
        let mut again = roles.get(&name).await.unwrap();
        again.rules = whole.rules;
        roles.replace(&name, &PostParams::default(), &again).await.unwrap();
    };
    let both = timeout(SOON, async { tokio::join!(checking, story) }).await;
    assert!(both.is_ok(), "{:?} instead of {expected}", says());
    assert_eq!(says(), None);
}
