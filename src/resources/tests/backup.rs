//! What the backup's script makes of a URL. With a real `pg_dump`: tests/backup.rs.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
    time::{Duration, SystemTime},
};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;
use rstest::rstest;

/// In place of `pg_dump`: writes its arguments and the password where the test finds them, and the file.
const PG_DUMP: &str = r#"#!/bin/sh
printf '%s\n' "$@" >"${0%/*}/arguments"
[ -z "${PGPASSWORD+set}" ] || printf %s "$PGPASSWORD" >"${0%/*}/password"
case $* in */broken*) content=unreadable ;; *) content=whole ;; esac
echo "$content" >"${2#--file=}"
"#;

/// In place of `pg_restore`: reads what it finds.
const PG_RESTORE: &str = r#"#!/bin/sh
[ "$1" = --list ] && exec grep -v unreadable "$2"
"#;

/// What `pg_dump` was called with.
#[derive(Debug, PartialEq, Eq)]
struct Called {
    url: String,
    /// `None`: no variable.
    password: Option<Vec<u8>>,
}

/// Runs the script for this URL in a directory, with these arguments.
fn run(directory: &Path, file: &str, arguments: &[&str], url: &str) -> Output {
    let path = |name: &str| directory.join(name);
    for (name, program) in [("pg_dump", PG_DUMP), ("pg_restore", PG_RESTORE)] {
        fs::write(path(name), program).unwrap();
        fs::set_permissions(path(name), fs::Permissions::from_mode(0o700)).unwrap();
    }
    let search = format!("{}:{}", directory.display(), std::env::var("PATH").unwrap());
    Command::new("sh")
        .args(["-c", concat!(include_str!("../database_url.sh"), include_str!("../backup.sh"))])
        .arg(path(file))
        .args(arguments)
        .env("PATH", search)
        .env("DATABASE_URL", url)
        .env("PGPASSWORD", "of somebody else")
        .output()
        .unwrap()
}

/// Runs the script for this URL. Fails with what it says.
fn dump(url: &str) -> Result<Called, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let Output { status, stderr, .. } = run(directory.path(), "flagsmith.dump", &[], url);
    let words = String::from_utf8(stderr).unwrap();
    if !status.success() {
        assert!(!path("flagsmith.dump").exists(), "what is no backup has its name");
        assert!(!path("flagsmith.dump.partial").exists(), "nor does it fill the volume");
        let called = path("arguments").exists();
        return Err(if called { "the dump is not whole".to_owned() } else { words });
    }
    let dump = fs::metadata(path("flagsmith.dump")).unwrap();
    assert_eq!(dump.permissions().mode() & 0o777, 0o600, "nobody else reads the dump");
    let arguments = fs::read_to_string(path("arguments")).unwrap();
    let url = arguments.lines().find_map(|it| it.strip_prefix("--dbname="));
    Ok(Called { url: url.unwrap().to_owned(), password: fs::read(path("password")).ok() })
}

#[rstest]
#[case("postgresql://u:p@h:5432/db", "postgresql://u@h:5432/db", Some("p"))]
#[case("postgres://u:p%40s%2Fs%0A@h/db", "postgresql://u@h/db", Some("p@s/s\n"))]
#[case::colon("pgsql://u:a:b@h/db", "postgresql://u@h/db", Some("a:b"))]
#[case::shell("postgres://u:$(id)`id`'\"\\n*@h/db", "postgresql://u@h/db", Some("$(id)`id`'\"\\n*"))]
#[case::no_encoding("postgres://u:100%&%zz@h/db", "postgresql://u@h/db", Some("100%&%zz"))]
#[case::at("postgres://u:a@b@h/db", "postgresql://u@h/db", Some("a@b"))]
#[case::role("postgres://u%40x@y:p@h/db", "postgresql://u%40x%40y@h/db", Some("p"))]
#[case::empty("postgres://u:@h/db", "postgresql://u@h/db", Some(""))]
#[case::none("postgres://u@h/db", "postgresql://u@h/db", None)]
#[case::address("postgres://u:p@[::1]:6432/db", "postgresql://u@[::1]:6432/db", Some("p"))]
#[case::options(
    "postgres://u:p@h/db?sslmode=require&options=-c+a%3Db&x=%26",
    "postgresql://u@h/db?sslmode=require&options=-c%20a%3Db&x=%26",
    Some("p")
)]
#[case::as_an_option(
    "postgres://u@h/db?p%61ssword=a+b&sslmode=prefer",
    "postgresql://u@h/db?sslmode=prefer",
    Some("a b")
)]
#[case::twice("postgres://u:p@h/db?password=q", "postgresql://u@h/db", Some("p"))]
fn pg_dump_gets(#[case] url: &str, #[case] argument: &str, #[case] password: Option<&str>) {
    let expected = Called { url: argument.to_owned(), password: password.map(|it| it.as_bytes().to_vec()) };
    assert_eq!(dump(url), Ok(expected));
}

#[rstest]
#[case::slash("postgres://u:a/b@h/db", r#"an "@" after the host"#)]
#[case::question("postgres://u:1?a=b@h/db", r#"an "@" after the host"#)]
#[case::hash("postgres://u:1#b@h/db", r#"an "@" after the host"#)]
#[case::key("postgres://u:p@h/db?sslpassword=q", "sslpassword")]
#[case::no_url("host=h password=p", "no URL")]
#[case::unreadable("postgres://u:p@h/broken", "not whole")]
fn refuses(#[case] url: &str, #[case] words: &str) {
    let refused = dump(url).unwrap_err();
    assert!(refused.contains(words), "{refused}");
    assert!(!refused.contains("a=b") && !refused.contains("password=p"), "{refused}");
}

const DAY: u64 = 24 * 60 * 60;

/// One dump more beside those that were made one, two, three and ten days ago, and what other installations have left.
#[rstest]
#[case::all("", "", &["new", "a", "b", "c", "d"])]
#[case::of_a_number("3", "", &["new", "a", "b"])]
#[case::only_the_new_one("1", "", &["new"])]
#[case::of_an_age("", "3", &["new", "a", "b"])]
#[case::of_both("4", "7", &["new", "a", "b", "c"])]
#[case::the_new_one_is_never_past("1", "1", &["new"])]
fn dumps_that_stay(#[case] count: &str, #[case] days: &str, #[case] expected: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let named = |last: &str| match last {
        "new" => "flags-backup-00000000ff".to_owned(),
        last => format!("flags-backup-000000000{last}"),
    };
    let others = ["flags-backup-mine.dump", "flags-backup-x-backup-000000000a.dump", "notes.txt"];
    let aged = |name: &str, days: u64| {
        let file = fs::File::create(path(name)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(days * DAY + 60)).unwrap();
    };
    for (last, days) in [("a", 1), ("b", 2), ("c", 3), ("d", 10)] {
        aged(&format!("{}.dump", named(last)), days);
    }
    for name in others {
        aged(name, 100);
    }
    let told = path("told");
    let arguments = [told.to_str().unwrap(), count, days];
    let output = run(directory.path(), &format!("{}.dump", named("new")), &arguments, "postgres://u:p@h/db");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let there: Vec<_> = ["new", "a", "b", "c", "d"]
        .into_iter()
        .filter(|last| path(&format!("{}.dump", named(last))).exists())
        .collect();
    assert_eq!(there, expected);
    for other in others {
        assert!(path(other).exists(), "{other} is not the script's to remove");
    }
    let told = fs::read_to_string(told).unwrap();
    let names: Vec<_> = told.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(names, expected.iter().map(|last| named(last)).collect::<Vec<_>>(), "it says so");
    let first: Vec<_> = told.lines().next().unwrap().split(' ').collect();
    let size = fs::metadata(path(&format!("{}.dump", named("new")))).unwrap().len();
    assert_eq!((first.len(), first[1].parse()), (3, Ok(size)));
}

/// The backup is there all the same.
#[test]
fn what_cannot_be_told_fails_no_backup() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = ["/nowhere/told", "1", ""];
    let output = run(directory.path(), "flags-backup-0123456789.dump", &arguments, "postgres://u:p@h/db");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(directory.path().join("flags-backup-0123456789.dump").exists());
}

proptest! {
    // Each case starts a shell.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_password_arrives_and_is_in_no_argument(password in "[^\0]{1,24}", role in "[^\0]{1,8}") {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let url = format!("postgresql://{}:{}@h/db?sslmode=disable", encode(&role), encode(&password));
        let called = dump(&url).unwrap();
        prop_assert_eq!(called.password, Some(password.into_bytes()));
        prop_assert_eq!(called.url, format!("postgresql://{}@h/db?sslmode=disable", encode(&role)));
    }

    /// Whether or not it is encoded as it should be.
    #[test]
    fn no_raw_password_is_in_an_argument(password in "[!-~]{6,24}") {
        let marked = format!("Zq{password}qZ");
        if let Ok(called) = dump(&format!("postgresql://u:{marked}@h/db?a=b")) {
            prop_assert!(!called.url.contains("Zq") && !called.url.contains("qZ"), "{}", called.url);
        }
    }
}
