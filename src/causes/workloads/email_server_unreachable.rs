//! E-mail cannot be sent.

use crate::{
    causes::{log::phrasing::times, prelude::*},
    logs::event::Service,
};

pub(crate) static CAUSE: Cause =
    Cause { log: &[&LOG], ..Cause::warning(Component::Api, include_str!("email_server_unreachable.md")) };

/// How it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// User or password are refused.
    Login,
    /// The sender may not send.
    Sender,
    /// Only one of the two uses TLS, or the certificate is not trusted.
    Tls,
    /// Its name has no address.
    Name,
    /// Refused, silent, or closed.
    Away,
}

const RESOLVER: &[&str] = &[
    "Name or service not known",
    "name resolution",
    "nodename nor servname",
    "No address associated",
    "Name does not resolve",
];
const TLS: &[&str] =
    &["WRONG_VERSION_NUMBER", "CERTIFICATE_VERIFY_FAILED", "[SSL", "STARTTLS", "certificate verify failed"];

static LOG: Rule<Variant> = Rule {
    precedence: 212,
    signatures: &[
        Signature::of(Variant::Login).class(&["SMTPAuthenticationError"]),
        Signature::of_words(Variant::Login, &["SMTP AUTH extension not supported", "Unauthorized", "401"])
            .through(Service::Email),
        Signature::of(Variant::Sender).class(&["SMTPSenderRefused", "MessageRejected"]),
        Signature::of_words(Variant::Tls, TLS).through(Service::Email),
        Signature::of_words(Variant::Name, RESOLVER).through(Service::Email),
        Signature::of(Variant::Away).class(&["SMTPConnectError", "SMTPServerDisconnected", "SMTPHeloError"]),
        Signature::of(Variant::Away)
            .class(&[
                "ConnectionRefusedError",
                "ConnectionResetError",
                "TimeoutError",
                "timeout",
                "OSError",
                "BrokenPipeError",
            ])
            .through(Service::Email),
    ],
    details: |_, _| Some(FailureDetails::default()),
    explain,
    is_over: None,
};

fn explain(_: &LogEvidence, occurrence: &Occurrence, variant: Variant) -> Explanation {
    let (why, remedy) = match variant {
        Variant::Login => (
            "it refuses user or password",
            "Correct EMAIL_HOST_USER and EMAIL_HOST_PASSWORD (with SendGrid: SENDGRID_API_KEY); many providers want a password made \
             for applications.",
        ),
        Variant::Sender => (
            "it does not let this sender send",
            "Set SENDER_EMAIL to an address that the provider has verified.",
        ),
        Variant::Tls => (
            "the two do not agree on TLS",
            "EMAIL_USE_TLS (true by default) is STARTTLS, for port 587; on port 25 without it set EMAIL_USE_TLS=false. Port 465 wants \
             TLS from the first byte, which Flagsmith has no setting for: use 587.",
        ),
        Variant::Name => ("its host name is not found", "Correct EMAIL_HOST (localhost unless set)."),
        Variant::Away => (
            "nothing answers there, or it closes the connection",
            "Correct EMAIL_HOST and EMAIL_PORT (localhost and 587 unless set: no mail server runs in the container), and let the pods \
             out to it: many clouds block port 25. Without any e-mail server set \
             EMAIL_BACKEND=django.core.mail.backends.console.EmailBackend, which writes mails to the log.",
        ),
    };
    let place =
        occurrence.place.as_ref().map_or_else(String::new, |place| format!(" (the first at {place})"));
    Explanation::new(
        Code::EmailServerUnreachable,
        format!(
            "The e-mail server cannot be used: {why}. Invitations, password resets and the like failed {}{place}; flags are served.",
            times(occurrence.count)
        ),
        remedy,
    )
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::causes::diagnose_log;

    fn failed(frame: &str, exception: &str) -> Vec<(Code, String)> {
        let log = format!(
            "2026-11-24T19:00:48.2Z [error    ] Internal Server Error: /api/v1/organisations/1/invites/ [django.request] status_code=500\n\
             Traceback (most recent call last):\n  \
             File \"/x/site-packages/django/core/handlers/exception.py\", line 55, in inner\n    r()\n  \
             File \"/app/organisations/invites/views.py\", line 41, in create\n    send()\n  \
             File \"{frame}\", line 5, in connect\n    s()\n{exception}\n\n"
        );
        let found = diagnose_log(Component::Api, None, "log", log.as_bytes());
        found.into_iter().map(|(_, it)| (it.code, it.message.to_string())).collect()
    }

    const SMTP: &str = "/usr/local/lib/python3.13/smtplib.py";

    #[rstest]
    #[case("ConnectionRefusedError: [Errno 111] Connection refused", "nothing answers there")]
    #[case("socket.gaierror: [Errno -2] Name or service not known", "its host name is not found")]
    #[case(
        "smtplib.SMTPAuthenticationError: (535, b'5.7.8 Username and Password not accepted.')",
        "user or password"
    )]
    #[case("smtplib.SMTPNotSupportedError: STARTTLS extension not supported by server.", "agree on TLS")]
    #[case("ssl.SSLError: [SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1000)", "agree on TLS")]
    #[case("smtplib.SMTPServerDisconnected: Connection unexpectedly closed", "nothing answers there")]
    #[case("smtplib.SMTPSenderRefused: (550, b'not verified', 'noreply@flagsmith.com')", "this sender")]
    #[case("TimeoutError: [Errno 110] Connection timed out", "nothing answers there")]
    fn told(#[case] exception: &str, #[case] words: &str) {
        let found = failed(SMTP, exception);
        let [(code, message)] = found.as_slice() else { panic!("{found:#?}") };
        assert!(*code == Code::EmailServerUnreachable && message.contains(words), "{message}");
        assert!(message.contains("/app/organisations/invites/views.py, line 41"), "{message}");
    }

    #[rstest]
    #[case::another_service(
        "/x/site-packages/urllib3/connection.py",
        "ConnectionRefusedError: [Errno 111] Connection refused"
    )]
    #[case::a_recipient(SMTP, "smtplib.SMTPRecipientsRefused: {'x@y': (550, b'no such user')}")]
    fn silent(#[case] frame: &str, #[case] exception: &str) {
        assert_eq!(failed(frame, exception), []);
    }
}
