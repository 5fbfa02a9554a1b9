//! The cluster that a command speaks to, and the installation in it.

use std::path::PathBuf;

use clap::Args;
use kube::{
    Api, Client, Config, ResourceExt as _,
    api::ListParams,
    config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError},
};

use super::{failure::Failure, proxy};
use crate::{
    api::FlagsmithDeployment,
    runtime::{client, metrics::Metrics},
};

/// The most names that an error lists.
const NAMES: u32 = 20;

/// Which cluster and namespace, as kubectl's own options.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Cluster")]
pub(super) struct ClusterArgs {
    /// Namespace; the context's own when not given
    #[arg(long, short, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Context of the kubeconfig; its current one when not given
    #[arg(long, value_name = "CONTEXT")]
    pub context: Option<String>,
    /// Kubeconfig file; $KUBECONFIG or ~/.kube/config when not given
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

/// A connection to a cluster, and the namespace that a command is about.
#[derive(Clone)]
pub(super) struct Cluster {
    /// The client, with deadlines on every request.
    pub client: Client,
    /// The namespace.
    pub namespace: String,
}

impl ClusterArgs {
    /// Takes from those what these do not say.
    pub(super) fn fill(&mut self, before: Self) {
        self.namespace = self.namespace.take().or(before.namespace);
        self.context = self.context.take().or(before.context);
        self.kubeconfig = self.kubeconfig.take().or(before.kubeconfig);
    }

    /// Whether any was given.
    pub(super) const fn is_given(&self) -> bool {
        self.namespace.is_some() || self.context.is_some() || self.kubeconfig.is_some()
    }

    /// Sets up the connection. Nothing is sent yet.
    pub(super) async fn connect(&self) -> Result<Cluster, Failure> {
        let config = self.config().await?;
        let namespace = self.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = client::connect(config, Metrics::new()).map_err(|error| impossible(&error))?;
        Ok(Cluster { client, namespace })
    }

    async fn config(&self) -> Result<Config, Failure> {
        let file = match &self.kubeconfig {
            Some(path) => Kubeconfig::read_from(path),
            None => Kubeconfig::read(),
        };
        let kubeconfig = match file {
            Ok(kubeconfig) => kubeconfig,
            Err(error) if self.kubeconfig.is_none() && self.context.is_none() && is_missing(&error) => {
                return Config::incluster().map_err(|_: InClusterError| {
                    Failure::cluster(
                        "there is no kubeconfig: neither $KUBECONFIG nor ~/.kube/config, and this is no pod",
                        "--kubeconfig FILE, or export KUBECONFIG=FILE",
                    )
                });
            }
            Err(error) => return Err(unusable(&error)),
        };
        let named = proxy::named(&kubeconfig, self.context.as_deref()).map(str::to_owned);
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let mut config =
            Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| unusable(&error))?;
        // The library compares NO_PROXY with the proxy instead of the API server.
        config.proxy_url = proxy::of(named.as_deref(), &config.cluster_url, &proxy::environment)
            .map_err(|address| no_proxy_at(&address))?;
        Ok(config)
    }
}

impl Cluster {
    /// The named installation, or the only one of the namespace.
    pub(super) async fn installation(&self, name: Option<&str>) -> Result<FlagsmithDeployment, Failure> {
        let api: Api<FlagsmithDeployment> = Api::namespaced(self.client.clone(), &self.namespace);
        let Some(name) = name else {
            return Box::pin(self.only(&api)).await;
        };
        match api.get_opt(name).await {
            Ok(Some(found)) => Ok(found),
            Ok(None) => Err(self.no_such(name).await),
            Err(error) => Err(self.failed(&format!("read FlagsmithDeployment {name}"), &error)),
        }
    }

    /// What the server has of a resource that may not be there yet; `None` also where there is no CRD.
    pub(super) async fn stored(&self, name: &str) -> Result<Option<FlagsmithDeployment>, Failure> {
        let api: Api<FlagsmithDeployment> = Api::namespaced(self.client.clone(), &self.namespace);
        api.get_opt(name)
            .await
            .map_err(|error| self.failed(&format!("read FlagsmithDeployment {name}"), &error))
    }

    async fn only(&self, api: &Api<FlagsmithDeployment>) -> Result<FlagsmithDeployment, Failure> {
        let list = api
            .list(&ListParams::default().limit(NAMES))
            .await
            .map_err(|error| self.failed("list FlagsmithDeployments", &error))?;
        let names: Vec<String> = list.items.iter().map(kube::ResourceExt::name_any).collect();
        let mut items = list.items.into_iter();
        match (items.next(), items.next()) {
            (Some(only), None) => Ok(only),
            (None, _) => Err(self.none_here().await),
            _ => Err(Failure::usage(
                format!(
                    "there are several FlagsmithDeployments in namespace {}: {}",
                    self.namespace,
                    names.join(", ")
                ),
                "name one of them",
            )),
        }
    }

    /// That there is no such object, and which there are.
    async fn no_such(&self, name: &str) -> Failure {
        let elsewhere = self.everywhere().await;
        if elsewhere.is_err() {
            return self.missing_crd().await.unwrap_or_else(|| self.absent(name, &[]));
        }
        self.absent(name, &elsewhere.unwrap_or_default())
    }

    async fn none_here(&self) -> Failure {
        let elsewhere = self.everywhere().await.unwrap_or_default();
        Failure::usage(
            format!("there is no FlagsmithDeployment in namespace {}", self.namespace),
            if elsewhere.is_empty() {
                "--namespace NAMESPACE, or create one: kubectl apply -f deploy/flagsmith.yaml".to_owned()
            } else {
                format!("--namespace NAMESPACE; there are: {}", elsewhere.join(", "))
            },
        )
    }

    fn absent(&self, name: &str, others: &[String]) -> Failure {
        Failure::usage(
            format!("there is no FlagsmithDeployment {name} in namespace {}", self.namespace),
            if others.is_empty() {
                "kubectl get fsd --all-namespaces".to_owned()
            } else {
                format!("there are: {}", others.join(", "))
            },
        )
    }

    /// All installations that the user may see, as `namespace/name`.
    async fn everywhere(&self) -> Result<Vec<String>, kube::Error> {
        let api: Api<FlagsmithDeployment> = Api::all(self.client.clone());
        let list = api.list_metadata(&ListParams::default().limit(NAMES)).await?;
        let name = |item: &kube::core::PartialObjectMeta<FlagsmithDeployment>| {
            format!("{}/{}", item.namespace().unwrap_or_default(), item.name_any())
        };
        Ok(list.items.iter().map(name).collect())
    }

    async fn missing_crd(&self) -> Option<Failure> {
        let api: Api<FlagsmithDeployment> = Api::namespaced(self.client.clone(), &self.namespace);
        let error = api.list_metadata(&ListParams::default().limit(1)).await.err()?;
        Some(self.failed("list FlagsmithDeployments", &error))
    }

    /// A failed request for `FlagsmithDeployments`: 404 of the whole collection means that the CRD is missing.
    pub(super) fn failed(&self, what: &str, error: &kube::Error) -> Failure {
        match error {
            kube::Error::Api(status) if status.code == 404 => Failure::cluster(
                "this cluster has no FlagsmithDeployments: the CRD is not installed",
                "helm install flagsmith-operator charts/flagsmith-operator, or kubectl apply --server-side -f crds/; an installation of the official Helm chart needs neither",
            ),
            _ => Failure::request(&format!("{what} in namespace {}", self.namespace), error),
        }
    }
}

fn is_missing(error: &KubeconfigError) -> bool {
    match error {
        KubeconfigError::FindPath | KubeconfigError::CurrentContextNotSet => true,
        KubeconfigError::ReadConfig(source, _) => source.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

/// A client that cannot be made.
fn impossible(error: &client::Error) -> Failure {
    let client::Error::Setup { source } = error;
    let hint = match **source {
        kube::Error::Auth(_) => {
            "log in by a token, a certificate or a program, as in kubectl config set-credentials NAME --exec-command=kubelogin; --context NAME chooses another user"
        }
        _ => "check the certificates and files that the kubeconfig names: kubectl config view",
    };
    Failure::cluster(client::chain(error), hint)
}

/// The address may hold a password, and is not repeated.
fn no_proxy_at(address: &str) -> Failure {
    let why = match address.split_once("://") {
        Some((scheme, _)) if !proxy::SCHEMES.contains(&scheme) => {
            format!("{scheme} is none of {}", proxy::SCHEMES.join(", "))
        }
        _ => "its address has no host".to_owned(),
    };
    Failure::cluster(
        format!("the proxy of the kubeconfig, or of HTTPS_PROXY, cannot be used: {why}"),
        "HTTPS_PROXY=http://HOST:PORT, or NO_PROXY with the API server's host to do without",
    )
}

fn unusable(error: &KubeconfigError) -> Failure {
    if matches!(error, KubeconfigError::ParseNoProxy(_) | KubeconfigError::ParseProxyUrl(_)) {
        return Failure::cluster(
            client::chain(error),
            "HTTPS_PROXY=http://HOST:PORT, and in NO_PROXY hosts, domains, addresses and networks with one comma between each",
        );
    }
    Failure::cluster(
        format!("the kubeconfig cannot be used: {}", client::chain(error)),
        "kubectl config get-contexts lists the contexts; --context NAME and --kubeconfig FILE choose",
    )
}
