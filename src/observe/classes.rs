//! Which controller an `IngressClass` belongs to. Classes hardly ever change, so each is read once in a while for all
//! installations together.

use std::time::Duration;

use k8s_openapi::api::networking::v1::IngressClass;
use kube::{Api, Client};

use crate::{api::object_name::is_object_name, runtime::cache::Cache};

/// How long an answer is used: one request in ten minutes for each class of the cluster.
const FRESH: Duration = Duration::from_mins(10);

/// The same when there is no such class, or it could not be read: somebody may be installing it.
const FRESH_WHILE_MISSING: Duration = Duration::from_secs(30);

/// How long the API server may take to answer: a pass goes on without.
const DEADLINE: Duration = Duration::from_secs(5);

/// Classes that are remembered: more than a cluster has, and few enough for names that somebody makes up.
const REMEMBERED: usize = 256;

/// Reads classes.
#[derive(Debug)]
pub(super) struct Classes {
    /// `spec.controller` by the name of the class.
    known: Cache<String, Option<String>>,
}

impl Default for Classes {
    fn default() -> Self {
        Self { known: Cache::with_capacity(REMEMBERED) }
    }
}

impl Classes {
    /// `spec.controller` of a class; `None` when there is none, or it cannot be read.
    pub(super) async fn controller(&self, client: &Client, class: &str) -> Option<String> {
        let fresh_for = |controller: &Option<String>| {
            Some(match controller {
                Some(_) => FRESH,
                None => FRESH_WHILE_MISSING,
            })
        };
        if !is_object_name(class) {
            return None;
        }
        if let Some(controller) = self.known.fresh(class, fresh_for) {
            return controller;
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
        self.known.put(class.to_owned(), controller.clone());
        controller
    }
}
