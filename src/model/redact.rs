//! Takes secrets out of text before anybody reads it: passwords, tokens, keys, URLs with credentials.

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use regex_lite::{Captures, Regex};
use std::sync::LazyLock;

/// Stands where a secret was.
const MASK: &str = "***";

/// Words that make the value behind them a secret, as part of a variable's, field's or parameter's name.
const SECRET_WORDS: &str = "passw(?:or)?d|passphrase|passwd|pwd|[_-]pass\\b|\\bpass\\b|[_-]pw\\b|secret|token|api[_-]?key|access[_-]?key|\
     private[_-]?key|account[_-]?key|shared[_-]?key|encryption[_-]?key|signing[_-]?key|[_-]key\\b|\\bsalt\\b|[_-]salt\\b|authorization|\
     credential|_dsn|cookie|session_?id|sessionid|csrf|jwt|signature|x-environment-key";

/// The same words without what differs in them.
const SECRET: Sign = Sign::Texts(&[
    "pass",
    "pwd",
    "_pw",
    "-pw",
    "secret",
    "token",
    "key",
    "salt",
    "authorization",
    "credential",
    "_dsn",
    "cookie",
    "session",
    "csrf",
    "jwt",
    "signature",
]);

/// What a text has to have for a pattern to find something in it. Most texts have none of all, and that is seen in a
/// hundredth of the time that the patterns take.
#[derive(Clone, Copy, Debug)]
enum Sign {
    /// One of these, in whatever case of letters.
    Texts(&'static [&'static str]),
    /// So many hexadecimal digits in a row.
    Digits(usize),
}

struct Pattern {
    sign: Sign,
    regex: Option<Regex>,
    replace: fn(&Captures<'_>) -> String,
}

/// Finds the texts of all signs; and of each text, the index of the pattern that it is a sign of.
static SIGNS: LazyLock<(Option<AhoCorasick>, Vec<usize>)> = LazyLock::new(|| {
    let texts = |pattern: &Pattern| match pattern.sign {
        Sign::Texts(texts) => texts,
        Sign::Digits(_) => &[],
    };
    let of_all: Vec<(usize, &str)> = (0..)
        .zip(PATTERNS.iter())
        .flat_map(|(at, it)| texts(it).iter().map(move |text| (at, *text)))
        .collect();
    let search = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .kind(Some(AhoCorasickKind::DFA))
        .build(of_all.iter().map(|(_, text)| text));
    (search.ok(), of_all.into_iter().map(|(at, _)| at).collect())
});

static PATTERNS: LazyLock<Vec<Pattern>> = LazyLock::new(|| {
    let pattern = |sign, regex: &str, replace| Pattern { sign, regex: Regex::new(regex).ok(), replace };
    vec![
        // The last `@` ends the credentials: an unescaped one may be part of the password.
        pattern(Sign::Texts(&["://"]), r"([A-Za-z][A-Za-z0-9+.-]{1,20}://)(\S*)@", |found| {
            let user = found[2].split(':').next().unwrap_or_default();
            let known = found[2].contains(':')
                && !user.is_empty()
                && user.len() < 64
                && !user.contains(['/', '"', '\'']);
            if known { format!("{}{user}:{MASK}@", &found[1]) } else { format!("{}{MASK}@", &found[1]) }
        }),
        // Credentials of which the end was cut off; a port is none.
        pattern(
            Sign::Texts(&["://"]),
            r"(?m)([A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s/@:]*:)([^\s@]+)(…?)$",
            |found| {
                let port = found[2].split(['/', '?']).next().unwrap_or_default();
                if port.bytes().all(|byte| byte.is_ascii_digit()) {
                    found[0].to_owned()
                } else {
                    format!("{}{MASK}", &found[1])
                }
            },
        ),
        // An unescaped `#` or `/` in a password makes its first part look like a port.
        pattern(
            Sign::Texts(&["cast to integer value as ", "invalid literal for int()", "invalid port"]),
            r"(?i)(cast to integer value as |invalid (?:literal for int\(\)[^:]*|port)[^'\x22]{0,40})(['\x22]).*",
            |found| format!("{}{MASK}", &found[1]),
        ),
        // The same of libpq, which says which option it means: the value of no other one comes from a password.
        pattern(
            Sign::Texts(&["invalid integer value "]),
            r"(?i)(invalid integer value )\x22(.*)\x22( for connection option \x22(\w+)\x22)",
            |found| match &found[4] {
                "port" => format!("{}{MASK}{}", &found[1], &found[3]),
                _ => found[0].to_owned(),
            },
        ),
        // Where the option is not said, or in another language.
        pattern(
            Sign::Texts(&["invalid integer value "]),
            r"(?i)(invalid integer value [^'\x22*]{0,40})['\x22].*",
            |found| {
                let says_option = found[0].contains(" for connection option ");
                if says_option { found[0].to_owned() } else { format!("{}{MASK}", &found[1]) }
            },
        ),
        // To its end, or to the end of what is there.
        pattern(
            Sign::Texts(&["-----begin"]),
            r"(?is)-----BEGIN[^-]*PRIVATE KEY-----.*?(?:-----END[^-]*-----|\z)",
            |_| "-----BEGIN PRIVATE KEY----- ***".to_owned(),
        ),
        pattern(Sign::Texts(&["authorization"]), r"(?i)\b(authorization\b['\x22]?\s*[:=]\s*).*", |found| {
            format!("{}{MASK}", &found[1])
        }),
        pattern(
            Sign::Texts(&["bearer", "basic", "token", "api-key"]),
            r"(?i)\b((?:bearer|basic|token|api-key)\s+)['\x22]?[A-Za-z0-9+/=._~-]{12,}['\x22]?",
            |found| format!("{}{MASK}", &found[1]),
        ),
        // `'PASSWORD': 'x'`, `"password": "x"`, `password='x y'`, `PASSWORD 'x'`.
        pattern(
            SECRET,
            &format!(
                r#"(?i)([\w.-]*(?:{SECRET_WORDS})[\w.-]*['"\\]*(?:\s*[:=]>?\s*|\s+)\\?)("(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'?)( not found)?"#
            ),
            |found| {
                let behind = found.get(3).map_or("", |behind| behind.as_str());
                // How Kubernetes names an object that there is none of.
                if !behind.is_empty() && matches!(&found[1], "secret " | "secrets ") && is_name(&found[2]) {
                    return found[0].to_owned();
                }
                format!("{}{MASK}{behind}", &found[1])
            },
        ),
        // `password=x`, `token: x`.
        pattern(
            SECRET,
            &format!(r#"(?i)([\w.-]*(?:{SECRET_WORDS})[\w.-]*['"]?\s*(?:[:=]|=>)\s*)([^\s'"][^\s]*)"#),
            |found| {
                // Already masked, or the beginning of a sentence (`InvalidPassword: password authentication failed`).
                if found[2].starts_with(MASK) || &found[2] == "password" {
                    found[0].to_owned()
                } else {
                    format!("{}{MASK}", &found[1])
                }
            },
        ),
        pattern(
            Sign::Texts(&["key ("]),
            &format!(r"(?i)(Key \([^)]*(?:{SECRET_WORDS}|key|hash)[^)]*\)=)\([^)]*\)?"),
            |found| format!("{}({MASK})", &found[1]),
        ),
        pattern(
            Sign::Texts(&["_url"]),
            r"(?i)((?:DATABASE|REDIS|CLICKHOUSE|CACHE|BROKER|INFLUXDB)\w*_URLS?\s*[:=]\s*)\S+",
            |found| format!("{}{MASK}", &found[1]),
        ),
        // `--password x` of a command line.
        pattern(
            SECRET,
            &format!(r#"(?i)(--?[\w-]*(?:{SECRET_WORDS})[\w-]*[ \t]+)([^\s'"-][^\s]*)"#),
            |found| format!("{}{MASK}", &found[1]),
        ),
        // The values of a row that a constraint refused: addresses, hashes of passwords, names.
        pattern(Sign::Texts(&["failing row contains "]), r"(?i)(Failing row contains )\([^\n]*", |found| {
            format!("{}({MASK})", &found[1])
        }),
        // Tokens by the form that their issuers give them: GitHub, GitLab, Slack, Stripe, Google, npm, PyPI, SendGrid.
        pattern(
            Sign::Texts(&[
                "gho_",
                "ghp_",
                "ghs_",
                "ghu_",
                "ghr_",
                "github_pat_",
                "glpat-",
                "xox",
                "sk_",
                "rk_",
                "aiza",
                "npm_",
                "pypi-",
                "sg.",
            ]),
            r"\b(?:gh[opsur]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{16,}|glpat-[A-Za-z0-9_-]{16,}|xox[abeprs]-[A-Za-z0-9-]{8,}|[sr]k_(?:live|test)_[A-Za-z0-9]{8,}|AIza[A-Za-z0-9_-]{20,}|npm_[A-Za-z0-9]{20,}|pypi-[A-Za-z0-9_-]{20,}|SG\.[A-Za-z0-9_.-]{20,})",
            |_| MASK.to_owned(),
        ),
        pattern(Sign::Texts(&["ser."]), r"\bser\.[A-Za-z0-9]{8,}", |_| format!("ser.{MASK}")),
        pattern(Sign::Texts(&["eyj"]), r"\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]+)*", |_| MASK.to_owned()),
        pattern(Sign::Texts(&["akia", "asia"]), r"\b(?:AKIA|ASIA)[0-9A-Z]{12,}", |_| MASK.to_owned()),
        pattern(
            Sign::Texts(&["/password-reset", "/reset-password", "/invite", "/confirm"]),
            r"(?i)(/(?:password-reset|reset-password|invite|confirm)[\w/-]*/)[^\s'\x22]+",
            |found| format!("{}{MASK}", &found[1]),
        ),
        pattern(Sign::Digits(40), r"\b[0-9a-f]{40}\b", |_| MASK.to_owned()),
    ]
});

/// Whether a quoted text is the name of an object of Kubernetes.
fn is_name(quoted: &str) -> bool {
    let plain = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || matches!(it, b'-' | b'.');
    quoted.trim_matches('"').bytes().all(plain)
}

/// The text without its secrets. What merely might be one is taken out as well.
///
/// ```
/// use flagsmith_operator::model::redact::redact;
///
/// let shown = redact("cannot connect to postgresql://flags:Example1@db:5432/flags");
/// assert!(shown.contains("db:5432") && !shown.contains("Example1"));
/// ```
#[must_use]
pub fn redact(text: &str) -> String {
    let mut redacted = text.to_owned();
    for (pattern, asked) in PATTERNS.iter().zip(to_ask(text)) {
        // A pattern that does not compile would let secrets through: then nothing is shown (a test proves they do).
        let Some(regex) = &pattern.regex else {
            return MASK.to_owned();
        };
        if asked && regex.is_match(&redacted) {
            redacted = regex.replace_all(&redacted, pattern.replace).into_owned();
        }
    }
    redacted
}

/// Whether each pattern can find something. What takes the place of a secret has no sign in it that the secret had not,
/// and parts a text where it stood, so that this is asked once.
fn to_ask(text: &str) -> Vec<bool> {
    let digits = text.as_bytes().split(|byte| !byte.is_ascii_hexdigit()).map(<[u8]>::len).max().unwrap_or(0);
    let (search, of_text) = &*SIGNS;
    let mut to_ask: Vec<bool> = PATTERNS
        .iter()
        .map(|pattern| match pattern.sign {
            Sign::Texts(_) => search.is_none(),
            Sign::Digits(least) => digits >= least,
        })
        .collect();
    for found in search.iter().flat_map(|search| search.find_overlapping_iter(text)) {
        if let Some(asked) = of_text.get(found.pattern().as_usize()).and_then(|at| to_ask.get_mut(*at)) {
            *asked = true;
        }
    }
    to_ask
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case("postgresql://flag:s3cr3t@db:5432/fs", "postgresql://flag:***@db:5432/fs")]
    #[case(
        "url postgres://flag:s3/c@r#3t@[::1]:5432/fs?sslmode=require x",
        "url postgres://flag:***@[::1]:5432/fs?sslmode=require x"
    )]
    #[case("url postgres://flag:s3cr3", "url postgres://flag:***")]
    #[case("Listening at: http://127.0.0.1:8000", "Listening at: http://127.0.0.1:8000")]
    #[case("https://0123abcd@sentry.io/1", "https://***@sentry.io/1")]
    #[case("DATABASE_URL=no-url-at-all", "DATABASE_URL=***")]
    #[case(
        "ValueError: Port could not be cast to integer value as 's3cr'",
        "ValueError: Port could not be cast to integer value as ***"
    )]
    #[case(
        "invalid integer value \"s3\"cr\" for connection option \"port\"",
        "invalid integer value *** for connection option \"port\""
    )]
    #[case(
        "invalid integer value \"10s\" for connection option \"connect_timeout\"",
        "invalid integer value \"10s\" for connection option \"connect_timeout\""
    )]
    #[case("invalid integer value \"s3cr3t\"", "invalid integer value ***")]
    #[case("{'PASSWORD': 's3cr3t', 'HOST': 'db'}", "{'PASSWORD': ***, 'HOST': 'db'}")]
    #[case("{\"password\": \"s3\\\"cr3t\", \"a\": 1}", "{\"password\": ***, \"a\": 1}")]
    #[case("PGPASSWORD=s3cr3t psql", "PGPASSWORD=*** psql")]
    #[case("host=db password='s3 cr3t' user=u", "host=db password=*** user=u")]
    #[case("ALTER ROLE u WITH PASSWORD 's3cr3t';", "ALTER ROLE u WITH PASSWORD ***;")]
    #[case("Authorization: Token 9944b09199c62bcf9418ad846dd0e4bb", "Authorization: ***")]
    #[case("sent Bearer abcdefghijklmnop0123", "sent Bearer ***")]
    #[case(
        "DETAIL:  Key (key)=(9944b09199c62bcf) already exists.",
        "DETAIL:  Key (key)=(***) already exists."
    )]
    #[case("X-Environment-Key: ser.ABCDEFGH12345678", "X-Environment-Key: ***")]
    #[case(
        "password authentication failed for user \"pw\"",
        "password authentication failed for user \"pw\""
    )]
    #[case("fe_sendauth: no password supplied", "fe_sendauth: no password supplied")]
    #[case(
        "psycopg2.errors.InvalidPassword: password authentication failed",
        "psycopg2.errors.InvalidPassword: password authentication failed"
    )]
    #[case(
        "column \"token\" of relation \"authtoken_token\" already exists",
        "column \"token\" of relation \"authtoken_token\" already exists"
    )]
    #[case("Key (email)=(a@example.com) is duplicated.", "Key (email)=(a@example.com) is duplicated.")]
    #[case(
        "constraint \"api_keys_masterapikey_hashed_key_uniq\"",
        "constraint \"api_keys_masterapikey_hashed_key_uniq\""
    )]
    #[case(
        "link https://x/password-reset/confirm/MQ/abc-123/",
        "link https://x/password-reset/confirm/MQ/***"
    )]
    #[case("Error: secret \"flagsmith-db\" not found", "Error: secret \"flagsmith-db\" not found")]
    #[case("password \"flagsmith-db\" not found", "password *** not found")]
    #[case("DB_PASS=hunter2hunter2", "DB_PASS=***")]
    #[case("SMTP_PW: hunter2hunter2", "SMTP_PW: ***")]
    #[case("AccountKey=abc123abc123==;", "AccountKey=***")]
    #[case("HASH_SALT=hunter2hunter2", "HASH_SALT=***")]
    #[case("psql --password hunter2 -h db", "psql --password *** -h db")]
    #[case("clone with ghp_0123456789abcdefABCDEF", "clone with ***")]
    #[case("glpat-0123456789abcdefABCD in use", "*** in use")]
    #[case("hook xoxb-123456789012-abcdef", "hook ***")]
    #[case("key sk_live_0123456789abcdef", "key ***")]
    #[case(
        "DETAIL:  Failing row contains (1, a@example.com, pbkdf2_sha256$hash).",
        "DETAIL:  Failing row contains (***)"
    )]
    #[case(
        "a\n-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAKC\n-----END RSA PRIVATE KEY-----\nb",
        "a\n-----BEGIN PRIVATE KEY----- ***\nb"
    )]
    #[case("primary key (id)", "primary key (id)")]
    #[case("keepalive 75", "keepalive 75")]
    #[case("pass the flag --compass north", "pass the flag --compass north")]
    fn redacts(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(redact(text), expected);
    }

    #[test]
    fn every_pattern_compiles() {
        assert!(PATTERNS.iter().all(|pattern| pattern.regex.is_some()));
    }

    const PLACES: &[(&str, &str)] = &[
        ("could not connect: postgres://flagsmith:", "@db.prod.svc:5432/flagsmith"),
        ("redis://:", "@redis:6379/0"),
        ("{\"message\": \"x\", \"SECRET_KEY\": \"", "\"}"),
        ("+ export DJANGO_SECRET_KEY=", ""),
        ("environ({'DJANGO_DB_PASSWORD': '", "', 'HOME': '/'})"),
        ("Authorization: Bearer ", ""),
        ("dsn: host=db password=", " user=x"),
        ("?token=", ""),
    ];

    /// The patterns without asking first whether they can find something.
    fn by_all_patterns(text: &str) -> String {
        PATTERNS.iter().fold(text.to_owned(), |text, pattern| {
            let regex = pattern.regex.as_ref().unwrap();
            regex.replace_all(&text, pattern.replace).into_owned()
        })
    }

    proptest! {
        /// Of what the signs are made of and what stands around secrets, so that nearly each text has one.
        #[test]
        fn a_pattern_that_is_not_asked_would_have_found_nothing(
            parts in prop::collection::vec(
                prop_oneof![
                    prop::sample::select(&[
                        "pass", "word", "wd", "phrase", "pwd", "pw", "_", "-", "--", " ", "=", ": ", "'", "\"", "\\", "secret",
                        "TOKEN", "api", "Key (", "key", "hash", ")=(", "salt", "Authorization: ", "credential", "dsn", "cookie",
                        "session", "id", "csrf", "jwt", "signature", "://", "a", "b:", "@", "/", "port", "…", "\n", "invalid ",
                        "literal for int()", "integer value ", "cast to integer value as ", " for connection option ",
                        "-----BEGIN", "PRIVATE KEY-----", "-----END", "bearer ", "basic ", "DATABASE", "_URL", "S",
                        "Failing row contains (", "ghp_", "gho", "github_pat_", "glpat-", "xoxb-", "sk_", "live_", "AIza", "npm_",
                        "pypi-", "SG.", "ser.", "eyJ", "AKIA", "ASIA", "0123456789abcdef", "ABCDEFGH01234567",
                        "0123456789abcdef01234567", "/password-reset", "/reset-password", "/invite", "/confirm", "/x", "ſ", "\u{212a}",
                    ][..]).prop_map(str::to_owned),
                    "[ -~]{0,4}",
                ],
                0..12,
            ),
        ) {
            let text = parts.concat();
            prop_assert_eq!(redact(&text), by_all_patterns(&text));
        }

        #[test]
        fn no_planted_secret_survives(
            secret in "[A-Za-z0-9][A-Za-z0-9!$%*+._~^@/#-]{10,30}[A-Za-z0-9]",
            place in prop::sample::select(PLACES),
            around in "[ -~]{0,30}",
        ) {
            let text = format!("{around} {}{secret}{}", place.0, place.1);
            let redacted = redact(&text);
            prop_assert!(around.contains(&secret) || !redacted.contains(&secret), "{redacted}");
        }
    }
}
