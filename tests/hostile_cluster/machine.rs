//! Addresses of this machine that the operator accepts: it refuses loopback.

use std::{
    net::{IpAddr, Ipv4Addr},
    process::Command,
    sync::OnceLock,
};

/// What tests/cluster gives to simulated pods (`kwokPodRange`). Nothing answers there unless this suite does, so it takes
/// the whole range: whatever the operator sends to a simulated pod stays on this machine.
const PODS: &str = "10.245.0.0/16";

/// Where hostile databases listen: far from where the simulation begins to count.
pub const DATABASES: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 245, 255, 1));

/// Makes the range this machine's own. It stays: another run on this machine may use it too.
pub fn prepare() {
    static PREPARED: OnceLock<()> = OnceLock::new();
    PREPARED.get_or_init(|| {
        let output = Command::new("ip")
            .args(["address", "replace", PODS, "dev", "lo", "scope", "host"])
            .output()
            .expect("ip (Debian's package iproute2) is there");
        assert!(
            output.status.success(),
            "{PODS} cannot be added to the interface lo, which needs root: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    });
}

/// Whether a simulated pod has this address.
pub fn is_a_pods(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(address) if address.octets().starts_with(&[10, 245]))
}
