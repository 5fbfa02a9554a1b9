//! Logs of pods, and the Warning Events of those in trouble. Reads little, keeps only what was found, and forgets it
//! when the pod has recovered.

mod diagnose_log;
mod fetch;
mod findings;
mod follow;
mod memory;
mod reader;
mod request;
mod window;

pub use diagnose_log::{DiagnoseLog, LogDiagnosis};
pub use findings::{LogFinding, LogReading, PodLogFindings, Run, Warning};
pub use reader::{PodLogReader, ReadDepth};
