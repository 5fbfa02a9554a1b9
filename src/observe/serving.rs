//! How a pod template serves requests and ends: probes, preStop, grace period, limits. Pure conversions.

use k8s_openapi::{
    api::core::v1::{Container, LifecycleHandler, PodSpec, Probe},
    apimachinery::pkg::api::resource::Quantity,
};

/// Kubernetes' default of `terminationGracePeriodSeconds`.
const GRACE_PERIOD: i64 = 30;

/// What a pod template says about serving and ending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Serving {
    /// Seconds that preStop sleeps; 0 without one, `None` where it does something else.
    pub pre_stop: Option<i32>,
    /// `terminationGracePeriodSeconds`.
    pub grace_period: i32,
    /// The liveness probe.
    pub liveness: Option<ProbeSeen>,
    /// The readiness probe.
    pub readiness: Option<ProbeSeen>,
    /// The memory limit in bytes.
    pub memory_limit: Option<u64>,
    /// The CPU limit in thousandths of a processor.
    pub cpu_limit: Option<u64>,
}

/// A probe over HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProbeSeen {
    /// `timeoutSeconds`.
    pub timeout: i32,
    /// `periodSeconds` × `failureThreshold`.
    pub patience: i32,
    /// Its Host header; the pod's address without one.
    pub host: Option<String>,
}

impl Serving {
    /// What a container of a pod says.
    #[must_use]
    pub fn of(pod: &PodSpec, container: &Container) -> Self {
        let limit = |name: &str| container.resources.as_ref()?.limits.as_ref()?.get(name);
        let handler = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref());
        Self {
            pre_stop: handler.map_or(Some(0), sleep),
            grace_period: i32::try_from(pod.termination_grace_period_seconds.unwrap_or(GRACE_PERIOD))
                .unwrap_or(i32::MAX),
            liveness: container.liveness_probe.as_ref().and_then(probe),
            readiness: container.readiness_probe.as_ref().and_then(probe),
            memory_limit: limit("memory").and_then(|quantity| amount(quantity, 1.0)),
            cpu_limit: limit("cpu").and_then(|quantity| amount(quantity, 1000.0)),
        }
    }
}

fn probe(probe: &Probe) -> Option<ProbeSeen> {
    let http = probe.http_get.as_ref()?;
    Some(ProbeSeen {
        timeout: probe.timeout_seconds.unwrap_or(1),
        patience: probe.period_seconds.unwrap_or(10).saturating_mul(probe.failure_threshold.unwrap_or(3)),
        host: http.host.clone().or_else(|| {
            let headers = http.http_headers.iter().flatten();
            headers
                .clone()
                .find(|header| header.name.eq_ignore_ascii_case("host"))
                .map(|header| header.value.clone())
        }),
    })
}

/// The seconds of a preStop that only sleeps: the `sleep` action, or the program of that name.
fn sleep(handler: &LifecycleHandler) -> Option<i32> {
    if let Some(action) = &handler.sleep {
        return i32::try_from(action.seconds).ok();
    }
    let words = handler.exec.as_ref()?.command.as_ref()?.join(" ");
    let (_, after) = words.split_once("sleep ")?;
    after.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

/// A quantity times `factor`, rounded down. `None` for one that is not written in plain or binary units.
fn amount(quantity: &Quantity, factor: f64) -> Option<u64> {
    const UNITS: &[(&str, f64)] = &[
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("m", 0.001),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("", 1.0),
    ];
    let text = quantity.0.as_str();
    let (number, unit) = UNITS.iter().find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, unit)))?;
    let value = number.parse::<f64>().ok()? * unit * factor;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range")]
    (0.0..1e18).contains(&value).then_some(value.round() as u64)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn serving(container: &Value) -> Serving {
        let mut whole = json!({ "name": "api" });
        whole.as_object_mut().unwrap().extend(container.as_object().unwrap().clone());
        Serving::of(&PodSpec::default(), &serde_json::from_value(whole).unwrap())
    }

    #[rstest]
    #[case(json!({}), Some(0))]
    #[case(json!({ "sleep": { "seconds": 10 } }), Some(10))]
    #[case(json!({ "exec": { "command": ["sleep", "15"] } }), Some(15))]
    #[case(json!({ "exec": { "command": ["/bin/sh", "-c", "sleep 5; exit 0"] } }), Some(5))]
    #[case(json!({ "exec": { "command": ["/drain"] } }), None)]
    fn reads_the_sleep(#[case] handler: Value, #[case] expected: Option<i32>) {
        let container =
            if handler == json!({}) { json!({}) } else { json!({ "lifecycle": { "preStop": handler } }) };
        assert_eq!(serving(&container).pre_stop, expected);
    }

    #[test]
    fn reads_limits_and_probes() {
        let observation = serving(&json!({
            "resources": { "limits": { "memory": "1Gi", "cpu": "500m" } },
            "livenessProbe": { "httpGet": { "path": "/", "port": 8000 }, "periodSeconds": 10, "failureThreshold": 5, "timeoutSeconds": 2 },
            "readinessProbe": { "httpGet": { "path": "/", "port": 8000, "httpHeaders": [{ "name": "Host", "value": "a.b" }] } },
        }));
        assert_eq!(
            (observation.memory_limit, observation.cpu_limit, observation.grace_period),
            (Some(1 << 30), Some(500), 30)
        );
        let liveness = observation.liveness.unwrap();
        assert_eq!((liveness.patience, liveness.timeout, liveness.host), (50, 2, None));
        assert_eq!(observation.readiness.unwrap().host.as_deref(), Some("a.b"));
    }
}
