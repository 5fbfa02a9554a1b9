//! What commands share: how the program was called, and how it asks the cluster.

use super::failure::Failure;
use crate::runtime::executor::on_one_thread;

/// What kubectl calls to run `kubectl flagsmith`.
const PLUGIN: &str = "kubectl-flagsmith";

/// How the user calls this program: by its own name, or as a plugin of kubectl.
pub(super) fn program() -> &'static str {
    let called = std::env::args_os().next().unwrap_or_default();
    let plugin = std::path::Path::new(&called).file_stem().is_some_and(|name| name == PLUGIN);
    if plugin { "kubectl flagsmith" } else { "flagsmith-operator" }
}

/// Runs a command that asks the cluster. On the main thread, whose stack is large enough to decode a
/// `FlagsmithDeployment` without optimisation.
pub(super) fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    on_one_thread().map_err(|error| Failure::internal(&error))?.block_on(Box::pin(future))
}
