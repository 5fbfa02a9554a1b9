//! Requests and sessions that Django refuses for reasons of configuration.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::evidence::{LogEvidence, LogLocation};
use super::finding::{Explanation, Finding};
use crate::logs::event::Event;
use crate::model::{Code, Severity};

/// Requests for an internal name or address that are refused before it counts: a probe comes every ten seconds.
const INTERNAL: u64 = 2;
/// The same for a public name: people reload, scanners try each name once or twice.
const NAMED: u64 = 3;
/// The same for a public address, which is what scanners use.
const PUBLIC_ADDRESS: u64 = 20;
/// Sessions with a wrong signature from which on it is the key, not one old browser.
const SESSIONS: u64 = 3;
/// The most different hosts that are remembered.
const HOSTS: usize = 256;

/// What Django refused.
#[derive(Debug, Default)]
pub struct Hosts {
    refused: BTreeMap<String, (LogLocation, u64)>,
    sessions: Option<(LogLocation, u64)>,
}

impl Hosts {
    /// Notes a refused request.
    pub fn observe(&mut self, event: &Event, input: u16) {
        let message = event
            .last_exception()
            .filter(|last| last.class.ends_with("DisallowedHost"))
            .map_or(event.message.as_str(), |last| last.message.as_str());
        let location = || LogLocation {
            message: message.to_owned(),
            ..LogLocation::of(event, input)
        };
        if message.starts_with("Session data corrupted") {
            self.sessions.get_or_insert_with(|| (location(), 0)).1 += 1;
            return;
        }
        let Some((_, rest)) = message.split_once("Invalid HTTP_HOST header: '") else {
            return;
        };
        let Some((host, advice)) = rest.split_once('\'') else {
            return;
        };
        // A name that is none at all comes from a scanner.
        if advice.contains("not valid according to RFC") {
            return;
        }
        let host = without_port(host).to_owned();
        if self.refused.len() < HOSTS || self.refused.contains_key(&host) {
            self.refused.entry(host).or_insert_with(|| (location(), 0)).1 += 1;
        }
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|byte| byte.is_ascii_digit())
                && (!name.contains(':') || name.ends_with(']')) =>
        {
            name
        }
        _ => host,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    PodAddress,
    Internal,
    Name,
    PublicAddress,
}

fn kind(host: &str) -> Kind {
    if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
        let internal = match address {
            IpAddr::V4(v4) => {
                v4.is_private()
                    || v4.is_loopback()
                    || v4.is_link_local()
                    || (v4.octets()[0] == 100 && v4.octets()[1] & 0xC0 == 64)
            }
            IpAddr::V6(v6) => {
                v6.is_loopback()
                    || (v6.segments()[0] & 0xFE00) == 0xFC00
                    || (v6.segments()[0] & 0xFFC0) == 0xFE80
            }
        };
        return if internal {
            Kind::PodAddress
        } else {
            Kind::PublicAddress
        };
    }
    let internal = !host.contains('.')
        || [".svc", ".local", ".internal", ".cluster"]
            .iter()
            .any(|end| host.ends_with(end))
        || host.contains(".svc.");
    if internal { Kind::Internal } else { Kind::Name }
}

const fn enough(kind: Kind) -> u64 {
    match kind {
        Kind::PodAddress | Kind::Internal => INTERNAL,
        Kind::Name => NAMED,
        Kind::PublicAddress => PUBLIC_ADDRESS,
    }
}

/// The causes that refused requests show together.
pub fn conclude(case: &LogEvidence) -> Vec<Finding> {
    [refused(case), sessions(case)].into_iter().flatten().collect()
}

fn refused(case: &LogEvidence) -> Option<Finding> {
    let mut hosts: Vec<(Kind, &str, &LogLocation, u64)> = case
        .hosts
        .refused
        .iter()
        .map(|(host, (location, count))| (kind(host), host.as_str(), location, *count))
        .filter(|(kind, _, _, count)| *count >= enough(*kind))
        .collect();
    hosts.sort_by_key(|(kind, _, _, count)| (*kind, std::cmp::Reverse(*count)));
    let (kind, host, _, count) = *hosts.first()?;
    let who = match kind {
        Kind::PodAddress => {
            "That is a pod's own address, as the kubelet's probes and load balancers use it: the pod does not become ready, or is restarted."
        }
        Kind::Internal => {
            "That is a name within the cluster: other components or probes reach the API by it."
        }
        Kind::Name => "Everybody who opens that address gets 400.",
        Kind::PublicAddress => "Whoever uses that address gets 400.",
    };
    let explained = Explanation::new(
        Code::AllowedHostsRejected,
        format!(
            "The API refused requests for host \"{host}\" {} with status 400: DJANGO_ALLOWED_HOSTS does not list it. {who}",
            super::phrasing::times(count)
        ),
        format!(
            "Add it to DJANGO_ALLOWED_HOSTS (comma-separated), or set DJANGO_ALLOWED_HOSTS=* where a proxy in front checks hosts. For probes only, a Host header in httpGet.httpHeaders with a listed name ({host} is not one) does it as well."
        ),
    );
    let explained = if kind == Kind::PodAddress {
        explained
    } else {
        explained.with(Severity::Warning)
    };
    Some(Finding::new(
        explained,
        hosts
            .iter()
            .take(3)
            .map(|(_, _, location, _)| (*location).clone())
            .collect(),
    ))
}

fn sessions(case: &LogEvidence) -> Option<Finding> {
    let (location, count) = case
        .hosts
        .sessions
        .as_ref()
        .filter(|(_, count)| *count >= SESSIONS)?;
    let explained = Explanation::new(
        Code::SecretKeyEphemeral,
        format!(
            "{count} sessions had a signature of another secret key: DJANGO_SECRET_KEY is not set (then every process makes its own at start), differs between replicas, or was changed. Users are logged out."
        ),
        "Set DJANGO_SECRET_KEY from a Secret to one long random value, the same for all replicas, and keep it.",
    );
    Some(Finding::new(explained, vec![location.clone()]))
}

#[cfg(test)]
mod tests {
    use super::{Kind, kind, without_port};
    use rstest::rstest;

    #[rstest]
    #[case("10.1.2.3:8000", Kind::PodAddress)]
    #[case("[fd00::7]:8000", Kind::PodAddress)]
    #[case("127.0.0.1", Kind::PodAddress)]
    #[case("100.64.3.2:8000", Kind::PodAddress)]
    #[case("flagsmith-api:8000", Kind::Internal)]
    #[case("flagsmith-api.prod.svc.cluster.local", Kind::Internal)]
    #[case("flagsmith.example.com", Kind::Name)]
    #[case("203.0.113.9:443", Kind::PublicAddress)]
    fn kinds(#[case] host: &str, #[case] expected: Kind) {
        assert_eq!(kind(without_port(host)), expected);
    }
}
