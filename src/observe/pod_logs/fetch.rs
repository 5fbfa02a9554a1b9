//! The requests for logs and Events.

use std::{io, time::Duration};

use futures::{AsyncBufRead, AsyncReadExt as _};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::{
    Api, Client,
    api::{ListParams, LogParams},
};

use super::{
    findings::{Run, Warning},
    request::LogRequest,
};

/// The longest log of a run that failed: that of a migration is read whole (a failing upgrade logs 100 KB).
const WHOLE: i64 = 4 << 20;

/// The longest sample of a healthy pod's new lines.
const SAMPLE_BYTES: i64 = 256 << 10;

/// Lines of a failed or unready run's end that are read where the log is longer: the cause is at its end.
const TAIL_LINES: i64 = 20_000;

/// Lines of a followed log's past that are asked for. Without any a kubelet does not answer before the next line, and
/// what was logged between the last sample and now is among them.
const PAST_LINES: i64 = 500;

/// How long one log may take: a kubelet that is there answers at once.
const DEADLINE: Duration = Duration::from_secs(4);

/// Warning Events of a pod that are read.
const EVENTS: u32 = 20;

/// How long an Event counts: the kubelet repeats that of a failing probe each ten seconds, and its recorder folds
/// repetitions into one Event with a fresh time.
const EVENT_COUNTS: SignedDuration = SignedDuration::from_mins(2);

/// Reads one log. `None` where that fails: a kubelet that restarts, or a container that has not begun, is reason enough.
pub(super) async fn log(client: &Client, namespace: &str, request: &LogRequest) -> Option<Vec<u8>> {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let parameters = parameters(request);
    let limit = usize::try_from(parameters.limit_bytes.unwrap_or(WHOLE)).unwrap_or_default();
    let reading = async {
        let stream = api.log_stream(&request.pod, &parameters).await?;
        let mut bytes = Vec::new();
        // The server's limit is approximate.
        Box::pin(stream)
            .take(limit.saturating_add(1 << 16) as u64)
            .read_to_end(&mut bytes)
            .await
            .map_err(|error: io::Error| kube::Error::Service(error.into()))?;
        Ok::<_, kube::Error>(bytes)
    };
    match tokio::time::timeout(DEADLINE, reading).await {
        Ok(Ok(bytes)) => Some(bytes),
        Ok(Err(error)) => {
            tracing::debug!(pod = request.pod, %error, "a pod's log could not be read");
            None
        }
        Err(_) => None,
    }
}

/// A log that goes on, with the kubelet's time before each line. `None` where it cannot be had.
pub(super) async fn followed(
    client: &Client,
    namespace: &str,
    request: &LogRequest,
) -> Option<impl AsyncBufRead + Unpin + use<>> {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let parameters = LogParams {
        container: Some(request.container.clone()),
        follow: true,
        timestamps: true,
        tail_lines: Some(PAST_LINES),
        ..LogParams::default()
    };
    match api.log_stream(&request.pod, &parameters).await {
        Ok(stream) => Some(Box::pin(stream)),
        Err(error) => {
            tracing::debug!(pod = request.pod, %error, "a pod's log cannot be followed");
            None
        }
    }
}

fn parameters(request: &LogRequest) -> LogParams {
    let base = LogParams {
        container: Some(request.container.clone()),
        previous: request.previous,
        ..LogParams::default()
    };
    match request.run {
        Run::Sample(since) => LogParams { since_time: Some(since), limit_bytes: Some(SAMPLE_BYTES), ..base },
        Run::Failed { .. } | Run::Unready => LogParams {
            tail_lines: Some(TAIL_LINES),
            limit_bytes: Some(WHOLE),
            since_time: request.since,
            ..base
        },
    }
}

/// The recent Warning Events of a pod; none where they cannot be read.
pub(super) async fn warnings(client: &Client, namespace: &str, pod: &str, now: Timestamp) -> Vec<Warning> {
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let parameters = ListParams::default()
        .fields(&format!("involvedObject.kind=Pod,involvedObject.name={pod},type=Warning"))
        .limit(EVENTS);
    let events = api.list(&parameters).await.map(|list| list.items).unwrap_or_default();
    let recent = |event: &Event| {
        let last = event.last_timestamp.as_ref().map(|time| time.0);
        let last = last.or_else(|| event.event_time.as_ref().map(|time| time.0));
        last.is_some_and(|last| now.duration_since(last) < EVENT_COUNTS)
    };
    events
        .into_iter()
        .filter(recent)
        .map(|event| Warning {
            pod: pod.to_owned(),
            reason: event.reason.unwrap_or_default(),
            message: event.message.unwrap_or_default(),
        })
        .collect()
}
