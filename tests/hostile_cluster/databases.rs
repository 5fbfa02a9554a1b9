//! Tenants whose Secrets name a hostile database.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use flagsmith_operator::api::FlagsmithDeployment;
use k8s_openapi::api::core::v1::ConfigMap;
use rstest::rstest;
use rustls::ServerConfig;
use serde_json::json;
use tokio::time::sleep;

use crate::{
    certificates::{certificate, issued},
    machine::DATABASES,
    operator::get,
    postgresql::Postgresql,
    server::{Peer, Server, message, report, row},
    siege::{PASSWORD, goes_unnoticed, survives},
    support::{SOON, condition},
    tenant::{Tenant, codes},
};

/// What no server may get.
const WITHHELD: &str = "s3cret-of-the-url";

/// How long a server goes on attacking after it was found out: it is looked at again after ten seconds, for five.
const AGAIN: Duration = Duration::from_secs(12);

/// Until each of many silent databases of one namespace was looked at: some at a time, twice, for five seconds.
const LOOKED_AT: Duration = Duration::from_mins(5);

type Script = fn(&mut Peer) -> io::Result<()>;

/// One hostile server.
struct Attack {
    name: &'static str,
    encrypts: bool,
    script: Script,
    /// What the tenant's status says about it.
    said: &'static str,
}

const TOO_MUCH: &str = "sent more than the operator takes";

const ATTACKS: &[Attack] = &[
    Attack {
        name: "length",
        encrypts: true,
        script: |peer| {
            peer.header(b'R', i32::MAX)?;
            peer.silence()
        },
        said: TOO_MUCH,
    },
    Attack {
        name: "length-and-data",
        encrypts: false,
        script: |peer| {
            peer.header(b'R', i32::MAX)?;
            peer.flood(&[0; 1024])
        },
        said: TOO_MUCH,
    },
    Attack {
        name: "rows",
        encrypts: true,
        script: |peer| {
            peer.until_question()?;
            peer.flood(&row(&[b"150000", b"f"]))
        },
        said: TOO_MUCH,
    },
    Attack {
        name: "rows-of-a-mib",
        encrypts: false,
        script: |peer| {
            peer.until_question()?;
            peer.flood(&row(&[&vec![b'x'; 1 << 20]]))
        },
        said: TOO_MUCH,
    },
    Attack {
        name: "notices",
        encrypts: false,
        script: |peer| {
            peer.until_question()?;
            peer.flood(&message(b'N', &report("00000", "hello")))
        },
        said: TOO_MUCH,
    },
    Attack {
        name: "error-of-two-mib",
        encrypts: false,
        script: |peer| peer.error("28000", &"x".repeat(2 << 20)),
        said: TOO_MUCH,
    },
    Attack { name: "silence", encrypts: false, script: Peer::silence, said: "no answer within 5 s" },
    Attack {
        name: "password-please",
        encrypts: false,
        script: |peer| {
            peer.ask(3, &[])?;
            peer.receive()?;
            peer.error("28P01", "no")
        },
        said: "has not proved who it is, so the operator did not send it",
    },
];

/// Installations of one server, as many as one tenant may well have.
const INSTALLATIONS: usize = 4;

/// All of them at once, each with one installation.
#[test]
fn all_at_once() {
    survives("all databases at once", |_| async {
        besiege(ATTACKS, 1).await;
    });
}

/// One after the other, so that a failure shows which.
#[rstest]
#[ignore = "takes minutes; part of `make test-hostile`"]
fn each_alone(#[values(0, 1, 2, 3, 4, 5, 6, 7)] which: usize) {
    let attack = &ATTACKS[which..=which];
    survives(attack[0].name, move |_| async move {
        besiege(attack, INSTALLATIONS).await;
    });
}

const MINUTE: Duration = Duration::from_mins(1);

/// Secrets that may be read in a minute for them: each has two, which a pass reads twice, and once after each look, of
/// which there is one in two minutes. With a pass every ten seconds it were 600.
const MOST_READ: u64 = 350;

/// Databases of one tenant that accept connections and say nothing, as many as would occupy every worker of the operator
/// three times over if a pass waited for one.
const SILENT: usize = 50;

#[test]
#[ignore = "takes minutes; part of `make test-hostile`"]
fn that_are_silent_delay_nobody_else() {
    goes_unnoticed("50 silent databases", |target| async move {
        let tenant = Tenant::new("silent").await;
        let server = Server::start_at(DATABASES, None, Peer::silence);
        let name = |number: usize| format!("silent-{number}");
        for number in 0..SILENT {
            let url = format!("postgresql://flagsmith:{WITHHELD}@{}/{}", server.address, name(number));
            tenant.install(&name(number), &url, json!({})).await;
        }
        // Each has its objects, and says what it waits for, long before its database was looked at.
        for number in 0..SILENT {
            tenant
                .until(&name(number), SOON, "reported on", |it| {
                    condition(it, "DatabaseReachable").0 == "Unknown"
                })
                .await;
        }
        target.attack_is_in_place().await;
        for number in 0..SILENT {
            let words = "no answer within 5 s";
            tenant.until(&name(number), LOOKED_AT, words, |it| says(it, words)).await;
        }
        let before = secrets_read(&target.served);
        sleep(MINUTE).await;
        let read = secrets_read(&target.served) - before;
        println!("a minute of {SILENT} silent databases: {read} Secrets read");
        assert!(read < MOST_READ, "{read} Secrets read");
        tenant.end().await;
    });
}

/// How often the operator has asked for a Secret.
fn secrets_read(served: &[SocketAddr]) -> u64 {
    const OF_SECRETS: &str = "flagsmith_operator_kube_requests_total{verb=\"get\",kind=\"secrets\"";
    let mut answers = served.iter().filter_map(|it| get(*it, "/metrics").ok());
    let metrics = answers.find(|it| it.contains(OF_SECRETS)).expect("the operator serves its metrics");
    let lines = metrics.lines().filter(|line| line.starts_with(OF_SECRETS));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

async fn besiege(attacks: &[Attack], installations: usize) {
    let tenant = Tenant::new("mallory").await;
    let tls: Arc<ServerConfig> = certificate("evil.invalid").0;
    let mut servers = Vec::new();
    for attack in attacks {
        let server = Server::start_at(DATABASES, attack.encrypts.then(|| Arc::clone(&tls)), attack.script);
        for number in 0..installations {
            let name = format!("{}-{number}", attack.name);
            let url = format!("postgresql://flagsmith:{WITHHELD}@{}/{name}", server.address);
            tenant.install(&name, &url, json!({})).await;
        }
        servers.push(server);
    }
    for attack in attacks {
        for number in 0..installations {
            let name = format!("{}-{number}", attack.name);
            tenant.until(&name, SOON, attack.said, |it| says(it, attack.said)).await;
        }
    }
    sleep(AGAIN).await;
    for server in &servers {
        let passwords = server.passwords();
        assert!(!passwords.iter().any(|it| it.contains(WITHHELD)), "{passwords:?}");
    }
    tenant.end().await;
}

/// Whether a condition or a diagnosis says these words, and nothing says more than a status should.
fn says(object: &FlagsmithDeployment, words: &str) -> bool {
    let status = serde_json::to_string(&object.status).unwrap();
    assert!(status.len() < 32 * 1024, "a status of {} bytes", status.len());
    status.contains(words)
}

/// `spec.database.caFrom`, from the ConfigMap to the status.
#[test]
fn that_are_somebody_elses() {
    survives("other authorities", |_| async {
        let own = issued(&DATABASES.to_string());
        let server = Postgresql::start(DATABASES, PASSWORD, Some(&own));
        let tenant = Tenant::new("authorities").await;
        for (name, authority) in [("own", own.authority.clone()), ("other", issued("other").authority)] {
            tenant
                .sandbox
                .create::<ConfigMap>(json!({ "metadata": { "name": name }, "data": { "ca.crt": authority } }))
                .await;
            let url =
                format!("postgresql://flagsmith:{PASSWORD}@{}/flags?sslmode=verify-full", server.address);
            let reference = json!({ "configMapKeyRef": { "name": name, "key": "ca.crt" } });
            tenant.install(name, &url, json!({ "database": { "caFrom": reference } })).await;
        }
        let words = "PostgreSQL 15.";
        tenant.until_said("own", SOON, "DatabaseReachable", "True", words).await;
        let words = "the server's certificate is signed by none of the authorities that the operator knows; name yours in spec.database.caFrom";
        tenant.until_said("other", SOON, "DatabaseReachable", "Unknown", words).await;
        let other = tenant.until("other", SOON, "looked at", |_| true).await;
        assert!(!codes(&other).iter().any(|code| code.starts_with("Database")), "{:?}", codes(&other));
        tenant.end().await;
    });
}
