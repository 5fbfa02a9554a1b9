//! What is written, and what is not, where the API server's answer is another one than usual.

use std::cell::Cell;

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use kube::client::Body;
use rstest::rstest;
use tower::{BoxError, service_fn};

use super::*;
use crate::{
    decide::decide,
    fixtures::{empty_observation, installation, minimal},
};

/// What was asked of the server: the last part of the path, the query, and the body.
#[derive(Clone, Debug)]
struct Asked {
    method: Method,
    name: String,
    query: String,
    body: Value,
}

/// An applier, and everything that it asks of a server that answers like this.
struct Bench {
    applier: Applier,
    watches: Arc<Watches>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Bench {
    fn new(answer: impl Fn(&Asked) -> (u16, Value) + Send + Sync + 'static) -> Self {
        let (answer, asked) = (Arc::new(answer), Arc::new(Mutex::new(Vec::new())));
        let all = Arc::clone(&asked);
        let server = service_fn(move |request: Request<Body>| {
            let (answer, all) = (Arc::clone(&answer), Arc::clone(&all));
            async move {
                let (method, uri) = (request.method().clone(), request.uri().clone());
                let body = request.into_body().collect().await?.to_bytes();
                let asked = Asked {
                    method,
                    name: uri.path().rsplit('/').next().unwrap_or_default().to_owned(),
                    query: uri.query().unwrap_or_default().to_owned(),
                    body: serde_json::from_slice(&body).unwrap_or_default(),
                };
                all.lock().unwrap().push(asked.clone());
                let (code, answer) = answer(&asked);
                let mut response = Response::new(Body::from(answer.to_string().into_bytes()));
                *response.status_mut() = StatusCode::from_u16(code).unwrap();
                Ok::<_, BoxError>(response)
            }
        });
        let watches = Arc::new(Watches::default());
        let client = Client::new(server, "prod");
        Self { applier: Applier::new(client, Arc::clone(&watches), Scope::Cluster), watches, asked }
    }

    /// The watches show this.
    fn shows(&self, kind: Kind, object: &Value) {
        let object = serde_json::from_str(&object.to_string()).unwrap();
        self.watches.index.record(Watched::Child(kind), &object).unwrap();
    }

    /// Applies children and whatever else a plan for an empty namespace has to do.
    async fn applies(&self, children: Vec<Child>) -> (Applied, Result<(), Error>) {
        let installation = installation(&minimal());
        let plan = decide(&installation, &empty_observation(), &[]);
        self.applier.apply(&installation, &plan, 1, || children).await
    }

    fn asked(&self, method: &Method) -> Vec<Asked> {
        self.asked.lock().unwrap().iter().filter(|asked| asked.method == *method).cloned().collect()
    }
}

fn refused(code: u16) -> (u16, Value) {
    let reason = if code == 404 { "NotFound" } else { "" };
    (code, json!({ "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": "no" }))
}

const OWN: &str = "b9b0b7a6";

fn metadata(name: &str) -> Value {
    json!({ "name": name, "namespace": "prod", "labels": { marks::INSTANCE: "flagsmith" } })
}

/// As the server shows it, controlled by the installation of this uid.
fn shown(body: &Value, owner: &str) -> Value {
    let mut shown = body.clone();
    shown["metadata"]["uid"] = json!("an-uid");
    shown["metadata"]["resourceVersion"] = json!("7");
    shown["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "operator.flagsmith.com/v1alpha1", "kind": "FlagsmithDeployment", "name": "flagsmith",
        "uid": owner, "controller": true,
    }]);
    shown
}

fn child(kind: Kind, name: &str, spec: &Value) -> Child {
    let resource = kind.api_resource();
    let body = json!({
        "apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata(name), "spec": spec,
    });
    Child { kind, name: name.to_owned(), component: Some(Component::Api), body }
}

fn service() -> Child {
    child(Kind::Service, "flagsmith-api", &json!({ "type": "ClusterIP" }))
}

fn not_owned(applied: &Applied) -> Vec<&str> {
    let owners = applied.refused.iter().map(|refused| match &refused.why {
        Refusal::NotOwned { owner } => owner.as_str(),
        other => panic!("{other:?}"),
    });
    owners.collect()
}

/// The watches show nothing of what has lost its label, and of what was made a moment ago.
#[rstest]
#[case::gone_again(None, true)]
#[case::its_own(Some(json!([{ "uid": OWN, "controller": true }])), true)]
#[case::not_controlled_by_it(Some(json!([{ "uid": OWN, "controller": false }])), false)]
#[case::somebody_elses(Some(json!([{ "uid": "another", "controller": true }])), false)]
#[case::nobodys(Some(json!([])), false)]
#[tokio::test]
async fn what_was_there_already_is_written_over_where_it_is_its_own(
    #[case] owners: Option<Value>,
    #[case] written: bool,
) {
    let bench = Bench::new(move |asked| match (&asked.method, &owners) {
        (&Method::PATCH, _) if asked.body["metadata"]["resourceVersion"] == VERSION_OF_NOTHING => {
            refused(409)
        }
        (&Method::PATCH, _) => (200, shown(&asked.body, OWN)),
        (_, Some(owners)) => {
            let metadata = json!({ "name": "flagsmith-api", "uid": "an-uid", "ownerReferences": owners });
            (
                200,
                json!({ "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": metadata }),
            )
        }
        (_, None) => refused(404),
    });
    let (applied, result) = bench.applies(vec![service()]).await;
    assert!(result.is_ok(), "{result:?}");
    assert_eq!((applied.written, bench.asked(&Method::PATCH).len()), if written { (1, 2) } else { (0, 1) });
    assert_eq!(not_owned(&applied).len(), usize::from(!written));
}

#[tokio::test]
async fn a_server_that_fails_is_no_object_that_is_there() {
    let bench = Bench::new(|_| refused(500));
    let (applied, result) = bench.applies(vec![service()]).await;
    assert!(matches!(result, Err(Error::Kube(_))), "{result:?}");
    assert_eq!((applied.written, applied.refused.len()), (0, 0));
    assert!(bench.asked(&Method::GET).is_empty() && bench.asked(&Method::PATCH).len() == 1);
}

/// Pods find their account by its name alone.
#[rstest]
#[case::somebody_elses(403, "another", Kind::ServiceAccount, 1)]
#[case::its_own(200, OWN, Kind::ServiceAccount, 2)]
#[case::forbidden(403, OWN, Kind::ServiceAccount, 2)]
#[case::of_another_kind(403, "another", Kind::Service, 2)]
#[tokio::test]
async fn no_pods_are_made_for_an_account_of_somebody_else(
    #[case] code: u16,
    #[case] owner: &'static str,
    #[case] kind: Kind,
    #[case] reached: usize,
) {
    let bench = Bench::new(move |asked| match asked.body["kind"].as_str() {
        Some("Deployment" | "Ingress") => (200, shown(&asked.body, OWN)),
        _ if code == 200 => (200, shown(&asked.body, OWN)),
        _ => refused(code),
    });
    let account = child(kind, "flagsmith", &json!({}));
    bench.shows(kind, &shown(&json!({ "metadata": metadata("flagsmith") }), owner));
    let pods = child(Kind::Deployment, "flagsmith-api", &json!({ "replicas": 2 }));
    let without = child(Kind::Ingress, "flagsmith-api", &json!({}));
    let (applied, result) = bench.applies(vec![account, pods, without]).await;
    assert!(result.is_ok(), "{result:?}");
    let others = bench.asked(&Method::PATCH).iter().filter(|asked| asked.name == "flagsmith-api").count();
    assert_eq!(others, reached, "{applied:?}");
}

/// An autoscaler that has written the number meanwhile has it.
#[rstest]
#[case::kept(200, true)]
#[case::the_autoscaler_was_faster(409, true)]
#[case::the_server_fails(500, false)]
#[tokio::test]
async fn the_number_of_pods_is_kept_for_an_autoscaler(#[case] code: u16, #[case] goes_on: bool) {
    let bench = Bench::new(move |asked| match code {
        200 => (200, shown(&asked.body, OWN)),
        _ if asked.query.contains(marks::REPLICAS_KEEPER) => refused(code),
        _ => (200, shown(&asked.body, OWN)),
    });
    let pods = child(Kind::Deployment, "flagsmith-api", &json!({ "paused": true }));
    let fixed = json!({ "metadata": metadata("flagsmith-api"), "spec": { "replicas": 4 } });
    bench.shows(Kind::Deployment, &shown(&fixed, OWN));
    let (applied, result) = bench.applies(vec![pods]).await;
    let patches = bench.asked(&Method::PATCH);
    assert!(patches[0].query.contains(marks::REPLICAS_KEEPER) && !patches[0].query.contains("force=true"));
    assert_eq!(patches[0].body["spec"], json!({ "replicas": 4 }));
    assert_eq!(
        (applied.written, patches.len(), result.is_ok()),
        if goes_on { (1, 2, true) } else { (0, 1, false) }
    );
}

#[tokio::test]
async fn a_number_of_pods_that_is_wanted_is_written_at_once() {
    let bench = Bench::new(|asked| (200, shown(&asked.body, OWN)));
    let fixed = json!({ "metadata": metadata("flagsmith-api"), "spec": { "replicas": 4 } });
    bench.shows(Kind::Deployment, &shown(&fixed, OWN));
    let pods = child(Kind::Deployment, "flagsmith-api", &json!({ "replicas": 2 }));
    assert_eq!(bench.applies(vec![pods]).await.0.written, 1);
    assert_eq!(bench.asked(&Method::PATCH).len(), 1);
}

#[tokio::test]
async fn what_somebody_has_changed_is_written_and_told() {
    let bench = Bench::new(|asked| (200, shown(&asked.body, OWN)));
    let hash = hash(&service().body);
    let mut changed = shown(&service().body, OWN);
    changed["metadata"]["annotations"] = json!({ marks::APPLIED_HASH: hash });
    changed["spec"]["type"] = json!("NodePort");
    bench.shows(Kind::Service, &changed);
    let (applied, result) = bench.applies(vec![service()]).await;
    assert!(result.is_ok(), "{result:?}");
    let told = Repaired { object: "Service flagsmith-api".to_owned(), changes: vec!["spec.type".to_owned()] };
    assert_eq!((applied.written, applied.repaired), (1, vec![told]));
}

/// What is not wanted any more goes once; that it is gone already, or that its name is another one's, is no failure.
#[rstest]
#[case::deleted(200, 1, true)]
#[case::gone(404, 1, true)]
#[case::another_one_by_now(409, 1, true)]
#[case::the_server_fails(500, 0, false)]
#[tokio::test]
async fn what_is_not_wanted_is_deleted(#[case] code: u16, #[case] written: usize, #[case] done: bool) {
    let bench =
        Bench::new(move |_| if code == 200 { (200, json!({ "kind": "Status" })) } else { refused(code) });
    bench.shows(Kind::Ingress, &shown(&json!({ "metadata": metadata("flagsmith") }), OWN));
    let (applied, result) = bench.applies(Vec::new()).await;
    assert_eq!((applied.written, result.is_ok()), (written, done), "{result:?}");
    let deletions = bench.asked(&Method::DELETE);
    assert_eq!(deletions.len(), 1);
    assert_eq!(deletions[0].body["preconditions"], json!({ "uid": "an-uid" }));
    // The next pass may still see it as it was.
    let _ = bench.applies(Vec::new()).await;
    assert_eq!(bench.asked(&Method::DELETE).len(), if code == 200 { 1 } else { 2 });
}

fn pod(phase: Option<&str>) -> Value {
    json!({ "metadata": { "name": "a-pod", "namespace": "prod" }, "status": { "phase": phase } })
}

fn list(kind: &str, items: &[Value]) -> (u16, Value) {
    (200, json!({ "apiVersion": "v1", "kind": format!("{kind}List"), "metadata": {}, "items": items }))
}

/// A Job that has begun to migrate is left to end by itself; the watches may not know yet that it has.
#[rstest]
#[case::waiting(vec![pod(Some("Pending"))], true)]
#[case::of_no_phase_yet(vec![pod(None)], true)]
#[case::begun(vec![pod(Some("Running"))], false)]
#[case::out_of_sight(vec![pod(Some("Unknown"))], false)]
#[case::ended(vec![pod(Some("Succeeded")), pod(Some("Failed"))], true)]
#[case::one_of_them_has_begun(vec![pod(Some("Failed")), pod(Some("Running"))], false)]
#[case::without_pods(vec![], true)]
#[tokio::test]
async fn a_job_that_is_not_wanted_goes_unless_it_has_begun(#[case] pods: Vec<Value>, #[case] goes: bool) {
    let bench = Bench::new(move |asked| match asked.method {
        Method::GET => list("Pod", &pods),
        _ => (200, json!({ "kind": "Status" })),
    });
    bench.shows(Kind::Job, &shown(&json!({ "metadata": metadata("flagsmith-migrate-1") }), OWN));
    let installation = installation(&minimal());
    let plan = Plan {
        superseded_jobs: vec!["flagsmith-migrate-1".to_owned()],
        ..decide(&installation, &empty_observation(), &[])
    };
    let (applied, result) = bench.applier.apply(&installation, &plan, 1, Vec::new).await;
    assert!(result.is_ok(), "{result:?}");
    let deletions = bench.asked(&Method::DELETE);
    assert_eq!((applied.written, deletions.len()), if goes { (1, 1) } else { (0, 0) });
    // It must stay visible until its pods are gone.
    assert!(deletions.iter().all(|asked| asked.body["propagationPolicy"] == "Foreground"), "{deletions:?}");
}

/// Whatever the objects are built of, and whatever becomes of one of them, they are built again.
#[tokio::test]
async fn objects_are_built_only_where_something_has_changed() {
    let bench = Bench::new(|asked| (200, shown(&asked.body, OWN)));
    let installation = installation(&minimal());
    let plan = decide(&installation, &empty_observation(), &[]);
    let built = Cell::new(0);
    let pass = async |plan: &Plan, specification: u64| {
        let build = || {
            built.set(built.get() + 1);
            vec![service()]
        };
        let (_, result) = bench.applier.apply(&installation, plan, specification, build).await;
        result.unwrap();
        built.get()
    };
    assert_eq!((pass(&plan, 1).await, pass(&plan, 1).await), (1, 1), "nothing has changed");
    assert_eq!((pass(&plan, 2).await, pass(&plan, 2).await), (2, 2), "the specification");
    let other = Plan { is_restoring: true, ..plan };
    assert_eq!((pass(&other, 2).await, pass(&other, 2).await), (3, 3), "the plan");
    let mut changed =
        shown(&json!({ "metadata": metadata("flagsmith-api"), "spec": { "type": "NodePort" } }), OWN);
    changed["metadata"]["resourceVersion"] = json!("9");
    bench.shows(Kind::Service, &changed);
    assert_eq!(pass(&other, 2).await, 4, "an object");
    assert_eq!(bench.asked(&Method::PATCH).len(), 2, "it is made, and made as it was");
    bench.applier.forget(&installation.identity.uid);
    assert_eq!((bench.applier.remembers(), pass(&other, 2).await), (0, 5));
}

fn job(database: &str, condition: &str) -> Value {
    let job = json!({
        "metadata": { "name": "another", "namespace": "other", "labels": { marks::DATABASE: database } },
        "status": { "conditions": [{ "type": condition, "status": "True" }] },
    });
    shown(&job, "another")
}

/// Whatever works on the database, in whatever namespace, and also where its Job is gone.
#[rstest]
#[case::nothing(vec![], vec![], true)]
#[case::a_job(vec![job("db", "Suspended")], vec![], false)]
#[case::a_job_that_has_ended(vec![job("db", "Complete")], vec![], true)]
#[case::a_pod(vec![], vec![pod(Some("Running"))], false)]
#[case::a_pod_that_will_begin(vec![], vec![pod(Some("Pending"))], false)]
#[case::a_pod_of_which_nothing_is_known(vec![], vec![pod(None)], false)]
#[case::pods_that_have_ended(vec![], vec![pod(Some("Succeeded")), pod(Some("Failed"))], true)]
#[tokio::test]
async fn a_job_waits_for_what_works_on_its_database(
    #[case] jobs: Vec<Value>,
    #[case] pods: Vec<Value>,
    #[case] made: bool,
) {
    let bench = Bench::new(move |asked| match (&asked.method, asked.name.as_str()) {
        (&Method::GET, "jobs") => list("Job", &jobs),
        (&Method::GET, _) => list("Pod", &pods),
        _ => (201, shown(&asked.body, OWN)),
    });
    let mut migration = child(Kind::Job, "flagsmith-migrate-1", &json!({}));
    migration.body["metadata"]["labels"][marks::DATABASE] = json!("db");
    let created = bench.applier.create_job(&installation(&minimal()), migration).await.unwrap();
    assert_eq!(created == Creation::Created, made, "{created:?}");
    assert!(made || matches!(created, Creation::Held(_)), "{created:?}");
    assert_eq!(bench.asked(&Method::POST).len(), usize::from(made));
}

fn processor(owner: &str, spec: i32, replicas: i32, observed: i64) -> Value {
    let mut processor = shown(&json!({ "metadata": metadata("flagsmith-task-processor") }), owner);
    processor["metadata"]["generation"] = json!(2);
    processor["spec"] = json!({ "replicas": spec, "selector": {}, "template": {} });
    processor["status"] = json!({ "replicas": replicas, "observedGeneration": observed });
    processor
}

/// The watches may not show yet that the last pass has started it.
#[rstest]
#[case::stopped(vec![processor(OWN, 0, 0, 2)], true, true)]
#[case::wanted(vec![processor(OWN, 1, 0, 2)], true, false)]
#[case::with_a_pod(vec![processor(OWN, 0, 1, 2)], true, false)]
#[case::not_seen_by_its_controller(vec![processor(OWN, 0, 0, 1)], true, false)]
#[case::somebody_elses(vec![processor("another", 1, 1, 2)], true, true)]
#[case::during_a_backup(vec![processor(OWN, 1, 1, 2)], false, true)]
#[tokio::test]
async fn a_migration_waits_for_its_own_task_processor(
    #[case] processors: Vec<Value>,
    #[case] migrates: bool,
    #[case] made: bool,
) {
    let bench = Bench::new(move |asked| match (&asked.method, asked.name.as_str()) {
        (&Method::GET, "deployments") => list("Deployment", &processors),
        (&Method::GET, name) => list(name, &[]),
        _ => (201, shown(&asked.body, OWN)),
    });
    let mut job = child(Kind::Job, "flagsmith-migrate-1", &json!({}));
    job.body["metadata"]["labels"][marks::DATABASE] = json!("db");
    if migrates {
        job.body["metadata"]["annotations"] = json!({ marks::MIGRATION_KEY: "1" });
    }
    let created = bench.applier.create_job(&installation(&minimal()), job).await.unwrap();
    assert_eq!(created, if made { Creation::Created } else { Creation::TooEarly });
    assert_eq!(bench.asked(&Method::POST).len(), usize::from(made));
}

#[tokio::test]
async fn what_follows_a_secret_that_was_made_begins_at_once() {
    let bench = Bench::new(|_| (201, json!({ "metadata": {} })));
    let installation = installation(&minimal());
    let plan =
        Plan { generate: vec![GeneratedSecret::Django], ..decide(&installation, &empty_observation(), &[]) };
    let (applied, result) = bench.applier.apply(&installation, &plan, 1, Vec::new).await;
    assert!(result.is_ok(), "{result:?}");
    let names: Vec<_> = applied.secrets.iter().map(|it| it.name.as_str()).collect();
    assert_eq!((applied.written, names), (1, vec![installation.django_secret.name.as_str()]));
}

/// The answer to an earlier attempt may be lost, and names are anybody's.
#[rstest]
#[case::made(200, None, Ok(true))]
#[case::made_by_an_earlier_attempt(409, Some(OWN), Ok(false))]
#[case::gone_again(409, None, Ok(false))]
#[case::somebody_elses(409, Some("another"), Err("refused"))]
#[case::the_server_fails(500, Some(OWN), Err("kube"))]
#[tokio::test]
async fn a_job_is_made_once(
    #[case] code: u16,
    #[case] owner: Option<&'static str>,
    #[case] expected: Result<bool, &str>,
) {
    let body = json!({ "metadata": metadata("flagsmith-migrate-1") });
    let bench = Bench::new(move |asked| match (asked.method.as_str(), owner) {
        ("POST", _) if code == 200 => (201, shown(&asked.body, OWN)),
        ("POST", _) => refused(code),
        ("GET", Some(owner)) => (200, shown(&body, owner)),
        _ => refused(404),
    });
    // Without the label of a database there is nothing that it would have to wait for.
    let job = child(Kind::Job, "flagsmith-migrate-1", &json!({}));
    let created = bench.applier.create_job(&installation(&minimal()), job).await;
    let created = created.map(|it| it == Creation::Created).map_err(|error| error.category());
    assert_eq!(created, expected);
    assert!(bench.asked(&Method::POST)[0].query.contains("fieldManager=flagsmith-operator"));
    let known = bench.watches.index.get(Watched::Child(Kind::Job), "prod", "flagsmith-migrate-1");
    assert_eq!(known.is_some(), code == 200 || (code == 409 && owner == Some(OWN)));
}

/// Two installations on one database wait for each other; of one that nobody works on nothing is kept.
#[tokio::test]
async fn a_database_has_one_lock_while_somebody_needs_it() {
    let bench = Bench::new(|_| refused(500));
    let applier = &bench.applier;
    let (first, other) = (applier.lock_of("a"), applier.lock_of("b"));
    assert!(Arc::ptr_eq(&first, &applier.lock_of("a")) && !Arc::ptr_eq(&first, &other));
    drop(other);
    let _ = applier.lock_of("a");
    assert_eq!(applier.migrating.lock().unwrap().keys().collect::<Vec<_>>(), ["a"]);
}

#[rstest]
#[case::nothing(|_: &mut Applied| {}, true)]
#[case::what_it_wrote_itself(|it: &mut Applied| it.written = 3, true)]
#[case::repaired(|it: &mut Applied| it.repaired = vec![Repaired { object: String::new(), changes: Vec::new() }], false)]
#[case::refused(
    |it: &mut Applied| {
        let why = Refusal::Rejected(String::new());
        it.refused = vec![Refused { kind: Kind::Service, name: String::new(), component: None, why }];
    },
    false
)]
#[case::begun(|it: &mut Applied| it.job_created = Some("flagsmith-migrate-1".to_owned()), false)]
#[case::held(|it: &mut Applied| it.held = Some("another".to_owned()), false)]
fn what_happened_to_others_is_told(#[case] change: fn(&mut Applied), #[case] nothing: bool) {
    let mut applied = Applied::default();
    change(&mut applied);
    assert_eq!(applied.has_nothing_to_tell(), nothing);
}

#[rstest]
#[case::nobody(json!({}), "it has no controller and no app.kubernetes.io/managed-by label")]
#[case::a_tool(
    json!({ "labels": { marks::MANAGED_BY: "Helm" } }),
    "it has no controller; app.kubernetes.io/managed-by is \"Helm\""
)]
#[case::a_controller(
    json!({
        "labels": { marks::MANAGED_BY: "Helm" },
        "ownerReferences": [
            { "kind": "ConfigMap", "name": "a", "uid": "1" },
            { "kind": "FlagsmithDeployment", "name": "other", "uid": "2", "controller": true },
        ],
    }),
    "controlled by FlagsmithDeployment other (uid 2)"
)]
fn an_object_says_whose_it_is(#[case] metadata: Value, #[case] expected: &str) {
    assert_eq!(describe_owner(&json!({ "metadata": metadata })), expected);
}

/// Whoever compares hashes compares what they are of.
#[test]
fn a_hash_is_of_the_whole_object_whatever_the_order_of_its_fields() {
    let read = |text: &str| -> Value { serde_json::from_str(text).unwrap() };
    let one = hash(&read(r#"{"a": 1, "b": {"c": 2, "d": 3}}"#));
    assert_eq!(one, hash(&read(r#"{"b": {"d": 3, "c": 2}, "a": 1}"#)));
    assert_ne!(one, hash(&read(r#"{"a": 1, "b": {"c": 2, "d": 4}}"#)));
    assert_eq!(one.len(), HASH_DIGITS);
}
