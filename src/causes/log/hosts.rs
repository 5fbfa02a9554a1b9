//! Requests and sessions that a log shows Django to refuse for reasons of configuration.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::evidence::LogLocation;
use crate::logs::event::Event;

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
pub(crate) struct Hosts {
    refused: BTreeMap<String, (LogLocation, u64)>,
    sessions: Option<(LogLocation, u64)>,
}

impl Hosts {
    /// Notes a refused request.
    pub(crate) fn observe(&mut self, event: &Event, input: u16) {
        let message = event
            .last_exception()
            .filter(|last| last.class.ends_with("DisallowedHost"))
            .map_or(event.message.as_str(), |last| last.message.as_str());
        let location = || LogLocation { message: message.to_owned(), ..LogLocation::of(event, input) };
        if message.starts_with("Session data corrupted") {
            self.sessions.get_or_insert_with(|| (location(), 0)).1 += 1;
            return;
        }
        // Only where Django itself says it: the same words in a path or a header are a client's.
        let of_django = event.logger.is_empty()
            || event.logger.ends_with("DisallowedHost")
            || event.last_exception().is_some_and(|last| last.class.ends_with("DisallowedHost"));
        let Some(rest) = message.strip_prefix("Invalid HTTP_HOST header: '").filter(|_| of_django) else {
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
pub(crate) enum Kind {
    /// An address within the cluster, as probes use it.
    PodAddress,
    /// A name within the cluster.
    Internal,
    /// A public name.
    Name,
    /// A public address.
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
        return if internal { Kind::PodAddress } else { Kind::PublicAddress };
    }
    let internal = !host.contains('.')
        || [".svc", ".local", ".internal", ".cluster"].iter().any(|end| host.ends_with(end))
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

/// A host for which requests were refused so often that it counts.
pub(crate) struct RefusedHost<'a> {
    /// What it is.
    pub(crate) kind: Kind,
    /// The host, without a port.
    pub(crate) host: &'a str,
    /// Where it was refused first.
    pub(crate) location: &'a LogLocation,
    /// How often.
    pub(crate) count: u64,
}

impl Hosts {
    /// The hosts that were refused often enough, those that hurt most first.
    pub(crate) fn refused(&self) -> Vec<RefusedHost<'_>> {
        let mut hosts: Vec<RefusedHost<'_>> = self
            .refused
            .iter()
            .map(|(host, (location, count))| RefusedHost { kind: kind(host), host, location, count: *count })
            .filter(|it| it.count >= enough(it.kind))
            .collect();
        hosts.sort_by_key(|it| (it.kind, std::cmp::Reverse(it.count)));
        hosts
    }

    /// Sessions with a signature of another key, where they are too many for one old browser: the first, and how many.
    pub(crate) fn sessions(&self) -> Option<(&LogLocation, u64)> {
        let (location, count) = self.sessions.as_ref().filter(|(_, count)| *count >= SESSIONS)?;
        Some((location, *count))
    }
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
