//! The address of the documentation, as an option of every command that names it.

use clap::Args;

use crate::model::DocsUrl;

/// Where the documentation is.
#[derive(Args, Clone, Debug)]
pub(super) struct DocsArgs {
    /// Where the documentation is served, for links to it
    #[arg(long, env = "FLAGSMITH_OPERATOR_DOCS_URL", default_value_t, value_name = "URL")]
    pub(super) docs_url: DocsUrl,
}
