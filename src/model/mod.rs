//! The words that every step shares: components, causes by name, diagnoses, and the objects that are made. Pure.

pub mod child;
mod code;
mod component;
mod diagnosis;
mod docs_url;
pub(crate) mod hex;
mod pod_phase;
pub mod redact;
mod refusal;
mod severity;
pub(crate) mod shell;
pub(crate) mod text;

pub use code::Code;
pub(crate) use code::for_each_cause;
pub use component::Component;
pub use diagnosis::{Diagnosis, Draft};
pub(crate) use docs_url::Page;
pub use docs_url::{DocsUrl, InvalidDocsUrl};
pub use pod_phase::PodPhase;
pub use refusal::{Refusal, Refused};
pub use severity::Severity;
pub use text::Text;
