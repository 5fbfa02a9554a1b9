//! How a task processor works: how many threads it has, and how long each waits between two looks at the queue.
//!
//! `start task-processor` takes both as flags, whose defaults are environment variables (flagsmith-common 3.13,
//! `task_processor/utils.py`).

use super::env;

/// What the rest of a batch fails with when its task processor is told to end (Python's thread pool; flagsmith-common 3.13,
/// `task_processor/processor.py`). It is run again, although the failure counts as one of three.
pub(crate) const INTERRUPTED: &str = "after interpreter shutdown";

const THREADS_FLAG: &str = "--numthreads";
const SLEEP_FLAG: &str = "--sleepintervalms";

/// What a task processor is told of its pace; `None` where it is told nothing and the release decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessorPace {
    /// Threads that run tasks.
    pub threads: Option<i32>,
    /// Milliseconds between two looks of a thread at the queue.
    pub sleep: Option<i32>,
}

impl ProcessorPace {
    /// Whether a command line or an environment, as text, can tell any of it.
    #[must_use]
    pub fn may_be_in(text: &str) -> bool {
        let names =
            [THREADS_FLAG, SLEEP_FLAG, env::TASK_PROCESSOR_NUM_THREADS, env::TASK_PROCESSOR_SLEEP_INTERVAL];
        names.iter().any(|name| text.contains(name))
    }

    /// What a command line and an environment tell. A flag wins over a variable, and the newer of two names over the
    /// older.
    #[must_use]
    pub fn of<'a>(command: &[&str], variable: impl Fn(&str) -> Option<&'a str>) -> Self {
        let flag = |name: &str| {
            command.iter().enumerate().find_map(|(index, word)| {
                let value = match word.strip_prefix(name)? {
                    "" => command.get(index + 1)?,
                    rest => rest.strip_prefix('=')?,
                };
                value.parse().ok()
            })
        };
        let number = |name: &str| variable(name)?.parse().ok();
        Self {
            threads: flag(THREADS_FLAG).or_else(|| number(env::TASK_PROCESSOR_NUM_THREADS)),
            sleep: flag(SLEEP_FLAG)
                .or_else(|| number(env::TASK_PROCESSOR_SLEEP_INTERVAL_MS))
                .or_else(|| number(env::TASK_PROCESSOR_SLEEP_INTERVAL)),
        }
    }

    /// The same as a command line.
    #[must_use]
    pub fn arguments(self) -> Vec<String> {
        let flag = |name: &str, value: Option<i32>| value.map(|value| [name.to_owned(), value.to_string()]);
        [flag(THREADS_FLAG, self.threads), flag(SLEEP_FLAG, self.sleep)]
            .into_iter()
            .flatten()
            .flatten()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::flags(&["start", "task-processor", "--numthreads", "5", "--sleepintervalms=60000"], &[], Some(5), Some(60_000))]
    #[case::variables(&[], &[(env::TASK_PROCESSOR_NUM_THREADS, "3"), (env::TASK_PROCESSOR_SLEEP_INTERVAL, "500")], Some(3), Some(500))]
    #[case::a_flag_wins(&["--numthreads", "5"], &[(env::TASK_PROCESSOR_NUM_THREADS, "3")], Some(5), None)]
    #[case::the_newer_name_wins(&[], &[(env::TASK_PROCESSOR_SLEEP_INTERVAL, "1"), (env::TASK_PROCESSOR_SLEEP_INTERVAL_MS, "2")], None, Some(2))]
    #[case::no_number(&["--numthreads"], &[(env::TASK_PROCESSOR_SLEEP_INTERVAL, "soon")], None, None)]
    fn a_pace_is_read_and_written(
        #[case] command: &[&str],
        #[case] variables: &[(&str, &str)],
        #[case] threads: Option<i32>,
        #[case] sleep: Option<i32>,
    ) {
        let pace = ProcessorPace::of(command, |name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
        });
        assert_eq!(pace, ProcessorPace { threads, sleep });
        let written = pace.arguments();
        let written: Vec<&str> = written.iter().map(String::as_str).collect();
        assert_eq!(ProcessorPace::of(&written, |_| None), pace);
    }
}
