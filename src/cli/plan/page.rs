//! The page that `plan` prints. Pure.

use std::fmt::Write as _;

use anstyle::Style;
use kube::ResourceExt as _;
use serde::Serialize;

use super::{
    super::findings::{self, Documented},
    simulate::Simulation,
    step::{Action, Step},
    way::Way,
};
use crate::{
    api::FlagsmithDeployment,
    model::{Diagnosis, DocsUrl, Severity},
    observe::{DatabaseProbe, Observation, Preflight, SecretState},
};

/// What would happen to one resource, and what is known before.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page {
    namespace: String,
    name: String,
    /// The release that runs, as the status says.
    #[serde(skip_serializing_if = "Option::is_none")]
    running: Option<String>,
    wanted: String,
    /// Why there is nothing to foretell.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    /// The database, and whether it was asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    database: Vec<String>,
    diagnoses: Documented,
    #[serde(flatten)]
    way: Way,
    steps: Vec<Step>,
    unchanged: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_seen: Vec<String>,
}

impl Page {
    /// An empty page for a resource.
    pub(super) fn of(resource: &FlagsmithDeployment, wanted: &str, docs: &DocsUrl) -> Self {
        let status = resource.status.as_ref();
        Self {
            namespace: resource.namespace().unwrap_or_default(),
            name: resource.name_any(),
            running: status.and_then(|status| status.version.clone()),
            wanted: wanted.to_owned(),
            note: None,
            database: Vec::new(),
            diagnoses: Documented { docs: docs.clone(), ..Documented::default() },
            way: Way::default(),
            steps: Vec::new(),
            unchanged: Vec::new(),
            not_seen: Vec::new(),
        }
    }

    /// For a resource that is only looked at.
    pub(super) fn observed(mut self) -> Self {
        self.note = Some(
            "spec.mode is Observed: the operator looks, and writes nothing but the status. plan --adopt RELEASE shows how it would manage a release of the official chart."
                .to_owned(),
        );
        self
    }

    /// For a resource that nothing may be changed of.
    pub(super) fn suspended(mut self) -> Self {
        self.note = Some("spec.suspend is true: nothing is changed while it is.".to_owned());
        self
    }

    /// For a resource that cannot work.
    pub(super) fn invalid(mut self, problems: Vec<Diagnosis>) -> Self {
        self.note =
            Some("The specification is not valid, so nothing would be started or changed.".to_owned());
        self.diagnoses.diagnoses = problems;
        self
    }

    /// With what was seen before anything happens.
    pub(super) fn observation(
        mut self,
        observation: &Observation,
        diagnoses: &[Diagnosis],
        not_seen: Vec<String>,
    ) -> Self {
        self.database = database(observation);
        self.diagnoses.diagnoses = diagnoses.to_vec();
        self.not_seen = not_seen;
        self
    }

    /// With the way to the wanted release.
    pub(super) fn by(mut self, way: Way) -> Self {
        self.way = way;
        self
    }

    /// With what would happen.
    pub(super) fn foretold(mut self, simulation: Simulation) -> Self {
        self.steps = simulation.steps;
        self.unchanged = simulation.unchanged;
        self
    }

    /// Whether a person is needed for all of it to happen.
    pub(super) fn held(&self) -> bool {
        let refused = |step: &Step| step.writes.iter().any(|it| it.action == Action::Refuse);
        self.steps.iter().any(|step| step.held || refused(step))
            || self.note.is_some() && !self.diagnoses.diagnoses.is_empty()
    }
}

fn database(observation: &Observation) -> Vec<String> {
    let SecretState::Present(identity) = &observation.secrets.migration_database else {
        return vec!["where it is, is not known yet".to_owned()];
    };
    let mut lines = vec![identity.to_string()];
    match &observation.database {
        DatabaseProbe::Reachable { version, .. } => {
            lines.push(format!("PostgreSQL {}.{}", version / 10_000, version % 10_000));
        }
        DatabaseProbe::Failed(failure) => lines.push(failure.message.clone()),
        DatabaseProbe::NotProbed => {}
    }
    match &observation.preflight {
        Some(Ok(preflight)) if preflight.complete => lines.extend(preflight_lines(preflight)),
        Some(Ok(_)) => lines.push("this release is recorded as migrated".to_owned()),
        Some(Err(failure)) => lines.push(format!("as the role that migrates: {}", failure.message)),
        None => {}
    }
    lines
}

fn preflight_lines(preflight: &Preflight) -> Vec<String> {
    let may = |allowed: bool| if allowed { "may" } else { "may not" };
    let history = match (&preflight.history.last, preflight.history.count) {
        (Some(last), count) => format!("{count} migrations are applied, the last one {last}"),
        (None, _) if preflight.history_unreadable => "which migrations are applied cannot be read".to_owned(),
        (None, _) => "no migration is applied: it is empty".to_owned(),
    };
    vec![
        format!(
            "role {} {} create tables in schema {}, {} create extensions",
            preflight.role,
            may(preflight.creates_tables),
            preflight.schema.as_deref().unwrap_or("(none)"),
            may(preflight.creates_extensions),
        ),
        format!(
            "{} of {} connections are used; {} transactions hold locks for long; {} others change the schema",
            preflight.connections_used,
            preflight.connections_allowed,
            preflight.holders.len(),
            preflight.migrators.len(),
        ),
        history,
    ]
}

/// The page for a person.
pub(super) fn text(page: &Page) -> String {
    let bold = Style::new().bold();
    let change = match &page.running {
        Some(running) if *running == page.wanted => format!("{running} runs, and is wanted"),
        Some(running) => format!("{running} runs, {} is wanted", page.wanted),
        None => format!("nothing runs yet, {} is wanted", page.wanted),
    };
    let mut text = format!(
        "{bold}FlagsmithDeployment {}/{}{bold:#}: {change}. Nothing is done.\n",
        page.namespace, page.name
    );
    if let Some(note) = &page.note {
        let _ = writeln!(text, "{note}");
    }
    for (index, line) in page.database.iter().enumerate() {
        let label = if index == 0 { "database" } else { "        " };
        let _ = writeln!(text, "{label}   {line}");
    }
    page.way.write(&mut text);
    for diagnosis in &page.diagnoses.diagnoses {
        let style = findings::style(diagnosis.severity);
        let _ = writeln!(text, "{style}{}{style:#}: {}", diagnosis.code, diagnosis.message);
        if diagnosis.severity < Severity::Info || page.note.is_some() {
            let _ = writeln!(text, "  do       {}", diagnosis.remedy);
        }
    }
    if page.steps.is_empty() && page.note.is_none() {
        text.push_str("\nEverything is as it should be: nothing would be written.\n");
    }
    for (index, step) in page.steps.iter().enumerate() {
        let _ = write!(text, "\n{bold}{}. {}{bold:#}\n   {}\n", index + 1, step.title, step.because);
        for written in &step.writes {
            let action = match written.action {
                Action::Create => "create",
                Action::Change => "change",
                Action::Delete => "delete",
                Action::Refuse => "leave ",
            };
            let _ = writeln!(text, "     {action}  {}", written.object);
            for change in &written.changes {
                let _ = writeln!(text, "             {change}");
            }
        }
        if let Some(then) = &step.then {
            let label = if step.held { "do" } else { "on when" };
            let _ = writeln!(text, "   {label}  {then}");
        }
    }
    if !page.unchanged.is_empty() && !page.steps.is_empty() {
        let _ = writeln!(text, "\nunchanged   {}", page.unchanged.join(", "));
    }
    for (index, line) in page.not_seen.iter().enumerate() {
        let label = if index == 0 { "\nnot seen" } else { "        " };
        let _ = writeln!(text, "{label}   {line}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::plan::simulate::{Objects, simulate},
        fixtures,
    };

    #[test]
    fn a_page_says_what_why_and_when() {
        let resource = fixtures::resource(&fixtures::minimal());
        let installation = fixtures::installation(&fixtures::minimal());
        let mut observation = fixtures::empty_observation();
        observation.external_migration = Some("pod prod/other (container migrate-db)".to_owned());
        observation.preflight = Some(Ok(Preflight {
            complete: true,
            takes_options: true,
            role: "flags".to_owned(),
            schema: Some("public".to_owned()),
            creates_tables: true,
            connections_allowed: 97,
            connections_used: 3,
            ..Preflight::default()
        }));
        let page = Page::of(&resource, "2.265.0", &DocsUrl::default())
            .observation(&observation, &[], vec!["pods could not be listed".to_owned()])
            .foretold(simulate(&installation, observation, Objects::new()));
        assert!(!page.held(), "the other migration ends by itself");
        insta::assert_snapshot!(anstream::adapter::strip_str(&text(&page)).to_string());
    }
}
