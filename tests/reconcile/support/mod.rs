//! What the tests share: the cluster, a namespace for each test, the operator with a network that a test controls.

mod cluster;
mod merge;
mod network;
mod operator;
mod recorder;
mod sandbox;
mod store;

use std::time::Duration;

use kube::{Client, Config, config::KubeConfigOptions};
use tokio::sync::OnceCell;

pub use cluster::Cluster;
pub use merge::merge;
pub use network::{Call, Fate, Network};
pub use operator::Operator;
pub use recorder::Recorder;
pub use sandbox::{NAME, Sandbox, condition, converged, install_crd};
pub use store::{Store, difference};

/// How long an installation or an upgrade may take on a slow machine that is busy with other tests, before it is taken for
/// one that never comes: no test of speed. Alone it takes four seconds.
pub const SOON: Duration = Duration::from_mins(3);

/// Longer than any change of a status is held back.
pub const HELD_BACK: Duration = Duration::from_secs(16);

/// Runs a test. Decoding a FlagsmithDeployment without optimisation takes more stack than a test's thread has.
pub fn run(test: impl Future<Output = ()> + Send + 'static) {
    const STACK: usize = 16 << 20;
    let test = move || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
    };
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(test).unwrap();
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// The configuration of the cluster under test.
pub async fn config() -> Config {
    assert!(
        std::env::var_os("KUBECONFIG").is_some(),
        "KUBECONFIG is not set: this test needs a Kubernetes API server with controllers and simulated nodes, see tests/cluster/README.md"
    );
    Config::from_kubeconfig(&KubeConfigOptions::default()).await.expect("KUBECONFIG names a readable file")
}

/// A client of the test itself, which no fault touches; the CRD is there.
pub async fn client() -> Client {
    static CRD: OnceCell<()> = OnceCell::const_new();
    flagsmith_operator::runtime::client::install_crypto();
    let client = Client::try_from(config().await).unwrap();
    CRD.get_or_init(|| install_crd(client.clone())).await;
    client
}

/// Log lines of the operator, for a test that fails; `RUST_LOG` chooses them.
pub fn log() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| "flagsmith_operator=info".into());
    // Another test of this process may have been first.
    let _ = tracing_subscriber::fmt().with_test_writer().with_env_filter(filter).try_init();
}
