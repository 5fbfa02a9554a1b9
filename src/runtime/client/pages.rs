//! Lists, a page at a time.

use std::fmt::Debug;

use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use kube::{Api, api::ListParams};
use serde::de::DeserializeOwned;

/// Objects in one page of a list. A page is decoded in one go, meanwhile nothing else runs: ten ordinary objects are
/// 200 KB, a millisecond or two. And it is in memory as a whole, more than once: ten of the largest that the API server
/// stores are 15 MB, which whoever may write objects with our labels can have us list, of several kinds at once.
pub const PAGE_SIZE: u32 = 10;

/// The objects that a list finds, of which only one page is held at a time; the first error is the end.
pub fn listed<T>(api: Api<T>, parameters: ListParams) -> impl Stream<Item = Result<T, kube::Error>> + Send
where
    T: Clone + DeserializeOwned + Debug + Send + 'static,
{
    let first = Some(parameters.limit(PAGE_SIZE));
    let pages = stream::try_unfold((api, first), async |(api, parameters)| {
        let Some(parameters) = parameters else {
            return Ok::<_, kube::Error>(None);
        };
        let page = api.list(&parameters).await?;
        let token = page.metadata.continue_.filter(|token| !token.is_empty());
        let next = token.map(|token| parameters.continue_token(&token));
        Ok(Some((stream::iter(page.items).map(Ok), (api, next))))
    });
    pages.try_flatten()
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::{Arc, Mutex},
    };

    use http::{Request, Response};
    use k8s_openapi::api::core::v1::Pod;
    use kube::{Client, ResourceExt, client::Body};
    use serde_json::json;

    use super::*;

    /// A server that has so many pods and gives them out as it is asked to.
    fn pods(number: usize) -> (Api<Pod>, Arc<Mutex<Vec<String>>>) {
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&asked);
        let service = tower::service_fn(move |request: Request<Body>| {
            let query = request.uri().query().unwrap().to_owned();
            let value =
                |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            let limit: usize = value("limit").unwrap().parse().unwrap();
            let from: usize = value("continue").map_or(0, |token| token.parse().unwrap());
            let to = (from + limit).min(number);
            let items: Vec<_> =
                (from..to).map(|it| json!({ "metadata": { "name": it.to_string() } })).collect();
            let token = if to < number { to.to_string() } else { String::new() };
            let body = json!({ "metadata": { "continue": token }, "items": items });
            seen.lock().unwrap().push(query);
            async move { Ok::<_, Infallible>(Response::new(Body::from(body.to_string().into_bytes()))) }
        });
        (Api::all(Client::new(service, "prod")), asked)
    }

    #[tokio::test]
    async fn every_object_comes_once() {
        let (api, asked) = pods(25);
        let found: Vec<Pod> = listed(api, ListParams::default().labels("a=b")).try_collect().await.unwrap();
        let names: Vec<_> = found.iter().map(ResourceExt::name_any).collect();
        assert_eq!(names, (0..25).map(|it| it.to_string()).collect::<Vec<_>>());
        let asked = asked.lock().unwrap();
        assert_eq!(asked.len(), 3);
        assert!(asked.iter().all(|query| query.contains("labelSelector=a%3Db")), "{asked:?}");
    }

    #[tokio::test]
    async fn nothing_is_asked_for_that_nobody_takes() {
        let (api, asked) = pods(1_000);
        let found: Vec<Pod> = listed(api, ListParams::default()).take(15).try_collect().await.unwrap();
        assert_eq!((found.len(), asked.lock().unwrap().len()), (15, 2));
    }

    #[tokio::test]
    async fn an_error_is_the_end() {
        let service = tower::service_fn(|_: Request<Body>| async {
            Ok::<_, Infallible>(Response::builder().status(500).body(Body::empty()).unwrap())
        });
        let api: Api<Pod> = Api::all(Client::new(service, "prod"));
        let results: Vec<_> = listed(api, ListParams::default()).collect().await;
        assert!(matches!(results.as_slice(), [Err(_)]), "{results:?}");
    }
}
