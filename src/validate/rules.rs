//! What the API server's rules cannot see, and what they can, again: a resource that was stored before a rule
//! existed must be refused all the same.

use super::{metadata, pods, problem::Problem, references};
use crate::{
    api::{
        AutoscalingSpec, DatabaseSpec, ExposureSpec, FlagsmithDeploymentSpec, ProxySpec, RollbackSpec,
        object_name::is_object_name,
    },
    flagsmith::{OLDEST_SUPPORTED, Release},
    validate::{
        certificates_key::CertificatesKey,
        entrance::{Behind, Entrance},
        image_source::ImageSource,
        installation::RollbackConsent,
    },
};

/// Characters of a resource's name: with the longest suffix, that of the migration Job, it stays a DNS label.
const NAME_LENGTH: usize = 40;

/// Characters of a host name (RFC 1035).
const HOST_LENGTH: usize = 253;

/// Everything that is wrong with a specification, except its version.
pub(super) fn check(spec: &FlagsmithDeploymentSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    if spec.observe.is_some() {
        problems.push(Problem::invalid(
            "spec.observe",
            "it goes with mode Observed only",
            "Remove it to have the operator manage the installation, or set spec.mode: Observed.",
        ));
    }
    database(spec, &mut problems);
    via(spec, &mut problems);
    if !(5..=3600).contains(&spec.request_timeout_seconds) {
        problems.push(Problem::invalid(
            "spec.requestTimeoutSeconds",
            &format!("{} is not from 5 to 3600 (seconds)", spec.request_timeout_seconds),
            "Set it to the longest time that a request may take, for example 30.",
        ));
    }
    for (field, repository) in
        [("spec.images.api", &spec.images.api), ("spec.images.frontend", &spec.images.frontend)]
    {
        let wanted = spec.version.as_deref().and_then(|version| version.parse().ok());
        if let Some((message, remedy)) = ImageSource::of(repository).problem(repository, wanted) {
            problems.push(Problem::invalid(field, &message, remedy));
        }
    }
    let bounds = |spec: &AutoscalingSpec| (spec.min_replicas, spec.max_replicas);
    let processor = spec.task_processor.autoscaling.as_ref();
    let edge_proxy =
        spec.edge_proxy.iter().map(|it| ("spec.edgeProxy", it.replicas, it.autoscaling.as_ref().map(bounds)));
    for (field, replicas, autoscaling) in [
        ("spec.api", spec.api.replicas, spec.api.autoscaling.as_ref().map(bounds)),
        (
            "spec.taskProcessor",
            spec.task_processor.replicas,
            processor.map(|spec| (spec.min_replicas, spec.max_replicas)),
        ),
        ("spec.frontend", spec.frontend.replicas, spec.frontend.autoscaling.as_ref().map(bounds)),
    ]
    .into_iter()
    .chain(edge_proxy)
    {
        scaling(field, replicas, autoscaling, &mut problems);
    }
    if let Some(exposure) = &spec.exposure {
        self::exposure(exposure, &mut problems);
    }
    self::edge_proxy(spec, &mut problems);
    email(spec, &mut problems);
    monitoring(spec, &mut problems);
    backup(spec, &mut problems);
    budgets(spec, &mut problems);
    pods::check(spec, &mut problems);
    metadata::check(spec, &mut problems);
    references::check(spec, &mut problems);
    problems
}

/// What is wrong with the resource's own name.
pub(super) fn name(name: &str) -> Option<Problem> {
    let label = is_dns_label(name) && name.starts_with(|first: char| first.is_ascii_lowercase());
    (!label || name.len() > NAME_LENGTH).then(|| {
        Problem::invalid(
            "metadata.name",
            &format!(
                "{name:?} is not a DNS label of at most {NAME_LENGTH} characters that starts with a letter"
            ),
            "Create the resource under another name, for example \"flagsmith\"; Services are named after it.",
        )
    })
}

fn database(spec: &FlagsmithDeploymentSpec, problems: &mut Vec<Problem>) {
    let Some(database) = &spec.database else {
        problems.push(Problem::invalid(
            "spec.database",
            "it is missing",
            "Name the Secret with DATABASE_URL in spec.database.urlFrom.secretKeyRef, or set spec.database.embedded: {}.",
        ));
        return;
    };
    in_parts(database, problems);
    let (message, remedy) = match (&database.url_from, &database.embedded) {
        (None, None) if database.host.is_none() => (
            "none of urlFrom, host and embedded is set",
            "Name the Secret with DATABASE_URL in spec.database.urlFrom.secretKeyRef, or give host, name, userFrom and passwordFrom, or set spec.database.embedded: {}.",
        ),
        (Some(_), Some(_)) => ("urlFrom and embedded exclude each other", "Remove one of the two."),
        (None, Some(_))
            if database.migration_url_from.is_some()
                || database.analytics_url_from.is_some()
                || database.task_processor_url_from.is_some()
                || database.replica_urls_from.is_some() =>
        {
            (
                "migrationUrlFrom, taskProcessorUrlFrom, analyticsUrlFrom and replicaUrlsFrom go with urlFrom only",
                "Remove them; the embedded database has one role and one server.",
            )
        }
        (None, Some(_)) if database.ca_from.is_some() => {
            ("caFrom goes with urlFrom only", "Remove it; the embedded database does not encrypt.")
        }
        (_, None)
            if database.ca_from.as_ref().is_some_and(|source| CertificatesKey::of(source).is_none()) =>
        {
            (
                "caFrom must have exactly one of secretKeyRef and configMapKeyRef",
                "Name the Secret or the ConfigMap with the certificates, and the key in it.",
            )
        }
        _ => return,
    };
    problems.push(Problem::invalid("spec.database", message, remedy));
}

/// A database in parts: all of them, and nothing beside them that says the same.
fn in_parts(database: &DatabaseSpec, problems: &mut Vec<Problem>) {
    let mut refuse = |field: &str, message: &str, remedy: &str| {
        problems.push(Problem::invalid(&format!("spec.database{field}"), message, remedy));
    };
    let others = [
        (database.migration.is_some(), database.migration_url_from.is_some(), "migration"),
        (database.task_processor.is_some(), database.task_processor_url_from.is_some(), "taskProcessor"),
        (database.analytics.is_some(), database.analytics_url_from.is_some(), "analytics"),
        (database.replicas.is_some(), database.replica_urls_from.is_some(), "replicas"),
    ];
    let Some(host) = &database.host else {
        let main = database.port.is_some()
            || database.name.is_some()
            || database.user_from.is_some()
            || database.password_from.is_some()
            || database.ssl_mode.is_some();
        if main || others.iter().any(|(parts, ..)| *parts) {
            refuse(
                "",
                "there are parts of a database, but no host",
                "Add host, or remove them: with urlFrom all is in the URL.",
            );
        }
        return;
    };
    if database.url_from.is_some() || database.embedded.is_some() {
        refuse(".host", "it goes without urlFrom and embedded", "Give the database by its URL or in parts.");
    }
    if database.name.is_none() || database.user_from.is_none() || database.password_from.is_none() {
        refuse("", "with host, name, userFrom and passwordFrom are needed", "Add what is missing.");
    }
    for (_, _, field) in others.into_iter().filter(|(parts, url, _)| *parts && *url) {
        refuse(&format!(".{field}"), "its URL is given, too", "Keep one of the two.");
    }
    let replicas = database.replicas.iter().flatten().enumerate();
    let replicas = replicas.map(|(index, parts)| (format!(".replicas[{index}]"), Some(parts)));
    let all = [
        (".migration".to_owned(), database.migration.as_ref()),
        (".taskProcessor".to_owned(), database.task_processor.as_ref()),
        (".analytics".to_owned(), database.analytics.as_ref()),
    ];
    let of_others =
        all.into_iter().chain(replicas).filter_map(|(field, parts)| Some((field, parts?.host.as_ref()?)));
    for (field, host) in [(String::new(), host)].into_iter().chain(of_others) {
        let is_address = host.parse::<std::net::IpAddr>().is_ok();
        if !is_address && !is_object_name(&host.to_ascii_lowercase()) {
            refuse(
                &format!("{field}.host"),
                &format!("{host:?} is neither a DNS name nor an address"),
                "Write it without scheme, port and brackets, such as db.example.com.",
            );
        }
    }
}

fn email(spec: &FlagsmithDeploymentSpec, problems: &mut Vec<Problem>) {
    let Some(email) = &spec.integrations.email else { return };
    if email.smtp.is_some() == email.send_grid_key_from.is_some() {
        problems.push(Problem::invalid(
            "spec.integrations.email",
            "exactly one of smtp and sendGridKeyFrom is needed",
            "Give a mail server in smtp, or SendGrid's key in sendGridKeyFrom.",
        ));
    }
}

fn edge_proxy(spec: &FlagsmithDeploymentSpec, problems: &mut Vec<Problem>) {
    let mut refuse = |field: &str, message: &str, remedy: &str| {
        problems.push(Problem::invalid(&format!("spec.{field}"), message, remedy));
    };
    let Some(edge_proxy) = &spec.edge_proxy else {
        if spec.exposure.as_ref().is_some_and(|it| it.edge_proxy.is_some()) {
            refuse("exposure.edgeProxy", "there is no edge proxy", "Add spec.edgeProxy, or remove it.");
        }
        return;
    };
    let source = ImageSource::of(&edge_proxy.image);
    if source.tag.is_none() && source.digest.is_none() {
        refuse(
            "edgeProxy.image",
            &format!("{:?} has neither tag nor digest", edge_proxy.image),
            "Add one, such as :2.23.0: the edge proxy has releases of its own.",
        );
    }
    if edge_proxy.environments.is_empty() {
        refuse(
            "edgeProxy.environments",
            "no environment is named",
            "Name the Secrets with its client-side key and with a server-side key.",
        );
    }
}

fn budgets(spec: &FlagsmithDeploymentSpec, problems: &mut Vec<Problem>) {
    let edge_proxy = spec.edge_proxy.iter().map(|it| ("edgeProxy", &it.pod_disruption_budget));
    for (field, budget) in
        [("api", &spec.api.pod_disruption_budget), ("frontend", &spec.frontend.pod_disruption_budget)]
            .into_iter()
            .chain(edge_proxy)
    {
        if budget.min_available.is_some() && budget.max_unavailable.is_some() {
            problems.push(Problem::invalid(
                &format!("spec.{field}.podDisruptionBudget"),
                "minAvailable and maxUnavailable exclude each other",
                "Remove one of the two.",
            ));
        }
    }
}

fn backup(spec: &FlagsmithDeploymentSpec, problems: &mut Vec<Problem>) {
    let Some(backup) = &spec.migrations.backup else {
        return;
    };
    if backup.volume_claim.is_some() == backup.pod_template.is_some() {
        problems.push(Problem::invalid(
            "spec.migrations.backup",
            "exactly one of volumeClaim and podTemplate is needed",
            "Name a PersistentVolumeClaim in volumeClaim.claimName, or describe a pod of your own in podTemplate.",
        ));
    }
}

fn via(spec: &FlagsmithDeploymentSpec, problems: &mut Vec<Problem>) {
    for (index, text) in spec.upgrade.via.iter().enumerate() {
        let message = match text.parse::<Release>() {
            Ok(release) if release < OLDEST_SUPPORTED => {
                format!("{release} is older than {OLDEST_SUPPORTED}, the first that the operator runs")
            }
            Ok(_) => continue,
            Err(error) => error.to_string(),
        };
        problems.push(Problem::invalid(
            &format!("spec.upgrade.via[{index}]"),
            &message,
            "Name exact releases to stop at, such as \"2.212.1\", or remove it.",
        ));
    }
}

/// A confirmation of a rollback: two releases, the older one wanted.
pub(super) fn rollback(spec: &RollbackSpec, wanted: Release) -> Result<RollbackConsent, Problem> {
    let refuse = |field: &str, message: String| {
        Problem::invalid(
            &format!("spec.migrations.rollback{field}"),
            &message,
            "Name the release to undo in from and spec.version in to, or remove spec.migrations.rollback.",
        )
    };
    let release = |field: &str, text: &str| -> Result<Release, Problem> {
        text.parse().map_err(|error: crate::flagsmith::InvalidRelease| refuse(field, error.to_string()))
    };
    let (from, to) = (release(".from", &spec.from)?, release(".to", &spec.to)?);
    if to != wanted {
        return Err(refuse(
            ".to",
            format!("{to} is not spec.version, {wanted}: the confirmation belongs to another downgrade"),
        ));
    }
    if from <= to {
        return Err(refuse(".from", format!("{from} is not newer than {to}")));
    }
    Ok(RollbackConsent {
        from,
        to,
        applied_after: spec.applied_after.as_ref().map(|time| time.0),
        undo_first: spec.undo_first,
    })
}

fn scaling(field: &str, replicas: Option<i32>, autoscaling: Option<(i32, i32)>, problems: &mut Vec<Problem>) {
    let Some((min, max)) = autoscaling else { return };
    if replicas.is_some() {
        problems.push(Problem::invalid(
            field,
            "replicas and autoscaling exclude each other",
            "Remove replicas; autoscaling.minReplicas takes its place.",
        ));
    }
    if min > max {
        problems.push(Problem::invalid(
            &format!("{field}.autoscaling"),
            &format!("minReplicas {min} is above maxReplicas {max}"),
            "Lower minReplicas or raise maxReplicas.",
        ));
    }
}

/// A name that no proxy of the table has; `field` is where it is stated.
pub(super) fn unknown_proxy(field: &str, proxy: &ProxySpec) -> Option<Problem> {
    let name = proxy.name.as_deref().filter(|name| crate::proxy::named(name).is_none())?;
    let known: Vec<_> = crate::proxy::ALL.iter().map(|proxy| proxy.name).collect();
    Some(Problem::invalid(
        &format!("{field}.name"),
        &format!("{name:?} is not a proxy that the operator knows"),
        &format!(
            "Write one of {}, or leave the name out and state readTimeoutSeconds and idleTimeoutSeconds.",
            known.join(", ")
        ),
    ))
}

fn exposure(exposure: &ExposureSpec, problems: &mut Vec<Problem>) {
    let whole = !exposure.hosts.is_empty()
        || exposure.ingress.is_some()
        || exposure.http_route.is_some()
        || exposure.proxy.is_some();
    if whole && (exposure.api.is_some() || exposure.frontend.is_some()) {
        problems.push(Problem::invalid(
            "spec.exposure",
            "hosts, ingress, httpRoute and proxy are for everything in one, api and frontend for each apart",
            "Move them into api and frontend, or remove these.",
        ));
    }
    let entrances = Entrance::all(exposure);
    for it in &entrances {
        entrance(it, problems);
    }
    let hosts =
        |behind: Behind| entrances.iter().filter(move |it| it.behind == behind).flat_map(|it| &it.hosts);
    for host in hosts(Behind::EdgeProxy) {
        let is_taken = |behind| hosts(behind).any(|other| other == host);
        if is_taken(Behind::Everything) || is_taken(Behind::Api) {
            problems.push(Problem::invalid(
                "spec.exposure.edgeProxy.hosts",
                &format!("{host:?} is a host of API or dashboard, too"),
                "Give the edge proxy hosts of its own: its paths are those of the API.",
            ));
        }
    }
    for host in hosts(Behind::Api).filter(|host| hosts(Behind::Everything).any(|other| other == *host)) {
        problems.push(Problem::invalid(
            "spec.exposure.api.hosts",
            &format!("{host:?} is a host of the dashboard, too"),
            "Leave it out here: the dashboard's hosts serve the API as well.",
        ));
    }
}

fn entrance(entrance: &Entrance, problems: &mut Vec<Problem>) {
    let field = entrance.field;
    problems.extend(entrance.proxy.as_ref().and_then(|it| unknown_proxy(&format!("{field}.proxy"), it)));
    let mut refuse = |part: &str, message: &str, remedy: &str| {
        problems.push(Problem::invalid(&format!("{field}{part}"), message, remedy));
    };
    match (&entrance.ingress, &entrance.http_route) {
        (Some(_), Some(_)) => refuse(
            "",
            "ingress and httpRoute exclude each other",
            "Keep one of them: two proxies with different timeouts cannot be aligned.",
        ),
        (None, None) => refuse(
            "",
            "neither ingress nor httpRoute is set",
            &format!("Set one of them, or remove {field} to have Services only."),
        ),
        (None, Some(route)) if route.parent_refs.is_empty() => refuse(
            ".httpRoute.parentRefs",
            "no Gateway is named",
            "Name at least one Gateway, such as {name: public, namespace: gateways}.",
        ),
        _ => {}
    }
    if entrance.hosts.is_empty() {
        refuse(
            ".hosts",
            "no host is named",
            "Name at least one host, such as \"flags.example.com\", or \"*\" for every host.",
        );
    }
    for (index, host) in entrance.hosts.iter().enumerate().filter(|(_, host)| !is_host(host)) {
        refuse(
            &format!(".hosts[{index}]"),
            &format!("{host:?} is not a DNS name in lower case"),
            "Write it without scheme, port or path, such as \"flags.example.com\".",
        );
    }
    for tls in entrance.ingress.iter().flat_map(|ingress| &ingress.tls) {
        for host in
            tls.hosts.iter().flatten().filter(|host| !entrance.hosts.iter().any(|known| covers(host, known)))
        {
            refuse(
                ".ingress.tls",
                &format!("host {host:?} is not one of {field}.hosts, so its certificate would never be used"),
                &format!("Add {host:?} to {field}.hosts, or remove it from tls."),
            );
        }
    }
}

fn monitoring(spec: &FlagsmithDeploymentSpec, problems: &mut Vec<Problem>) {
    let Some(monitoring) = &spec.monitoring else { return };
    if monitoring.pod_monitor.is_some() == monitoring.pod_annotations.is_some() {
        problems.push(Problem::invalid(
            "spec.monitoring",
            "exactly one of podMonitor and podAnnotations is needed",
            "Keep the one that your Prometheus finds pods by, or remove spec.monitoring.",
        ));
    }
    let interval = monitoring.pod_monitor.as_ref().map(|monitor| &monitor.interval);
    if let Some(interval) = interval.filter(|interval| !is_interval(interval)) {
        problems.push(Problem::invalid(
            "spec.monitoring.podMonitor.interval",
            &format!("{interval:?} is not a duration"),
            "Write a number and ms, s, m or h, such as \"30s\" or \"1m\".",
        ));
    }
}

/// A duration as Prometheus writes it, of one unit.
fn is_interval(text: &str) -> bool {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    !number.is_empty() && !number.starts_with('0') && matches!(unit, "ms" | "s" | "m" | "h")
}

/// Whether a certificate for `certificate` is used for requests to `host`; either may be a wildcard.
fn covers(certificate: &str, host: &str) -> bool {
    let below = |wildcard: &str, host: &str| {
        wildcard
            .strip_prefix("*.")
            .is_some_and(|domain| host.split_once('.').is_some_and(|(_, rest)| rest == domain))
    };
    host == "*" || host == certificate || below(certificate, host) || below(host, certificate)
}

fn is_host(host: &str) -> bool {
    host == "*"
        || (host.len() <= HOST_LENGTH && host.strip_prefix("*.").unwrap_or(host).split('.').all(is_dns_label))
}

fn is_dns_label(label: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !label.is_empty()
        && label.len() <= 63
        && label.bytes().all(allowed)
        && !label.starts_with('-')
        && !label.ends_with('-')
}
