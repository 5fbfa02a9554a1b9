//! A real PostgreSQL for one test.

use std::{
    fs,
    net::{IpAddr, SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::certificates::Issued;

/// Where Debian keeps the programs.
pub const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";

/// PostgreSQL refuses to run as root; Debian's package brings this account.
const ACCOUNT: &str = "postgres";

/// It takes a second; the machine may have other work.
const STARTED: Duration = Duration::from_secs(60);

/// Who may log in, and how. The administrator is only let in by the socket.
const ACCESS: &str = "local all all trust
host all clear all password
host all hashed all md5
host all all all scram-sha-256
";

/// The roles of [`ACCESS`], all with one password, and the databases.
const ROLES: &str = "SET password_encryption = 'scram-sha-256';
CREATE ROLE flagsmith LOGIN PASSWORD '@';
CREATE ROLE clear LOGIN PASSWORD '@';
SET password_encryption = 'md5';
CREATE ROLE hashed LOGIN PASSWORD '@';
CREATE DATABASE flags OWNER flagsmith;
CREATE DATABASE others OWNER flagsmith;
";

/// A server that ends with the test.
pub struct Postgresql {
    /// Where it listens.
    pub address: SocketAddr,
    directory: TempDir,
    process: Child,
}

impl Postgresql {
    /// A server whose roles have this password, and which encrypts where it has a certificate.
    pub fn start(host: IpAddr, password: &str, tls: Option<&Issued>) -> Self {
        assert!(
            Path::new(PROGRAMS).join("initdb").exists(),
            "{PROGRAMS}/initdb is not there: this test needs Debian's package postgresql-15"
        );
        let directory = tempfile::Builder::new().prefix("flagsmith-postgres-").tempdir().unwrap();
        let home = directory.path().to_owned();
        // Its own account must reach it.
        fs::set_permissions(&home, fs::Permissions::from_mode(0o755)).unwrap();
        let data = home.join("data");
        fs::create_dir(&data).unwrap();
        own(&data);
        let arguments = ["-D", text(&data), "-U", "admin", "--auth=trust", "--no-sync"];
        succeed(program("initdb").args(arguments));
        fs::write(data.join("pg_hba.conf"), ACCESS).unwrap();
        if let Some(issued) = tls {
            for (name, content) in
                [("server.crt", issued.certificate.pem()), ("server.key", issued.key.serialize_pem())]
            {
                let file = data.join(name);
                fs::write(&file, content).unwrap();
                fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
                own(&file);
            }
        }
        // Free a moment ago.
        let address = TcpListener::bind((host, 0)).unwrap().local_addr().unwrap();
        let mut process = program("postgres");
        process.args(["-D", text(&data), "-k", text(&data)]);
        for setting in [
            format!("port={}", address.port()),
            format!("listen_addresses={host}"),
            format!("ssl={}", if tls.is_some() { "on" } else { "off" }),
            "fsync=off".to_owned(),
            "max_connections=50".to_owned(),
        ] {
            process.args(["-c", &setting]);
        }
        let log = fs::File::create(home.join("log")).unwrap();
        process.stderr(log).stdout(Stdio::null());
        // One that is kept for several tests is nobody's to drop: the test cluster ends what carries its directory.
        if let Some(cluster) = std::env::var_os("TESTBED_DIR") {
            process.env("TESTBED_PROCESS_OF", cluster).env("TESTBED_PROCESS_COMPONENT", "postgres");
        }
        let server = Self { address, process: process.spawn().unwrap(), directory };
        server.prepare(&ROLES.replace('@', password));
        server
    }

    /// What a client without any library of this project sees: whether libpq gets in with this URL and this password.
    pub fn libpq_gets_in(&self, url: &str) -> bool {
        let output = Command::new(Path::new(PROGRAMS).join("psql"))
            .args(["-X", "-At", "-c", "SELECT 1", url])
            .env_clear()
            // No ~/.postgresql of whoever runs the tests.
            .env("HOME", self.directory.path())
            .env("PGCONNECT_TIMEOUT", "10")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        output.status.success()
    }

    /// A file for the URL's `sslrootcert`.
    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let file = self.directory.path().join(name);
        fs::write(&file, content).unwrap();
        file
    }

    /// What its administrator says.
    pub fn as_administrator(&self, database: &str, sql: &str) {
        let output = self.administrator(database, sql);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn administrator(&self, database: &str, sql: &str) -> Output {
        let script = self.file("statements.sql", sql);
        let mut psql = program("psql");
        let data = self.directory.path().join("data");
        let port = self.address.port().to_string();
        psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", text(&data), "-p", &port]);
        psql.args(["-U", "admin", "-d", database, "-f", text(&script)]);
        psql.output().unwrap()
    }

    /// Waits until it answers, and makes roles and database.
    fn prepare(&self, sql: &str) {
        let end = Instant::now() + STARTED;
        loop {
            let output = self.administrator("postgres", sql);
            if output.status.success() {
                return;
            }
            let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(Instant::now() < end, "PostgreSQL does not answer: {said}\n{log}");
            thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Postgresql {
    fn drop(&mut self) {
        let data = self.directory.path().join("data");
        let mut stop = program("pg_ctl");
        stop.args(["stop", "-m", "immediate", "-w", "-D", text(&data)]);
        stop.output().ok();
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// One of its programs, as an account that it accepts.
fn program(name: &str) -> Command {
    let path = Path::new(PROGRAMS).join(name);
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        let account = [format!("--reuid={ACCOUNT}"), format!("--regid={ACCOUNT}")];
        command.args(account).arg("--clear-groups").arg(path);
        command
    } else {
        Command::new(path)
    };
    command.current_dir("/").env_remove("PGPASSWORD").env_remove("PGHOST").stdin(Stdio::null());
    command
}

/// Gives a file to that account.
fn own(file: &Path) {
    if rustix::process::geteuid().is_root() {
        succeed(Command::new("chown").arg(ACCOUNT).arg(file));
    }
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
