//! The operator as a process, and what the kernel says about it.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    chart::{Chart, NAMESPACE},
    machine::Hosts,
};

/// From its start until it is ready, on a machine with other work; alone it takes a second.
const STARTED: Duration = Duration::from_secs(60);

/// The chart's `terminationGracePeriodSeconds`.
const ENDED: Duration = Duration::from_secs(30);

/// Lines of its log that a failure shows.
const SHOWN: usize = 40;

/// A running operator.
pub struct OperatorProcess {
    /// Where the kubelet would ask whether it lives.
    pub liveness: SocketAddr,
    /// Every port that it serves.
    pub served: Vec<SocketAddr>,
    pub hosts: Hosts,
    child: Child,
    home: TempDir,
    _group: Option<MemoryGroup>,
}

impl OperatorProcess {
    /// Starts it and waits until it is ready.
    pub fn start() -> Self {
        let chart = Chart::installed();
        let mut ports = Vec::new();
        let arguments = chart.arguments(|port| {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
            ports.push((port, free));
            free.to_string()
        });
        let liveness = ports.iter().find(|(port, _)| *port == chart.liveness_port()).unwrap().1;
        let home = tempfile::tempdir().unwrap();
        let log = fs::File::create(home.path().join("log")).unwrap();
        let hosts = Hosts::new(home.path());
        let child = Command::new("/usr/bin/unshare")
            .args(["--mount", "/bin/sh", "-c", "mount --bind \"$0\" /etc/hosts && exec \"$@\""])
            .arg(&hosts.file)
            .arg(env!("CARGO_BIN_EXE_flagsmith-operator"))
            .args(&arguments)
            .env_clear()
            .env("KUBECONFIG", &chart.kubeconfig)
            .env("POD_NAME", "hostile-0")
            .env("POD_NAMESPACE", NAMESPACE)
            // The test cluster ends every process that carries its directory, also after a SIGKILL of this one.
            .env("TESTBED_PROCESS_OF", std::env::var_os("TESTBED_DIR").unwrap())
            .env("TESTBED_PROCESS_COMPONENT", "operator")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let group = MemoryGroup::of(child.id(), chart.memory());
        let served = ports.into_iter().map(|(_, address)| address).collect();
        let mut operator = Self { liveness, served, hosts, child, home, _group: group };
        let end = Instant::now() + STARTED;
        while !operator
            .served
            .clone()
            .into_iter()
            .any(|it| get(it, "/readyz").is_ok_and(|it| it.contains(" 200 ")))
        {
            operator.assert_alive();
            assert!(Instant::now() < end, "not ready within {STARTED:?}: {}", operator.log());
            thread::sleep(Duration::from_millis(100));
        }
        operator
    }

    /// Fails with what it logged when it has ended.
    pub fn assert_alive(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!(
                "the operator ended, {status} (signal 9 is the kernel's, for want of memory): {}",
                self.log()
            );
        }
    }

    /// The end of what it logged.
    pub fn log(&self) -> String {
        let log = fs::read(self.home.path().join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log).into_owned();
        let lines: Vec<_> = log.lines().collect();
        let shown: Vec<_> = lines[lines.len().saturating_sub(SHOWN)..]
            .iter()
            .map(|line| line.chars().take(300).collect::<String>())
            .collect();
        format!("its log ends with\n{}", shown.join("\n"))
    }

    /// Bytes that it has logged.
    pub fn logged(&self) -> u64 {
        fs::metadata(self.home.path().join("log")).map_or(0, |it| it.len())
    }

    /// The most memory that it has had since [`Self::forget_peak`], in MiB.
    pub fn peak(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    }

    /// From now on the peak counts anew (proc(5), `clear_refs`).
    pub fn forget_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").unwrap();
    }

    /// Ends it as the kubelet does; it gives its lease back.
    pub fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let end = Instant::now() + ENDED;
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < end, "SIGTERM is ignored: {}", self.log());
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for OperatorProcess {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The answer to one request, within a second for each part of it.
pub fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let limit = Duration::from_secs(1);
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// A control group with the chart's limit.
struct MemoryGroup(PathBuf);

impl MemoryGroup {
    /// Where none can be made the peak alone is checked, which has to stay at half of the limit.
    fn of(pid: u32, limit: u64) -> Option<Self> {
        let name = format!("flagsmith-hostile-{pid}");
        [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")]
            .into_iter()
            .find_map(|(parent, file)| {
                let path = PathBuf::from(parent).join(&name);
                fs::create_dir(&path).ok()?;
                let group = Self(path);
                fs::write(group.0.join(file), limit.to_string()).ok()?;
                fs::write(group.0.join("cgroup.procs"), pid.to_string()).ok()?;
                Some(group)
            })
            .or_else(|| {
                eprintln!("no memory cgroup can be made here: only the peak of resident memory is checked");
                None
            })
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        fs::remove_dir(&self.0).ok();
    }
}
