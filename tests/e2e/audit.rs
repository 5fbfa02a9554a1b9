//! The API server's own log of requests.

use serde_json::Value;

#[derive(Debug)]
pub struct Request(Value);

impl Request {
    pub fn resource(&self) -> &str {
        self.0["objectRef"]["resource"].as_str().unwrap_or_default()
    }

    pub fn subresource(&self) -> &str {
        self.0["objectRef"]["subresource"].as_str().unwrap_or_default()
    }

    pub fn writes(&self) -> bool {
        !matches!(self.0["verb"].as_str().unwrap_or_default(), "get" | "list" | "watch")
    }
}

/// The present second, as the log writes times.
pub fn now() -> String {
    format!("{:.0}", jiff::Timestamp::now()).trim_end_matches('Z').to_owned()
}

/// What the operator has asked since then.
pub fn of_the_operator(since: &str) -> Vec<Request> {
    let directory = std::env::var("TESTBED_DIR").unwrap();
    let log = std::fs::read_to_string(format!("{directory}/audit.log")).unwrap();
    let entries = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let ours = |entry: &Value| {
        entry["user"]["username"] == "system:serviceaccount:flagsmith-system:flagsmith-operator"
            && entry["requestReceivedTimestamp"].as_str().is_some_and(|time| time >= since)
    };
    entries.filter(ours).map(Request).collect()
}
