//! The one place in which leadership is checked: the client that writes sends nothing but reads unless this replica
//! leads, and no write of it is on its way for longer than that. Whoever uses it needs no check of its own, and cannot
//! forget one.

use std::task::{Context, Poll};

use futures::{FutureExt as _, future::BoxFuture};
use http::{Method, Request, Response};
use kube::{Client, client::Body};
use tokio::sync::watch;
use tower::{BoxError, Service};

use super::{client::Condition, lease::Leadership};

/// A write was not sent, because this replica does not lead any more.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("this replica does not lead any more")]
pub(crate) struct NotLeading;

/// A client that sends writes only while this replica leads. The lease itself is written with the client inside.
pub(crate) fn fenced(client: Client, leading: watch::Receiver<Leadership>) -> Client {
    let namespace = client.default_namespace().to_owned();
    Client::new(Fence { client, leading }, namespace)
}

/// Whether a request failed because this replica does not lead.
pub(crate) fn is_not_leading(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Service(source) if source.is::<NotLeading>())
}

struct Fence {
    client: Client,
    leading: watch::Receiver<Leadership>,
}

impl Service<Request<Body>> for Fence {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // The client has a queue of its own.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let client = self.client.clone();
        let leadership = writes(request.method()).then(|| self.leading.clone());
        if let Some(leading) = leadership.clone() {
            let condition = Condition::new(move || {
                let leads = leading.borrow().leads();
                if leads { Ok(()) } else { Err(NotLeading.into()) }
            });
            request.extensions_mut().insert(condition);
        }
        async move {
            // At the moment of sending, not of queueing; the client asks again before it repeats a request.
            Condition::check(&request)?;
            let Some(leading) = leadership else {
                return client.send(request).await.map_err(Into::into);
            };
            // A write that is on its way when leadership ends is given up, before another replica begins. The end comes
            // first, so that a process that stood still meanwhile sends nothing when it goes on.
            tokio::select! {
                biased;
                () = Leadership::over(leading) => Err(NotLeading.into()),
                answer = client.send(request) => answer.map_err(Into::into),
            }
        }
        .boxed()
    }
}

/// Whether a request may change something: every method that RFC 9110 does not call safe.
fn writes(method: &Method) -> bool {
    !method.is_safe()
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicU32, Ordering},
        },
        time::Duration,
    };

    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::{
        Api,
        api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    };
    use rstest::rstest;
    use serde_json::json;
    use tokio::{sync::Notify, time::timeout};
    use tower::service_fn;

    use super::*;

    /// A client whose server answers everything, and how many requests have reached it.
    fn server() -> (Client, Arc<AtomicU32>) {
        let count = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&count);
        let service = service_fn(move |_: Request<Body>| {
            counted.fetch_add(1, Ordering::SeqCst);
            let object = json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a", "uid": "1" }, "items": [],
            });
            async move { Ok::<_, BoxError>(Response::new(Body::from(object.to_string().into_bytes()))) }
        });
        (Client::new(service, "default"), count)
    }

    /// It could arrive when another replica writes already.
    #[tokio::test(start_paused = true)]
    async fn a_write_that_is_on_its_way_ends_with_leadership() {
        let arrived = Arc::new(Notify::new());
        let arrives = Arc::clone(&arrived);
        let hangs = service_fn(move |_| {
            arrives.notify_one();
            std::future::pending::<Result<Response<Body>, BoxError>>()
        });
        let (leadership, leading) = watch::channel(Leadership::forever());
        let api: Api<ConfigMap> = Api::default_namespaced(fenced(Client::new(hangs, "default"), leading));
        let (result, ()) = tokio::join!(timeout(Duration::from_secs(60), send(&api, Call::Apply)), async {
            arrived.notified().await;
            leadership.send_replace(Leadership::default());
        });
        assert!(is_not_leading(&result.unwrap().unwrap_err()));
    }

    #[derive(Clone, Copy, Debug)]
    enum Call {
        Get,
        List,
        Create,
        Replace,
        Apply,
        PatchStatus,
        Delete,
        DeleteCollection,
    }

    async fn send(api: &Api<ConfigMap>, request: Call) -> Result<(), kube::Error> {
        let (post, object) = (PostParams::default(), ConfigMap::default());
        let patch = Patch::Merge(json!({}));
        match request {
            Call::Get => api.get("a").await.map(drop),
            Call::List => api.list(&ListParams::default()).await.map(drop),
            Call::Create => api.create(&post, &object).await.map(drop),
            Call::Replace => api.replace("a", &post, &object).await.map(drop),
            Call::Apply => api.patch("a", &PatchParams::default(), &patch).await.map(drop),
            Call::PatchStatus => api.patch_status("a", &PatchParams::default(), &patch).await.map(drop),
            Call::Delete => api.delete("a", &DeleteParams::default()).await.map(drop),
            Call::DeleteCollection => {
                api.delete_collection(&DeleteParams::default(), &ListParams::default()).await.map(drop)
            }
        }
    }

    #[rstest]
    #[case(Call::Get, true)]
    #[case(Call::List, true)]
    #[case(Call::Create, false)]
    #[case(Call::Replace, false)]
    #[case(Call::Apply, false)]
    #[case(Call::PatchStatus, false)]
    #[case(Call::Delete, false)]
    #[case(Call::DeleteCollection, false)]
    #[tokio::test]
    async fn only_who_leads_writes(#[case] request: Call, #[case] reads: bool) {
        let (client, count) = server();
        let (leadership, leading) = watch::channel(Leadership::forever());
        let api: Api<ConfigMap> = Api::default_namespaced(fenced(client, leading));
        send(&api, request).await.unwrap();
        assert_eq!(count.load(Ordering::SeqCst), 1);
        leadership.send_replace(Leadership::default());
        match send(&api, request).await {
            Ok(()) => assert!(reads, "{request:?}"),
            Err(error) => assert!(!reads && is_not_leading(&error), "{error:?}"),
        }
        assert_eq!(count.load(Ordering::SeqCst), if reads { 2 } else { 1 });
    }
}
