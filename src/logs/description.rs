//! What `kubectl describe pod` and `kubectl get events` print, where that stands in the place of a log.
//!
//! Both are tables for people (kubectl's `pkg/describe`), so only their words and the blanks between columns are relied
//! upon, not their indentation: whoever pastes them loses that first.

use super::event::clip;

/// The most containers that are kept: those of a few dozen pods.
const CONTAINERS: usize = 128;
/// The most Events that are kept; `kubectl get events` shows those of an hour.
const EVENTS: usize = 512;
/// The longest text of a line that is kept, in bytes.
const TEXT: usize = 1024;

/// The headings within a container that are no container's name.
const HEADINGS: [&str; 14] = [
    "Args:",
    "Command:",
    "Conditions:",
    "Containers:",
    "Devices:",
    "Environment:",
    "Environment Variables from:",
    "Events:",
    "Init Containers:",
    "Limits:",
    "Mounts:",
    "Requests:",
    "Tolerations:",
    "Volumes:",
];

/// A line, as evidence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    /// Its number, from 1.
    pub(crate) number: u64,
    /// The whole of it, with single blanks.
    pub(crate) text: String,
}

/// An Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// Its reason, such as `Unhealthy`.
    pub(crate) reason: String,
    /// What it is of: `pod/NAME`, or the name of the pod that is described.
    pub(crate) object: String,
    /// What its reporter says.
    pub(crate) message: String,
    /// Where it stands.
    pub(crate) line: Line,
}

/// Why a container waits, or how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// Its reason, such as `CrashLoopBackOff` or `OOMKilled`.
    pub(crate) reason: String,
    /// The exit status, of one that ended.
    pub(crate) exit_code: Option<i32>,
    /// Where it stands.
    pub(crate) line: Line,
}

/// A container of a pod that is described.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Container {
    /// Its name.
    pub(crate) name: String,
    /// Its pod's.
    pub(crate) pod: String,
    /// Its image.
    pub(crate) image: String,
    /// Whether it runs and passes its readiness probe; an init container's is whether it completed.
    pub(crate) ready: bool,
    /// What it waits for.
    pub(crate) waiting: Option<State>,
    /// How it ended: as its state, or the last time.
    pub(crate) ended: Option<State>,
    /// Its memory limit.
    pub(crate) memory: Option<String>,
    /// What its liveness probe is.
    pub(crate) liveness: Option<Line>,
}

/// What a description shows.
#[derive(Debug, Default)]
pub(crate) struct Description {
    /// The containers, in the order of the description.
    pub(crate) containers: Vec<Container>,
    /// The Events, in the order of their list.
    pub(crate) events: Vec<Event>,
    /// The input that it stands in.
    pub(crate) input: u16,
    pod: String,
    /// The last heading that may be a container's name.
    heading: String,
    within: Within,
}

/// What the next `Reason:`, or a quantity, is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Within {
    #[default]
    Other,
    Waiting,
    Ended,
    Limits,
}

/// Whether lines are a description of pods or a list of Events.
pub(crate) fn is_description<'a>(lines: impl IntoIterator<Item = &'a str>) -> bool {
    let mut named = false;
    lines.into_iter().any(|line| {
        let line = line.trim();
        let of_a_pod = named && line.starts_with("Namespace:  ");
        named |= line.starts_with("Name:  ");
        of_a_pod || line.starts_with("LAST SEEN  ") || columns(line).take(3).eq(["Type", "Reason", "Age"])
    })
}

impl Description {
    /// Notes a line.
    pub(crate) fn observe(&mut self, number: u64, text: &str, input: u16) {
        let text = text.trim();
        self.input = input;
        if let Some(event) = event(number, text, &self.pod) {
            if self.events.len() < EVENTS {
                self.events.push(event);
            }
            return;
        }
        match text.split_once(':') {
            Some((_, "")) => self.begin(text),
            Some((key, value)) if value.starts_with(' ') => self.field(key, value.trim(), number, text),
            _ => {}
        }
    }

    /// A heading.
    fn begin(&mut self, text: &str) {
        self.within = if text == "Limits:" { Within::Limits } else { Within::Other };
        if !HEADINGS.contains(&text) {
            clip(text.trim_end_matches(':'), TEXT).clone_into(&mut self.heading);
        }
    }

    fn field(&mut self, key: &str, value: &str, number: u64, text: &str) {
        match key {
            "Name" => clip(value, TEXT).clone_into(&mut self.pod),
            "Image" => self.start_container(value),
            _ => {}
        }
        let Some(container) = self.containers.last_mut().filter(|it| it.pod == self.pod) else {
            return;
        };
        let state = || State { reason: String::new(), exit_code: None, line: line(number, text) };
        match (key, value) {
            ("State", "Waiting") => {
                container.waiting = Some(state());
                self.within = Within::Waiting;
            }
            ("State" | "Last State", "Terminated") => {
                container.ended = Some(state());
                self.within = Within::Ended;
            }
            ("State" | "Last State", _) => self.within = Within::Other,
            ("Reason", _) => {
                let state = match self.within {
                    Within::Waiting => container.waiting.as_mut(),
                    Within::Ended => container.ended.as_mut(),
                    Within::Other | Within::Limits => None,
                };
                if let Some(state) = state {
                    clip(value, TEXT).clone_into(&mut state.reason);
                    state.line = line(number, text);
                }
            }
            ("Exit Code", _) if self.within == Within::Ended => {
                if let Some(ended) = &mut container.ended {
                    ended.exit_code = value.parse().ok();
                }
            }
            ("Ready", _) => {
                container.ready = value == "True";
                self.within = Within::Other;
            }
            ("memory", _) if self.within == Within::Limits => {
                container.memory = Some(clip(value, TEXT).to_owned());
            }
            ("Liveness", _) => container.liveness = Some(line(number, text)),
            _ => {}
        }
    }

    /// Each container has an image, and its name stands above.
    fn start_container(&mut self, image: &str) {
        self.within = Within::Other;
        if self.containers.len() < CONTAINERS {
            self.containers.push(Container {
                name: std::mem::take(&mut self.heading),
                pod: self.pod.clone(),
                image: clip(image, TEXT).to_owned(),
                ..Container::default()
            });
        }
    }
}

/// A row of a list of Events: `Type Reason Age From Message`, or `Last seen Type Reason Object Message`, which with
/// `--all-namespaces` has the namespace before it.
fn event(number: u64, text: &str, pod: &str) -> Option<Event> {
    let cells: Vec<&str> = columns(text).collect();
    let kind = cells.iter().take(3).position(|cell| matches!(*cell, "Normal" | "Warning"))?;
    let reason = *cells.get(kind + 1)?;
    if !reason.bytes().all(|it| it.is_ascii_alphanumeric()) {
        return None;
    }
    // Behind the reason stand the age and who says it, or of what.
    let (object, behind) = if kind == 0 { (pod, 4) } else { (*cells.get(kind + 2)?, kind + 3) };
    let message = cells.get(behind..).filter(|it| !it.is_empty())?.join(" ");
    Some(Event {
        object: clip(object, TEXT).to_owned(),
        reason: clip(reason, TEXT).to_owned(),
        message: clip(&message, TEXT).to_owned(),
        line: line(number, text),
    })
}

/// The cells of a row: at least two blanks stand between them.
fn columns(text: &str) -> impl Iterator<Item = &str> {
    text.split("  ").map(str::trim).filter(|cell| !cell.is_empty())
}

fn line(number: u64, text: &str) -> Line {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    Line { number, text: clip(&text, TEXT).to_owned() }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const POD: &str = "\
Name:             flagsmith-api-6c9f7c7d5b-x2x9z
Namespace:        flagsmith
Status:           Running
Init Containers:
  migrate-db:
    Container ID:  containerd://1
    Image:         flagsmith/flagsmith-api:2.265.0
    State:          Terminated
      Reason:       Completed
      Exit Code:    0
    Ready:          True
    Restart Count:  0
Containers:
  flagsmith-api:
    Image:          flagsmith/flagsmith-api:2.265.0
    Args:
      serve
    State:          Waiting
      Reason:       CrashLoopBackOff
    Last State:     Terminated
      Reason:       OOMKilled
      Exit Code:    137
    Ready:          False
    Restart Count:  4
    Limits:
      memory:     512Mi
    Requests:
      memory:     256Mi
    Liveness:     http-get http://:8000/health/liveness/ delay=10s timeout=2s period=10s #success=1 #failure=5
Conditions:
  Type              Status
  Ready             False
Events:
  Type     Reason     Age                    From     Message
  ----     ------     ----                   ----     -------
  Warning  Unhealthy  4m1s (x20 over 8m48s)  kubelet  Liveness probe failed: dial tcp 10.43.12.186:8000: connect: connection refused
";

    fn read(text: &str) -> Description {
        let mut description = Description::default();
        for (number, line) in (1..).zip(text.lines()) {
            description.observe(number, line, 0);
        }
        description
    }

    /// Whoever pastes it loses the indentation.
    #[rstest]
    #[case::as_printed(POD.to_owned())]
    #[case::without_indentation(POD.lines().map(str::trim).collect::<Vec<_>>().join("\n"))]
    fn a_pod_is_read(#[case] text: String) {
        assert!(is_description(text.lines()));
        let description = read(&text);
        let [migrate, api] = description.containers.as_slice() else {
            panic!("{:#?}", description.containers);
        };
        assert_eq!((migrate.name.as_str(), migrate.ready, &migrate.waiting), ("migrate-db", true, &None));
        assert_eq!(
            (api.name.as_str(), api.pod.as_str()),
            ("flagsmith-api", "flagsmith-api-6c9f7c7d5b-x2x9z")
        );
        assert_eq!(api.waiting.as_ref().map(|it| it.reason.as_str()), Some("CrashLoopBackOff"));
        let ended = api.ended.as_ref().unwrap();
        assert_eq!((ended.reason.as_str(), ended.exit_code), ("OOMKilled", Some(137)));
        assert_eq!((api.ready, api.memory.as_deref()), (false, Some("512Mi")));
        assert!(api.liveness.as_ref().unwrap().text.contains("delay=10s"));
        let [event] = description.events.as_slice() else {
            panic!("{:#?}", description.events);
        };
        assert_eq!(event.reason, "Unhealthy");
        assert!(event.message.starts_with("Liveness probe failed: dial tcp"), "{}", event.message);
    }

    #[rstest]
    #[case::of_a_namespace(
        "LAST SEEN   TYPE      REASON             OBJECT                MESSAGE\n\
         4m1s        Warning   FailedScheduling   pod/flagsmith-api-1   0/3 nodes are available: 3 Insufficient cpu."
    )]
    #[case::of_all(
        "NAMESPACE   LAST SEEN   TYPE      REASON             OBJECT                MESSAGE\n\
         flagsmith   4m1s        Warning   FailedScheduling   pod/flagsmith-api-1   0/3 nodes are available: 3 Insufficient cpu."
    )]
    fn events_are_read(#[case] text: &str) {
        let description = read(text);
        let events: Vec<_> =
            description.events.iter().map(|it| (it.reason.as_str(), it.message.as_str())).collect();
        assert_eq!(events, [("FailedScheduling", "0/3 nodes are available: 3 Insufficient cpu.")]);
    }

    #[rstest]
    #[case::a_log("2026-11-22T15:40:56.927275Z [warning  ] Reason: x [gunicorn.error]")]
    #[case::words("Name: of the feature\nNamespace: none")]
    fn a_log_is_no_description(#[case] text: &str) {
        assert!(!is_description(text.lines()));
        assert!(read(text).events.is_empty());
    }

    #[test]
    fn it_is_bounded() {
        let row = format!("Warning  Unhealthy  4m1s  kubelet  {}\n", "x".repeat(4096));
        let image = "a:\nImage:  x\n";
        let description = read(&(row.repeat(EVENTS * 2) + &image.repeat(CONTAINERS * 2)));
        assert_eq!((description.events.len(), description.containers.len()), (EVENTS, CONTAINERS));
        assert!(description.events.iter().all(|event| event.message.len() <= TEXT));
    }
}
