//! The log level by a file, which the chart mounts from a `ConfigMap`: it can be changed without a restart, which would end
//! what one wants to see, by whoever may write that `ConfigMap`, and for all replicas at once.

use std::{io, path::Path, time::Duration};

use tokio::io::AsyncReadExt as _;
use tokio_util::sync::CancellationToken;

use super::Level;

/// How often the file is read. The kubelet brings a changed `ConfigMap` after up to a minute, so more often would be no
/// use.
const LOOK: Duration = Duration::from_secs(10);

/// The most that is read: a filter is one line.
const MOST: u64 = 4_096;

/// Sets what is logged to what the file says, now and whenever it says something else, until `ended`. A file that cannot
/// be read, or says nothing that could be meant, leaves it as it is, and is told of once.
pub(crate) async fn follow(file: &Path, level: Level, ended: CancellationToken) {
    let mut said = None;
    loop {
        let says = read(file).await.map_err(|error| error.to_string());
        if said.as_ref() != Some(&says) {
            apply(&says, &level);
            said = Some(says);
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = ended.cancelled() => return,
        }
    }
}

fn apply(says: &Result<String, String>, level: &Level) {
    match says {
        Ok(filter) => match level.set(filter) {
            Ok(()) => tracing::info!(filter, "the log level is set"),
            Err(error) => tracing::warn!(%error, "the log level stays as it is"),
        },
        Err(error) => tracing::warn!(error, "the file of the log level cannot be read; it stays as it is"),
    }
}

async fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    tokio::fs::File::open(file).await?.take(MOST).read_to_string(&mut text).await?;
    Ok(text.trim().to_owned())
}
