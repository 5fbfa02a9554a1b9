//! How long answers are used again before the same is asked once more.

use std::time::Duration;

/// How long a good answer is used before the same is asked again.
pub const FRESH: Duration = Duration::from_mins(2);

/// How long a bad answer is used: whoever creates the missing Secret or starts the database wants to see it heal.
pub const FRESH_WHILE_FAILING: Duration = Duration::from_secs(10);
