//! Who looks after a namespace: the Lease of its operator, against the API server's clock.

use http::{Request, header::DATE};
use jiff::{SignedDuration, Timestamp, fmt::rfc2822::DateTimeParser};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, ResourceExt as _, api::ListParams, client::Body};

use super::cluster::Cluster;
use crate::{
    causes::{self, Unrenewed},
    model::Diagnosis,
    runtime::{
        client, clock as runtime_clock,
        lease::{LABEL, NAMESPACES_ANNOTATION},
    },
};

/// How long after its last renewal a holder counts as one that works: four times as long as another replica waits, since
/// its clock, by which the renewal is dated, and the API server's may differ.
const HEARD: SignedDuration = SignedDuration::from_secs(60);

/// The most Leases of operators that are read: one for each operator of the cluster.
const LEASES: u32 = 100;

/// Who looks after a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Attendance {
    /// An operator that works.
    Attended {
        /// Its Lease, as `namespace/name`.
        lease: String,
        /// When it renewed it last.
        heard: Timestamp,
    },
    /// One that works no more.
    Left(Unrenewed),
    /// There are operators, for other namespaces only.
    Elsewhere {
        /// The namespace of one.
        namespace: String,
        /// The name of its Lease.
        lease: String,
        /// The namespaces that it looks after.
        watched: Vec<String>,
    },
    /// There is no Lease of an operator: none runs, or it runs without leader election.
    NoLease,
    /// It could not be asked.
    Unknown {
        /// Why.
        why: String,
    },
}

/// The Leases of all operators, for as many namespaces as are asked about.
pub(super) struct Register {
    leases: Result<Vec<Lease>, String>,
    /// The time by the API server's clock.
    now: Timestamp,
}

impl Register {
    /// Asks the cluster.
    pub(super) async fn of(cluster: &Cluster) -> Self {
        let now = clock(cluster).await.unwrap_or_else(runtime_clock::now);
        let api: Api<Lease> = Api::all(cluster.client.clone());
        let (label, value) = LABEL;
        let wanted = ListParams::default().labels(&format!("{label}={value}")).limit(LEASES);
        let leases = match api.list(&wanted).await {
            Ok(leases) => Ok(leases.items),
            Err(kube::Error::Api(status)) if status.code == 403 => {
                Err("you may not list Leases of all namespaces".to_owned())
            }
            Err(error) => Err(format!("Leases could not be listed: {}", client::chain(&error))),
        };
        Self { leases, now }
    }

    /// Who looks after a namespace.
    pub(super) fn attendance(&self, namespace: &str) -> Attendance {
        match &self.leases {
            Ok(leases) => Attendance::judge(leases, namespace, self.now),
            Err(why) => Attendance::Unknown { why: why.clone() },
        }
    }
}

impl Attendance {
    /// Asks the cluster, and gives its time besides.
    pub(super) async fn of(cluster: &Cluster) -> (Self, Timestamp) {
        let register = Register::of(cluster).await;
        (register.attendance(&cluster.namespace), register.now)
    }

    /// Of several operators the one that works counts, and one that looks after the namespace before one that does not.
    fn judge(leases: &[Lease], namespace: &str, now: Timestamp) -> Self {
        let each = leases.iter().map(|lease| Self::of_one(lease, namespace, now));
        each.min_by_key(|it| match it {
            Self::Attended { .. } => 0,
            Self::Left(_) => 1,
            _ => 2,
        })
        .unwrap_or(Self::NoLease)
    }

    fn of_one(lease: &Lease, namespace: &str, now: Timestamp) -> Self {
        let (of, name) = (lease.namespace().unwrap_or_default(), lease.name_any());
        let watched: Vec<String> = lease
            .annotations()
            .get(NAMESPACES_ANNOTATION)
            .into_iter()
            .flat_map(|list| list.split(','))
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        if !watched.is_empty() && !watched.iter().any(|it| it == namespace) {
            return Self::Elsewhere { namespace: of, lease: name, watched };
        }
        let spec = lease.spec.as_ref();
        let renewed = spec.and_then(|spec| spec.renew_time.as_ref()).map(|time| time.0);
        let held =
            spec.and_then(|spec| spec.holder_identity.as_deref()).is_some_and(|holder| !holder.is_empty());
        match renewed {
            Some(heard) if held && now.duration_since(heard) < HEARD => {
                Self::Attended { lease: format!("{of}/{name}"), heard }
            }
            _ => Self::Left(Unrenewed { namespace: of, name, renewed }),
        }
    }

    /// That nobody looks, where that is known.
    pub(super) fn diagnosis(&self, namespace: &str) -> Option<Diagnosis> {
        match self {
            Self::Left(lease) => Some(causes::not_running(namespace, Some(lease))),
            Self::Elsewhere { namespace: of, lease, watched } => {
                Some(causes::namespace_not_watched(namespace, of, lease, watched))
            }
            Self::Attended { .. } | Self::NoLease | Self::Unknown { .. } => None,
        }
    }

    /// Whether somebody looks; `None` where that cannot be told.
    pub(super) const fn attended(&self) -> Option<bool> {
        match self {
            Self::Attended { .. } => Some(true),
            Self::Left(_) | Self::Elsewhere { .. } => Some(false),
            Self::NoLease | Self::Unknown { .. } => None,
        }
    }

    /// In half a sentence, at that time.
    pub(super) fn in_words(&self, now: Timestamp) -> String {
        match self {
            Self::Attended { lease, heard } => format!("{lease} looks, heard {}", ago(now, *heard)),
            Self::Left(lease) => format!(
                "none runs, {}/{} was heard {}",
                lease.namespace,
                lease.name,
                lease.renewed.map_or_else(|| "never".to_owned(), |last| format!("last {}", ago(now, last)))
            ),
            Self::Elsewhere { namespace, lease, watched } => {
                format!("none looks here, {namespace}/{lease} looks after {} only", watched.join(", "))
            }
            Self::NoLease => "there is no Lease of one".to_owned(),
            Self::Unknown { why } => format!("not known whether one looks, {why}"),
        }
    }
}

/// The time by the API server's clock, to the second. The clock of this machine may be wrong by more than a Lease lasts.
async fn clock(cluster: &Cluster) -> Option<Timestamp> {
    let request = Request::get("/version").body(Body::empty()).ok()?;
    let answer = cluster.client.send(request).await.ok()?;
    let date = answer.headers().get(DATE)?.to_str().ok()?;
    DateTimeParser::new().parse_timestamp(date).ok()
}

/// `3 s ago`, `17 min ago`, `5 h ago`, `12 d ago`.
pub(super) fn ago(now: Timestamp, then: Timestamp) -> String {
    let seconds = now.duration_since(then).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds} s ago"),
        120..7_200 => format!("{} min ago", seconds / 60),
        7_200..172_800 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::model::Code;

    const NOW: &str = "2026-11-29T03:00:00Z";

    fn lease(of: &str, namespaces: &str, holder: &str, renewed: &str) -> Value {
        json!({
            "metadata": { "namespace": of, "name": "flagsmith-operator", "annotations": { NAMESPACES_ANNOTATION: namespaces } },
            "spec": { "holderIdentity": holder, "renewTime": renewed },
        })
    }

    #[rstest]
    #[case::works(&[lease("ops", "", "a", "2026-11-29T02:59:55.123456Z")], Some(true), None)]
    #[case::its_clock_is_ahead(&[lease("ops", "", "a", "2026-11-29T03:00:40.000000Z")], Some(true), None)]
    #[case::killed(&[lease("ops", "", "a", "2026-11-29T01:00:00.000000Z")], Some(false), Some(Code::OperatorNotRunning))]
    #[case::ended_in_order(&[lease("ops", "", "", "2026-11-29T02:59:58.000000Z")], Some(false), Some(Code::OperatorNotRunning))]
    #[case::for_others(&[lease("ops", "a,b", "a", "2026-11-29T02:59:58.000000Z")], Some(false), Some(Code::NamespaceNotWatched))]
    #[case::for_this_one_too(&[lease("ops", "a,prod", "a", "2026-11-29T02:59:58.000000Z")], Some(true), None)]
    #[case::one_of_two(&[
        lease("other", "a", "a", "2026-11-29T02:59:58.000000Z"),
        lease("old", "", "a", "2026-11-01T00:00:00.000000Z"),
        lease("ops", "prod", "a", "2026-11-29T02:59:58.000000Z"),
    ], Some(true), None)]
    #[case::one_that_should_and_one_that_does_not(&[
        lease("other", "a", "a", "2026-11-29T02:59:58.000000Z"),
        lease("old", "prod", "a", "2026-11-01T00:00:00.000000Z"),
    ], Some(false), Some(Code::OperatorNotRunning))]
    #[case::none(&[], None, None)]
    fn a_lease_tells_who_looks(
        #[case] leases: &[Value],
        #[case] attended: Option<bool>,
        #[case] expected: Option<Code>,
    ) {
        let leases: Vec<Lease> =
            leases.iter().map(|lease| serde_json::from_value(lease.clone()).unwrap()).collect();
        let found = Attendance::judge(&leases, "prod", NOW.parse().unwrap());
        assert_eq!(found.attended(), attended, "{found:?}");
        assert_eq!(found.diagnosis("prod").map(|it| it.code), expected);
    }

    #[rstest]
    #[case("2026-11-29T02:59:57Z", "3 s ago")]
    #[case("2026-11-29T02:43:00Z", "17 min ago")]
    #[case("2026-11-28T22:00:00Z", "5 h ago")]
    #[case("2026-11-01T00:00:00Z", "28 d ago")]
    #[case("2026-11-29T03:00:09Z", "0 s ago")]
    fn ages(#[case] then: &str, #[case] expected: &str) {
        assert_eq!(ago(NOW.parse().unwrap(), then.parse().unwrap()), expected);
    }
}
