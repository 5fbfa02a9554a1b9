//! What the container that dumps a database tells at its end: the dumps in its volume. Pure.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use crate::model::child::marks;

/// More lines than the script writes: the image is the user's choice, and so is what it says.
const MOST_DUMPS: usize = 32;

/// Characters of a Job's name.
const NAME_LENGTH: usize = 63;

/// A file that holds a dump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dump {
    /// Its name without suffix: that of the Job that wrote it.
    pub name: String,
    /// Its size.
    pub bytes: i64,
    /// When it was written.
    pub written: Timestamp,
}

/// The dumps that there were when this pod had made its own, the newest first; none while it has not.
pub(super) fn dumps(pod: &Pod) -> Vec<Dump> {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let ended = |status: &ContainerStatus| status.state.as_ref()?.terminated.clone();
    statuses
        .filter(|status| status.name == marks::DUMP_CONTAINER)
        .filter_map(ended)
        .filter(|ended| ended.exit_code == 0)
        .flat_map(|ended| listed(ended.message.as_deref().unwrap_or_default()))
        .collect()
}

/// `NAME BYTES SECONDS` in each line.
fn listed(message: &str) -> Vec<Dump> {
    let dump = |line: &str| {
        let mut words = line.split(' ');
        let name = words.next().filter(|name| is_name(name))?;
        let bytes = words.next()?.parse::<i64>().ok().filter(|bytes| *bytes >= 0)?;
        let written = Timestamp::from_second(words.next()?.parse().ok()?).ok()?;
        words.next().is_none().then(|| Dump { name: name.to_owned(), bytes, written })
    };
    message.lines().filter_map(dump).take(MOST_DUMPS).collect()
}

fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=NAME_LENGTH).contains(&name.len()) && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_and_nothing_else_is_taken_for_one() {
        let message = "flagsmith-backup-0123456789 1048576 1764460800\nflagsmith-backup-a 7 1764374400";
        let names: Vec<_> = listed(message).into_iter().map(|dump| (dump.name, dump.bytes)).collect();
        assert_eq!(
            names,
            [("flagsmith-backup-0123456789".to_owned(), 1_048_576), ("flagsmith-backup-a".to_owned(), 7)]
        );
        for strange in [
            "",
            "a",
            "a 1",
            "a x 1",
            "a -1 1",
            "a 1 99999999999999999",
            "A 1 1",
            "a/b 1 1",
            "a 1 1 1",
            "$(id) 1 1",
        ] {
            assert_eq!(listed(strange), [], "{strange}");
        }
        assert_eq!(listed(&"a 1 1\n".repeat(1_000)).len(), MOST_DUMPS);
        assert_eq!(listed(&format!("{} 1 1", "a".repeat(64))), []);
    }
}
