//! Forms are refused because Django takes them for forged.

use crate::causes::{log::phrasing::times, prelude::*};

pub(crate) static CAUSE: Cause = Cause {
    in_logs: Some(in_logs),
    ..Cause::warning(Component::Api, include_str!("csrf_origin_rejected.md"))
};

fn in_logs(evidence: &LogEvidence) -> Option<Finding> {
    let (reason, forged) = evidence.hosts.forgeries()?;
    let (why, remedy) = if reason.contains(" checking failed - ") {
        (
            "the address in the browser is not the one that Django thinks it is served at",
            "If that address is one of your own (an address that is not may be a scanner's, and stays refused): let the proxy in front \
             pass on the Host header and X-Forwarded-Proto, and if it cannot, list the address with its scheme in \
             DJANGO_CSRF_TRUSTED_ORIGINS, as https://HOST.",
        )
    } else {
        (
            "the browser did not send the cookie or the token that the page had given it",
            "Cookies are marked Secure unless USE_SECURE_COOKIES=false, so over plain http no browser sends them: open Flagsmith by https. \
             Otherwise see whether a proxy in front caches the page or takes cookies away. Posts of scanners, which never had a page, \
             look the same.",
        )
    };
    let explained = Explanation::new(
        Code::CsrfOriginRejected,
        format!(
            "Django refused forms (the admin pages, logging in there) with status 403, {} in this log: {}. That means that {why}.",
            times(forged.rate.count),
            reason.trim_end_matches('.')
        ),
        remedy,
    );
    Some(Finding::new(explained, vec![forged.first.clone(), forged.last.clone()]))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::causes::diagnose_log;

    fn codes(message: &str, logger: &str, times: usize) -> Vec<Code> {
        let line = format!("2026-11-24T19:00:48.2Z [warning  ] {message} [{logger}] status_code=403\n");
        let found = diagnose_log(Component::Api, None, "log", line.repeat(times).as_bytes());
        found.into_iter().map(|(_, it)| it.code).collect()
    }

    const ORIGIN: &str = "Forbidden (Origin checking failed - https://flags.example.org does not match any trusted origins.): /admin/login/";
    const COOKIE: &str = "Forbidden (CSRF cookie not set.): /admin/login/";
    const CSRF: &str = "django.security.csrf";

    #[rstest]
    #[case::origin(ORIGIN, CSRF, 5, true)]
    #[case::one_old_page(ORIGIN, CSRF, 3, false)]
    #[case::referrer(
        "Forbidden (Referer checking failed - https://a.example/x does not match any trusted origins.): /admin/",
        CSRF,
        5,
        true
    )]
    #[case::a_scanner_without_a_page(COOKIE, CSRF, 9, false)]
    #[case::everybody(COOKIE, CSRF, 20, true)]
    #[case::in_a_path(
        "Not Found: /Forbidden (Origin checking failed - https://x does not match any trusted origins.): /y",
        "django.request",
        9,
        false
    )]
    fn told(#[case] message: &str, #[case] logger: &str, #[case] times: usize, #[case] expected: bool) {
        assert_eq!(codes(message, logger, times) == [Code::CsrfOriginRejected], expected);
    }

    /// What a client writes is nothing to be trusted.
    #[test]
    fn no_origin_is_put_into_the_remedy() {
        let line = format!("2026-11-24T19:00:48.2Z [warning  ] {ORIGIN} [{CSRF}]\n");
        let found = diagnose_log(Component::Api, None, "log", line.repeat(5).as_bytes());
        assert!(!found[0].1.remedy.contains("flags.example.org"), "{:#?}", found[0].1);
    }
}
