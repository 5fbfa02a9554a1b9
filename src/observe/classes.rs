//! Which controller an `IngressClass` belongs to. Classes hardly ever change, so each is read once in a while for all
//! installations together.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use k8s_openapi::api::networking::v1::IngressClass;
use kube::{Api, Client};

/// How long an answer is used: one request in ten minutes for each class of the cluster.
const FRESH: Duration = Duration::from_mins(10);

/// The same when there is no such class, or it could not be read: somebody may be installing it.
const FRESH_WHILE_MISSING: Duration = Duration::from_secs(30);

/// How long the API server may take to answer: a pass goes on without.
const DEADLINE: Duration = Duration::from_secs(5);

/// The classes that were read.
#[derive(Debug, Default)]
pub(super) struct Classes {
    known: Mutex<HashMap<String, (Instant, Option<String>)>>,
}

impl Classes {
    /// `spec.controller` of a class; `None` when there is none, or it cannot be read.
    pub(super) async fn controller(&self, client: &Client, class: &str) -> Option<String> {
        if let Some((at, controller)) = self
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(class)
        {
            let fresh = if controller.is_some() {
                FRESH
            } else {
                FRESH_WHILE_MISSING
            };
            if at.elapsed() < fresh {
                return controller.clone();
            }
        }
        let api: Api<IngressClass> = Api::all(client.clone());
        let controller = match tokio::time::timeout(DEADLINE, api.get_opt(class)).await {
            Ok(Ok(found)) => found.and_then(|class| class.spec?.controller),
            Ok(Err(error)) => {
                tracing::debug!(%error, class, "an IngressClass could not be read");
                None
            }
            Err(_) => None,
        };
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(class.to_owned(), (Instant::now(), controller.clone()));
        controller
    }
}
