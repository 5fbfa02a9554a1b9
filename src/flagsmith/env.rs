//! Environment variables of Flagsmith's containers (`api/app/settings/common.py` of Flagsmith 2.265.0 and
//! `common/gunicorn/utils.py` of flagsmith-common 3.13).

/// The main database; it takes precedence over the `DJANGO_DB_*` family.
pub(crate) const DATABASE_URL: &str = "DATABASE_URL";
/// A separate database for queued tasks (since 2.178.0).
pub(crate) const TASK_PROCESSOR_DATABASE_URL: &str = "TASK_PROCESSOR_DATABASE_URL";
/// The databases whose tasks a processor runs; `default`, and `task_processor` where there is a separate one.
pub(crate) const TASK_PROCESSOR_DATABASES: &str = "TASK_PROCESSOR_DATABASES";
/// The same in parts, where no URL is given.
pub(crate) const TASK_PROCESSOR_DATABASE_NAME: &str = "TASK_PROCESSOR_DATABASE_NAME";
/// Threads of a task processor.
pub(crate) const TASK_PROCESSOR_NUM_THREADS: &str = "TASK_PROCESSOR_NUM_THREADS";
/// Milliseconds between two looks of a thread at the queue (since 2.167.0; it wins over the older name).
pub(crate) const TASK_PROCESSOR_SLEEP_INTERVAL_MS: &str = "TASK_PROCESSOR_SLEEP_INTERVAL_MS";
/// The older name of the same, which the official chart uses.
pub(crate) const TASK_PROCESSOR_SLEEP_INTERVAL: &str = "TASK_PROCESSOR_SLEEP_INTERVAL";
/// The database of API usage data.
pub(crate) const ANALYTICS_DATABASE_URL: &str = "ANALYTICS_DATABASE_URL";
/// Read replicas, numbered from 0 (since 2.169.0).
pub(crate) const REPLICA_DATABASE_URL: &str = "REPLICA_DATABASE_URL_";
/// Signs sessions and JWTs, and encrypts stored credentials; random at every start when not set.
pub(crate) const DJANGO_SECRET_KEY: &str = "DJANGO_SECRET_KEY";
/// Host headers that Django answers; none when not set.
pub(crate) const DJANGO_ALLOWED_HOSTS: &str = "DJANGO_ALLOWED_HOSTS";
/// How the API runs tasks; threads of its own when not set, which lose delayed and recurring tasks.
pub(crate) const TASK_RUN_METHOD: &str = "TASK_RUN_METHOD";
/// The value of `TASK_RUN_METHOD` with which the API queues its tasks.
pub(crate) const QUEUED: &str = "TASK_PROCESSOR";
/// Makes a process a task processor; without it 2.253.0 to 2.259.0 run no task.
pub(crate) const RUN_BY_PROCESSOR: &str = "RUN_BY_PROCESSOR";
/// Gunicorn's worker processes.
pub(crate) const GUNICORN_WORKERS: &str = "GUNICORN_WORKERS";
/// Gunicorn's threads in each worker.
pub(crate) const GUNICORN_THREADS: &str = "GUNICORN_THREADS";
/// Gunicorn's timeout, in seconds.
pub(crate) const GUNICORN_TIMEOUT: &str = "GUNICORN_TIMEOUT";
/// Gunicorn's keep-alive, in seconds; not read by every release.
pub(crate) const GUNICORN_KEEP_ALIVE: &str = "GUNICORN_KEEP_ALIVE";
/// Gunicorn's flags; not read by every release.
pub(crate) const GUNICORN_CMD_ARGS: &str = "GUNICORN_CMD_ARGS";
/// The directory of multi-process metrics.
pub(crate) const PROMETHEUS_MULTIPROC_DIR: &str = "PROMETHEUS_MULTIPROC_DIR";
/// Whether metrics are served on port 9100.
pub(crate) const PROMETHEUS_ENABLED: &str = "PROMETHEUS_ENABLED";
/// Seconds that libpq waits for a connection (PostgreSQL documentation, "Environment Variables").
pub(crate) const PGCONNECT_TIMEOUT: &str = "PGCONNECT_TIMEOUT";
/// `generic` or `json`.
pub(crate) const LOG_FORMAT: &str = "LOG_FORMAT";
/// Where the access log goes; /dev/null in the images.
pub(crate) const ACCESS_LOG_LOCATION: &str = "ACCESS_LOG_LOCATION";
/// Trust the frontend's X-Forwarded-Host.
pub(crate) const USE_X_FORWARDED_HOST: &str = "USE_X_FORWARDED_HOST";
/// The API that the frontend's server forwards `/api/v1` to.
pub(crate) const FLAGSMITH_PROXY_API_URL: &str = "FLAGSMITH_PROXY_API_URL";

/// How long environment documents are kept: `PERSISTENT` renews them when a flag changes, and wants a shared cache.
pub(crate) const CACHE_ENVIRONMENT_DOCUMENT_MODE: &str = "CACHE_ENVIRONMENT_DOCUMENT_MODE";
/// The class of Django's cache that holds them.
pub(crate) const CACHE_ENVIRONMENT_DOCUMENT_BACKEND: &str = "CACHE_ENVIRONMENT_DOCUMENT_BACKEND";
/// Where that is: a table's name, or a URL.
pub(crate) const CACHE_ENVIRONMENT_DOCUMENT_LOCATION: &str = "CACHE_ENVIRONMENT_DOCUMENT_LOCATION";
/// The address that mails come from.
pub(crate) const SENDER_EMAIL: &str = "SENDER_EMAIL";
/// `SendGrid`'s key; it decides the backend where `EMAIL_BACKEND` is not set.
pub(crate) const SENDGRID_API_KEY: &str = "SENDGRID_API_KEY";
/// The class that sends mails.
pub(crate) const EMAIL_BACKEND: &str = "EMAIL_BACKEND";
/// The mail server's host; localhost when not set.
pub(crate) const EMAIL_HOST: &str = "EMAIL_HOST";
/// The mail server's port.
pub(crate) const EMAIL_PORT: &str = "EMAIL_PORT";
/// The mail server's user.
pub(crate) const EMAIL_HOST_USER: &str = "EMAIL_HOST_USER";
/// That user's password.
pub(crate) const EMAIL_HOST_PASSWORD: &str = "EMAIL_HOST_PASSWORD";
/// Whether STARTTLS is used; true when not set.
pub(crate) const EMAIL_USE_TLS: &str = "EMAIL_USE_TLS";
/// `InfluxDB`'s URL.
pub(crate) const INFLUXDB_URL: &str = "INFLUXDB_URL";
/// `InfluxDB`'s organization.
pub(crate) const INFLUXDB_ORG: &str = "INFLUXDB_ORG";
/// `InfluxDB`'s bucket.
pub(crate) const INFLUXDB_BUCKET: &str = "INFLUXDB_BUCKET";
/// `InfluxDB`'s token.
pub(crate) const INFLUXDB_TOKEN: &str = "INFLUXDB_TOKEN";
/// The directory's URL; with it Flagsmith Enterprise asks it at each login.
pub(crate) const LDAP_AUTH_URL: &str = "LDAP_AUTH_URL";
/// Whether STARTTLS is used with it; false when not set.
pub(crate) const LDAP_AUTH_USE_TLS: &str = "LDAP_AUTH_USE_TLS";
/// Where users are looked for.
pub(crate) const LDAP_AUTH_SEARCH_BASE: &str = "LDAP_AUTH_SEARCH_BASE";
/// The group whose members may log in.
pub(crate) const LDAP_LOGIN_GROUP: &str = "LDAP_LOGIN_GROUP";

/// Lets `flagsmith bootstrap` make the first administrator, organisation and project.
pub(crate) const ALLOW_ADMIN_INITIATION_VIA_CLI: &str = "ALLOW_ADMIN_INITIATION_VIA_CLI";
/// The first administrator's address, for `flagsmith bootstrap`.
pub(crate) const ADMIN_EMAIL: &str = "ADMIN_EMAIL";
/// The first organisation's name, for `flagsmith bootstrap`.
pub(crate) const ORGANISATION_NAME: &str = "ORGANISATION_NAME";
/// The first project's name, for `flagsmith bootstrap`.
pub(crate) const PROJECT_NAME: &str = "PROJECT_NAME";

/// Variables that the operator computes, and the field that decides each of them. A user's own value would
/// contradict the specification, so it is refused instead of silently winning or losing.
pub(crate) const RESERVED: &[(&str, &str)] = &[
    (DATABASE_URL, "spec.database.urlFrom"),
    (TASK_PROCESSOR_DATABASE_URL, "spec.database.taskProcessorUrlFrom"),
    (TASK_PROCESSOR_DATABASES, "spec.database.taskProcessorUrlFrom"),
    (TASK_PROCESSOR_DATABASE_NAME, "spec.database.taskProcessorUrlFrom"),
    (ANALYTICS_DATABASE_URL, "spec.database.analyticsUrlFrom"),
    ("REPLICA_DATABASE_URLS", "spec.database.replicaUrlsFrom"),
    ("DJANGO_DB_HOST", "spec.database.urlFrom"),
    ("DJANGO_DB_NAME", "spec.database.urlFrom"),
    ("DJANGO_DB_USER", "spec.database.urlFrom"),
    ("DJANGO_DB_PASSWORD", "spec.database.urlFrom"),
    ("DJANGO_DB_PORT", "spec.database.urlFrom"),
    (DJANGO_SECRET_KEY, "spec.django.secretKeyFrom"),
    (DJANGO_ALLOWED_HOSTS, "spec.django.allowedHosts"),
    (TASK_RUN_METHOD, "nothing: tasks always go to the task processor"),
    (RUN_BY_PROCESSOR, "nothing: the operator sets it on the task processor"),
    (GUNICORN_WORKERS, "spec.api.gunicorn.workers"),
    (GUNICORN_THREADS, "spec.api.gunicorn.threads"),
    (GUNICORN_TIMEOUT, "spec.requestTimeoutSeconds"),
    (GUNICORN_KEEP_ALIVE, "spec.api.gunicorn.keepAliveSeconds"),
    (GUNICORN_CMD_ARGS, "spec.requestTimeoutSeconds and spec.api.gunicorn"),
    (PROMETHEUS_MULTIPROC_DIR, "nothing: the operator mounts a volume for it"),
    (TASK_PROCESSOR_NUM_THREADS, "spec.taskProcessor.threads"),
    (TASK_PROCESSOR_SLEEP_INTERVAL, "spec.taskProcessor.sleepIntervalMilliseconds"),
    (TASK_PROCESSOR_SLEEP_INTERVAL_MS, "spec.taskProcessor.sleepIntervalMilliseconds"),
    ("TASK_PROCESSOR_QUEUE_POP_SIZE", "spec.taskProcessor.queuePopSize"),
    ("TASK_PROCESSOR_GRACE_PERIOD_MS", "spec.taskProcessor.gracePeriodMilliseconds"),
];

/// Variables of the edge proxy (`src/edge_proxy/settings.py` of edge-proxy 2.23.0); it does not mind their case.
pub(crate) mod edge_proxy {
    /// JSON: the keys of its environments.
    pub(crate) const ENVIRONMENT_KEY_PAIRS: &str = "ENVIRONMENT_KEY_PAIRS";
    /// The API that it asks, with `/api/v1`.
    pub(crate) const API_URL: &str = "API_URL";
    /// Seconds between two of its requests for each environment.
    pub(crate) const API_POLL_FREQUENCY_SECONDS: &str = "API_POLL_FREQUENCY_SECONDS";
    /// JSON: its HTTP server's settings, the keep-alive among them.
    pub(crate) const SERVER: &str = "SERVER";
    /// JSON: when it calls itself ready.
    pub(crate) const HEALTH_CHECK: &str = "HEALTH_CHECK";
    /// JSON: the form of its log.
    pub(crate) const LOGGING: &str = "LOGGING";

    /// Those that the operator computes, and the field that decides each of them.
    pub(crate) const RESERVED: &[(&str, &str)] = &[
        (ENVIRONMENT_KEY_PAIRS, "spec.edgeProxy.environments"),
        (API_URL, "nothing: it asks the API of this installation"),
        (API_POLL_FREQUENCY_SECONDS, "spec.edgeProxy.pollIntervalSeconds"),
        ("API_POLL_FREQUENCY", "spec.edgeProxy.pollIntervalSeconds"),
        (SERVER, "nothing: its keep-alive follows the proxy in front"),
    ];
}

/// Prefixes of variables whose values are numbers, names and switches and never a secret, so that rules may read
/// and show them.
const HARMLESS: &[&str] = &[
    "ACCESS_LOG_LOCATION",
    "DJANGO_ALLOWED_HOSTS",
    "DJANGO_DB_CONN_MAX_AGE",
    "DJANGO_DB_HOST",
    "DJANGO_DB_NAME",
    "DJANGO_DB_PORT",
    "GUNICORN_",
    "LOG_FORMAT",
    "LOG_LEVEL",
    PGCONNECT_TIMEOUT,
    "PROMETHEUS_ENABLED",
    RUN_BY_PROCESSOR,
    TASK_PROCESSOR_DATABASES,
    "TASK_PROCESSOR_DATABASE_HOST",
    TASK_PROCESSOR_DATABASE_NAME,
    "TASK_PROCESSOR_DATABASE_PORT",
    "TASK_PROCESSOR_GRACE_PERIOD",
    TASK_PROCESSOR_NUM_THREADS,
    "TASK_PROCESSOR_QUEUE_POP_SIZE",
    TASK_PROCESSOR_SLEEP_INTERVAL,
    TASK_RUN_METHOD,
];

/// Whether the value of a variable may be kept and shown.
pub(crate) fn is_harmless(name: &str) -> bool {
    HARMLESS.iter().any(|prefix| name.starts_with(prefix))
}

/// The field that decides a variable, when the operator computes it.
pub(crate) fn decided_by(name: &str) -> Option<&'static str> {
    RESERVED
        .iter()
        .find(|(reserved, _)| *reserved == name)
        .map(|(_, field)| *field)
        .or_else(|| name.starts_with(REPLICA_DATABASE_URL).then_some("spec.database.replicaUrlsFrom"))
}
