//! Logs that begin with their newest line, as Grafana, Kibana and `gcloud logging read` hand them out unless told
//! otherwise. What a failure led to, and whether it was overcome, is read in the order of time.

use std::io::{self, BufRead};

use super::lines::read_lines;
use super::pretty::{Feed, Pretty};
use super::time::Moment;

/// How much of the beginning of a log is looked at, in bytes.
pub(crate) const LOOK: u64 = 128 * 1024;
/// How many times a line has to be older than the one before it. Processes that write at the same time, or two runs in
/// one file, do so now and then.
const STEPS: usize = 4;
/// The largest log that is turned round, in bytes; of a larger one the oldest part is left out.
const LARGEST: u64 = 128 * 1024 * 1024;

/// Whether the stamps at the beginning of a log run backwards.
pub(crate) fn is_newest_first(start: &[u8]) -> bool {
    let (mut older, mut newer) = (0, 0);
    let mut last: Option<Moment> = None;
    for line in start.split(|byte| *byte == b'\n') {
        let Some(now) = stamp(line) else {
            continue;
        };
        match last {
            Some(last) if now < last => older += 1,
            Some(last) if now > last => newer += 1,
            _ => {}
        }
        last = Some(now);
    }
    older >= STEPS && older >= 8 * newer
}

/// The first stamp of a line, wherever it is.
fn stamp(line: &[u8]) -> Option<Moment> {
    let line = line.get(..line.len().min(1024)).unwrap_or_default();
    // `-` is the fifth sign of every stamp that has a date in front.
    let text = String::from_utf8_lossy(line);
    text.match_indices('-').find_map(|(at, _)| {
        let start = at.checked_sub(4)?;
        Moment::read(text.get(start..)?).map(|(moment, _)| moment)
    })
}

/// The lines of a log in the order of time, with their numbers. An object over several lines is one line.
pub(crate) fn oldest_first(log: impl BufRead) -> io::Result<Vec<(u64, Vec<u8>)>> {
    let mut lines: Vec<(u64, Vec<u8>)> = Vec::new();
    let mut pretty = Pretty::default();
    read_lines(log.take(LARGEST), |number, line| match pretty.take(number, line) {
        Feed::No => lines.push((number, line.to_vec())),
        Feed::Inside => {}
        Feed::Whole(first, text) => lines.push((first, text.into_bytes())),
    })?;
    lines.reverse();
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn log(seconds: &[u32]) -> String {
        let line = |second: &u32| {
            format!("{{\"timestamp\": \"2026-11-22T16:00:{second:02}Z\", \"message\": \"x\"}}\n")
        };
        seconds.iter().map(line).collect::<Vec<_>>().concat()
    }

    #[rstest]
    #[case::backwards(&[9, 8, 8, 7, 3, 1], true)]
    #[case::forwards(&[1, 2, 3, 4, 5, 6], false)]
    #[case::two_pods_one_after_the_other(&[1, 2, 3, 4, 1, 2, 3, 4], false)]
    #[case::processes_at_once(&[1, 3, 2, 4, 3, 5, 4, 6, 5, 7, 6], false)]
    #[case::too_short(&[3, 2, 1], false)]
    fn order_of_stamps(#[case] seconds: &[u32], #[case] expected: bool) {
        assert_eq!(is_newest_first(log(seconds).as_bytes()), expected);
    }

    #[test]
    fn objects_stay_whole() {
        let log = b"[\n  {\n    \"m\": \"new\"\n  },\n  {\n    \"m\": \"old\"\n  }\n]\n";
        let lines = oldest_first(log.as_slice()).unwrap();
        let lines: Vec<(u64, &str)> =
            lines.iter().map(|(number, line)| (*number, std::str::from_utf8(line).unwrap())).collect();
        assert_eq!(lines, [(8, "]"), (5, "{\"m\": \"old\"}"), (2, "{\"m\": \"new\"}"), (1, "[")]);
    }
}
