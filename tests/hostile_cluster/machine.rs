//! Addresses of this machine that the operator accepts: it refuses loopback.

use std::{
    fs::{self, File},
    io::Write as _,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// What tests/cluster gives to simulated pods (`kwokPodRange`). Nothing answers there unless this suite does, so it takes
/// the whole range: whatever the operator sends to a simulated pod stays on this machine.
const PODS: &str = "10.245.0.0/16";

/// Where hostile databases listen: far from where the simulation begins to count.
pub const DATABASES: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 245, 255, 1));

/// The range as this machine's own, until the last who needs it is through: another run may have it at the same time.
pub struct Addresses(File);

impl Addresses {
    pub fn take() -> Self {
        let path = std::env::temp_dir().join("flagsmith-operator-hostile.lock");
        let users = File::create(path).unwrap();
        users.lock_shared().unwrap();
        let output = ip("replace");
        assert!(
            output.status.success(),
            "{PODS} cannot be added to the interface lo, which needs root: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Self(users)
    }
}

impl Drop for Addresses {
    fn drop(&mut self) {
        self.0.unlock().ok();
        if self.0.try_lock().is_ok() {
            ip("delete");
        }
    }
}

fn ip(change: &str) -> Output {
    Command::new("ip")
        .args(["address", change, PODS, "dev", "lo"])
        .output()
        .expect("ip (Debian's package iproute2) is there")
}

/// Names that the operator alone resolves, to the address of the databases: its process has this file as `/etc/hosts`.
#[derive(Clone)]
pub struct Hosts {
    pub file: PathBuf,
    pub address: IpAddr,
}

impl Hosts {
    pub fn new(directory: &Path) -> Self {
        let file = directory.join("hosts");
        fs::write(&file, "127.0.0.1 localhost\n").unwrap();
        Self { file, address: DATABASES }
    }

    /// In place: it is the file that was mounted.
    pub fn add(&self, name: &str) {
        let mut file = File::options().append(true).open(&self.file).unwrap();
        writeln!(file, "{} {name}", self.address).unwrap();
    }
}

/// Whether a simulated pod has this address.
pub fn is_a_pods(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(address) if address.octets().starts_with(&[10, 245]))
}
