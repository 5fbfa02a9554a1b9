//! Short, read-only looks at the database.

mod session;

pub use session::{Session, Sessions};

use super::{DatabaseProbe, ProbeFailure, ProbeFailureKind};
use crate::validate::DatabaseUrl;

/// The server's version, and whether writes would fail.
const QUERY: &str = "SELECT current_setting('server_version_num')::int4, \
     pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on'";

/// Connects, asks who is there, disconnects.
pub async fn probe(sessions: &Sessions, url: &DatabaseUrl) -> DatabaseProbe {
    let answer = async {
        let mut session = sessions.open(url).await?;
        let (version, read_only) = session.one(QUERY).await?;
        session.close().await;
        Ok(DatabaseProbe::Reachable { version, read_only })
    };
    answer.await.unwrap_or_else(DatabaseProbe::Failed)
}
