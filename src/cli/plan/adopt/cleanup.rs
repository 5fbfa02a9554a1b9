//! What a move deletes, by kind and name, and what of a release it leaves alone. Nothing is deleted by a label: the
//! chart's labels are also on what is no part of the move. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    live::{Live, OPENSHIFT_ROUTE, at, backends, leads_to, text},
    openshift,
    routes::Places,
};
use crate::{
    model::child::{Kind, marks},
    observe::discover::MIGRATE_JOB,
};

/// The labels of pods, or those that select them.
type Labels = BTreeMap<String, String>;

/// What becomes of the old objects.
#[derive(Clone, Debug, Default)]
pub(super) struct Cleanup {
    /// The old workloads and what is about their pods only.
    pub(super) workloads: Vec<(Kind, String)>,
    /// The Ingresses and `HTTPRoutes` that the specification replaces.
    pub(super) routes: Vec<(Kind, String)>,
    /// What stays, and why, in a line each.
    pub(super) stays: Vec<String>,
}

/// Looks through the objects of a namespace.
pub(super) fn of(all: &[Value], objects: &[Live], places: &Places<'_>, release: &str) -> Cleanup {
    let scene = Scene { all, objects, places, release };
    let mut cleanup = Cleanup::default();
    for kind in [Kind::Deployment, Kind::HorizontalPodAutoscaler] {
        let compared = objects.iter().filter(|it| it.kind == kind);
        cleanup.workloads.extend(compared.map(|it| (kind, it.name.clone())));
    }
    scene.stateful_sets(&mut cleanup);
    scene.autoscalers(&mut cleanup);
    scene.budgets(&mut cleanup);
    scene.jobs(&mut cleanup);
    for kind in [Kind::Ingress, Kind::HttpRoute] {
        scene.routes(kind, &mut cleanup);
    }
    scene.routes_of_openshift(&mut cleanup);
    cleanup
}

/// An object as kubectl takes it.
pub(super) fn reference((kind, name): &(Kind, String)) -> String {
    let resource = match kind {
        Kind::Deployment => "deployment",
        Kind::HorizontalPodAutoscaler => "hpa",
        Kind::PodDisruptionBudget => "pdb",
        Kind::Job => "job",
        Kind::Ingress => "ingress",
        // Other groups have resources of such names, too.
        other => return format!("{}.{}/{name}", other.plural(), other.group()),
    };
    format!("{resource}/{name}")
}

struct Scene<'a> {
    all: &'a [Value],
    objects: &'a [Live],
    places: &'a Places<'a>,
    release: &'a str,
}

impl<'a> Scene<'a> {
    fn of_kind(&self, kind: Kind) -> impl Iterator<Item = (&'a str, &'a Value)> {
        let ours = self.all.iter().filter(move |it| it["kind"] == kind.as_str());
        ours.map(|it| (text(it, "/metadata/name"), it))
    }

    fn is_compared(&self, kind: Kind, name: &str) -> bool {
        self.objects.iter().any(|it| it.kind == kind && it.name == name)
    }

    fn is_of_release(&self, object: &Value) -> bool {
        let labels = at(object, "/metadata/labels");
        labels[marks::INSTANCE] == self.release && labels[marks::MANAGED_BY] != marks::OPERATOR
    }

    /// What else has pods here.
    fn other_workloads(&self) -> impl Iterator<Item = (Kind, &'a str, &'a Value)> {
        [Kind::Deployment, Kind::StatefulSet]
            .into_iter()
            .flat_map(move |kind| self.of_kind(kind).map(move |(name, body)| (kind, name, body)))
            .filter(|(kind, name, _)| !self.is_compared(*kind, name))
    }

    fn stateful_sets(&self, cleanup: &mut Cleanup) {
        let ours = self.of_kind(Kind::StatefulSet).filter(|(_, body)| self.is_of_release(body));
        cleanup
            .stays
            .extend(ours.map(|(name, _)| format!("StatefulSet {name}: delete it only if nothing uses it")));
    }

    fn autoscalers(&self, cleanup: &mut Cleanup) {
        let kind = Kind::HorizontalPodAutoscaler;
        for (name, body) in self.of_kind(kind).filter(|(name, _)| !self.is_compared(kind, name)) {
            let target = text(body, "/spec/scaleTargetRef/name");
            let of_other =
                self.other_workloads().any(|(_, name, body)| name == target && self.is_of_release(body));
            if of_other || self.is_of_release(body) {
                let of = text(body, "/spec/scaleTargetRef/kind");
                cleanup.stays.push(format!("{} {name}: it scales {of} {target}", kind.as_str()));
            }
        }
    }

    fn budgets(&self, cleanup: &mut Cleanup) {
        let kind = Kind::PodDisruptionBudget;
        for (name, body) in self.of_kind(kind) {
            let selector = labels(at(body, "/spec/selector/matchLabels"));
            let mut others = self.other_workloads().filter(|(_, _, other)| {
                let pods = labels(at(other, "/spec/template/metadata/labels"));
                !selector.is_empty() && selector.iter().all(|(key, value)| pods.get(key) == Some(value))
            });
            let other = others.next();
            let of_release = other.is_some_and(|(_, _, body)| self.is_of_release(body));
            let said = other.map(|(kind, name, _)| format!("pods of {} {name}", kind.as_str()));
            let said = said.unwrap_or_else(|| "no pods of Flagsmith's".to_owned());
            match (self.is_compared(kind, name), other) {
                (true, None) => cleanup.workloads.push((kind, name.to_owned())),
                (true, Some(_)) => {
                    cleanup.stays.push(format!("{} {name}: it also counts {said}", kind.as_str()));
                }
                (false, _) if of_release || self.is_of_release(body) => {
                    cleanup.stays.push(format!("{} {name}: it counts {said}", kind.as_str()));
                }
                (false, _) => {}
            }
        }
    }

    fn jobs(&self, cleanup: &mut Cleanup) {
        for (name, body) in self.of_kind(Kind::Job).filter(|(_, body)| self.is_of_release(body)) {
            if at(body, "/metadata/labels")[marks::COMPONENT] == MIGRATE_JOB {
                cleanup.workloads.push((Kind::Job, name.to_owned()));
            } else {
                cleanup.stays.push(format!("Job {name}: it does not migrate Flagsmith's database"));
            }
        }
    }

    fn routes(&self, kind: Kind, cleanup: &mut Cleanup) {
        for (name, body) in self.of_kind(kind) {
            let services = backends(body);
            let leads: Vec<&str> = services.iter().map(String::as_str).collect();
            let placed = self.places.iter().any(|(it, _)| it.kind == kind && it.name == name);
            let others = self.elsewhere(&leads);
            let said = match (self.is_compared(kind, name), placed) {
                (true, true) if others.is_empty() => {
                    cleanup.routes.push((kind, name.to_owned()));
                    continue;
                }
                (true, true) => format!("it also leads to Service {}", others.join(", ")),
                (true, false) => {
                    "it has no place in the specification, and leads to the new pods by the old Services"
                        .to_owned()
                }
                (false, _) if self.is_beside(body, &leads) => {
                    format!("it leads to Service {}", leads.join(", "))
                }
                (false, _) => continue,
            };
            cleanup.stays.push(format!("{} {name}: {said}", kind.as_str()));
        }
    }

    fn routes_of_openshift(&self, cleanup: &mut Cleanup) {
        for route in openshift::written(self.all) {
            let leads = openshift::backends(route);
            let is_told = leads.iter().any(|it| leads_to(self.objects, it).is_some());
            if !is_told && self.is_beside(route, &leads) {
                let (kind, name) = (OPENSHIFT_ROUTE, text(route, "/metadata/name"));
                cleanup.stays.push(format!("{kind} {name}: it leads to Service {}", leads.join(", ")));
            }
        }
    }

    /// Those of the Services that have no pods of Flagsmith's.
    fn elsewhere<'b>(&self, services: &[&'b str]) -> Vec<&'b str> {
        services.iter().copied().filter(|it| leads_to(self.objects, it).is_none()).collect()
    }

    /// Whether the release has it beside Flagsmith, by its label or by those of the Services that it leads to.
    fn is_beside(&self, object: &Value, services: &[&str]) -> bool {
        let mut led_to = self.of_kind(Kind::Service).filter(|(name, _)| services.contains(name));
        self.is_of_release(object) || led_to.any(|(_, service)| self.is_of_release(service))
    }
}

fn labels(value: &Value) -> Labels {
    serde_json::from_value(value.clone()).unwrap_or_default()
}
