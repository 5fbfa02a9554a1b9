//! Each status that the resource of a story has, as it is written.

use std::{
    mem::take,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::spawn,
};

use serde_json::Value;

use crate::kubectl::pointer;

pub struct Status {
    pub time: jiff::Timestamp,
    value: Value,
}

impl Status {
    /// The diagnoses above Info: what somebody would be woken for.
    pub fn alarms(&self) -> Vec<String> {
        let diagnoses = pointer(&self.value, "/diagnoses").as_array();
        let alarms = diagnoses.into_iter().flatten().filter(|it| it["severity"] != "Info");
        let text = |it: &Value| {
            let word = |field: &str| it[field].as_str().unwrap_or_default().to_owned();
            format!("{:.0} {} {} {}", self.time, word("severity"), word("code"), word("message"))
        };
        alarms.map(text).collect()
    }

    /// The codes of these.
    pub fn codes(&self) -> Vec<String> {
        let code = |alarm: &String| alarm.split(' ').nth(2).unwrap_or_default().to_owned();
        self.alarms().iter().map(code).collect()
    }

    pub fn condition(&self, kind: &str) -> &str {
        let conditions = pointer(&self.value, "/conditions").as_array();
        let found = conditions.into_iter().flatten().find(|it| it["type"] == kind);
        found.and_then(|it| it["status"].as_str()).unwrap_or_default()
    }

    /// How many migrations it calls applied, and of how many.
    pub fn migrations(&self) -> Option<(i64, i64)> {
        let number = |field: &str| pointer(&self.value, "/migration")[field].as_i64();
        number("applied").zip(number("total"))
    }
}

/// Follows until it is dropped.
pub struct Statuses {
    kubectl: Arc<Mutex<Child>>,
    ended: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<Status>>>,
}

impl Statuses {
    pub fn follow(namespace: &'static str) -> Self {
        let watch = move || {
            let arguments = ["-n", namespace, "get", "fsd", "flagsmith", "--watch", "-o", "json"];
            Command::new("kubectl").args(arguments).stdout(Stdio::piped()).spawn().unwrap()
        };
        let kubectl = Arc::new(Mutex::new(watch()));
        let ended = Arc::<AtomicBool>::default();
        let seen = Arc::<Mutex<Vec<Status>>>::default();
        let (current, end, all) = (Arc::clone(&kubectl), Arc::clone(&ended), Arc::clone(&seen));
        spawn(move || {
            loop {
                let stdout = current.lock().unwrap().stdout.take().unwrap();
                for object in serde_json::Deserializer::from_reader(stdout).into_iter::<Value>() {
                    let Ok(mut object) = object else { break };
                    let status = Status { time: jiff::Timestamp::now(), value: object["status"].take() };
                    for alarm in status.alarms() {
                        println!("    {alarm}");
                    }
                    all.lock().unwrap().push(status);
                }
                // The API server ends a watch after a while.
                let mut current = current.lock().unwrap();
                let _ = current.wait();
                if end.load(Ordering::Relaxed) {
                    return;
                }
                *current = watch();
            }
        });
        Self { kubectl, ended, seen }
    }

    /// The lines that the last status has beside the one before, and the other way round.
    pub fn last_change(&self) -> String {
        let seen = self.seen.lock().unwrap();
        let [.., before, after] = &seen[..] else {
            return "no status was written".to_owned();
        };
        let text = |status: &Status| serde_json::to_string_pretty(&status.value).unwrap();
        let (before, after) = (text(before), text(after));
        let beside = |mark: char, these: &str, those: &str| {
            let lines = these.lines().filter(|line| !those.lines().any(|it| it == *line));
            lines.map(|line| format!("{mark} {line}")).collect::<Vec<_>>()
        };
        [beside('-', &before, &after), beside('+', &after, &before)].concat().join("\n")
    }

    /// What was seen since this was asked last.
    pub fn seen(&self) -> Vec<Status> {
        take(&mut self.seen.lock().unwrap())
    }
}

impl Drop for Statuses {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _ = self.kubectl.lock().unwrap().kill();
    }
}
