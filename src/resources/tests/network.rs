//! The sample of a `NetworkPolicy` for the embedded database names pods by the labels that they have.

use k8s_openapi::{api::networking::v1::NetworkPolicy, apimachinery::pkg::apis::meta::v1::LabelSelector};
use serde_json::Value;

use super::{embedded, everything};
use crate::{fixtures::installation, model::child::Kind, resources::EMBEDDED_PORT};

const SAMPLE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/networkpolicy-embedded.yaml"));

fn selects(selector: &LabelSelector, labels: &Value) -> bool {
    let mut wanted = selector.match_labels.iter().flatten();
    wanted.all(|(key, value)| labels[key] == value.as_str())
}

#[test]
fn only_pods_of_the_installation_and_the_operator_reach_the_database() {
    let policy: NetworkPolicy = serde_saphyr::from_str(SAMPLE).unwrap();
    let spec = policy.spec.unwrap();
    let (guarded, rule) = (spec.pod_selector.unwrap(), &spec.ingress.unwrap()[0]);
    let port = serde_json::to_value(&rule.ports.as_ref().unwrap()[0].port).unwrap();
    assert_eq!(port, EMBEDDED_PORT);
    let [own, operator] = rule.from.as_deref().unwrap() else { panic!("two kinds of pods") };
    assert!(own.namespace_selector.is_none() && operator.namespace_selector.is_some());
    let pods: Vec<_> = everything(&installation(&embedded()))
        .into_iter()
        .filter(|child| child.kind.has_pods())
        .map(|child| (child.kind, child.body["spec"]["template"]["metadata"]["labels"].clone()))
        .collect();
    assert_eq!(pods.len(), 4, "{pods:?}");
    for (kind, labels) in pods {
        assert_eq!(selects(&guarded, &labels), kind == Kind::StatefulSet, "{labels}");
        assert!(selects(own.pod_selector.as_ref().unwrap(), &labels), "{labels}");
    }
}
