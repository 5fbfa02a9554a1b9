//! The rights that the operator asks for at its start: each is taken away in turn, and named.

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

use super::{ASKED_FOR_BY_ADMISSION, NAMESPACE, RELEASE, right};
use crate::support::{SOON, Sandbox};

/// Between two looks at what is said: the API server learns of a role in the background.
const OFTEN: Duration = Duration::from_millis(20);

/// One operator that asks what it may do in one namespace, whose role is changed meanwhile.
struct Start {
    client: Client,
    roles: Api<Role>,
    role: Role,
    namespace: String,
}

/// Of each verb on each resource of the chart's role: without it the operator is not ready, and says which one it is.
/// Then of the last, that the operator asks again until it has it.
pub async fn each_missing_one_is_named(administrator: &Client, sandbox: &Sandbox, config: Config) {
    let roles: Api<Role> = Api::namespaced(administrator.clone(), &sandbox.namespace);
    let role = roles.get(&format!("{NAMESPACE}:{RELEASE}")).await.unwrap();
    let whole = role.rules.clone().unwrap();
    let single = each_alone(&whole);
    let client = Client::try_from(config).unwrap();
    let mut start = Start { client, roles, role, namespace: sandbox.namespace.clone() };
    let mut named = 0;
    for taken in 0..single.len() {
        if name(&single[taken]) == ASKED_FOR_BY_ADMISSION {
            continue;
        }
        let others = single.iter().enumerate().filter(|(number, _)| *number != taken);
        start.give(others.map(|(_, rule)| rule.clone()).collect()).await;
        start.says(&name(&single[taken])).await;
        named += 1;
    }
    println!("{named} rights, each named when it was missing");
    assert!(named > 60, "{named} rights were taken away");
    start.becomes_ready_when_given(whole).await;
}

/// A rule for each verb on each resource.
fn each_alone(rules: &[PolicyRule]) -> Vec<PolicyRule> {
    let mut single = Vec::new();
    for rule in rules {
        let groups = rule.api_groups.iter().flatten();
        let resources: Vec<_> = rule.resources.iter().flatten().collect();
        for (group, resource) in groups.flat_map(|group| resources.iter().map(move |it| (group, *it))) {
            single.extend(rule.verbs.iter().map(|verb| PolicyRule {
                api_groups: Some(vec![group.clone()]),
                resources: Some(vec![resource.clone()]),
                verbs: vec![verb.clone()],
                ..PolicyRule::default()
            }));
        }
    }
    single
}

fn name(rule: &PolicyRule) -> String {
    right(&rule.verbs[0], &rule.api_groups.as_ref().unwrap()[0], &rule.resources.as_ref().unwrap()[0])
}

impl Start {
    async fn give(&mut self, rules: Vec<PolicyRule>) {
        self.role.rules = Some(rules);
        let name = self.role.metadata.name.clone().unwrap();
        self.role = self.roles.replace(&name, &PostParams::default(), &self.role).await.unwrap();
    }

    fn sentence(&self, right: &str) -> String {
        format!("its roles do not allow: {right} in {}", self.namespace)
    }

    /// What an operator that starts now says of its rights; `None`: it has them.
    async fn asked_once(&self) -> Option<String> {
        let readiness = Readiness::new();
        let before = of_rights(&readiness);
        let scope = Scope::Namespaces(vec![self.namespace.clone()]);
        let answer = async {
            while of_rights(&readiness) == before {
                sleep(OFTEN).await;
            }
        };
        tokio::select! {
            () = check(self.client.clone(), &scope, Purpose::Manage, &readiness) => {}
            () = answer => {}
        }
        of_rights(&readiness)
    }

    async fn says(&self, right: &str) {
        let expected = Some(self.sentence(right));
        let mut said = None;
        let heard = timeout(SOON, async {
            while said != expected {
                said = self.asked_once().await;
            }
        });
        assert!(heard.await.is_ok(), "{said:?} instead of {expected:?}");
    }

    async fn becomes_ready_when_given(&mut self, whole: Vec<PolicyRule>) {
        let readiness = Readiness::new();
        let (client, scope) = (self.client.clone(), Scope::Namespaces(vec![self.namespace.clone()]));
        let checking = check(client, &scope, Purpose::Manage, &readiness);
        let before = of_rights(&readiness);
        let story = async {
            while of_rights(&readiness) == before {
                sleep(OFTEN).await;
            }
            assert!(of_rights(&readiness).is_some(), "a right is missing");
            self.give(whole).await;
        };
        let both = timeout(SOON, async { tokio::join!(checking, story) }).await;
        assert!(both.is_ok(), "still {:?}", of_rights(&readiness));
        assert_eq!(of_rights(&readiness), None);
    }
}

fn of_rights(readiness: &Readiness) -> Option<String> {
    readiness.gates().into_iter().find(|it| it.gate == Gate::Rights).unwrap().closed
}
