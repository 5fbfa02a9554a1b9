//! Gunicorn's worker classes.

/// How Gunicorn's workers handle requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerClass {
    /// One thread: a worker is killed in the middle of a request that takes longer than `--timeout`, and every
    /// connection is closed after its response.
    Sync,
    /// Two threads or more (gthread): `--timeout` only watches that the process is alive, and connections are kept.
    Threaded,
}

impl WorkerClass {
    /// Gunicorn replaces the worker class "sync" by "gthread" where there is more than one thread.
    #[must_use]
    pub const fn of(threads: i32) -> Self {
        if threads > 1 { Self::Threaded } else { Self::Sync }
    }

    /// Gunicorn's name of the worker class.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Threaded => "gthread",
        }
    }
}
