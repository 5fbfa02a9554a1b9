//! The database's address cannot be understood.

use super::shared::{WRITTEN_AS, sources};
use crate::{
    causes::{
        log::{
            failure::{quoted_after, unquote},
            phrasing::component,
        },
        prelude::*,
    },
    observe::SecretState,
};

pub(crate) static CAUSE: Cause = Cause {
    blocks_migration: true,
    explains: &[Explains::everywhere(consequences::WITHOUT_DATABASE)],
    log: &[&LOG],
    check: Some(check),
    ..Cause::critical(Component::Database, include_str!("url_invalid.md"))
};

/// What is wrong with the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// A variable is not set, and there is no URL.
    Variable,
    /// Nothing is set.
    Missing,
    /// Another kind of database, or none.
    Scheme,
    /// A variable that Kubernetes sets for a Service.
    ServiceLink,
    /// A parameter behind the `?`.
    Option,
    /// No URL at all.
    Syntax,
}

/// What libpq says of parameters that it cannot use.
const PARAMETER: &[&str] = &[
    "invalid dsn",
    "invalid connection option",
    "invalid URI query parameter",
    "invalid sslmode value",
    "invalid port number",
    "invalid integer value",
];

static LOG: Rule<Variant> = Rule {
    precedence: 305,
    signatures: &[
        Signature::of(Variant::Syntax).class(&["ParseError"]),
        Signature::of(Variant::Scheme).class(&["UnknownSchemeError"]),
        Signature::of_words(Variant::Variable, &["DJANGO_DB_", "TASK_PROCESSOR_DATABASE_"])
            .class(&["KeyError"]),
        Signature::of_words(Variant::Missing, &["'DATABASES'"]).class(&["NameError"]),
        Signature::of_words(Variant::Missing, &["settings.DATABASES is improperly configured"])
            .class(&["ImproperlyConfigured"]),
        // The driver of PostgreSQL is in every image: without it the image is broken, not the URL.
        Signature::of_words(
            Variant::Scheme,
            &[
                "available database backend",
                "Error loading MySQLdb",
                "Error loading oracledb",
                "Error loading cx_Oracle",
            ],
        )
        .class(&["ImproperlyConfigured"]),
        Signature::of_words(
            Variant::Syntax,
            &["Port could not be cast", "Port out of range", "Invalid IPv6 URL", "IPv4 or IPv6 address"],
        )
        .class(&["ValueError"]),
        Signature {
            all: &["tcp://", "option \""],
            ..Signature::of_database(Variant::ServiceLink, PARAMETER)
        },
        Signature::of_database(Variant::Option, PARAMETER),
        // An `options=` that the server does not understand is part of the URL as well.
        Signature::of_database(
            Variant::Option,
            &[
                "unrecognized configuration parameter",
                "invalid value for parameter",
                "invalid command-line argument",
            ],
        )
        .all(&["connection to server"]),
    ],
    details,
    explain,
    is_over: None,
};

fn details(failure: &Failure<'_>, variant: Variant) -> Option<FailureDetails> {
    let message = failure.message;
    let object = match variant {
        // XML has a ParseError as well.
        Variant::Syntax
            if failure.is(&["ParseError"])
                && !failure.class.contains("dj_database_url")
                && !failure.says("valid url") =>
        {
            return None;
        }
        Variant::Syntax | Variant::Missing => None,
        Variant::Variable => Some(unquote(message).unwrap_or(message)),
        Variant::Scheme => message
            .split_once("Scheme '")
            .and_then(|(_, rest)| rest.split_once('\''))
            .map(|(scheme, _)| scheme),
        Variant::ServiceLink => quoted_after(message, &["connection option ", "option "]),
        Variant::Option => message.lines().next().and_then(|line| line.rsplit(": ").next()),
    };
    Some(FailureDetails { object: object.map(str::to_owned), ..FailureDetails::default() })
}

fn explain(evidence: &LogEvidence, occurrence: &Occurrence, variant: Variant) -> Explanation {
    let who = component(evidence.component);
    let object = occurrence.details.object.as_deref().unwrap_or_default();
    let (message, remedy) = match variant {
        Variant::Variable => (
            format!(
                "{who} cannot start: the environment variable {object} is not set, and there is no DATABASE_URL either."
            ),
            format!(
                "Set DATABASE_URL to {WRITTEN_AS} (or DJANGO_DB_HOST, DJANGO_DB_PORT, DJANGO_DB_NAME, DJANGO_DB_USER and \
                 DJANGO_DB_PASSWORD, all five)."
            ),
        ),
        Variant::Missing => (
            format!("{who} cannot start: no database is configured for it."),
            format!(
                "Set DATABASE_URL to {WRITTEN_AS}. TASK_PROCESSOR_DATABASE_URL and ANALYTICS_DATABASE_URL do not \
                 replace it."
            ),
        ),
        Variant::Scheme if object.trim_matches([':', '/']).is_empty() => (
            format!(
                "{who} cannot start: DATABASE_URL begins with no kind of database: it is empty, stands in quotation marks, or \
                 lacks postgresql:// at its beginning."
            ),
            format!(
                "Set DATABASE_URL to {WRITTEN_AS}, without quotation marks around it: docker's --env-file and a Secret keep \
                 them as a part of the value. In Kubernetes look at the key of the Secret that it comes from."
            ),
        ),
        Variant::Scheme => (
            format!(
                "{who} cannot start: DATABASE_URL begins with \"{object}\", which is no kind of database that Flagsmith \
                 knows."
            ),
            "Begin DATABASE_URL with postgresql://.".to_owned(),
        ),
        // https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
        Variant::ServiceLink => (
            format!(
                "{who} cannot start: the database's {object} is set to an address (tcp://…), which is what Kubernetes \
                 sets for a Service of that name."
            ),
            "Set enableServiceLinks: false in the pod, or rename the Service: one called django-db sets \
             DJANGO_DB_PORT=tcp://… in every pod of its namespace. Or set DATABASE_URL, which goes before \
             DJANGO_DB_PORT."
                .to_owned(),
        ),
        Variant::Option => (
            format!("{who} cannot use a parameter behind the \"?\" of DATABASE_URL: {object}."),
            "Correct or remove that parameter in DATABASE_URL. Known ones are those of libpq, for example \
             sslmode=require, connect_timeout=5, options=-c%20lock_timeout%3D5000."
                .to_owned(),
        ),
        Variant::Syntax => (
            format!(
                "{who} cannot start: DATABASE_URL is not a valid URL. Most often a character of the password is not \
                 percent-encoded."
            ),
            "In the password write # as %23, [ as %5B, ] as %5D, / as %2F, ? as %3F, @ as %40, % as %25 and : as %3A; \
             the port must be a number."
                .to_owned(),
        ),
    };
    Explanation::new(Code::DatabaseUrlInvalid, message, remedy)
}

fn check(context: &Context<'_>) -> Vec<Draft> {
    let namespace = &context.installation.identity.namespace;
    sources(context)
        .into_iter()
        .filter_map(|source| {
            let SecretState::Unusable(why) = source.state else {
                return None;
            };
            let (name, key) = (&source.key.name, &source.key.key);
            Some(Draft {
                message: format!(
                    "The key {key} of Secret {namespace}/{name} is not a usable DATABASE_URL: {why}."
                ),
                evidence: vec![format!(
                    "{} names Secret {namespace}/{name}, key {key}; its value is not shown here",
                    source.place
                )],
                remedy: format!(
                    "Write it as {WRITTEN_AS}, with the password percent-encoded and without a trailing newline."
                ),
                ..Code::DatabaseUrlInvalid.draft()
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::causes::{
        database::shared::testing::{is_recognised, read},
        log::{failure::Stage, testing::recognise},
    };

    #[rstest]
    #[case(
        "dj_database_url.ParseError",
        "This string is not a valid url, possibly because some of its parts is not properly urllib.parse.quote()'ed.",
        Variant::Syntax
    )]
    #[case(
        "dj_database_url.UnknownSchemeError",
        "Scheme 'mysqlx://' is unknown. Did you forget to register custom backend?",
        Variant::Scheme
    )]
    #[case("KeyError", "'DJANGO_DB_USER'", Variant::Variable)]
    #[case(
        "django.core.exceptions.ImproperlyConfigured",
        "settings.DATABASES is improperly configured. Please supply the ENGINE value.",
        Variant::Missing
    )]
    #[case("NameError", "name 'DATABASES' is not defined", Variant::Missing)]
    #[case("psycopg2.ProgrammingError", "invalid dsn: invalid connection option \"foo\"", Variant::Option)]
    #[case("psycopg2.OperationalError", "invalid sslmode value: \"always\"", Variant::Option)]
    #[case(
        "psycopg2.OperationalError",
        "invalid integer value \"tcp://10.43.12.7:5432\" for connection option \"port\"",
        Variant::ServiceLink
    )]
    #[case("ValueError", "Port could not be cast to integer value as 'x'", Variant::Syntax)]
    fn recognises(#[case] class: &str, #[case] message: &str, #[case] expected: Variant) {
        assert_eq!(read(&LOG, Stage::Boot, class, message), Some((Code::DatabaseUrlInvalid, expected)));
    }

    #[rstest]
    #[case("KeyError", "'SOMETHING'")]
    #[case("django.core.exceptions.ImproperlyConfigured", "Error loading psycopg2 or psycopg module")]
    #[case("xml.etree.ElementTree.Error", "syntax error")]
    #[case("xml.etree.ElementTree.ParseError", "syntax error")]
    #[case("ValueError", "invalid literal")]
    fn is_something_else(#[case] class: &str, #[case] message: &str) {
        assert!(!is_recognised(&LOG, Stage::Boot, class, message));
        assert!(
            recognise(Stage::Boot, class, message).is_none_or(|(code, _)| code != Code::DatabaseUrlInvalid)
        );
    }
}
