//! Looks into one database as for many installations at once, and says how long that took. Run by
//! `tests/bench/queue`, which starts the database and asks it what the looks cost there.
//!
//! Usage: `queue_probe URL INSTALLATIONS`

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use flagsmith_operator::{
    observe::{
        DatabaseProbe,
        database::{Databases, QueueProbe, Target},
    },
    postgres::DatabaseUrl,
    runtime::metrics::Metrics,
};
use futures::{StreamExt as _, stream};

/// Passes at once: the most that the operator allows.
const PASSES: usize = 64;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, installations] = arguments.as_slice() else {
        eprintln!("usage: queue_probe URL INSTALLATIONS");
        return ExitCode::from(2);
    };
    let (Ok(url), Ok(installations)) = (DatabaseUrl::parse(url), installations.parse::<usize>()) else {
        eprintln!("not a URL, or not a number");
        return ExitCode::from(2);
    };
    let databases = Databases::new(Metrics::new()).allowing_loopback();
    let begun = Instant::now();
    let mut took: Vec<Duration> = stream::iter(0..installations)
        .map(|number| {
            let (databases, url) = (&databases, &url);
            async move {
                let begun = Instant::now();
                let namespace = &number.to_string();
                let target = Target { namespace, main: Some(url), separate: None, processors: 0 };
                let seen = databases.look(target, None).await;
                let good = matches!(seen.database, DatabaseProbe::Reachable { .. })
                    && matches!(seen.queues.default, QueueProbe::Seen(_));
                (begun.elapsed(), good.then_some(()).ok_or(seen))
            }
        })
        .buffer_unordered(PASSES)
        .map(|(took, seen)| {
            if let Err(seen) = seen {
                eprintln!("{seen:?}");
                std::process::exit(1);
            }
            took
        })
        .collect()
        .await;
    let whole = begun.elapsed();
    took.sort_unstable();
    let at = |part: usize| took.get((took.len() * part / 100).min(took.len().saturating_sub(1)));
    let milliseconds = |took: Option<&Duration>| took.map_or(0.0, |took| took.as_secs_f64() * 1000.0);
    println!(
        "looks={installations} seconds={:.2} p50_ms={:.1} p99_ms={:.1}",
        whole.as_secs_f64(),
        milliseconds(at(50)),
        milliseconds(at(99)),
    );
    ExitCode::SUCCESS
}
