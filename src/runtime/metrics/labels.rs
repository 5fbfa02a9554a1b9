//! The values that labels may take. Each is an enum or a name written in this program, never the text of an error
//! or of an object, so that the number of series is bounded.

use std::fmt::{self, Write as _};

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};

/// Gives an enum the label values that users see.
macro_rules! label_values {
    ($type:ident { $($variant:ident => $value:literal),+ $(,)? }) => {
        impl $type {
            /// Every value, in the order of the declaration.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The value as it is shown.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $value),+ }
            }
        }

        impl EncodeLabelValue for $type {
            fn encode(&self, encoder: &mut LabelValueEncoder) -> fmt::Result {
                encoder.write_str(self.as_str())
            }
        }
    };
}

/// How a pass over one object ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It wrote something.
    Changed,
    /// All was as it should be; nothing was written.
    Unchanged,
    /// It failed and will be tried again.
    Error,
}
label_values!(Outcome { Changed => "changed", Unchanged => "unchanged", Error => "error" });

/// How a migration Job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MigrationResult {
    /// The Job has the condition Complete.
    Succeeded,
    /// The Job has the condition Failed.
    Failed,
}
label_values!(MigrationResult { Succeeded => "succeeded", Failed => "failed" });

/// What a request asks of the API server, in the words of Kubernetes' RBAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
    DeleteCollection,
    Other,
}
label_values!(Verb {
    Get => "get", List => "list", Watch => "watch", Create => "create", Update => "update", Patch => "patch",
    Delete => "delete", DeleteCollection => "deletecollection", Other => "other",
});

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// 100 to 299.
    Success,
    /// 300 to 399.
    Redirect,
    /// 400 to 499: also an ordinary 404 or 409.
    ClientError,
    /// 500 and above.
    ServerError,
    /// No answer: the connection failed or the deadline passed.
    None,
}
label_values!(Code {
    Success => "2xx", Redirect => "3xx", ClientError => "4xx", ServerError => "5xx", None => "none",
});

impl From<http::StatusCode> for Code {
    fn from(status: http::StatusCode) -> Self {
        match status.as_u16() {
            ..300 => Self::Success,
            300..400 => Self::Redirect,
            400..500 => Self::ClientError,
            500.. => Self::ServerError,
        }
    }
}

/// A resource of the API and, where a request names one, its subresource: `pods`, `pods/log`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kind {
    /// The plural name, from a fixed list.
    pub resource: &'static str,
    /// The subresource, from a fixed list.
    pub subresource: Option<&'static str>,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.resource)?;
        self.subresource.map_or(Ok(()), |subresource| write!(f, "/{subresource}"))
    }
}

impl EncodeLabelValue for Kind {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> fmt::Result {
        write!(encoder, "{self}")
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByOutcome {
    pub result: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByMigrationResult {
    pub result: MigrationResult,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByCategory {
    pub category: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByKind {
    pub kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByMemory {
    pub memory: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByVerb {
    pub verb: Verb,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByRequest {
    pub verb: Verb,
    pub kind: Kind,
    pub code: Code,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Build {
    pub version: &'static str,
}
