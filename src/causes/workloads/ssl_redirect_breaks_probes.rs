//! Health checks are redirected to https.

use crate::causes::{
    log::{access::Answer, phrasing::times},
    prelude::*,
};

pub(crate) static CAUSE: Cause = Cause {
    explains: consequences::OF_NO_START,
    in_logs: Some(in_logs),
    ..Cause::warning(Component::Api, include_str!("ssl_redirect_breaks_probes.md"))
};

fn in_logs(evidence: &LogEvidence) -> Option<Finding> {
    let probes = evidence.access.bad(Answer::Redirected).filter(|probes| evidence.goes_on(&probes.last))?;
    let explained = Explanation::new(
        Code::SslRedirectBreaksProbes,
        format!(
            "Health checks are answered with a redirect (301), {} in this log and none of them well since: DJANGO_SECURE_SSL_REDIRECT \
             sends everything that came over http to https, and the kubelet asks the pod over http. It follows to https on the same \
             port, where nothing speaks TLS: the pod does not become ready, or is restarted.",
            times(probes.rate.count)
        ),
        "Leave the redirect to the Ingress and remove DJANGO_SECURE_SSL_REDIRECT, or except the health checks from it: \
         DJANGO_SECURE_REDIRECT_EXEMPT=^health/. A header X-Forwarded-Proto: https in the probes' httpGet.httpHeaders does it as well.",
    );
    Some(Finding::new(explained, vec![probes.first.clone(), probes.last.clone()]))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::causes::diagnose_log;

    fn probe(path: &str, status: u16) -> String {
        format!(
            "10.42.3.1 - - [28/Nov/2026:18:07:37 +0000] \"GET {path} HTTP/1.1\" {status} 0 \"-\" \"kube-probe/1.31\" - -\n"
        )
    }

    fn codes(log: &str) -> Vec<Code> {
        let found = diagnose_log(Component::Api, None, "log", log.as_bytes());
        found.into_iter().map(|(_, it)| it.code).collect()
    }

    #[rstest]
    #[case::every(probe("/health/liveness/", 301).repeat(3), vec![Code::SslRedirectBreaksProbes])]
    #[case::once(probe("/health/liveness/", 301), vec![])]
    #[case::to_the_slash((probe("/health/liveness", 301) + &probe("/health/liveness/", 200)).repeat(9), vec![])]
    #[case::well_again(probe("/health/liveness/", 301).repeat(9) + &probe("/health/liveness/", 200), vec![])]
    fn told(#[case] log: String, #[case] expected: Vec<Code>) {
        assert_eq!(codes(&log), expected);
    }
}
