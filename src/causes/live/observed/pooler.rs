//! The official chart's PgBouncer: the API is told `<release>-pgbouncer`, while its Service has the chart's full name
//! (`_helpers.tpl` and `service-pgbouncer.yaml` of chart 0.81.0). They agree only where the release is called flagsmith.

use super::{Code, Component, Diagnosis, Severity, diagnosis};
use crate::{
    observe::{Observation, SecretState},
    validate::Installation,
};

/// What a host ends with that is meant to be the chart's PgBouncer.
const SUFFIX: &str = "-pgbouncer";

/// A name that no Service has, while the chart's PgBouncer has another one: certain without asking any DNS server,
/// and more to the point than that the name has no address.
pub(super) fn check(installation: &Installation, observation: &Observation, found: &mut Vec<Diagnosis>) {
    let SecretState::Present(database) = &observation.secrets.database else {
        return;
    };
    let Some(host) = database
        .host
        .split('.')
        .next()
        .filter(|host| host.ends_with(SUFFIX))
    else {
        return;
    };
    if observation.services.iter().any(|name| name == host) {
        return;
    }
    let Some(service) = observation.services.iter().find(|name| name.ends_with(SUFFIX)) else {
        return;
    };
    let namespace = &installation.identity.namespace;
    found.retain(|it| it.code != Code::DatabaseHostNotFound);
    found.push(diagnosis(
        Code::DatabaseHostNotFound,
        Severity::Critical,
        Component::Database,
        format!("DATABASE_URL names the host {host}, which does not exist: the chart's PgBouncer is called {service}."),
        vec![
            format!("the API's DATABASE_URL points to {database}"),
            format!("Services in namespace {namespace}: {service}, and no {host}"),
        ],
        format!(
            "Give PgBouncer the name that the chart writes into DATABASE_URL: kubectl -n {namespace} create service externalname {host} --external-name {service}.{namespace}.svc.cluster.local"
        ),
    ));
}
