//! What the restore's script makes of a database: what the dump holds and nothing else, or what it was before.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

use crate::{
    backup::{BACKUP, run, sql},
    postgresql::{PROGRAMS, Postgresql},
};

const PASSWORD: &str = "p@ss:w/rd";

const RESTORE: &str = concat!(
    include_str!("../../src/resources/database_url.sh"),
    include_str!("../../src/resources/restore.sh")
);

/// What a release had made: tables with rows and keys, the function of the task processor, a type, a schema of its own.
const BEFORE: &str = "CREATE TYPE public.kind AS ENUM ('a', 'b');
CREATE TABLE public.flags (id serial PRIMARY KEY, name text NOT NULL, kind public.kind);
INSERT INTO public.flags (name, kind) SELECT 'flag ' || n, 'a' FROM generate_series(1, 1000) n;
CREATE TABLE public.states (id bigint GENERATED ALWAYS AS IDENTITY, flag int REFERENCES public.flags (id));
CREATE FUNCTION public.tasks(number int) RETURNS SETOF public.flags LANGUAGE sql AS 'SELECT * FROM public.flags LIMIT number';
CREATE VIEW public.names AS SELECT name FROM public.flags;
CREATE SCHEMA own;
CREATE TABLE own.more AS SELECT 1 AS one;
SELECT lo_from_bytea(4711, 'object');";

/// What was done to it since.
const SINCE: &str = "DROP TABLE public.states;
DELETE FROM public.flags WHERE id > 10;
ALTER TABLE public.flags ADD COLUMN newer int;
CREATE TABLE public.newer (id serial PRIMARY KEY, flag int REFERENCES public.flags (id));
CREATE FUNCTION public.newer() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER newer BEFORE INSERT ON public.newer EXECUTE FUNCTION public.newer();
CREATE SCHEMA newer;
CREATE TABLE newer.newer AS SELECT 1 AS one;
SELECT lo_unlink(4711), lo_from_bytea(4712, 'newer');";

struct Scene {
    server: Postgresql,
    url: String,
    directory: TempDir,
}

impl Scene {
    /// A database whose dump is there.
    fn new() -> Self {
        let server = Postgresql::start(IpAddr::V4(Ipv4Addr::LOCALHOST), PASSWORD, None);
        let encoded = percent_encoding::utf8_percent_encode(PASSWORD, percent_encoding::NON_ALPHANUMERIC);
        let url = format!("postgresql://flagsmith:{encoded}@{}/flags", server.address);
        let scene = Self { server, url, directory: tempfile::tempdir().unwrap() };
        sql(&scene.url, BEFORE);
        let made = scene.script(BACKUP, &scene.url, "");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        scene
    }

    /// The URL of another database.
    fn of(&self, database: &str) -> String {
        let (server, _) = self.url.rsplit_once('/').unwrap();
        format!("{server}/{database}")
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("flagsmith-backup-0123456789.dump")
    }

    /// Runs a script on the dump; programs in `first` come before PostgreSQL's.
    fn script(&self, script: &str, url: &str, first: &str) -> Output {
        Command::new("sh")
            .args(["-c", script])
            .arg(self.file())
            .env("PATH", format!("{first}:{PROGRAMS}:{}", std::env::var("PATH").unwrap()))
            .env("DATABASE_URL", url)
            .env("PGOPTIONS", "-c lock_timeout=1s")
            .output()
            .unwrap()
    }

    fn restore(&self) -> Output {
        self.script(RESTORE, &self.url, "")
    }

    /// Everything that is in a database.
    fn content(&self) -> String {
        content(&self.url)
    }

    /// The server's administrator, who is let in by the socket only.
    fn as_administrator(&self, database: &str, statements: &str) {
        self.server.as_administrator(database, statements);
    }
}

fn content(url: &str) -> String {
    let dumped = run("pg_dump", &["--dbname", url]);
    assert!(dumped.status.success(), "{}", String::from_utf8_lossy(&dumped.stderr));
    let text = String::from_utf8(dumped.stdout).unwrap();
    // A word of its own in each dump.
    text.split_inclusive('\n').filter(|line| !line.contains("restrict ")).collect()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_content_of_the_dump_takes_the_place_of_what_is_there() {
    let scene = Scene::new();
    let before = scene.content();
    // What is not the role's own, and what an extension brought: both stay.
    scene
        .as_administrator("flags", "CREATE EXTENSION pg_trgm; CREATE TABLE public.others AS SELECT 1 AS one");
    sql(&scene.url, SINCE);
    let restored = scene.restore();
    assert!(restored.status.success(), "{}", errors(&restored));
    assert_eq!(String::from_utf8_lossy(&restored.stdout), "restored flagsmith-backup-0123456789.dump\n");
    assert_eq!(sql(&scene.url, "SELECT similarity('flag', 'flag')"), "1");
    scene.as_administrator("flags", "DROP EXTENSION pg_trgm; DROP TABLE public.others");
    assert!(scene.content() == before, "{}", scene.content());
    // It is the same in a database that is empty, and again.
    let others = scene.of("others");
    for _ in 0..2 {
        let restored = scene.script(RESTORE, &others, "");
        assert!(restored.status.success(), "{}", errors(&restored));
        assert!(content(&others) == before, "{}", content(&others));
    }
}

#[test]
fn what_cannot_be_restored_changes_nothing() {
    let scene = Scene::new();
    sql(&scene.url, SINCE);
    let before = scene.content();
    let whole = fs::read(scene.file()).unwrap();
    for length in [0, 100, whole.len() / 2, whole.len() - 200] {
        fs::write(scene.file(), &whole[..length]).unwrap();
        assert!(!scene.restore().status.success(), "{length} bytes of {}", whole.len());
        assert!(scene.content() == before, "{length} bytes of {}", whole.len());
    }
    fs::write(scene.file(), &whole).unwrap();
    // Something of that name, of a role that this one is no member of.
    scene.as_administrator(
        "flags",
        "CREATE TABLE public.states AS SELECT 1 AS one; GRANT SELECT ON public.states TO flagsmith",
    );
    let before = scene.content();
    let refused = scene.restore();
    assert!(
        !refused.status.success() && errors(&refused).contains("\"states\" already exists"),
        "{}",
        errors(&refused)
    );
    assert!(scene.content() == before);
    assert!(!scene.script(RESTORE, &scene.of("nowhere"), "").status.success());
}

/// `pg_restore` may end in the middle, and `psql` sees no more than the end of its input.
#[test]
fn half_of_a_dump_is_none() {
    let scene = Scene::new();
    sql(&scene.url, SINCE);
    let before = scene.content();
    let wrapper = wrapper(&format!(
        "case $1 in --list) exec {PROGRAMS}/pg_restore \"$@\" ;; esac; {PROGRAMS}/pg_restore \"$@\" | head -n 60; exit 1"
    ));
    let cut = scene.script(RESTORE, &scene.url, wrapper.path().to_str().unwrap());
    assert!(!cut.status.success(), "{}", errors(&cut));
    assert!(scene.content() == before);
}

/// `pg_restore` of 17 sets what servers of 15 and 16 do not know.
#[test]
fn a_newer_program_restores_to_an_older_server() {
    let scene = Scene::new();
    let before = scene.content();
    sql(&scene.url, SINCE);
    let wrapper = wrapper(&format!(
        "case $1 in --list) exec {PROGRAMS}/pg_restore \"$@\" ;; esac; {PROGRAMS}/pg_restore \"$@\" | sed '/^SET lock_timeout/a SET transaction_timeout = 0;'"
    ));
    let restored = scene.script(RESTORE, &scene.url, wrapper.path().to_str().unwrap());
    assert!(restored.status.success(), "{}", errors(&restored));
    assert!(scene.content() == before, "{}", scene.content());
}

/// A directory whose `pg_restore` is this script.
fn wrapper(script: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let file: &Path = &directory.path().join("pg_restore");
    fs::write(file, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    directory
}
