//! The names of settings, as who manages an installation writes them.
//!
//! What a log shows is explained without knowing whose installation it is, so its remedies name settings by Flagsmith's
//! own variables. The operator refuses those that it computes: whoever reads such a remedy of a managed installation is
//! told the field instead.

use super::{ManagedBy, resource::own_field};
use crate::{
    flagsmith::env,
    validate::{Variable, secret_key::SecretKey},
};

/// Begins the names of parts of a URL that stand beside it, and are no settings where there is a URL.
const PARTS_OF_URL: &str = " (or DJANGO_DB_";

impl ManagedBy {
    /// A remedy with the names under which its owner sets what it speaks of. `database` is where the main database's URL
    /// comes from, `integrations` what decides further variables.
    #[must_use]
    pub fn spelled(&self, remedy: &str, database: Option<&SecretKey>, integrations: &[Variable]) -> String {
        if !self.is_operator() {
            return remedy.to_owned();
        }
        let remedy = without_parts(remedy);
        let mut spelled = String::with_capacity(remedy.len());
        let mut rest = remedy.as_str();
        while let Some(start) = rest.find(is_of_variable) {
            let (before, from) = rest.split_at(start);
            let (word, behind) = from.split_at(from.find(|it| !is_of_variable(it)).unwrap_or(from.len()));
            spelled.push_str(before);
            rest = behind;
            let Some(field) = field(word, database, integrations) else {
                if env::decided_by(word).is_some() {
                    return left_to_the_operator(word);
                }
                spelled.push_str(word);
                continue;
            };
            spelled.push_str(&field);
            if let Some(value) = rest.strip_prefix('=') {
                spelled.push_str(": ");
                rest = value;
            }
        }
        spelled.push_str(rest);
        spelled
    }
}

/// What no field decides, the operator does.
fn left_to_the_operator(variable: &str) -> String {
    format!(
        "The operator sets {variable} itself: see that spec.suspend is false, and that nobody else changes the Deployment \
         (metadata.managedFields names who did)."
    )
}

fn field(variable: &str, database: Option<&SecretKey>, integrations: &[Variable]) -> Option<String> {
    let of_integration = integrations.iter().find(|it| it.name == variable).map(|it| it.field);
    let field = of_integration.or_else(|| own_field(variable))?;
    Some(match (variable, database) {
        (env::DATABASE_URL, Some(SecretKey { name, key })) => format!("the key {key} of Secret {name}"),
        _ if field.ends_with("From") => format!("the Secret that {field} names"),
        _ => field.to_owned(),
    })
}

const fn is_of_variable(character: char) -> bool {
    character.is_ascii_uppercase() || character.is_ascii_digit() || character == '_'
}

/// Without what stands in parentheses for those who give a URL in parts.
fn without_parts(remedy: &str) -> String {
    let mut text = remedy.to_owned();
    while let Some(start) = text.find(PARTS_OF_URL)
        && let Some(end) = text.get(start..).and_then(|rest| rest.find(')'))
    {
        text.replace_range(start..=start + end, "");
    }
    text
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::validate::VariableValue;

    /// A mail server whose port nobody has given.
    fn integrations() -> [Variable; 2] {
        let variable = |name, field| Variable { name, value: VariableValue::Text(String::new()), field };
        [
            variable(env::EMAIL_HOST, "spec.integrations.email.smtp.host"),
            variable(env::EMAIL_HOST_PASSWORD, "spec.integrations.email.smtp.passwordFrom"),
        ]
    }

    #[rstest]
    #[case("Set GUNICORN_THREADS=2 or more.", "Set spec.api.gunicorn.threads: 2 or more.")]
    #[case(
        "Correct the host in DATABASE_URL (or DJANGO_DB_HOST, DJANGO_DB_PORT). Or not.",
        "Correct the host in the key url of Secret db. Or not."
    )]
    #[case(
        "Set DJANGO_SECRET_KEY from a Secret.",
        "Set the Secret that spec.django.secretKeyFrom names from a Secret."
    )]
    #[case(
        "Set TASK_RUN_METHOD=TASK_PROCESSOR on the API.",
        "The operator sets TASK_RUN_METHOD itself: see that spec.suspend is false, and that nobody else changes the Deployment (metadata.managedFields names who did)."
    )]
    #[case(
        "Correct EMAIL_HOST and the password in EMAIL_HOST_PASSWORD.",
        "Correct spec.integrations.email.smtp.host and the password in the Secret that spec.integrations.email.smtp.passwordFrom names."
    )]
    #[case("Correct EMAIL_PORT.", "Correct EMAIL_PORT.")]
    #[case("ALTER ROLE ROLE SET x = 1;", "ALTER ROLE ROLE SET x = 1;")]
    fn a_managed_installation_is_set_by_its_fields(#[case] remedy: &str, #[case] expected: &str) {
        let database = SecretKey { name: "db".to_owned(), key: "url".to_owned() };
        assert_eq!(ManagedBy::Operator.spelled(remedy, Some(&database), &integrations()), expected);
        let other = ManagedBy::Manifests { namespace: "prod".to_owned(), deployments: [const { None }; 3] };
        assert_eq!(other.spelled(remedy, Some(&database), &integrations()), remedy);
    }
}
