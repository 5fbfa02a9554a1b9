//! An installation that somebody else made: which objects it consists of.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::Selector;

use super::{
    certificates_key::CertificatesKey,
    common::{identity, release},
    identity::Identity,
    problem::Problem,
    references,
    rules::unknown_proxy,
    secret_key::SecretKey,
};
use crate::{
    api::{FlagsmithDeployment, ObservedComponents, ProxySpec, WorkloadReference},
    flagsmith::Release,
};

/// An annotation of a Deployment, of whatever value: that it has no pods is intended, and no trouble to report.
pub const SCALED_TO_ZERO_ANNOTATION: &str = "operator.flagsmith.com/scaled-to-zero";

/// What is looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedInstallation {
    /// The resource that asks for it.
    pub identity: Identity,
    /// How its objects are found.
    pub selection: Selection,
    /// The release, where its owner names one because the images' tags do not.
    pub release: Option<Release>,
    /// The Secret with `DATABASE_URL`, where its owner names one because what runs does not.
    pub database: Option<SecretKey>,
    /// By what the operator verifies the database's server.
    pub authorities: Option<CertificatesKey>,
    /// What stands in front, where its owner says it.
    pub proxy: Option<ProxySpec>,
}

/// How the objects of an installation are found.
#[derive(Clone, Debug, PartialEq)]
pub enum Selection {
    /// By the labels of the official chart, for a release of this name.
    Release(String),
    /// One by one.
    Components {
        /// The API's Deployment.
        api: ObjectSelector,
        /// The task processor's.
        task_processor: Option<ObjectSelector>,
        /// The frontend's.
        frontend: Option<ObjectSelector>,
        /// The Jobs that migrate.
        migrations: Option<ObjectSelector>,
    },
}

/// One object by its name, or objects by their labels.
#[derive(Clone, Debug, PartialEq)]
pub enum ObjectSelector {
    /// By its name.
    Name(String),
    /// By their labels.
    Labels(Selector),
}

/// Parses a resource of mode Observed.
pub(super) fn parse(resource: &FlagsmithDeployment) -> Result<ObservedInstallation, Vec<Problem>> {
    let spec = &resource.spec;
    let mut problems = Vec::new();
    let identity = identity(resource, &mut problems);
    let release = spec.version.as_ref().and_then(|_| release(spec, &mut problems));
    references::check(spec, &mut problems);
    let observe = spec.observe.as_ref();
    let proxy = observe.and_then(|observe| observe.proxy.clone());
    problems.extend(proxy.as_ref().and_then(|proxy| unknown_proxy("spec.observe.proxy", proxy)));
    let selection = match observe.map(|observe| (&observe.release, &observe.components)) {
        Some((Some(release), None)) => Some(Selection::Release(release.clone())),
        Some((None, Some(components))) => selection(components, &mut problems),
        _ => {
            problems.push(Problem::invalid(
                "spec.observe",
                "it must name exactly one of release and components",
                "Set spec.observe.release to the name of the Helm release, or name the Deployments in spec.observe.components.",
            ));
            None
        }
    };
    match (identity, selection) {
        (Some(identity), Some(selection)) if problems.is_empty() => Ok(ObservedInstallation {
            identity,
            selection,
            release,
            database: spec
                .database
                .as_ref()
                .and_then(|database| database.url_from.as_ref())
                .map(SecretKey::from),
            authorities: spec
                .database
                .as_ref()
                .and_then(|database| database.ca_from.as_ref())
                .and_then(CertificatesKey::of),
            proxy,
        }),
        _ => Err(problems),
    }
}

fn selection(components: &ObservedComponents, problems: &mut Vec<Problem>) -> Option<Selection> {
    let mut read = |field: &str, reference: &WorkloadReference| {
        let read = pick(reference);
        if read.is_none() {
            problems.push(Problem::invalid(
                &format!("spec.observe.components.{field}"),
                "it must have exactly one of name and a selector that is one",
                "Name the object in name, or write selector.matchLabels.",
            ));
        }
        read
    };
    let api = read("api", &components.api);
    let mut others = [
        ("taskProcessor", &components.task_processor),
        ("frontend", &components.frontend),
        ("migrations", &components.migrations),
    ]
    .map(|(field, reference)| reference.as_ref().and_then(|reference| read(field, reference)))
    .into_iter();
    let mut next = || others.next().flatten();
    Some(Selection::Components { api: api?, task_processor: next(), frontend: next(), migrations: next() })
}

fn pick(reference: &WorkloadReference) -> Option<ObjectSelector> {
    let labels = |selector: &LabelSelector| Selector::try_from(selector.clone()).ok();
    match (&reference.name, &reference.selector) {
        (Some(name), None) => Some(ObjectSelector::Name(name.clone())),
        (None, Some(selector)) => labels(selector).filter(|it| !it.selects_all()).map(ObjectSelector::Labels),
        _ => None,
    }
}
