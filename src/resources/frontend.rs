//! The Deployment of the frontend.

use super::{
    container::{merge, variable},
    server::Server,
};
use crate::{
    decide::{Plan, Workload},
    flagsmith::{self, env},
    model::{Component, child::Child},
    validate::Installation,
};

/// Seconds that a pod keeps serving while endpoints and proxies learn that it ends.
const PRE_STOP: i32 = 5;
/// Seconds until SIGKILL. Node as process 1 without a handler ignores SIGTERM (Flagsmith's
/// `frontend/api/index.js`), so all that comes after preStop is waiting.
const GRACE_PERIOD: i32 = 10;
/// Failed checks before a pod is taken out of its Service.
const READINESS_FAILURES: i32 = 6;

pub(super) fn build(installation: &Installation, plan: &Plan, workload: &Workload) -> Child {
    let spec = &installation.frontend;
    let settings = &spec.container;
    let api = format!("http://{}:{}", installation.child(Component::Api.as_str()), flagsmith::HTTP_PORT);
    let server = Server {
        component: Component::Frontend,
        release: Some(workload.release),
        image: &workload.image,
        replicas: workload.replicas,
        environment: merge(vec![], &[variable(env::FLAGSMITH_PROXY_API_URL, &api)], &[&settings.env]),
        settings,
        resources: &spec.resources,
        port: flagsmith::FRONTEND_PORT,
        liveness: flagsmith::FRONTEND_HEALTH_PATH,
        readiness: (flagsmith::FRONTEND_HEALTH_PATH, READINESS_FAILURES),
        pre_stop: PRE_STOP,
        grace_period: GRACE_PERIOD,
    };
    server.build(installation, plan)
}
