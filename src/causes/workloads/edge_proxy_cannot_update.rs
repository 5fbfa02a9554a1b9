//! The edge proxy does not get its environments' flags from the API.

use crate::causes::prelude::*;

pub(crate) static CAUSE: Cause = Cause {
    log: &[&LOG],
    ..Cause::critical(Component::EdgeProxy, include_str!("edge_proxy_cannot_update.md"))
};

/// What the API did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// It knows no environment with this server-side key.
    Refused,
    /// It answered with an error of its own.
    Failed,
    /// It did not answer.
    Silent,
}

static LOG: Rule<Variant> = Rule {
    precedence: 126,
    signatures: &[
        Signature::of_words(Variant::Refused, &["Client error '401", "Client error '403"]).class(STATUS),
        Signature::of_words(Variant::Failed, &["Server error '5", "Client error '4"]).class(STATUS),
        Signature::of(Variant::Silent).class(&[
            "ConnectError",
            "ConnectTimeout",
            "PoolTimeout",
            "ReadError",
            "ReadTimeout",
            "RemoteProtocolError",
        ]),
    ],
    details,
    explain: |_, occurrence, variant| explain(occurrence, variant),
    is_over: None,
};

/// httpx' exception for an answer whose status is an error.
const STATUS: &[&str] = &["HTTPStatusError"];

fn details(failure: &Failure<'_>, _: Variant) -> Option<FailureDetails> {
    let status = failure.message.split_once("error '").and_then(|(_, rest)| rest.split('\'').next());
    (failure.component == Component::EdgeProxy)
        .then(|| FailureDetails { object: status.map(str::to_owned), ..FailureDetails::default() })
}

fn explain(occurrence: &Occurrence, variant: Variant) -> Explanation {
    let status = occurrence.details.object.as_deref().unwrap_or("an error");
    let (message, remedy) = match variant {
        Variant::Refused => (
            format!(
                "The edge proxy gets no flags of an environment: the API refuses its server-side key ({status}). Its pods \
                 do not become ready, and those that are keep the flags that they had, of all environments."
            ),
            "See in the log which client_side_key the error belongs to, and put a server-side key of that environment \
             (dashboard, SDK Keys; it begins with \"ser.\") into its Secret. Keys are read at the start: \
             kubectl rollout restart deployment/NAME-edge-proxy",
        ),
        Variant::Failed => (
            format!("The edge proxy gets no flags: the API answers {status}. It keeps those that it had."),
            "See the API's log for the request to /api/v1/environment-document/ at that time.",
        ),
        Variant::Silent => (
            "The edge proxy gets no flags: the API does not answer. It keeps those that it had.".to_owned(),
            "See whether the API's pods are ready, and whether a NetworkPolicy keeps the edge proxy from them.",
        ),
    };
    Explanation::new(Code::EdgeProxyCannotUpdate, message, remedy)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::causes::log::failure::Stage;

    fn failure<'a>(class: &'a str, message: &'a str) -> Failure<'a> {
        Failure::new(class, message, Component::EdgeProxy, Stage::Serve)
    }

    const URL: &str = "for url 'http://flagsmith-api:8000/api/v1/environment-document/'";

    #[rstest]
    #[case::refused("HTTPStatusError", "Client error '403 Forbidden'", Some(Variant::Refused))]
    #[case::failed("HTTPStatusError", "Server error '500 Internal Server Error'", Some(Variant::Failed))]
    #[case::no_such_path("HTTPStatusError", "Client error '404 Not Found'", Some(Variant::Failed))]
    #[case::nobody_listens("ConnectError", "All connection attempts failed", Some(Variant::Silent))]
    #[case::slow("ReadTimeout", "", Some(Variant::Silent))]
    #[case::something_else("ValueError", "Client error '403 Forbidden'", None)]
    fn the_answer_tells_what_it_is(
        #[case] kind: &str,
        #[case] message: &str,
        #[case] expected: Option<Variant>,
    ) {
        let (class, message) = (format!("httpx.{kind}"), format!("{message} {URL}"));
        assert_eq!(LOG.read(&failure(&class, &message)).map(|(variant, _)| variant), expected);
    }

    #[test]
    fn a_client_of_the_apis_own_is_another_matter() {
        let message = format!("Client error '403 Forbidden' {URL}");
        let of_api = Failure::new("httpx.HTTPStatusError", &message, Component::Api, Stage::Serve);
        assert!(LOG.read(&of_api).is_none());
    }

    #[test]
    fn the_status_is_told() {
        let message = format!("Client error '401 Unauthorized' {URL}");
        let (variant, details) = LOG.read(&failure("httpx.HTTPStatusError", &message)).unwrap();
        assert_eq!((variant, details.object.as_deref()), (Variant::Refused, Some("401 Unauthorized")));
    }
}
