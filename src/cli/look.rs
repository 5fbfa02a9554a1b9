//! One look at an installation with the user's own rights: the operator's observation and diagnosis, without
//! the operator.

use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;

use super::{cluster::Cluster, failure::Failure};
use crate::{
    api::{FlagsmithDeployment, FlagsmithDeploymentStatus},
    causes::{live, rank},
    model::{Code, Diagnosis},
    observe::{
        CloseLooker, Closeness, DatabaseProbe, FRESH, Observation, Observer, Watches,
        discover::{Found, Objects},
        once,
    },
    runtime::metrics::Metrics,
    validate::{Installation, Subject, Wanted, validate},
};

/// What may be looked at besides the cluster.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct LookArgs {
    /// Connect to the database from this machine, with the URL of the installation's Secret
    #[arg(long)]
    pub connect_database: bool,
    /// Whether pods' logs are read.
    #[arg(skip = true)]
    pub read_logs: bool,
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

/// What one look at something that exists showed.
pub struct Sight {
    /// What is there.
    pub seen: Observation,
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
            let diagnoses = problems.into_iter().map(Diagnosis::from).collect();
            return Ok(Look {
                resource,
                seen: None,
                diagnoses,
                not_seen: Vec::new(),
            });
        }
    };
    let previous = resource.status.clone().unwrap_or_default();
    let sight = match installation {
        Wanted::Managed(installation) => {
            Box::pin(managed(cluster, &installation, previous, args, Arc::default())).await
        }
        Wanted::Observed(subject) => Box::pin(observed(cluster, &subject, previous, args, now)).await.1,
    };
    let Sight {
        seen,
        mut diagnoses,
        not_seen,
    } = sight;
    if seen.previous.observed_generation == resource.metadata.generation {
        diagnoses.extend(live::refused_last(&seen.previous));
        diagnoses = rank(diagnoses);
        live::sort(&mut diagnoses);
    }
    Ok(Look {
        resource,
        seen: Some(seen),
        diagnoses,
        not_seen,
    })
}

/// Looks at a Helm release of the official chart, for which there is no resource.
pub async fn look_at(cluster: &Cluster, subject: &Subject, args: LookArgs) -> (Found, Sight) {
    let previous = FlagsmithDeploymentStatus::default();
    Box::pin(observed(cluster, subject, previous, args, Timestamp::now())).await
}

fn observer(cluster: &Cluster, watches: Arc<Watches>, args: LookArgs) -> Observer {
    let closeness = if args.read_logs {
        Closeness::Thorough
    } else {
        Closeness::None
    };
    Observer::new(
        cluster.client.clone(),
        watches,
        args.connect_database.then_some(FRESH),
        Metrics::new(),
        CloseLooker::new(cluster.client.clone(), closeness, None),
    )
}

/// Looks at what there is of an installation, whose objects are left in `watches`.
pub async fn managed(
    cluster: &Cluster,
    installation: &Installation,
    previous: FlagsmithDeploymentStatus,
    args: LookArgs,
    watches: Arc<Watches>,
) -> Sight {
    let not_seen = once::list(&cluster.client, &installation.identity.namespace, &watches).await;
    let observer = observer(cluster, watches, args);
    let seen = observer.observe(installation, previous, Timestamp::now()).await;
    sight(installation, seen, not_seen, args)
}

async fn observed(
    cluster: &Cluster,
    subject: &Subject,
    previous: FlagsmithDeploymentStatus,
    args: LookArgs,
    now: Timestamp,
) -> (Found, Sight) {
    let objects = Objects::list(&cluster.client, &subject.identity.namespace).await;
    let observer = observer(cluster, Arc::default(), args);
    let (found, seen) = Box::pin(observer.observe_foreign(subject, &objects, previous, now)).await;
    let sight = sight(&found.installation, seen, objects.not_seen, args);
    (found, sight)
}

/// Diagnoses what was seen.
fn sight(
    installation: &Installation,
    mut seen: Observation,
    mut not_seen: Vec<String>,
    args: LookArgs,
) -> Sight {
    not_seen.extend(database(&mut seen, args));
    let mut diagnoses = live::diagnose(installation, &seen);
    // What the user may not read is no fault of the installation.
    diagnoses.retain(|diagnosis| {
        let forbidden = diagnosis.code == Code::Forbidden;
        if forbidden {
            not_seen.extend(diagnosis.evidence.iter().cloned());
        }
        !forbidden
    });
    not_seen.dedup();
    Sight {
        seen,
        diagnoses,
        not_seen,
    }
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
