//! `diagnose`: says what is wrong, from the cluster or from logs alone.

mod logs;
pub(crate) mod release;

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use super::{
    cluster::ClusterArgs,
    docs::DocsArgs,
    failure::{Failure, HEALTHY, UNHEALTHY},
    findings::Findings,
    look::{LookArgs, look},
    output::Output,
};
use crate::model::Severity;
use logs::LogComponent;

/// The arguments of `diagnose`.
#[derive(Args, Clone, Debug)]
pub(super) struct DiagnoseArgs {
    /// The `FlagsmithDeployment`; may be left out where the namespace has only one
    #[arg(value_name = "NAME", conflicts_with_all = ["logs", "component"])]
    name: Option<String>,
    /// A Helm release of the official chart instead; neither the operator nor its CRD is needed
    #[arg(long, value_name = "RELEASE", conflicts_with_all = ["name", "logs", "component"])]
    release: Option<String>,
    /// Logs to read instead, in whatever form a product has exported them; "-" reads standard input
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "component")]
    logs: Vec<PathBuf>,
    /// The process that wrote the logs
    #[arg(long, value_enum, requires = "logs")]
    component: Option<LogComponent>,
    /// How the result is written
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(flatten)]
    docs: DocsArgs,
    #[command(flatten)]
    look: LookArgs,
    #[command(flatten)]
    pub(super) cluster: ClusterArgs,
}

/// Writes what was found: exit status 0 when nothing was, 1 when something was.
pub(super) fn run(args: &DiagnoseArgs) -> Result<ExitCode, Failure> {
    if let Some(component) = args.component {
        let diagnoses = logs::read(&args.logs, component)?;
        let findings = Findings { diagnoses: &diagnoses, not_seen: &[], standing: None };
        write(args, "", findings, "Nothing wrong was found in these logs.")?;
        return Ok(exit(!diagnoses.is_empty()));
    }
    let (heading, diagnoses, not_seen, standing) = super::context::block_on(async {
        let cluster = args.cluster.connect().await?;
        if let Some(release) = &args.release {
            let (heading, scene) = Box::pin(release::look(&cluster, release, args.look)).await;
            let diagnoses = scene.diagnoses.clone();
            return Ok((heading, diagnoses, scene.all_not_seen(), None));
        }
        let look = Box::pin(look(&cluster, args.name.as_deref(), args.look)).await?;
        Ok((String::new(), look.diagnoses, look.not_seen, Some(look.standing)))
    })?;
    let findings = Findings { diagnoses: &diagnoses, not_seen: &not_seen, standing: standing.as_ref() };
    write(args, &heading, findings, "Nothing wrong was found.")?;
    // Something worth knowing is no trouble.
    Ok(exit(diagnoses.iter().any(|it| it.severity != Severity::Info)))
}

fn write(args: &DiagnoseArgs, heading: &str, findings: Findings<'_>, nothing: &str) -> Result<(), Failure> {
    args.output.write(&findings.report(&args.docs.docs_url), |_| heading.to_owned() + &findings.text(nothing))
}

fn exit(trouble: bool) -> ExitCode {
    ExitCode::from(if trouble { UNHEALTHY } else { HEALTHY })
}
