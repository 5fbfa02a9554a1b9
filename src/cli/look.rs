//! One look at an installation with the user's own rights: the operator's observation and diagnosis, without
//! the operator.

use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;

use super::{cluster::Cluster, failure::Failure};
use crate::{
    api::FlagsmithDeployment,
    controller::metrics::Metrics,
    diagnose::{Code, Component, Diagnosis, Severity, live},
    observe::{DatabaseProbe, FRESH, Observation, Observer, Watches, once},
    validate::validate,
};

/// What may be looked at besides the cluster.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct LookArgs {
    /// Connect to the database from this machine, with the URL of the installation's Secret
    #[arg(long)]
    pub connect_database: bool,
}

/// What one look showed.
pub struct Look {
    /// The resource as the API server has it.
    pub resource: FlagsmithDeployment,
    /// What is there; `None` where the resource is invalid.
    pub seen: Option<Observation>,
    /// What is wrong, the most severe first.
    pub diagnoses: Vec<Diagnosis>,
    /// What could not be seen, in a sentence each.
    pub not_seen: Vec<String>,
}

/// Looks at one installation.
pub async fn look(cluster: &Cluster, name: Option<&str>, args: LookArgs) -> Result<Look, Failure> {
    let resource = Box::pin(cluster.installation(name)).await?;
    let now = Timestamp::now();
    let installation = match validate(&resource) {
        Ok(installation) => installation,
        Err(problems) => {
            let diagnoses = problems
                .into_iter()
                .map(|problem| Diagnosis {
                    code: problem.code,
                    severity: Severity::Critical,
                    component: Component::Operator,
                    message: format!("{}: {}", problem.field, problem.message),
                    evidence: Vec::new(),
                    remedy: problem.remedy,
                })
                .collect();
            return Ok(Look {
                resource,
                seen: None,
                diagnoses,
                not_seen: Vec::new(),
            });
        }
    };
    let watches = Arc::new(Watches::default());
    let mut not_seen = once::list(&cluster.client, &installation.identity.namespace, &watches).await;
    let observer = Observer::new(
        cluster.client.clone(),
        watches,
        args.connect_database.then_some(FRESH),
        Metrics::new(),
    );
    let previous = resource.status.clone().unwrap_or_default();
    let mut seen = observer.observe(&installation, previous, now).await;
    not_seen.extend(database(&mut seen, args));
    let mut diagnoses = live::diagnose(&installation, &seen);
    // What the user may not read is no fault of the installation.
    diagnoses.retain(|diagnosis| {
        let forbidden = diagnosis.code == Code::Forbidden;
        if forbidden {
            not_seen.extend(diagnosis.evidence.iter().cloned());
        }
        !forbidden
    });
    not_seen.dedup();
    Ok(Look {
        resource,
        seen: Some(seen),
        diagnoses,
        not_seen,
    })
}

/// A database that this machine cannot reach may work well for the pods: then it was not seen.
fn database(seen: &mut Observation, args: LookArgs) -> Option<String> {
    let unseen = match &seen.database {
        DatabaseProbe::Failed(failure) if failure.kind.may_be_local() => {
            format!("the database: from this machine, {}", failure.message)
        }
        DatabaseProbe::NotProbed if args.connect_database => {
            "the database: its URL could not be read".to_owned()
        }
        DatabaseProbe::NotProbed => {
            "the database itself; --connect-database asks it from this machine, where its host can be reached"
                .to_owned()
        }
        _ => return None,
    };
    seen.database = DatabaseProbe::NotProbed;
    Some(unseen)
}
