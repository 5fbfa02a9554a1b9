use http::{Request, Response};
use kube::{
    Client,
    client::Body,
    core::ObjectMeta,
    runtime::{
        reflector::{self, Store},
        watcher::Event,
    },
};
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::{BoxError, service_fn};

use super::*;
use crate::{
    apply::Applier,
    causes::diagnose_pod_log,
    model::DocsUrl,
    observe::{Observer, PodLogReader, ReadDepth, Scope, Watches, watch::Namespaces},
    report::Reporter,
    runtime::{backoff::Failures, lease::Leadership, metrics::Metrics},
};

/// What passes work with where the API server has no object.
fn context(resources: Store<GuardedResource>) -> Context {
    let nothing = service_fn(|_: Request<Body>| async {
        let status = json!({ "kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404, "message": "" });
        let mut answer = Response::new(Body::from(status.to_string().into_bytes()));
        *answer.status_mut() = http::StatusCode::NOT_FOUND;
        Ok::<_, BoxError>(answer)
    });
    let client = Client::new(nothing, "default");
    let (metrics, watches) = (Metrics::new(), Arc::new(Watches::default()));
    let pod_logs = PodLogReader::new(client.clone(), ReadDepth::None, diagnose_pod_log, None);
    let (_, leading) = watch::channel(Leadership::forever());
    let (triggers, _) = mpsc::channel(1);
    Context {
        resources,
        observer: Observer::new(client.clone(), Arc::clone(&watches), None, pod_logs),
        namespaces: Namespaces::new(client.clone(), triggers),
        applier: Applier::new(client.clone(), watches, Scope::Cluster),
        reporter: Reporter::new(client, metrics.clone(), DocsUrl::default(), None),
        leading,
        shutdown: CancellationToken::new(),
        passes: TaskTracker::new(),
        failures: Failures::new(),
        metrics,
    }
}

/// The shortest pass that reports: over an object that cannot be read.
fn resource(uid: &str) -> Arc<GuardedResource> {
    Arc::new(GuardedResource(Err(InvalidObject {
        error: "no specification".to_owned(),
        metadata: ObjectMeta {
            namespace: Some("prod".to_owned()),
            name: Some("flagsmith".to_owned()),
            uid: Some(uid.to_owned()),
            generation: Some(1),
            ..ObjectMeta::default()
        },
    })))
}

#[tokio::test]
async fn a_pass_over_what_was_deleted_meanwhile_leaves_nothing_behind() {
    let (resources, mut stored) = reflector::store();
    let context = Arc::new(context(resources));
    let exported = || context.metrics.render().unwrap().contains("name=\"flagsmith\"");
    let (first, second) = (resource("first"), resource("second"));

    stored.apply_watcher_event(&Event::Apply((*first).clone()));
    reconcile_guarded(Arc::clone(&first), Arc::clone(&context)).await.unwrap();
    assert!(exported());

    stored.apply_watcher_event(&Event::Delete((*first).clone()));
    context.forget(&first);
    assert!(!exported());
    reconcile_guarded(Arc::clone(&first), Arc::clone(&context)).await.unwrap();
    assert!(!exported(), "a pass that was under way has remembered it again");

    stored.apply_watcher_event(&Event::Apply((*second).clone()));
    reconcile_guarded(first, Arc::clone(&context)).await.unwrap();
    assert!(!exported(), "another one of its name is there");
    reconcile_guarded(second, Arc::clone(&context)).await.unwrap();
    assert!(exported());
}
