//! Why a write did not happen.

use kube::core::Status;

use crate::{model::Refusal, runtime::fence};

/// A failure of this step.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another replica leads.
    #[error("this replica does not lead any more")]
    NotLeading,
    /// This object cannot be written until a person changes something; shown in the status.
    #[error("the object was refused: {0:?}")]
    Refused(Refusal),
    /// The request failed; another attempt may succeed.
    #[error("a request to the API server failed")]
    Kube(#[source] Box<kube::Error>),
}

impl Error {
    /// A constant label for metrics.
    #[must_use]
    pub const fn category(&self) -> &'static str {
        match self {
            Self::NotLeading => "not_leading",
            Self::Refused(_) => "refused",
            Self::Kube(_) => "kube",
        }
    }
}

impl From<kube::Error> for Error {
    fn from(error: kube::Error) -> Self {
        match &error {
            error if fence::is_not_leading(error) => Self::NotLeading,
            kube::Error::Api(status) => match refusal(status) {
                Some(refusal) => Self::Refused(refusal),
                None => Self::Kube(Box::new(error)),
            },
            _ => Self::Kube(Box::new(error)),
        }
    }
}

fn refusal(status: &Status) -> Option<Refusal> {
    let words = status.message.clone();
    match status.code {
        403 if words.contains("exceeded quota") => Some(Refusal::QuotaExceeded(words)),
        // For half a minute after the definition was made, admission cannot find the kind of the owner.
        403 if words.contains("cannot find RESTMapping") => None,
        // Admission plugins and webhooks deny with 403 as well; RBAC's refusals name the user and the verb.
        403 if words.contains(" cannot ") => Some(Refusal::Forbidden(words)),
        403 if words.contains("is being terminated") => None,
        400 | 403 | 422 => Some(Refusal::Rejected(words)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::rbac("User \"x\" cannot create resource \"services\"", Some(true))]
    #[case::webhook("admission webhook \"a\" denied the request", Some(false))]
    #[case::namespace_ends(
        "unable to create new content in namespace a because it is being terminated",
        None
    )]
    #[case::new_definition(
        "services \"a\" is forbidden: cannot set blockOwnerDeletion in this case because cannot find RESTMapping for \
         APIVersion operator.flagsmith.com/v1alpha1 Kind FlagsmithDeployment",
        None
    )]
    fn a_refusal_is_told_from_what_passes(#[case] words: &str, #[case] forbidden: Option<bool>) {
        let status = Status { code: 403, message: words.to_owned(), ..Status::default() };
        assert_eq!(refusal(&status).map(|it| matches!(it, Refusal::Forbidden(_))), forbidden);
    }

    #[rstest]
    #[case(403, "exceeded quota: of pods", Some(Refusal::QuotaExceeded("exceeded quota: of pods".to_owned())))]
    #[case(403, "denied", Some(Refusal::Rejected("denied".to_owned())))]
    #[case(400, "not understood", Some(Refusal::Rejected("not understood".to_owned())))]
    #[case(422, "no such field", Some(Refusal::Rejected("no such field".to_owned())))]
    #[case(409, "exceeded quota", None)]
    #[case(500, "etcd is away", None)]
    fn another_attempt_helps_where_nobody_has_to_change_anything(
        #[case] code: u16,
        #[case] words: &str,
        #[case] expected: Option<Refusal>,
    ) {
        let status = Status { code, message: words.to_owned(), ..Status::default() };
        assert_eq!(refusal(&status), expected);
    }

    #[test]
    fn what_has_failed_is_counted_by_its_class() {
        let of = |code| Status { code, message: "no".to_owned(), ..Status::default() }.boxed();
        let category = |error: kube::Error| Error::from(error).category();
        assert_eq!(category(kube::Error::Service(fence::NotLeading.into())), "not_leading");
        assert_eq!(category(kube::Error::Api(of(422))), "refused");
        assert_eq!(category(kube::Error::Api(of(500))), "kube");
        assert_eq!(category(kube::Error::Service("cut".into())), "kube");
    }
}
