//! The frontend cannot pass requests on to the API.

use crate::causes::prelude::*;

pub(crate) static CAUSE: Cause = Cause {
    log: &[&LOG],
    ..Cause::warning(Component::Frontend, include_str!("frontend_cannot_reach_api.md"))
};

/// Node.js' code of the error, and what it means.
type Variant = (&'static str, &'static str);

/// What a line of the frontend's proxy has besides the code.
const PROXY: &[&str] = &["[HPM]", "proxy", "connect E", "getaddrinfo"];

const fn signature(code: &'static [&'static str; 1], why: &'static str) -> Signature<Variant> {
    let mut signature = Signature::of_words((code[0], why), PROXY);
    signature.all = code;
    signature
}

static LOG: Rule<Variant> = Rule {
    precedence: 125,
    signatures: &[
        signature(&["ECONNREFUSED"], "nothing accepts connections there"),
        signature(&["ENOTFOUND"], "its name cannot be resolved"),
        signature(&["EAI_AGAIN"], "its name cannot be resolved"),
        signature(&["ETIMEDOUT"], "it does not answer"),
        signature(&["ECONNRESET"], "it closed the connection"),
        signature(&["EHOSTUNREACH"], "it does not answer"),
        signature(&["HPE_INVALID"], "its answer is no HTTP"),
    ],
    details,
    explain: |_, occurrence, variant| explain(occurrence, variant),
    is_over: None,
};

fn details(failure: &Failure<'_>, _: Variant) -> Option<FailureDetails> {
    let target = failure.message.split_once(" to ").and_then(|(_, rest)| rest.split([' ', '[']).next());
    (failure.component == Component::Frontend)
        .then(|| FailureDetails { object: target.map(str::to_owned), ..FailureDetails::default() })
}

fn explain(occurrence: &Occurrence, (code, why): Variant) -> Explanation {
    let target = occurrence
        .details
        .object
        .as_deref()
        .filter(|target| !target.is_empty())
        .unwrap_or("FLAGSMITH_PROXY_API_URL");
    Explanation::new(
        Code::FrontendCannotReachApi,
        format!(
            "The frontend passes API requests on to {target} and fails: {why} ({code}). Browsers get 504, also when the API \
             is just restarting."
        ),
        "See whether the API's pods are ready, and set FLAGSMITH_PROXY_API_URL on the frontend to the API's Service \
         (http://RELEASE-api.NAMESPACE.svc:8000). Better, route /api/ to the API in the Ingress, without the frontend \
         between.",
    )
}
