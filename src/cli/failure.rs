//! Why a command could not do what it was asked, and what to do about it.

use std::{fmt, process::ExitCode};

use kube::core::Status;

use crate::runtime::client;

/// Exit status of success: nothing is wrong.
pub(super) const HEALTHY: u8 = 0;
/// Exit status when something was diagnosed, or is not as the specification asks for.
pub(super) const UNHEALTHY: u8 = 1;
/// Exit status of bad usage, of a file that cannot be read, and of an object that does not exist. As clap's.
pub(super) const UNUSABLE: u8 = 2;
/// Exit status when the cluster did not answer, or did not allow it.
pub(super) const NO_ANSWER: u8 = 3;

/// A command that could not be carried out.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(super) struct Failure {
    /// What could not be done, and why.
    message: String,
    /// What to do.
    hint: Option<String>,
    /// The exit status.
    status: u8,
}

impl Failure {
    /// The call, a file or a name is wrong.
    pub(super) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: Some(hint.into()), status: UNUSABLE }
    }

    /// The cluster cannot be asked.
    pub(super) fn cluster(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: Some(hint.into()), status: NO_ANSWER }
    }

    /// A defect of this program.
    pub(super) fn internal(error: &dyn fmt::Display) -> Self {
        Self { message: error.to_string(), hint: None, status: UNUSABLE }
    }

    /// A request failed; `what` completes "could not", for example `list pods in namespace prod`.
    pub(super) fn request(what: &str, error: &kube::Error) -> Self {
        let message = format!("could not {what}: {}", reason(error));
        match error {
            kube::Error::Api(status) => Self::cluster(message, api_hint(status)),
            _ if client::is_deadline(error) => Self::cluster(
                message,
                "the API server is slow or away; kubectl get --raw /readyz says how it is",
            ),
            kube::Error::Auth(_) => {
                Self::cluster(message, "log in to the cluster again, then: kubectl auth whoami")
            }
            _ => Self::cluster(
                message,
                "check that the cluster can be reached: kubectl cluster-info; --context NAME chooses another one",
            ),
        }
    }

    /// Says it on standard error and gives the exit status.
    pub(super) fn report(&self) -> ExitCode {
        anstream::eprintln!("error: {}", self.message);
        if let Some(hint) = &self.hint {
            anstream::eprintln!("  try: {hint}");
        }
        ExitCode::from(self.status)
    }
}

/// What the API server, or the way to it, says; with its sources where those tell more.
fn reason(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return status.message.clone();
    }
    client::chain(error)
}

fn api_hint(status: &Status) -> String {
    match status.code {
        401 => "log in to the cluster again, then: kubectl auth whoami".to_owned(),
        403 => "ask for the role \"view\" in that namespace (with rbac.aggregateUserRoles the chart lets it read FlagsmithDeployments); kubectl auth can-i --list shows what is allowed".to_owned(),
        _ => "kubectl get --raw /readyz says how the API server is".to_owned(),
    }
}
