//! `list`: installations, one line each, with the worst of what the operator has found.

use std::{fmt::Write as _, process::ExitCode};

use clap::Args;
use kube::{Api, ResourceExt as _, api::ListParams};
use serde::Serialize;

use super::{
    attendance::{Attendance, Register},
    cluster::{Cluster, ClusterArgs},
    failure::{Failure, HEALTHY, UNHEALTHY},
    findings,
    output::Output,
};
use crate::{
    api::{FlagsmithDeployment, Mode},
    model::Severity,
    report::ConditionType,
};

/// How many are asked for at once: each is some kilobytes, and kubectl asks for as many.
const PAGE: u32 = 500;

/// The arguments of `list`.
#[derive(Args, Clone, Debug)]
pub(super) struct ListArgs {
    /// Those of every namespace
    #[arg(long, short = 'A')]
    all_namespaces: bool,
    /// How the result is written
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(flatten)]
    pub(super) cluster: ClusterArgs,
}

/// One installation.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    namespace: String,
    name: String,
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// As the operator wrote it: True, False or Unknown; Unknown too where nobody has or the operator is gone.
    ready: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    worst: Option<Worst>,
    /// How many diagnoses there are besides.
    more: usize,
}

/// The first of its diagnoses, or why it is not Ready where there is none.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Worst {
    cause: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    severity: Option<&'static str>,
}

/// Prints the table: exit status 0 when each is Ready, 1 when one is not.
pub(super) fn run(args: &ListArgs) -> Result<ExitCode, Failure> {
    super::context::block_on(async {
        let cluster = args.cluster.connect().await?;
        let register = Register::of(&cluster).await;
        let mut rows = rows(&cluster, args.all_namespaces, &register).await?;
        rows.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        let well = rows.iter().all(|row| row.ready == "True");
        args.output.write(&rows, |rows| table(rows))?;
        Ok(ExitCode::from(if well { HEALTHY } else { UNHEALTHY }))
    })
}

/// Page by page, so that of all installations only a line each is kept.
async fn rows(cluster: &Cluster, everywhere: bool, register: &Register) -> Result<Vec<Row>, Failure> {
    let client = cluster.client.clone();
    let api: Api<FlagsmithDeployment> =
        if everywhere { Api::all(client) } else { Api::namespaced(client, &cluster.namespace) };
    let mut wanted = ListParams::default().limit(PAGE);
    let mut rows = Vec::new();
    loop {
        let page = Box::pin(api.list(&wanted)).await.map_err(|error| {
            if everywhere {
                Failure::request("list FlagsmithDeployments in all namespaces", &error)
            } else {
                cluster.failed("list FlagsmithDeployments", &error)
            }
        })?;
        rows.extend(
            page.items
                .iter()
                .map(|it| Row::of(it, &register.attendance(&it.namespace().unwrap_or_default()))),
        );
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => wanted = wanted.continue_token(&token),
            None => return Ok(rows),
        }
    }
}

impl Row {
    fn of(resource: &FlagsmithDeployment, attendance: &Attendance) -> Self {
        let namespace = resource.namespace().unwrap_or_default();
        let status = resource.status.clone().unwrap_or_default();
        let ready = ConditionType::Ready.find(&status.conditions);
        // A status that nobody keeps is one of the past.
        let gone = attendance.diagnosis(&namespace);
        let mut found: Vec<Worst> = gone.iter().map(|it| Worst::of(it.code.as_str(), it.severity)).collect();
        found.extend(status.diagnoses.iter().map(|it| Worst {
            cause: it.code.clone(),
            severity: Severity::named(&it.severity).map(Severity::as_str),
        }));
        let more = found.len().saturating_sub(1);
        let reason = || {
            let not_ready = ready.filter(|ready| ready.status != "True")?;
            Some(Worst { cause: not_ready.reason.clone(), severity: None })
        };
        let ready_now = ready.filter(|_| gone.is_none()).map_or("Unknown", |ready| ready.status.as_str());
        Self {
            namespace,
            name: resource.name_any(),
            mode: match resource.spec.mode {
                Mode::Managed => "Managed",
                Mode::Observed => "Observed",
            },
            version: status.version.clone(),
            ready: ready_now.to_owned(),
            worst: found.into_iter().next().or_else(reason),
            more,
        }
    }
}

impl Worst {
    fn of(code: &str, severity: Severity) -> Self {
        Self { cause: code.to_owned(), severity: Some(severity.as_str()) }
    }
}

fn table(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "no FlagsmithDeployments; --all-namespaces looks into every namespace\n".to_owned();
    }
    let head = ["NAMESPACE", "NAME", "MODE", "VERSION", "READY"];
    let cells: Vec<[&str; 5]> = std::iter::once(head)
        .chain(rows.iter().map(|row| {
            [&*row.namespace, &*row.name, row.mode, row.version.as_deref().unwrap_or("-"), &*row.ready]
        }))
        .collect();
    let mut width = [0; 5];
    for line in &cells {
        for (widest, cell) in width.iter_mut().zip(line) {
            *widest = (*widest).max(cell.chars().count());
        }
    }
    let worst = std::iter::once("WORST".to_owned()).chain(rows.iter().map(Row::verdict));
    cells.iter().zip(worst).fold(String::new(), |mut text, (line, worst)| {
        for (cell, width) in line.iter().zip(width) {
            let _ = write!(text, "{cell:width$}  ");
        }
        let _ = writeln!(text, "{worst}");
        text
    })
}

impl Row {
    /// `MigrationFailed (Critical), 2 more`, in the colour of its severity.
    fn verdict(&self) -> String {
        let Some(worst) = &self.worst else {
            return "-".to_owned();
        };
        let mut text = match worst.severity {
            Some(name) => {
                let style = Severity::named(name).map(findings::style).unwrap_or_default();
                format!("{style}{}{style:#} ({name})", worst.cause)
            }
            None => worst.cause.clone(),
        };
        if self.more > 0 {
            let _ = write!(text, ", {} more", self.more);
        }
        text
    }
}

/// The names of a namespace's installations, for completion.
pub(super) async fn names(cluster: &Cluster) -> Result<Vec<String>, kube::Error> {
    let api: Api<FlagsmithDeployment> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let list = api.list_metadata(&ListParams::default().limit(PAGE)).await?;
    Ok(list.items.iter().map(kube::ResourceExt::name_any).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{causes::Unrenewed, model::Code};

    fn row(status: &Value, attendance: &Attendance) -> Row {
        let resource = serde_json::from_value(json!({
            "apiVersion": "operator.flagsmith.com/v1alpha1", "kind": "FlagsmithDeployment",
            "metadata": { "namespace": "prod", "name": "flagsmith" },
            "spec": { "version": "2.265.0", "database": { "embedded": {} } },
            "status": status,
        }));
        Row::of(&resource.unwrap(), attendance)
    }

    fn status(ready: &str, reason: &str, diagnoses: &[(&str, &str)]) -> Value {
        let diagnoses: Vec<Value> = diagnoses
            .iter()
            .map(|(code, severity)| {
                json!({ "code": code, "severity": severity, "component": "api", "message": "m", "docs": "d" })
            })
            .collect();
        json!({
            "version": "2.260.0", "diagnoses": diagnoses,
            "conditions": [{ "type": "Ready", "status": ready, "reason": reason, "message": "m", "lastTransitionTime": "2026-11-29T03:00:00Z" }],
        })
    }

    fn shown(status: &Value, attendance: &Attendance) -> String {
        let row = row(status, attendance);
        format!("{} {}", row.ready, anstream::adapter::strip_str(&row.verdict()))
    }

    #[test]
    fn says_the_worst_or_why_it_is_not_ready() {
        let seen = Attendance::Attended { lease: "ops/o".to_owned(), heard: jiff::Timestamp::UNIX_EPOCH };
        assert_eq!(shown(&status("True", "Available", &[]), &seen), "True -");
        assert_eq!(shown(&status("False", "RollingOut", &[]), &seen), "False RollingOut");
        let two = [("MigrationFailed", "Critical"), ("TasksDead", "Warning")];
        assert_eq!(shown(&status("False", "x", &two), &seen), "False MigrationFailed (Critical), 1 more");
        assert_eq!(shown(&json!({}), &seen), "Unknown -");
    }

    #[test]
    fn a_status_that_nobody_keeps_is_not_believed() {
        let gone =
            Attendance::Left(Unrenewed { namespace: "ops".to_owned(), name: "o".to_owned(), renewed: None });
        let text = shown(&status("True", "Available", &[]), &gone);
        assert_eq!(text, format!("Unknown {} (Warning)", Code::OperatorNotRunning));
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let seen = Attendance::NoLease;
        let rows = [row(&status("True", "Available", &[]), &seen), row(&json!({}), &seen)];
        assert_eq!(
            table(&rows),
            "NAMESPACE  NAME       MODE     VERSION  READY    WORST\n\
             prod       flagsmith  Managed  2.260.0  True     -\n\
             prod       flagsmith  Managed  -        Unknown  -\n"
        );
    }
}
