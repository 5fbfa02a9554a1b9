//! The custom resource and the objects made from it, judged by a real API server. `KUBECONFIG` names the cluster.

mod children;
mod rejected;
mod served;
mod support;
