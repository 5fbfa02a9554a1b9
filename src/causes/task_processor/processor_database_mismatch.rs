//! API and task processor do not use the same queue.
//!
//! Flagsmith's router sends every task to the separate database where there is one, and to the main one otherwise; a
//! processor works on the databases that `TASK_PROCESSOR_DATABASES` lists, by default on all that it has
//! (`task_processor/routers.py` and `threads.py` of flagsmith-common 3.13, `settings/common.py` of Flagsmith 2.265.0).
//!
//! Two names may lead to one server, so names that differ prove nothing. A processor that looks at a queue leaves its
//! mark there; none since it was started is what tells.

use jiff::SignedDuration;

use super::shared::{
    diagnosis::diagnosis,
    locks,
    processors::{Settings, processors, ready_for},
    queue::waiting,
};
use crate::{
    causes::{
        cause::{Cause, Explains},
        consequences,
        context::Context,
        log::{
            evidence::{LogEvidence, Occurrence},
            failure::FailureDetails,
            finding::Explanation,
            phrasing::{at_migration, run},
            rule::{Rule, Signature},
        },
        migrations::shared::conflict::{self, Conflict},
    },
    flagsmith::{env, startup},
    model::{Code, Component, Draft, Severity},
    observe::{
        ContainerState, Environment, Lookup, Observation, SecretState, Variable,
        database::{Queue, QueueProbe},
    },
    postgres::DatabaseIdentity,
    validate::{Change, Installation},
};

/// The aliases of Django's databases.
const DEFAULT: &str = "default";
const SEPARATE: &str = "task_processor";

pub(crate) static CAUSE: Cause = Cause {
    explains: &[Explains::everywhere(consequences::WITHOUT_PROCESSOR)],
    log: &[&LOG],
    check: Some(check),
    claims: Some(migrated_in_full),
    ..Cause::critical(Component::TaskProcessor, include_str!("processor_database_mismatch.md"))
};

static LOG: Rule<()> = Rule {
    precedence: 215,
    signatures: &[Signature {
        class: &["ImproperlyConfigured"],
        all: &["task_processor", "DATABASES"],
        ..Signature::of(())
    }],
    details: |_, ()| Some(FailureDetails::default()),
    explain,
    is_over: None,
};

fn explain(_: &LogEvidence, occurrence: &Occurrence, (): ()) -> Explanation {
    Explanation::new(
        Code::TaskProcessorDatabaseMismatch,
        format!(
            "The settings of the task processor's database contradict each other: {}",
            occurrence.first.excerpt()
        ),
        "Give TASK_PROCESSOR_DATABASE_URL and TASK_PROCESSOR_DATABASES the same meaning on the API and the task \
         processor: both unset for one database, or the URL set and TASK_PROCESSOR_DATABASES=default,task_processor.",
    )
}

/// How the containers disagree.
enum Mismatch<'a> {
    /// The processor's list leaves out the API's queue.
    Left {
        /// The value of `TASK_PROCESSOR_DATABASES`.
        list: &'a str,
    },
    /// Only the API has a separate database.
    Missing,
    /// Both name a database, and not the same.
    Other { variable: &'static str, api: &'a DatabaseIdentity, processor: &'a DatabaseIdentity },
}

fn check(context: &Context<'_>) -> Vec<Draft> {
    mismatch(context).into_iter().collect()
}

fn mismatch(context: &Context<'_>) -> Option<Draft> {
    let (installation, observation) = (context.installation, context.observation);
    let api = observation.api.as_ref()?;
    let processor = observation.task_processor.as_ref().filter(|it| it.desired > 0)?;
    let (queues, works) = (api.container()?, processor.container()?);
    if queues.environment.value(env::TASK_RUN_METHOD) != Some(env::QUEUED) {
        return None;
    }
    let apart = separate(&queues.environment)?;
    let mismatch = compare(observation, apart, &works.environment)?;
    // A separate database that only the API's environment names is not looked into.
    let looked = if apart { observation.queues.separate.as_ref() } else { Some(&observation.queues.default) };
    let queue = match looked {
        Some(QueueProbe::Seen(queue)) => Some(queue.as_ref()),
        _ => None,
    };
    let settings = Settings::running(installation, observation);
    if queue.is_some_and(|queue| looked_at(observation, queue, settings.silence())) {
        return None;
    }
    // Names are certain to differ in effect only when the queue says so.
    let by_name = matches!(mismatch, Mismatch::Other { .. });
    let patience = startup::ON_A_BUSY_NODE.saturating_add(settings.sleep.saturating_mul(2));
    if by_name && queue.is_some_and(|queue| !ready_for(observation, queue.at, patience)) {
        return None;
    }
    let severity = if by_name && queue.is_none() { Severity::Warning } else { Severity::Critical };
    let mut evidence = told(&mismatch, &api.name, &processor.name);
    evidence.extend(queue.map(|queue| {
        let waits = waiting(queue).unwrap_or_else(|| "no task waits there now".to_owned());
        format!("the API's queue: no processor looks at it; {waits}")
    }));
    Some(diagnosis(
        Code::TaskProcessorDatabaseMismatch,
        severity,
        "The API queues its tasks in a database that the task processor does not look at: webhooks, audit log and \
         scheduled changes wait forever, and the pods look healthy.",
        evidence,
        remedy(installation, &mismatch, queues, (&processor.name, works)),
    ))
}

/// How the processor's environment disagrees with the API's, whose queue is `apart` or in the main database; `None`
/// where they agree, or where a Secret behind `envFrom` may say more.
fn compare<'a>(
    observation: &'a Observation,
    apart: bool,
    processor: &'a Environment,
) -> Option<Mismatch<'a>> {
    let has = separate(processor)?;
    let alias = if apart { SEPARATE } else { DEFAULT };
    let list = match processor.lookup(env::TASK_PROCESSOR_DATABASES) {
        Lookup::Set(Variable::Value(list)) => Some(list.as_str()),
        Lookup::Unset => None,
        _ => return None,
    };
    if apart && !has {
        return Some(Mismatch::Missing);
    }
    if let Some(list) = list.filter(|list| list.split(',').all(|known| known.trim() != alias)) {
        return Some(Mismatch::Left { list });
    }
    let secrets = &observation.secrets;
    let own = secrets.of_processor.as_ref()?;
    let (variable, of_api, of_processor) = if apart {
        (
            env::TASK_PROCESSOR_DATABASE_URL,
            secrets.task_processor_database.as_ref()?,
            own.task_processor_database.as_ref()?,
        )
    } else {
        (env::DATABASE_URL, &secrets.database, &own.database)
    };
    match (of_api, of_processor) {
        (SecretState::Present(api), SecretState::Present(processor)) if api != processor => {
            Some(Mismatch::Other { variable, api, processor })
        }
        _ => None,
    }
}

/// Whether a container has a separate database of tasks.
fn separate(environment: &Environment) -> Option<bool> {
    let lookups = [env::TASK_PROCESSOR_DATABASE_URL, env::TASK_PROCESSOR_DATABASE_NAME]
        .map(|name| environment.lookup(name));
    if lookups.iter().any(|lookup| matches!(lookup, Lookup::Set(_))) {
        return Some(true);
    }
    (!lookups.contains(&Lookup::Unknown)).then_some(false)
}

/// Whether a processor of today looks at a queue: it holds a batch, or the heartbeat, where there is one, or else a
/// finished task is newer than its start. A heartbeat that has ceased is of the pod before, which goes on until its
/// successor is ready.
fn looked_at(observation: &Observation, queue: &Queue, silence: SignedDuration) -> bool {
    let processors = processors(observation);
    let Some(started) = processors.iter().filter_map(|pod| pod.started).min() else {
        return false;
    };
    let since = queue.at.duration_since(started);
    let looks = match queue.heartbeat() {
        Some(heartbeat) => heartbeat <= silence && heartbeat < since,
        None => queue.last_success().is_some_and(|age| age < since),
    };
    looks || locks::tell(queue, &processors).live > 0
}

fn told(mismatch: &Mismatch<'_>, api: &str, processor: &str) -> Vec<String> {
    match mismatch {
        Mismatch::Left { list } => vec![format!(
            "Deployment {processor}: {} is \"{list}\", which leaves out where the API queues",
            env::TASK_PROCESSOR_DATABASES
        )],
        Mismatch::Missing => vec![
            format!("Deployment {api}: {} is set, so tasks go there", env::TASK_PROCESSOR_DATABASE_URL),
            format!("Deployment {processor}: it is not set"),
        ],
        Mismatch::Other { variable, api: queued, processor: worked } => vec![
            format!("Deployment {api}: {variable} points to {queued}"),
            format!("Deployment {processor}: {variable} points to {worked}"),
        ],
    }
}

fn remedy(
    installation: &Installation,
    mismatch: &Mismatch<'_>,
    api: &ContainerState,
    (name, processor): (&str, &ContainerState),
) -> String {
    let tool = &installation.managed_by;
    let change = match mismatch {
        Mismatch::Left { .. } => {
            // The chart hands what the API has on to the task processor.
            let list = env::TASK_PROCESSOR_DATABASES;
            let both = [(Component::TaskProcessor, processor), (Component::Api, api)];
            let set = both.iter().filter(|(_, it)| !it.environment.lacks(list));
            let changes: Vec<Change<'_>> =
                set.map(|(component, _)| Change::NoEnv(*component, list)).collect();
            tool.change(&changes)
        }
        Mismatch::Missing => same(installation, name, env::TASK_PROCESSOR_DATABASE_URL, api),
        Mismatch::Other { variable, .. } => same(installation, name, variable, api),
    };
    format!("Let the task processor look where the API queues: {change}. What waits is then worked off.")
}

fn same(installation: &Installation, deployment: &str, variable: &str, api: &ContainerState) -> String {
    let key = match api.environment.lookup(variable) {
        Lookup::Set(Variable::Secret(key)) => Some(key),
        _ => None,
    };
    installation.managed_by.change(&[Change::SameAsApi { deployment, variable, key }])
}

/// A second database of one `migrate`, empty at first, in which a table of the main database is missing.
fn migrated_in_full(evidence: &LogEvidence, occurrence: &Occurrence) -> Option<Explanation> {
    let second = run(evidence, occurrence).is_some_and(|run| run.database > 0 && run.fresh);
    if !second || conflict::of(occurrence) != Some(Conflict::Missing) {
        return None;
    }
    Some(Explanation::new(
        Code::TaskProcessorDatabaseMismatch,
        format!(
            "Migrating the separate task processor database failed{}: {} does not exist. \"flagsmith migrate\" runs every app's \
             migrations on an empty TASK_PROCESSOR_DATABASE_URL, and one of them reads the main database, which is already further.",
            at_migration(evidence, occurrence),
            conflict::object(occurrence)
        ),
        "Create only the task processor's own tables there: flagsmith migrate task_processor --database task_processor; then start it \
         with \"flagsmith start task-processor\", not \"run-task-processor\", which would migrate again.",
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        causes::{
            log::{failure::Stage, testing::recognise},
            task_processor::shared::testing::{NOW, lock, processor, recurring, with_queue},
        },
        fixtures::{installation, spec},
        observe::{ConfigMaps, ProcessorDatabases, database::Queues},
        validate::ManagedBy,
    };

    #[test]
    fn recognises() {
        let (code, details) = recognise(
            Stage::Serve,
            "django.core.exceptions.ImproperlyConfigured",
            "DATABASES must include 'task_processor' when using a separate task processor database.",
        )
        .unwrap();
        assert_eq!((code, details.object), (Code::TaskProcessorDatabaseMismatch, None));
    }

    fn container(env: &Value, sources: &Value) -> ContainerState {
        let maps = ConfigMaps::from([(
            "shared".to_owned(),
            BTreeMap::from([("TASK_PROCESSOR_DATABASES".to_owned(), "default".to_owned())]),
        )]);
        let container = json!({ "name": "flagsmith", "env": env, "envFrom": sources });
        ContainerState::new(&serde_json::from_value(container).unwrap(), &maps)
    }

    fn api(more: &[Value]) -> Value {
        let queued = json!({ "name": "TASK_RUN_METHOD", "value": "TASK_PROCESSOR" });
        Value::Array([&[queued], more].concat())
    }

    fn url() -> Value {
        let key = json!({ "name": "queue", "key": "URL" });
        json!({ "name": "TASK_PROCESSOR_DATABASE_URL", "valueFrom": { "secretKeyRef": key } })
    }

    fn list(value: &str) -> Value {
        json!({ "name": "TASK_PROCESSOR_DATABASES", "value": value })
    }

    /// An installation whose queue no processor has looked at since the processor was started.
    fn unread(api: &Value, processor_env: &Value, sources: &Value) -> Observation {
        let mut observation = with_queue(|queue| {
            queue.recurring = Some(Vec::new());
            queue.runs = Vec::new();
            (queue.ready, queue.oldest_ready) = (30, Some(SignedDuration::from_secs(300)));
        });
        observation.pods = vec![processor(NOW - 600)];
        observation.api.as_mut().unwrap().containers = [container(api, &json!([]))].into();
        observation.task_processor.as_mut().unwrap().containers = [container(processor_env, sources)].into();
        observation
    }

    fn found(observation: &Observation) -> Option<Draft> {
        let mut installation = installation(&spec(json!({})));
        installation.managed_by = ManagedBy::Manifests {
            namespace: "prod".to_owned(),
            deployments: [Some("web".to_owned()), Some("worker".to_owned()), None],
        };
        mismatch(&Context::new(&installation, observation))
    }

    #[rstest]
    #[case::one_database(api(&[]), json!([]), json!([]), None)]
    #[case::both_apart(api(&[url()]), json!([url()]), json!([]), None)]
    #[case::the_list_has_it(api(&[url()]), json!([url(), list("default, task_processor")]), json!([]), None)]
    #[case::only_the_processor_has_another_one_too(api(&[]), json!([url()]), json!([]), None)]
    #[case::a_secret_may_say_it(api(&[url()]), json!([]), json!([{ "secretRef": { "name": "all" } }]), None)]
    #[case::left_out(api(&[url()]), json!([url(), list("default")]), json!([]), Some("set env deployment/worker TASK_PROCESSOR_DATABASES-"))]
    #[case::left_out_by_a_map(api(&[url()]), json!([url()]), json!([{ "configMapRef": { "name": "shared" } }]), Some("TASK_PROCESSOR_DATABASES-"))]
    #[case::the_main_one_left_out(api(&[]), json!([url(), list("task_processor")]), json!([]), Some("TASK_PROCESSOR_DATABASES-"))]
    #[case::missing(api(&[url()]), json!([]), json!([]), Some("patch deployment worker --type=json"))]
    fn by_settings(
        #[case] api: Value,
        #[case] processor: Value,
        #[case] sources: Value,
        #[case] remedy: Option<&str>,
    ) {
        let found = found(&unread(&api, &processor, &sources));
        let Some(remedy) = remedy else {
            return assert_eq!(found, None);
        };
        let found = found.unwrap();
        assert_eq!(found.severity, Severity::Critical);
        assert!(found.remedy.contains(remedy), "{found:#?}");
    }

    #[test]
    fn a_main_queue_that_is_worked_off_says_nothing_about_a_separate_one() {
        let mut observation = unread(&api(&[url()]), &json!([]), &json!([]));
        queue(&mut observation).locked = 1;
        queue(&mut observation).locks = vec![lock(1, 99_990, 60)];
        assert!(found(&observation).is_some(), "no look into the separate one");

        observation.queues.separate = Some(observation.queues.default.clone());
        assert_eq!(found(&observation), None, "a processor works on the separate one");
    }

    #[test]
    fn an_api_that_does_not_queue_has_no_queue() {
        assert_eq!(found(&unread(&json!([url()]), &json!([]), &json!([]))), None);
    }

    /// A processor of the API's database, by another name or another one in truth.
    fn elsewhere(host: &str) -> Observation {
        let mut observation = unread(&api(&[]), &json!([]), &json!([]));
        let SecretState::Present(own) = &observation.secrets.database else {
            unreachable!("the fixture has a database")
        };
        let database = DatabaseIdentity { host: host.to_owned(), ..own.clone() };
        observation.secrets.of_processor = Some(ProcessorDatabases {
            database: SecretState::Present(database),
            task_processor_database: None,
        });
        observation
    }

    fn queue(observation: &mut Observation) -> &mut Queue {
        match &mut observation.queues.default {
            QueueProbe::Seen(queue) => queue,
            other => unreachable!("{other:?}"),
        }
    }

    #[test]
    fn another_name_counts_where_no_processor_looks_at_the_queue() {
        assert_eq!(found(&elsewhere("db.prod")), None, "the same name");
        let other = found(&elsewhere("db.staging")).unwrap();
        assert_eq!(other.severity, Severity::Critical);
        assert!(other.evidence.iter().any(|it| it.contains("db.staging")), "{other:#?}");

        let mut started = elsewhere("db.staging");
        started.pods = vec![processor(NOW - 20)];
        assert_eq!(found(&started), None, "it has not looked anywhere yet");

        let mut looks = elsewhere("pgbouncer");
        queue(&mut looks).locked = 1;
        queue(&mut looks).locks = vec![lock(1, 99_990, 60)];
        assert_eq!(found(&looks), None, "a processor works on it by another name");

        let mut ceased = elsewhere("db.staging");
        queue(&mut ceased).recurring = Some(vec![recurring("tasks.refresh", 540)]);
        assert!(found(&ceased).is_some(), "the pod before has looked until its end");
        queue(&mut ceased).recurring = Some(vec![recurring("tasks.refresh", 5)]);
        assert_eq!(found(&ceased), None, "a processor looks at it");

        let mut unknown = elsewhere("db.staging");
        unknown.queues = Queues::default();
        assert_eq!(
            found(&unknown).map(|it| it.severity),
            Some(Severity::Warning),
            "the queue could not be read"
        );
    }

    #[test]
    fn the_operators_own_installation_is_changed_in_its_specification() {
        let observation = unread(&api(&[url()]), &json!([]), &json!([]));
        let found = mismatch(&Context::new(&installation(&spec(json!({}))), &observation)).unwrap();
        assert!(found.remedy.contains("Set spec.database.taskProcessorUrlFrom, and remove"), "{found:#?}");
    }
}
