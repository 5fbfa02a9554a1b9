//! The connection settings cannot be understood.

use crate::causes::log::evidence::{LogEvidence, Occurrence};
use crate::causes::log::failure::{Failure, FailureDetails, quoted_after, unquote};
use crate::causes::log::{finding::Explanation, phrasing, rule::Plain};
use crate::model::Code;

pub const DATABASE_URL_INVALID: (Code, Plain) = (
    Code::DatabaseUrlInvalid,
    Plain {
        precedence: 305,
        last_resort: false,
        recognise: recognise,
        explain: explain,
        is_over: None,
    },
);

fn recognise(failure: &Failure<'_>) -> Option<FailureDetails> {
    let form = match failure.kind() {
        "ParseError" if failure.class.contains("dj_database_url") || failure.says("valid url") => "syntax",
        "UnknownSchemeError" => "scheme",
        "KeyError" if failure.says("DJANGO_DB_") || failure.says("TASK_PROCESSOR_DATABASE_") => {
            return Some(
                FailureDetails::form("variable").object(unquote(failure.message).unwrap_or(failure.message)),
            );
        }
        "NameError" if failure.says("'DATABASES'") => "missing",
        "ImproperlyConfigured" if failure.says("settings.DATABASES is improperly configured") => "missing",
        // The driver of PostgreSQL is in every image: without it the image is broken, not the URL.
        "ImproperlyConfigured" if failure.says("available database backend") || loads_driver(failure) => {
            "scheme"
        }
        "ValueError" if failure.says("Port could not be cast") || failure.says("Port out of range") => {
            "syntax"
        }
        "ValueError" if failure.says("Invalid IPv6 URL") || failure.says("IPv4 or IPv6 address") => "syntax",
        _ if failure.is_database()
            && failure.says_any(&[
                "invalid dsn",
                "invalid connection option",
                "invalid URI query parameter",
            ]) =>
        {
            "option"
        }
        _ if failure.is_database()
            && failure.says_any(&[
                "invalid sslmode value",
                "invalid port number",
                "invalid integer value",
            ]) =>
        {
            "option"
        }
        // An `options=` that the server does not understand is part of the URL as well.
        _ if failure.is_database()
            && failure.says_any(&[
                "unrecognized configuration parameter",
                "invalid value for parameter",
                "invalid command-line argument",
            ])
            && failure.says("connection to server") =>
        {
            "option"
        }
        _ => return None,
    };
    if form == "option"
        && failure.says("tcp://")
        && let Some(option) = quoted_after(failure.message, &["connection option ", "option "])
    {
        return Some(FailureDetails::form("service-link").object(option));
    }
    let scheme = failure
        .message
        .split_once("Scheme '")
        .and_then(|(_, rest)| rest.split_once('\''))
        .map(|(scheme, _)| scheme);
    let mut details = FailureDetails::form(form);
    details.object = match form {
        "scheme" => scheme.map(str::to_owned),
        "option" => failure
            .message
            .lines()
            .next()
            .and_then(|line| line.rsplit(": ").next())
            .map(str::to_owned),
        _ => None,
    };
    Some(details)
}

fn loads_driver(failure: &Failure<'_>) -> bool {
    failure.says_any(&[
        "Error loading MySQLdb",
        "Error loading oracledb",
        "Error loading cx_Oracle",
    ])
}

fn explain(case: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let who = phrasing::component(case.component);
    let object = occurrence.details.object.as_deref().unwrap_or_default();
    let (message, remedy) = match occurrence.details.form {
        "variable" => (
            format!("{who} cannot start: the environment variable {object} is not set, and there is no DATABASE_URL either."),
            "Set DATABASE_URL to postgresql://USER:PASSWORD@HOST:5432/NAME, or all five of DJANGO_DB_HOST, DJANGO_DB_PORT, DJANGO_DB_NAME, DJANGO_DB_USER and DJANGO_DB_PASSWORD.".to_owned(),
        ),
        "missing" => (
            format!("{who} cannot start: no database is configured for it."),
            "Set DATABASE_URL to postgresql://USER:PASSWORD@HOST:5432/NAME. TASK_PROCESSOR_DATABASE_URL and ANALYTICS_DATABASE_URL do not replace it.".to_owned(),
        ),
        "scheme" if object.trim_matches([':', '/']).is_empty() => (
            format!("{who} cannot start: DATABASE_URL is empty or names no kind of database that this image has."),
            "Set DATABASE_URL to postgresql://USER:PASSWORD@HOST:5432/NAME; in Kubernetes look at the key of the Secret that it comes from.".to_owned(),
        ),
        "scheme" => (
            format!("{who} cannot start: DATABASE_URL begins with \"{object}\", which is no kind of database that Flagsmith knows."),
            "Begin DATABASE_URL with postgresql://.".to_owned(),
        ),
        // https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
        "service-link" => (
            format!("{who} cannot start: the database's {object} is set to an address (tcp://…), which is what Kubernetes sets for a Service of that name."),
            "Set enableServiceLinks: false in the pod, or rename the Service: one called django-db sets DJANGO_DB_PORT=tcp://… in every pod of its namespace. Or set DATABASE_URL, which goes before DJANGO_DB_PORT.".to_owned(),
        ),
        "option" => (
            format!("{who} cannot use a parameter behind the \"?\" of DATABASE_URL: {object}."),
            "Correct or remove that parameter in DATABASE_URL. Known ones are those of libpq, for example sslmode=require, connect_timeout=5, options=-c%20lock_timeout%3D5000.".to_owned(),
        ),
        _ => (
            format!("{who} cannot start: DATABASE_URL is not a valid URL. Most often a character of the password is not percent-encoded."),
            "In the password write # as %23, [ as %5B, ] as %5D, / as %2F, ? as %3F, @ as %40, % as %25 and : as %3A; the port must be a number.".to_owned(),
        ),
    };
    Explanation::new(Code::DatabaseUrlInvalid, message, remedy)
}

#[cfg(test)]
mod tests {
    use crate::causes::log::failure::Stage;
    use crate::causes::log::testing::recognise;
    use crate::model::Code;
    use rstest::rstest;

    #[rstest]
    #[case(
        "dj_database_url.ParseError",
        "This string is not a valid url, possibly because some of its parts is not properly urllib.parse.quote()'ed.",
        "syntax"
    )]
    #[case(
        "dj_database_url.UnknownSchemeError",
        "Scheme 'mysqlx://' is unknown. Did you forget to register custom backend?",
        "scheme"
    )]
    #[case("KeyError", "'DJANGO_DB_USER'", "variable")]
    #[case(
        "django.core.exceptions.ImproperlyConfigured",
        "settings.DATABASES is improperly configured. Please supply the ENGINE value.",
        "missing"
    )]
    #[case("NameError", "name 'DATABASES' is not defined", "missing")]
    #[case(
        "psycopg2.ProgrammingError",
        "invalid dsn: invalid connection option \"foo\"",
        "option"
    )]
    #[case("psycopg2.OperationalError", "invalid sslmode value: \"always\"", "option")]
    #[case(
        "psycopg2.OperationalError",
        "invalid integer value \"tcp://10.43.12.7:5432\" for connection option \"port\"",
        "service-link"
    )]
    #[case("ValueError", "Port could not be cast to integer value as 'x'", "syntax")]
    fn recognises(#[case] class: &str, #[case] message: &str, #[case] form: &str) {
        let (code, details) = recognise(Stage::Boot, class, message).unwrap();
        assert_eq!((code, details.form), (Code::DatabaseUrlInvalid, form));
    }

    #[rstest]
    #[case("KeyError", "'SOMETHING'")]
    #[case(
        "django.core.exceptions.ImproperlyConfigured",
        "Error loading psycopg2 or psycopg module"
    )]
    #[case("xml.etree.ElementTree.Error", "syntax error")]
    #[case("ValueError", "invalid literal")]
    fn is_something_else(#[case] class: &str, #[case] message: &str) {
        assert!(
            recognise(Stage::Boot, class, message).is_none_or(|(code, _)| code != Code::DatabaseUrlInvalid)
        );
    }
}
