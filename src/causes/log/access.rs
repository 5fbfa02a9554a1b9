//! How an access log says that health checks were answered.
//!
//! Path, host and user agent are the client's words; the status is the process's own. Whoever asks like a kubelet and is
//! refused stands beside the kubelet, which is answered well: bad answers count only where no good one comes after.

use std::{net::IpAddr, sync::LazyLock};

use aho_corasick::AhoCorasick;

use super::{location::LogLocation, recurring::Rate};
use crate::logs::event::Event;

/// Bad answers to health checks from which on they are told: a kubelet gives up after three by default.
const PROBES: usize = 3;

/// What the user agents of those begin with who check health.
const PROBERS: [&str; 5] =
    ["kube-probe/", "ELB-HealthChecker/", "GoogleHC/", "Consul Health Check", "Envoy/HC"];

/// What a health check got instead of 200.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// 400: Django refuses the request before any view, mostly for its `Host` header.
    Refused,
    /// 301 from an address that ends with `/`: Django's redirect to https.
    Redirected,
    /// 404: there is no such page.
    NotFound,
    /// 500 or 503: the check itself failed.
    Failed,
}

impl Answer {
    const ALL: [Self; 4] = [Self::Refused, Self::Redirected, Self::NotFound, Self::Failed];

    fn of(request: &Request<'_>) -> Option<Self> {
        match request.status {
            "400" => Some(Self::Refused),
            // Without the slash Django redirects to the same address with it, which probes follow.
            "301" if request.path.len() > 1 && request.path.ends_with('/') => Some(Self::Redirected),
            "404" if request.is_of_a_prober() => Some(Self::NotFound),
            "500" | "503" => Some(Self::Failed),
            _ => None,
        }
    }

    const fn index(self) -> usize {
        match self {
            Self::Refused => 0,
            Self::Redirected => 1,
            Self::NotFound => 2,
            Self::Failed => 3,
        }
    }
}

/// Health checks that were answered badly, since the last one that was answered well.
#[derive(Debug, Default)]
pub(crate) struct Access {
    bad: [Option<Probes>; 4],
}

/// Health checks that got the same answer.
#[derive(Debug)]
pub(crate) struct Probes {
    /// The first.
    pub(crate) first: LogLocation,
    /// The last.
    pub(crate) last: LogLocation,
    /// Its path, without a query.
    pub(crate) path: String,
    /// How many.
    pub(crate) rate: Rate,
}

impl Access {
    /// Notes a line of an access log, or Django's own word of a health check that failed.
    pub(crate) fn observe(&mut self, event: &Event, input: u16) {
        let message = event.message.as_str();
        let of_django = matches!(event.logger.as_str(), "" | "django.request") && event.chain.is_empty();
        let said =
            message.strip_prefix("Internal Server Error: ").filter(|_| of_django && event.level.is_some());
        let (answer, path) = match said {
            Some(path) if path.starts_with("/health") => (Answer::Failed, path),
            Some(_) => return,
            None => {
                let Some(request) = Request::read(message).filter(Request::is_health_check) else {
                    return;
                };
                if request.status.starts_with('2') {
                    return self.answered_well();
                }
                match Answer::of(&request) {
                    Some(answer) => (answer, request.path),
                    None => return,
                }
            }
        };
        let location = LogLocation::of(event, input);
        let Some(bad) = self.bad.get_mut(answer.index()) else {
            return;
        };
        let bad = bad.get_or_insert_with(|| Probes {
            first: location.clone(),
            last: location.clone(),
            path: path.split(['?', ' ']).next().unwrap_or_default().to_owned(),
            rate: Rate::new(PROBES),
        });
        bad.last = location;
        bad.rate.note(event.time);
    }

    /// Whether a health check was answered badly, so that a good answer is of interest.
    pub(crate) fn is_waiting(&self) -> bool {
        self.bad.iter().any(Option::is_some)
    }

    /// Notes that a health check was answered well.
    pub(crate) fn answered_well(&mut self) {
        *self = Self::default();
    }

    /// The answer that health checks got again and again up to the end of the log, where it is one.
    pub(crate) fn bad(&self, answer: Answer) -> Option<&Probes> {
        let often =
            |answer: Answer| self.bad.get(answer.index())?.as_ref().filter(|probes| probes.rate.comes_back());
        let worst = Answer::ALL.into_iter().filter(|it| often(*it).is_some());
        let worst = worst.max_by_key(|it| often(*it).map_or(0, |probes| probes.rate.count))?;
        often(worst).filter(|_| worst == answer)
    }
}

/// Whether a line is one of an access log: its path, referrer and user agent are a client's words.
pub(crate) fn is_line(line: &str) -> bool {
    let peer = line.split_once(" [").filter(|(_, rest)| rest.contains("] \""));
    peer.and_then(|(peer, _)| peer.split(' ').next()).is_some_and(|peer| peer.parse::<IpAddr>().is_ok())
}

/// Whether a line is one of an access log and tells of no health check: whatever words a client put there, nothing is read
/// of it but whether the request went well.
pub(crate) fn is_of_a_client(line: &[u8]) -> bool {
    str::from_utf8(line).is_ok_and(is_line)
        && OF_HEALTH.as_ref().is_some_and(|of_health| !of_health.is_match(line))
}

/// One of these is in every line that tells of a health check.
static OF_HEALTH: LazyLock<Option<AhoCorasick>> =
    LazyLock::new(|| AhoCorasick::new(PROBERS.into_iter().chain(["/health"])).ok());

/// Whether a line tells of a health check that was answered well; asked of lines of which nothing else is read.
pub(crate) fn is_good_probe(line: &[u8]) -> bool {
    let has = |needle: &[u8]| memchr::memmem::find(line, needle).is_some();
    has(b"\" 200 ") && (has(b"GET /health") || has(b"kube-probe/"))
}

/// A request in the line that Gunicorn, Apache and Nginx write of it:
/// `10.0.0.1 - - [22/Nov/2026:15:40:56 +0000] "GET /health/ HTTP/1.1" 400 143 "-" "kube-probe/1.31"`.
struct Request<'a> {
    path: &'a str,
    status: &'a str,
    agent: &'a str,
}

impl<'a> Request<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (client, rest) = line.split_once(" [")?;
        let (_, rest) = rest.split_once("] \"")?;
        // Before the request stands the peer's address; any other words may be a client's.
        client.split(' ').next()?.parse::<IpAddr>().ok()?;
        let (request, rest) = rest.split_once("\" ")?;
        let mut words = request.split(' ');
        let (method, path, version) = (words.next()?, words.next()?, words.next()?);
        let of_http = method.bytes().all(|byte| byte.is_ascii_uppercase()) && version.starts_with("HTTP/");
        let (status, rest) = rest.split_once(' ')?;
        let agent = rest.split('"').nth(3).unwrap_or_default();
        (of_http && words.next().is_none()).then_some(Self { path, status, agent })
    }

    fn is_of_a_prober(&self) -> bool {
        PROBERS.iter().any(|prober| self.agent.starts_with(prober))
    }

    fn is_health_check(&self) -> bool {
        self.is_of_a_prober() || self.path.starts_with("/health")
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::logs::event::Origin;

    fn line(path: &str, status: u16, agent: &str) -> String {
        format!(
            "10.42.3.1 - - [28/Nov/2026:18:07:03 +0000] \"GET {path} HTTP/1.1\" {status} 143 \"-\" \"{agent}\" - -"
        )
    }

    fn seen(lines: &[String]) -> Access {
        let mut access = Access::default();
        for (number, text) in (1..).zip(lines) {
            let mut event = Event::new(number, 0, Origin::Plain);
            event.message.clone_from(text);
            access.observe(&event, 0);
        }
        access
    }

    const KUBELET: &str = "kube-probe/1.31";

    #[rstest]
    #[case("/health/liveness/", 400, KUBELET, Some(Answer::Refused))]
    #[case("/health/liveness/", 301, KUBELET, Some(Answer::Redirected))]
    #[case("/health/liveness", 301, KUBELET, None)]
    #[case("/health/readiness/", 500, KUBELET, Some(Answer::Failed))]
    #[case("/health/readiness/", 503, "curl/8", Some(Answer::Failed))]
    #[case("/healthz", 404, KUBELET, Some(Answer::NotFound))]
    #[case("/healthz", 404, "curl/8", None)]
    #[case("/api/v1/flags/", 400, "python-requests/2", None)]
    #[case("/", 400, "GoogleHC/1.0", Some(Answer::Refused))]
    #[case("/health/liveness/", 200, KUBELET, None)]
    fn answers(
        #[case] path: &str,
        #[case] status: u16,
        #[case] agent: &str,
        #[case] expected: Option<Answer>,
    ) {
        let access = seen(&vec![line(path, status, agent); 3]);
        let found = Answer::ALL.into_iter().find(|answer| access.bad(*answer).is_some());
        assert_eq!(found, expected);
        assert!(seen(&vec![line(path, status, agent); 2]).bad(Answer::Refused).is_none());
    }

    #[rstest]
    #[case(&line("/x?error", 500, "psycopg2.OperationalError"), true)]
    #[case(&line("/x?error", 500, KUBELET), false)]
    #[case(&line("/health/readiness/", 500, "curl/8"), false)]
    #[case("10.0.0.1 [error    ] Internal Server Error", false)]
    #[case("node: GET \"] \"", false)]
    fn whose_request(#[case] text: &str, #[case] of_a_client: bool) {
        assert_eq!(is_of_a_client(text.as_bytes()), of_a_client);
    }

    /// Words that a client puts into its request are none of the line's own.
    #[rstest]
    #[case("10.0.0.9 - - [x] \"GET /x\" 400 1 \"-\" \"kube-probe/1.31\" HTTP/1.1\" 404 1 \"-\" \"-\"")]
    #[case(
        "10.0.0.9 - - [x] \"GET /a HTTP/1.1\" 404 1 \"-\" \"y \\\"GET /health/ HTTP/1.1\\\" 400 kube-probe/\""
    )]
    #[case("Not Found: /x [a] \"GET /health/ HTTP/1.1\" 400 1 \"-\" \"kube-probe/1.31\"")]
    fn a_clients_words_are_no_answer(#[case] text: &str) {
        assert!(!seen(&vec![text.to_owned(); 9]).is_waiting());
    }

    #[test]
    fn a_good_answer_takes_back_the_bad_ones() {
        let mut access = seen(&vec![line("/health/liveness/", 400, KUBELET); 9]);
        let good = line("/health/liveness/", 200, KUBELET);
        assert!(is_good_probe(good.as_bytes()));
        let mut event = Event::new(10, 0, Origin::Plain);
        event.message = good;
        access.observe(&event, 0);
        assert!(access.bad(Answer::Refused).is_none());
    }
}
