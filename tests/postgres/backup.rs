//! What the backup's script writes is what brings the data back.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::Path,
    process::{Command, Output},
};

use crate::postgresql::{PROGRAMS, Postgresql};

const PASSWORD: &str = "p@ss:w/rd";

pub const BACKUP: &str = concat!(
    include_str!("../../src/resources/database_url.sh"),
    include_str!("../../src/resources/backup.sh")
);

pub fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(Path::new(PROGRAMS).join(program)).args(arguments).env_clear().output().unwrap()
}

pub fn sql(url: &str, statements: &str) -> String {
    let output = run("psql", &["-X", "-At", "-v", "ON_ERROR_STOP=1", "-c", statements, url]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn what_was_dumped_and_checked_brings_the_rows_back() {
    let server = Postgresql::start(IpAddr::V4(Ipv4Addr::LOCALHOST), PASSWORD, None);
    let encoded = percent_encoding::utf8_percent_encode(PASSWORD, percent_encoding::NON_ALPHANUMERIC);
    let url = format!("postgresql://flagsmith:{encoded}@{}/flags", server.address);
    sql(&url, "CREATE SCHEMA own");
    sql(&url, "CREATE TABLE own.flags AS SELECT n, 'flag ' || n AS name FROM generate_series(1, 1000) n");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("flagsmith-backup-0123456789.dump");
    let older = directory.path().join("flagsmith-backup-00000000aa.dump");
    std::fs::write(&older, "older").unwrap();
    let told = directory.path().join("told");
    let dump = |url: &str| {
        Command::new("sh")
            .args(["-c", BACKUP])
            .arg(&file)
            .arg(&told)
            .args(["1", ""])
            .env("PATH", format!("{PROGRAMS}:{}", std::env::var("PATH").unwrap()))
            .env("DATABASE_URL", url)
            .output()
            .unwrap()
    };
    let nowhere = dump(&format!("{}/nowhere", url.rsplit_once('/').unwrap().0));
    assert!(!nowhere.status.success() && !file.exists(), "what is no backup has not its name");
    assert!(older.exists(), "nothing is removed for a backup that is none");
    let made = dump(&url);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let listed = String::from_utf8_lossy(&made.stdout);
    assert!(listed.contains("TABLE DATA own flags"), "the log lists what it holds: {listed}");
    assert!(!older.exists(), "one is to be kept");
    let size = std::fs::metadata(&file).unwrap().len();
    let told = std::fs::read_to_string(told).unwrap();
    assert!(told.starts_with(&format!("flagsmith-backup-0123456789 {size} ")), "{told}");

    sql(&url, "DROP TABLE own.flags");
    let file = file.to_str().unwrap();
    let arguments = ["--clean", "--if-exists", "--no-owner", "--exit-on-error", "--dbname", &url, file];
    let restored = run("pg_restore", &arguments);
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    assert_eq!(sql(&url, "SELECT count(*), min(name), max(n) FROM own.flags"), "1000|flag 1|1000");
}
