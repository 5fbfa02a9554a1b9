//! How long a container of Flagsmith's API image takes from its start until it works, as four readings of one figure.
//!
//! Python and Django need 5 to 15 seconds of one CPU to load, in the API and in the task processor alike; nothing is
//! listened to and no task is taken before. Each constant says what may be concluded from that time.

use jiff::SignedDuration;

/// No container works before this: Python alone takes longer to load. It also covers the kubelet's start times, which
/// are whole seconds.
pub(crate) const AT_LEAST: SignedDuration = SignedDuration::from_secs(1);

/// A container with a CPU to itself works by now: the upper end of 5 to 15 seconds.
pub(crate) const USUALLY: SignedDuration = SignedDuration::from_secs(15);

/// A container on a busy node, which gets a third of a CPU, works by now.
pub(crate) const ON_A_BUSY_NODE: SignedDuration = SignedDuration::from_secs(45);

/// The same container is known to be ready by now: one period of its readiness probe later (10 seconds unless the
/// template says otherwise), and the kubelet's report of it.
pub(crate) const READY_ON_A_BUSY_NODE: SignedDuration = SignedDuration::from_secs(60);

/// A container with a twentieth of a CPU works by now, in seconds: the longest start that its probes wait for, because
/// a container that is killed while it loads only loads again. Flagsmith's own limit is 120 s since 2.248.0, raised for
/// containers with a CPU limit.
pub(crate) const THROTTLED_SECONDS: i32 = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reading_is_later_than_the_one_before() {
        let throttled = SignedDuration::from_secs(i64::from(THROTTLED_SECONDS));
        let readings = [AT_LEAST, USUALLY, ON_A_BUSY_NODE, READY_ON_A_BUSY_NODE, throttled];
        assert!(readings.is_sorted_by(|earlier, later| earlier < later));
        assert_eq!(ON_A_BUSY_NODE, USUALLY * 3);
        assert_eq!(throttled, USUALLY * 20);
    }
}
