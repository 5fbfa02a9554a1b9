//! Names of Secrets, `ConfigMaps` and classes, and the keys in them: a name becomes part of a request's path, so one
//! that Kubernetes does not know as a name ends here.

use k8s_openapi::api::core::v1::{EnvFromSource, EnvVar, SecretKeySelector};

use super::{
    entrance::Entrance,
    integrations::{self, Variable, VariableValue},
    problem::Problem,
};
use crate::api::{
    CertificatesSource, DatabaseSpec, FlagsmithDeploymentSpec, SecretValueSource,
    object_name::{is_data_key, is_object_name},
};

/// Everything that is wrong with them, in a resource of either mode.
pub(super) fn check(spec: &FlagsmithDeploymentSpec, problems: &mut Vec<Problem>) {
    let mut references = References { problems };
    if let Some(database) = &spec.database {
        references.database(database);
    }
    references.value("spec.django.secretKeyFrom", spec.django.secret_key_from.as_ref());
    for entrance in spec.exposure.iter().flat_map(Entrance::all) {
        if let Some(class) = entrance.ingress.and_then(|ingress| ingress.class_name) {
            references.name(&format!("{}.ingress.className", entrance.field), "an IngressClass", &class);
        }
    }
    references.environment("spec", &spec.env, &spec.env_from);
    for (field, container) in [
        ("spec.api", &spec.api.container),
        ("spec.taskProcessor", &spec.task_processor.container),
        ("spec.frontend", &spec.frontend.container),
    ] {
        references.environment(field, &container.env, &container.env_from);
    }
    if let Some(edge_proxy) = &spec.edge_proxy {
        let field = "spec.edgeProxy";
        references.environment(field, &edge_proxy.container.env, &edge_proxy.container.env_from);
        for (index, keys) in edge_proxy.environments.iter().enumerate() {
            let field = format!("{field}.environments[{index}]");
            references.value(&format!("{field}.clientSideKeyFrom"), Some(&keys.client_side_key_from));
            references.value(&format!("{field}.serverSideKeyFrom"), Some(&keys.server_side_key_from));
        }
    }
    for Variable { value, field, .. } in integrations::variables(&spec.integrations) {
        if let VariableValue::Secret(key) = value {
            references.pair(&format!("{field}.secretKeyRef"), "a Secret", &key.name, &key.key);
        }
    }
    let migrations = &spec.migrations;
    references.environment("spec.migrations", &migrations.env, &migrations.env_from);
}

struct References<'a> {
    problems: &'a mut Vec<Problem>,
}

impl References<'_> {
    fn database(&mut self, database: &DatabaseSpec) {
        for (field, source) in [
            ("urlFrom", &database.url_from),
            ("migrationUrlFrom", &database.migration_url_from),
            ("taskProcessorUrlFrom", &database.task_processor_url_from),
            ("analyticsUrlFrom", &database.analytics_url_from),
        ] {
            self.value(&format!("spec.database.{field}"), source.as_ref());
        }
        for (field, source) in [("userFrom", &database.user_from), ("passwordFrom", &database.password_from)]
        {
            self.value(&format!("spec.database.{field}"), source.as_ref());
        }
        let replicas = database.replicas.iter().flatten().enumerate();
        let replicas = replicas.map(|(index, parts)| (format!("replicas[{index}]"), parts));
        let others = [
            ("migration", &database.migration),
            ("taskProcessor", &database.task_processor),
            ("analytics", &database.analytics),
        ];
        let others = others.into_iter().filter_map(|(field, it)| Some((field.to_owned(), it.as_ref()?)));
        for (field, parts) in others.chain(replicas) {
            self.value(&format!("spec.database.{field}.userFrom"), parts.user_from.as_ref());
            self.value(&format!("spec.database.{field}.passwordFrom"), parts.password_from.as_ref());
        }
        for (index, source) in database.replica_urls_from.iter().flatten().enumerate() {
            self.value(&format!("spec.database.replicaUrlsFrom[{index}]"), Some(source));
        }
        if let Some(CertificatesSource { secret_key_ref, config_map_key_ref }) = &database.ca_from {
            let field = "spec.database.caFrom";
            self.secret(field, secret_key_ref.as_ref());
            if let Some(reference) = config_map_key_ref {
                self.pair(
                    &format!("{field}.configMapKeyRef"),
                    "a ConfigMap",
                    &reference.name,
                    &reference.key,
                );
            }
        }
    }

    fn environment(&mut self, field: &str, variables: &[EnvVar], sources: &[EnvFromSource]) {
        for (index, variable) in variables.iter().enumerate() {
            let Some(source) = &variable.value_from else {
                continue;
            };
            let field = format!("{field}.env[{index}].valueFrom");
            self.secret(&field, source.secret_key_ref.as_ref());
            if let Some(reference) = &source.config_map_key_ref {
                self.pair(
                    &format!("{field}.configMapKeyRef"),
                    "a ConfigMap",
                    &reference.name,
                    &reference.key,
                );
            }
        }
        for (index, source) in sources.iter().enumerate() {
            let field = format!("{field}.envFrom[{index}]");
            if let Some(reference) = &source.secret_ref {
                self.name(&format!("{field}.secretRef.name"), "a Secret", &reference.name);
            }
            if let Some(reference) = &source.config_map_ref {
                self.name(&format!("{field}.configMapRef.name"), "a ConfigMap", &reference.name);
            }
        }
    }

    fn value(&mut self, field: &str, source: Option<&SecretValueSource>) {
        self.secret(field, source.map(|source| &source.secret_key_ref));
    }

    fn secret(&mut self, field: &str, reference: Option<&SecretKeySelector>) {
        if let Some(SecretKeySelector { name, key, .. }) = reference {
            self.pair(&format!("{field}.secretKeyRef"), "a Secret", name, key);
        }
    }

    fn pair(&mut self, field: &str, kind: &str, name: &str, key: &str) {
        self.name(&format!("{field}.name"), kind, name);
        if !is_data_key(key) {
            self.problems.push(Problem::invalid(
                &format!("{field}.key"),
                &format!("{key:?} cannot be a key of {kind}"),
                "Write letters, digits, \"-\", \"_\" and \".\" only, for example DATABASE_URL.",
            ));
        }
    }

    fn name(&mut self, field: &str, kind: &str, name: &str) {
        if !is_object_name(name) {
            self.problems.push(Problem::invalid(
                field,
                &format!("{name:?} cannot be the name of {kind}"),
                "Write lower-case letters, digits, \"-\" and \".\" only, for example flagsmith-db.",
            ));
        }
    }
}
