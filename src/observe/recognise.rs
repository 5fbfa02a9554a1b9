//! Which proxy stands in front of an installation.

use crate::timeouts::{Front, entry};
use crate::{
    observe::{FrontSeen, Observation},
    proxy::{self, Limit, Read},
    validate::{Entrance, Installation},
};

/// What stands in front of an installation, by its specification and by what was seen.
///
/// While the class of an Ingress cannot be read, or no Gateway has answered for an `HTTPRoute`, the proxy that was known
/// before counts: another one would mean another keep-alive, and so new pods.
#[must_use]
pub fn recognise(installation: &Installation, observation: &Observation) -> Front {
    let before = observation.previous.timeouts.as_ref().and_then(|timeouts| timeouts.proxy.as_deref());
    front(installation.exposure.as_ref(), &observation.front, before)
}

/// The same of the API's own entrance, where the dashboard has another.
#[must_use]
pub fn recognise_api(installation: &Installation, observation: &Observation) -> Front {
    front(installation.api_exposure.as_ref(), &observation.api_front, None)
}

/// The same of the edge proxy's.
#[must_use]
pub fn recognise_edge_proxy(installation: &Installation, observation: &Observation) -> Front {
    front(installation.edge_exposure.as_ref(), &observation.edge_front, None)
}

fn front(entrance: Option<&Entrance>, front: &FrontSeen, before: Option<&str>) -> Front {
    let Some(exposure) = entrance else {
        return Front::Services;
    };
    let stated = exposure.proxy.clone().unwrap_or_default();
    let before = || proxy::named(before?);
    let ingress = exposure.ingress.as_ref();
    let proxy = stated.name.as_deref().and_then(proxy::named).or_else(|| {
        if ingress.is_some() {
            proxy::of_ingress(front.controller.as_deref(), front.class.as_deref())
                .or_else(|| front.controller.is_none().then(before)?)
        } else {
            match &front.gateway {
                Some(controller) => proxy::of_gateway(controller),
                None => before(),
            }
        }
    });
    let read =
        proxy.map_or(Read::NotServed, |proxy| if ingress.is_some() { proxy.ingress } else { proxy.route });
    let own = ingress.map(|ingress| &ingress.annotations);
    let own_read = read.annotation().and_then(|(_, key, unit, name)| {
        let value = own?.get(key)?;
        let value = match name {
            Some(name) => entry(value, name)?,
            None => value,
        };
        Some(unit.read(value).unwrap_or(Limit::Unknown))
    });
    let cluster_ip = proxy.is_some_and(|proxy| {
        proxy.cluster_ip.iter().any(|(key, value)| {
            let found = own.and_then(|own| own.get(*key).map(String::as_str)).or_else(|| front.value(key));
            found == Some(*value)
        })
    });
    Front::Proxy {
        proxy,
        read,
        stated_read: stated.read_timeout_seconds,
        stated_idle: stated.idle_timeout_seconds,
        own_read,
        cluster_ip,
        direct: !front.through_frontend,
    }
}
