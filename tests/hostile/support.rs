//! A look at a database, and what it cost.

use std::{
    cell::Cell,
    fs,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use flagsmith_operator::{
    observe::{
        DatabaseProbe, ProbeFailure, ProbeFailureKind,
        database::{Databases, Target},
    },
    postgres::DatabaseUrl,
    runtime::{executor::on_one_thread, metrics::Metrics},
};
use rustix::time::{ClockId, clock_gettime};

/// What no server may learn over a connection whose other end is not known.
pub const PASSWORD: &str = "s3cret-of-the-url";

/// How often other work is done meanwhile.
const TICK: Duration = Duration::from_millis(2);

/// Processor time for which other work may have to wait, and what that is where nothing is optimised.
pub const LONGEST_HOLD: Duration = Duration::from_millis(if cfg!(debug_assertions) { 50 } else { 10 });

/// The deadline of a session, and a second for a machine with other work.
const LONGEST: Duration = Duration::from_secs(6);

/// Memory of the whole process, all attacks of this file at once and the attackers included.
const MOST_KIB: u64 = 128 * 1024;

/// What a look gave.
#[derive(Debug)]
pub struct Outcome {
    /// Its result.
    pub probe: DatabaseProbe,
    /// How long it took.
    pub took: Duration,
    /// The most processor time for which nothing else could run.
    pub held: Duration,
}

impl Outcome {
    /// Why it failed; everything else must be as if nobody had attacked.
    pub fn failure(self) -> ProbeFailure {
        assert!(self.took < LONGEST, "{self:?}");
        assert!(self.held < LONGEST_HOLD, "{self:?}");
        let peak = peak_kib();
        assert!(peak < MOST_KIB, "{peak} KiB: {self:?}");
        let DatabaseProbe::Failed(failure) = self.probe else {
            panic!("{:?}", self.probe);
        };
        assert!(failure.message.chars().count() <= 300, "{failure:?}");
        assert!(!failure.message.contains(PASSWORD), "{failure:?}");
        assert!(!failure.message.chars().any(char::is_control), "{failure:?}");
        failure
    }

    /// The kind of the failure.
    pub fn kind(self) -> ProbeFailureKind {
        self.failure().kind
    }
}

/// The URL of a server on loopback.
pub fn url(address: SocketAddr, options: &str) -> DatabaseUrl {
    DatabaseUrl::parse(&format!(
        "postgresql://flagsmith:{PASSWORD}@{}:{}/flags{options}",
        address.ip(),
        address.port()
    ))
    .unwrap()
}

/// Looks at a database on this machine.
pub fn look(url: &DatabaseUrl) -> Outcome {
    look_with(&Databases::new(Metrics::new()).allowing_loopback(), url)
}

/// Looks at a database as the operator does: on one thread, which has other work.
pub fn look_with(databases: &Databases, url: &DatabaseUrl) -> Outcome {
    let runtime = on_one_thread().unwrap();
    // Patterns are compiled once in a process, not at each look.
    let _ = flagsmith_operator::model::redact::redact("");
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let (held, last) = (Rc::new(Cell::new(Duration::ZERO)), Rc::new(Cell::new(busy())));
        let (most, before) = (Rc::clone(&held), Rc::clone(&last));
        tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(TICK).await;
                most.set(most.get().max(busy().saturating_sub(before.replace(busy()))));
            }
        });
        let begun = Instant::now();
        let target = Target { namespace: "tests", main: Some(url), separate: None, processors: 0 };
        let probe = databases.look(target, None).await.database;
        let took = begun.elapsed();
        Outcome { probe, took, held: held.get().max(busy().saturating_sub(last.get())) }
    })
}

/// Processor time of this thread: what others on the machine do does not count.
pub fn busy() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
}

/// The most memory that this process has had, in KiB.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
