//! What is built says the same in the types of Kubernetes: a field that is misspelt or stands at the wrong place
//! would be lost there. (`HTTPRoutes` and `PodMonitors` have no type here; a real API server judges them in `tests/objects.rs`.)

use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    autoscaling::v2::HorizontalPodAutoscaler,
    batch::v1::Job,
    core::v1::{Service, ServiceAccount},
    networking::v1::Ingress,
    policy::v1::PodDisruptionBudget,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{before_an_upgrade, embedded, everything, full, plan};
use crate::{
    fixtures::{installation, minimal, spec},
    model::child::{Child, Kind},
    resources::build,
};

fn through<T: Serialize + DeserializeOwned>(body: &Value) -> Value {
    let typed: T = serde_json::from_value(body.clone()).unwrap();
    serde_json::to_value(typed).unwrap()
}

pub(super) fn loses_nothing(child: &Child) {
    let body = &child.body;
    let typed = match child.kind {
        Kind::ServiceAccount => through::<ServiceAccount>(body),
        Kind::Service => through::<Service>(body),
        Kind::StatefulSet => through::<StatefulSet>(body),
        Kind::Job => through::<Job>(body),
        Kind::Deployment => through::<Deployment>(body),
        Kind::PodDisruptionBudget => through::<PodDisruptionBudget>(body),
        Kind::HorizontalPodAutoscaler => through::<HorizontalPodAutoscaler>(body),
        Kind::Ingress => through::<Ingress>(body),
        Kind::HttpRoute | Kind::PodMonitor | Kind::Secret => return,
    };
    assert_eq!(typed, *body);
}

#[test]
fn every_object_survives_its_type() {
    let small = installation(&minimal());
    let during = build(&small, &plan(&small, &before_an_upgrade()));
    let monitored = json!({ "monitoring": { "podMonitor": {} } });
    let all: Vec<Child> = [minimal(), embedded(), full(), spec(monitored)]
        .iter()
        .flat_map(|spec| everything(&installation(spec)))
        .chain(during)
        .collect();
    all.iter().for_each(loses_nothing);
    for kind in Kind::ALL {
        assert!(all.iter().any(|child| child.kind == kind), "no {} among them", kind.as_str());
    }
}
