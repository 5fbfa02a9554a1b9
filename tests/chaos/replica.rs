//! A process of the operator: it is killed, ended in an orderly way, and stands still.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

use flagsmith_operator::{
    controller::{
        readiness::{Gate, Readiness},
        run::{Settings, run},
    },
    model::DocsUrl,
    observe::Scope,
    runtime::{
        client::connect_with,
        lease::LeaseSettings,
        lock_key::{LockKey, LockKeySource},
        metrics::Metrics,
    },
};
use kube::Config;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    network::Line,
    server::{Server, lease},
};

/// One of the operator's pods: a process after the other.
pub struct Replica {
    server: Server,
    place: usize,
    /// Whether it competes for a lease.
    competes: bool,
    /// How many processes there were before.
    born: u32,
    process: Process,
}

struct Process {
    task: JoinHandle<()>,
    shutdown: CancellationToken,
    standing: Arc<Standing>,
}

impl Replica {
    pub fn start(server: &Server, place: usize, competes: bool) -> Self {
        let process = process(server, place, competes, 0);
        Self { server: server.clone(), place, competes, born: 0, process }
    }

    /// Ends without a word to anybody, as after SIGKILL, and is started again.
    pub fn kill(&mut self) {
        self.process.task.abort();
        self.succeed();
    }

    /// Is replaced as in a rollout: the next one begins while this one ends.
    pub fn roll(&mut self) {
        self.stand(false);
        self.process.shutdown.cancel();
        self.succeed();
    }

    fn succeed(&mut self) {
        self.born += 1;
        self.process = process(&self.server, self.place, self.competes, self.born);
    }

    /// Stands still, as after SIGSTOP, or goes on.
    pub fn stand(&self, still: bool) {
        self.process.standing.set(still);
    }

    /// Ends for good.
    pub fn end(self) {
        self.process.task.abort();
    }
}

fn process(server: &Server, place: usize, competes: bool, born: u32) -> Process {
    let name = format!("{}{born}", ["a", "b"][place]);
    let line = Line { server: server.clone(), place, from: name.clone() };
    let metrics = Metrics::new();
    let mut config = Config::new("http://192.0.2.2".parse().unwrap());
    // Reading the machine's certificates for each process took a seventh of all time.
    config.root_cert = Some(Vec::new());
    let client = connect_with(config, metrics.clone(), &line).unwrap();
    let readiness = Readiness::new();
    readiness.open(Gate::Rights);
    let (_, namespace, lease) = lease();
    let settings = Settings {
        loopback_databases: false,
        scope: Scope::Cluster,
        concurrency: 8,
        lease: competes.then(|| LeaseSettings {
            namespace,
            name: lease,
            identity: name,
            namespaces: Vec::new(),
        }),
        lock_key: LockKeySource::Given(LockKey::new(b"chaos")),
        database_interval: None,
        docs: DocsUrl::default(),
        instance: Some("chaos".to_owned()),
    };
    let (shutdown, standing) = (CancellationToken::new(), Arc::<Standing>::default());
    let run = Box::pin(run(client, settings, readiness, metrics, shutdown.clone()));
    let task = tokio::spawn(Running { run, standing: Arc::clone(&standing) });
    Process { task, shutdown, standing }
}

/// Whether a process stands still.
#[derive(Default)]
struct Standing {
    still: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Standing {
    fn set(&self, still: bool) {
        self.still.store(still, Ordering::Relaxed);
        if let Some(waker) = self.waker.lock().unwrap().take() {
            waker.wake();
        }
    }
}

/// A process that may stand still.
struct Running<F> {
    run: Pin<Box<F>>,
    standing: Arc<Standing>,
}

impl<F: Future<Output = ()>> Future for Running<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.standing.still.load(Ordering::Relaxed) {
            *self.standing.waker.lock().unwrap() = Some(context.waker().clone());
            return Poll::Pending;
        }
        self.run.as_mut().poll(context)
    }
}
