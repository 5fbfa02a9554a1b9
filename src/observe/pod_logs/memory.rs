//! What is remembered of logs and Events from one pass to the next. Pure.

use jiff::Timestamp;

use super::{
    super::pod::PodSummary,
    diagnose_log::LogDiagnosis,
    findings::{LogFinding, LogReading, PodLogFindings, Run},
    request::{LogRequest, REMEMBERED},
};
use crate::{model::Diagnosis, runtime::clock};

/// Drops what was read of pods that are gone or have recovered, and what has not been seen for long.
pub(super) fn forget_past(findings: &mut PodLogFindings, pods: &[PodSummary], now: Timestamp) {
    let ready = |name: &str| pods.iter().find(|pod| pod.name == name).map(|pod| pod.ready);
    findings.logs.retain_mut(|reading| match (ready(&reading.pod), &reading.run) {
        (None, _) => false,
        (Some(ready), Run::Sample(_)) => {
            reading.found.retain(|it| clock::since(it.read, now) < REMEMBERED);
            ready || !reading.found.is_empty()
        }
        (Some(ready), _) => !ready,
    });
    findings.warnings.retain(|warning| ready(&warning.pod) == Some(false));
}

/// Takes in what a log showed, `None` where it could not be read. A cause that was known before keeps its wording while
/// it is found again, so that the figures in it do not rewrite the status at every sample.
pub(super) fn record(
    known: &mut Vec<LogReading>,
    request: &LogRequest,
    shown: Option<Vec<LogDiagnosis>>,
    now: Timestamp,
) {
    let same = |reading: &LogReading| {
        reading.pod == request.pod
            && reading.container == request.container
            && std::mem::discriminant(&reading.run) == std::mem::discriminant(&request.run)
    };
    let before = known.iter().position(same).map(|position| known.swap_remove(position));
    let mut old = before.map(|before| before.found).unwrap_or_default();
    let was_read = shown.is_some();
    let mut found = Vec::new();
    for LogDiagnosis { happened, of_connection, diagnosis } in shown.into_iter().flatten() {
        let known = old.iter().position(|known| known.diagnosis.code == diagnosis.code);
        found.push(LogFinding {
            read: now,
            // A clock that runs ahead cannot make it last longer.
            happened: happened.map_or(now, |it| it.min(now)),
            of_connection,
            diagnosis: known.map_or(diagnosis, |position| old.swap_remove(position).diagnosis),
        });
    }
    // One window of a running process shows only what happened in it, and a log that could not be read shows nothing.
    if !was_read || matches!(request.run, Run::Sample(_)) {
        found.extend(old);
    }
    known.push(LogReading {
        pod: request.pod.clone(),
        container: request.container.clone(),
        component: request.component,
        run: request.run.clone(),
        at: now,
        found,
    });
}

/// Whether a reading changes what can be diagnosed, or whether it lasts: times alone do not.
pub(super) fn changed(before: &PodLogFindings, after: &PodLogFindings) -> bool {
    let diagnoses = |findings: &PodLogFindings| -> Vec<(String, bool, Diagnosis)> {
        let of = |reading: &LogReading| {
            let shown = |it| (reading.pod.clone(), reading.is_silent_about(it), it.diagnosis.clone());
            reading.found.iter().map(shown).collect::<Vec<_>>()
        };
        findings.logs.iter().flat_map(of).collect()
    };
    before.warnings != after.warnings || diagnoses(before) != diagnoses(after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Code, Component, Severity};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn request(run: Run) -> LogRequest {
        LogRequest {
            pod: "a".to_owned(),
            container: "api".to_owned(),
            component: Component::Api,
            run,
            previous: false,
            since: None,
        }
    }

    fn shown(code: Code, message: &str) -> Vec<LogDiagnosis> {
        let diagnosis = Diagnosis::from(crate::model::Draft {
            code,
            severity: Severity::Warning,
            component: Component::Api,
            message: message.to_owned(),
            evidence: Vec::new(),
            remedy: String::new(),
        });
        vec![LogDiagnosis { happened: Some(at(1_000)), of_connection: false, diagnosis }]
    }

    fn summary(readings: &[LogReading]) -> Vec<(Code, &str, i64, i64)> {
        readings
            .iter()
            .flat_map(|reading| &reading.found)
            .map(|it| {
                (
                    it.diagnosis.code,
                    it.diagnosis.message.as_str(),
                    it.read.as_second(),
                    it.happened.as_second(),
                )
            })
            .collect()
    }

    const STALLED: Code = Code::GunicornWorkerStalled;
    const TIMEOUT: Code = Code::GunicornWorkerTimeout;

    #[test]
    fn a_cause_keeps_its_wording_while_it_is_found_again() {
        let (mut readings, sample) = (Vec::new(), request(Run::Sample(at(0))));
        record(&mut readings, &sample, Some(shown(STALLED, "3 times")), at(10));
        record(&mut readings, &sample, Some(shown(STALLED, "5 times")), at(20));
        assert_eq!(summary(&readings), [(STALLED, "3 times", 20, 20)]);
        record(&mut readings, &sample, Some(shown(TIMEOUT, "late")), at(30));
        assert_eq!(summary(&readings), [(TIMEOUT, "late", 30, 30), (STALLED, "3 times", 20, 20)]);
    }

    #[test]
    fn a_whole_log_replaces_what_was_known_unless_it_cannot_be_read() {
        let (mut readings, unready) = (Vec::new(), request(Run::Unready));
        record(&mut readings, &unready, Some(shown(STALLED, "stalled")), at(10));
        record(&mut readings, &unready, None, at(20));
        assert_eq!(summary(&readings), [(STALLED, "stalled", 10, 10)]);
        record(&mut readings, &unready, Some(Vec::new()), at(30));
        assert_eq!(summary(&readings), []);
        assert_eq!(readings.len(), 1, "when it was read stays known");
    }

    #[test]
    fn what_a_sample_showed_is_forgotten_after_a_while() {
        let mut findings = PodLogFindings::default();
        record(&mut findings.logs, &request(Run::Sample(at(0))), Some(shown(STALLED, "it")), at(0));
        let pods = [PodSummary { name: "a".to_owned(), ready: true, ..PodSummary::default() }];
        forget_past(&mut findings, &pods, at(179));
        assert_eq!(summary(&findings.logs).len(), 1);
        forget_past(&mut findings, &pods, at(180));
        assert_eq!(summary(&findings.logs), []);
        forget_past(&mut findings, &[], at(181));
        assert_eq!(findings, PodLogFindings::default(), "its pod is gone");
    }

    #[test]
    fn a_reading_is_news_by_what_it_says() {
        let read = |message: &str, now: i64| {
            let mut findings = PodLogFindings::default();
            record(&mut findings.logs, &request(Run::Unready), Some(shown(STALLED, message)), at(now));
            findings
        };
        assert!(!changed(&read("same", 1), &read("same", 2)));
        assert!(changed(&read("same", 1), &read("other", 1)));
        let sampled = |now: i64| {
            let mut findings = PodLogFindings::default();
            let sample = request(Run::Sample(at(0)));
            record(&mut findings.logs, &sample, Some(shown(STALLED, "it")), at(1_000));
            record(&mut findings.logs, &sample, Some(shown(STALLED, "it")), at(now));
            findings
        };
        assert!(!changed(&sampled(1_001), &sampled(1_029)));
        assert!(changed(&sampled(1_029), &sampled(1_030)), "it is over");
    }
}
