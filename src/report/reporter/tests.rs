use std::sync::Arc;

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use kube::client::Body;
use tower::{BoxError, service_fn};

use super::*;
use crate::fixtures;

/// A resource, its identity, and a reporter whose server answers each request by whether it is for the status, and its body.
fn reporting(
    answer: impl Fn(bool, &[u8]) -> (StatusCode, Value) + Send + Sync + 'static,
) -> (FlagsmithDeployment, Identity, Reporter) {
    let answer = Arc::new(answer);
    let server = service_fn(move |request: Request<Body>| {
        let answer = Arc::clone(&answer);
        async move {
            let is_status = request.uri().path().ends_with("/status");
            let body = request.into_body().collect().await?.to_bytes();
            let (status, answer) = answer(is_status, &body);
            let mut response = Response::new(Body::from(answer.to_string().into_bytes()));
            *response.status_mut() = status;
            Ok::<_, BoxError>(response)
        }
    });
    let reporter = Reporter::new(Client::new(server, "prod"), Metrics::new(), DocsUrl::default(), None);
    let resource = fixtures::resource(&fixtures::minimal());
    let identity = Identity::of(&resource).unwrap();
    (resource, identity, reporter)
}

/// How large the statuses were that were written to a server which takes objects of so many bytes.
async fn written(most: usize) -> Vec<usize> {
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&sizes);
    let (resource, identity, reporter) = reporting(move |is_status, body| {
        if is_status {
            seen.lock().unwrap().push(body.len());
        }
        if body.len() > most {
            let refused = json!({
                "kind": "Status", "status": "Failure", "code": 500, "message": "etcdserver: request is too large",
            });
            return (StatusCode::INTERNAL_SERVER_ERROR, refused);
        }
        let metadata = json!({ "name": "flagsmith", "resourceVersion": "2" });
        let written = json!({ "apiVersion": "v1", "kind": "A", "metadata": metadata });
        (StatusCode::OK, if is_status { written } else { json!({}) })
    });
    let problem = |number: usize| Problem {
        code: Code::InvalidSpec,
        field: format!("spec.field{number}"),
        message: "m".repeat(900),
        remedy: "r".repeat(3_000),
    };
    let problems = (0..8).map(problem).collect();
    reporter.report_invalid(&resource, &identity, problems, Timestamp::UNIX_EPOCH).await.unwrap();
    sizes.lock().unwrap().clone()
}

#[tokio::test]
async fn a_status_for_which_there_is_no_room_is_written_shorter() {
    let [whole] = Box::pin(written(100_000)).await[..] else {
        panic!("written once");
    };
    let [refused, shorter] = Box::pin(written(whole - 1)).await[..] else {
        panic!("written twice");
    };
    assert!(refused == whole && shorter * 3 < whole, "{whole} {refused} {shorter}");
}

/// Writes a status on a resource that somebody has changed meanwhile and that now has this uid: attempts, and whether the last
/// one succeeded.
async fn written_to(uid: &'static str) -> (usize, bool) {
    let attempts = Arc::new(Mutex::new((0, false)));
    let seen = Arc::clone(&attempts);
    let (resource, identity, reporter) = reporting(move |is_status, body| {
        let said: Value = serde_json::from_slice(body).unwrap_or_default();
        let conflicts = is_status && said["metadata"]["resourceVersion"] != "8";
        if is_status {
            let mut seen = seen.lock().unwrap();
            *seen = (seen.0 + 1, !conflicts);
        }
        if conflicts {
            let refused = json!({ "kind": "Status", "status": "Failure", "code": 409, "reason": "Conflict" });
            return (StatusCode::CONFLICT, refused);
        }
        let metadata = json!({ "name": "flagsmith", "uid": uid, "resourceVersion": "8" });
        (StatusCode::OK, json!({ "apiVersion": "v1", "kind": "A", "metadata": metadata }))
    });
    reporter.report_invalid(&resource, &identity, Vec::new(), Timestamp::UNIX_EPOCH).await.unwrap();
    *attempts.lock().unwrap()
}

#[tokio::test]
async fn a_status_is_written_on_the_resource_that_it_is_of_whoever_has_changed_that() {
    assert_eq!(Box::pin(written_to("b9b0b7a6")).await, (2, true), "changed meanwhile");
    assert_eq!(Box::pin(written_to("another")).await, (1, false), "deleted and made again");
}
