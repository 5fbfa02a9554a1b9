//! Requests are refused because of an underscore in their host name.

use crate::causes::{
    log::{hosts::Kind, phrasing::times},
    prelude::*,
};

pub(crate) static CAUSE: Cause =
    Cause { in_logs: Some(in_logs), ..Cause::warning(Component::Api, include_str!("host_name_invalid.md")) };

fn in_logs(evidence: &LogEvidence) -> Option<Finding> {
    let refused = evidence.hosts.misnamed()?;
    let host = refused.host;
    let hyphens = host.replace('_', "-");
    let who = match refused.kind {
        Kind::Internal => {
            "That is a name within the cluster or of Docker Compose, by which another component asks the API."
        }
        _ => "Whoever opens that address gets 400.",
    };
    let explained = Explanation::new(
        Code::HostNameInvalid,
        format!(
            "The API refused requests for host \"{host}\" {} with status 400, whatever DJANGO_ALLOWED_HOSTS says: a host name may not \
             have an underscore (RFC 1034/1035). {who}",
            times(refused.count)
        ),
        format!(
            "Reach it by another name: rename the service, or give it an alias without an underscore, such as {hyphens} (Docker Compose: \
             networks.default.aliases; container_name is one as well), and correct the URL of whoever asks, for the frontend \
             FLAGSMITH_PROXY_API_URL or PROXY_API_URL. DJANGO_ALLOWED_HOSTS cannot help, not even with *."
        ),
    );
    Some(Finding::new(explained, vec![refused.location.clone()]))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::causes::diagnose_log;

    fn codes(host: &str, times: usize) -> Vec<Code> {
        let line = format!(
            "2026-11-28T18:07:34.0Z [error    ] Invalid HTTP_HOST header: '{host}'. The domain name provided is not valid according to \
             RFC 1034/1035. [django.security.DisallowedHost] status_code=400\n"
        );
        let found = diagnose_log(Component::Api, None, "log", line.repeat(times).as_bytes());
        found.into_iter().map(|(_, it)| it.code).collect()
    }

    #[rstest]
    #[case::of_compose("flagsmith_api:8000", 2, true)]
    #[case::public("my_flags.example.com", 3, true)]
    #[case::once("flagsmith_api:8000", 1, false)]
    #[case::of_a_scanner("${jndi:ldap://x_y}", 9, false)]
    #[case::an_attack("a_b'; DROP TABLE", 9, false)]
    #[case::another_error("flags..example:x", 9, false)]
    fn told(#[case] host: &str, #[case] times: usize, #[case] expected: bool) {
        assert_eq!(codes(host, times) == [Code::HostNameInvalid], expected);
    }
}
