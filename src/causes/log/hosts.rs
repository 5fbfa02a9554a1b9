//! Requests and sessions that a log shows Django to refuse for reasons of configuration.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::evidence::LogLocation;
use super::recurring::{OFTEN, Rate};
use crate::logs::event::Event;

/// Requests for an internal name or address that are refused before it counts: a probe comes every ten seconds.
const INTERNAL: u64 = 2;
/// The same for a public name: people reload, scanners try each name once or twice.
const NAMED: u64 = 3;
/// The same for a public address, which is what scanners use.
const PUBLIC_ADDRESS: u64 = 20;
/// Sessions with a wrong signature from which on it is the key, not one old browser.
const SESSIONS: u64 = 3;
/// Requests within ten minutes that come without what a page of the dashboard gives, which is what scanners do.
const OFTEN_WITHOUT_PAGE: usize = 20;
/// The most different hosts that are remembered.
const HOSTS: usize = 256;

/// What Django refused.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    refused: BTreeMap<String, (LogLocation, u64)>,
    misnamed: BTreeMap<String, (LogLocation, u64)>,
    sessions: Option<(LogLocation, u64)>,
    forgeries: BTreeMap<String, Forgeries>,
}

/// Requests that Django took for forged across sites, for the same reason.
#[derive(Debug)]
pub(crate) struct Forgeries {
    /// The first.
    pub(crate) first: LogLocation,
    /// The last.
    pub(crate) last: LogLocation,
    /// How many.
    pub(crate) rate: Rate,
}

impl Hosts {
    /// Notes a refused request.
    pub(crate) fn observe(&mut self, event: &Event, input: u16) {
        let message = event
            .last_exception()
            .filter(|last| last.class.ends_with("DisallowedHost"))
            .map_or(event.message.as_str(), |last| last.message.as_str());
        let location = || LogLocation { message: message.to_owned(), ..LogLocation::of(event, input) };
        if event.logger == "django.security.csrf" {
            self.forged(event, input);
            return;
        }
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
        let host = without_port(host).to_owned();
        if advice.contains("not valid according to RFC") {
            let whole = advice.starts_with(". The domain name provided");
            // A name that is none at all comes from a scanner; one with an underscore is one to DNS and to Docker.
            if whole
                && is_name_with_underscore(&host)
                && (self.misnamed.len() < HOSTS || self.misnamed.contains_key(&host))
            {
                self.misnamed.entry(host).or_insert_with(|| (location(), 0)).1 += 1;
            }
            return;
        }
        if self.refused.len() < HOSTS || self.refused.contains_key(&host) {
            self.refused.entry(host).or_insert_with(|| (location(), 0)).1 += 1;
        }
    }
}

impl Hosts {
    /// `Forbidden (Origin checking failed - https://x does not match any trusted origins.): /admin/login/`: Django's
    /// reason; the path is the client's, and so is the origin that the reason names.
    fn forged(&mut self, event: &Event, input: u16) {
        let reason = event.message.strip_prefix("Forbidden (").and_then(|rest| rest.split_once("): /"));
        let Some((reason, _)) = reason else {
            return;
        };
        // Scanners post without ever having had a page, and so without cookie, token and referrer.
        let of_a_page = reason.contains(" checking failed - ") && !reason.contains("no Referer");
        let often = if of_a_page { OFTEN } else { OFTEN_WITHOUT_PAGE };
        if self.forgeries.len() >= HOSTS && !self.forgeries.contains_key(reason) {
            return;
        }
        let location =
            LogLocation { message: format!("Forbidden ({reason})"), ..LogLocation::of(event, input) };
        let known = self.forgeries.entry(reason.to_owned()).or_insert_with(|| Forgeries {
            first: location.clone(),
            last: location.clone(),
            rate: Rate::new(often),
        });
        known.last = location;
        known.rate.note(event.time);
    }
}

/// Letters, digits, hyphens and dots as in any name, and an underscore, which Django's pattern for hosts does not have.
fn is_name_with_underscore(host: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    host.contains('_')
        && host.bytes().all(allowed)
        && host.starts_with(|first: char| first.is_ascii_alphanumeric())
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

    /// The same of hosts that are no names because of an underscore.
    pub(crate) fn misnamed(&self) -> Option<RefusedHost<'_>> {
        let hosts = self.misnamed.iter();
        let hosts = hosts.map(|(host, (location, count))| RefusedHost {
            kind: kind(host),
            host,
            location,
            count: *count,
        });
        hosts.filter(|it| it.count >= enough(it.kind)).max_by_key(|it| it.count)
    }

    /// Requests that are taken for forged so often that it is no single old page: Django's reason, and how many.
    pub(crate) fn forgeries(&self) -> Option<(&str, &Forgeries)> {
        let often = self.forgeries.iter().filter(|(_, it)| it.rate.comes_back());
        often.max_by_key(|(_, it)| it.rate.count).map(|(reason, it)| (reason.as_str(), it))
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
