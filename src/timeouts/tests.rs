use proptest::{prelude::*, sample::select};
use rstest::rstest;
use serde_json::json;

use super::{
    Front, Timeouts,
    rules::{Rule, Verdict, check},
};
use crate::{decide::Plan, observe::recognise};
use crate::{
    fixtures::{self, installation, spec},
    observe::Observation,
    proxy::{self, Idle, Limit, Place, Read, named},
};

fn fronts() -> impl Strategy<Value = Front> {
    let proxies: Vec<_> = proxy::ALL.iter().map(|proxy| Some(*proxy)).chain([None]).collect();
    let seconds = || proptest::option::of(1..=86_400);
    let proxy =
        (select(proxies), any::<bool>(), seconds(), seconds(), proptest::option::of(1..=3700), any::<bool>())
            .prop_map(|(proxy, ingress, stated_read, stated_idle, own, cluster_ip)| {
                let read =
                    proxy.map_or(Read::NotServed, |proxy| if ingress { proxy.ingress } else { proxy.route });
                Front::Proxy {
                    proxy,
                    read,
                    stated_read,
                    stated_idle,
                    own_read: read.annotation().and(own).map(Limit::Seconds),
                    cluster_ip,
                    direct: true,
                }
            });
    prop_oneof![1 => Just(Front::Services), 9 => proxy]
}

proptest! {
    /// For every input each rule holds, or the chain shows which figure of somebody else's stands against it.
    #[test]
    fn every_rule_holds_or_says_what_stands_against_it(
        request in 5..=3600,
        threads in 1..=8,
        keep_alive in proptest::option::of(0..=7200),
        front in fronts(),
    ) {
        let chain = Timeouts::chain(request, threads, keep_alive, &front);
        let stated = matches!(front, Front::Proxy { stated_read: Some(_), .. } | Front::Proxy { own_read: Some(_), .. });
        for (rule, verdict) in check(&chain.values()) {
            let theirs = match rule {
                // A read timeout of the user's own, or one that nobody knows.
                Rule::ProxyOutlastsGunicorn => stated || verdict == Verdict::Unknown,
                // A keep-alive of the user's own, or an idle time that nobody knows.
                Rule::KeepAliveOutlastsProxyIdle => keep_alive.is_some() || verdict == Verdict::Unknown,
                _ => false,
            };
            prop_assert!(theirs, "{:?} is {:?} in {:?}", rule, verdict, chain);
        }
        prop_assert!(chain.grace_period > chain.pre_stop + chain.graceful_timeout);
        if let Limit::Seconds(read) = chain.values().proxy_read {
            prop_assert!(stated || read >= request);
        }
    }

    /// With nothing of the user's own, a known proxy whose figures can be set obeys every rule.
    #[test]
    fn a_known_proxy_is_aligned(request in 5..=3600, threads in 1..=8, proxy in select(proxy::ALL), ingress in any::<bool>()) {
        let read = if ingress { proxy.ingress } else { proxy.route };
        prop_assume!(!matches!(read, Read::Elsewhere(_) | Read::NotServed) && proxy.idle != Idle::Unknown);
        let front = Front::Proxy { proxy: Some(proxy), read, stated_read: None, stated_idle: None, own_read: None, cluster_ip: false, direct: true };
        prop_assert_eq!(check(&Timeouts::chain(request, threads, None, &front).values()), []);
    }
}

/// Keep-alive, preStop and grace period for requests of 30 s.
#[rstest]
#[case("ingress-nginx", 65, 10, 50)]
#[case("traefik", 95, 10, 50)]
#[case("haproxy", 0, 10, 50)]
#[case("openshift-router", 0, 10, 50)]
#[case("aws-alb", 65, 20, 60)]
#[case("gke", 620, 20, 60)]
#[case("azure-app-gateway-for-containers", 310, 20, 60)]
#[case("azure-application-gateway", 95, 20, 60)]
#[case("contour", 0, 10, 50)]
#[case("istio", 0, 10, 50)]
#[case("envoy-gateway", 0, 10, 50)]
#[case("cilium", 65, 10, 50)]
fn follows_the_proxy(#[case] name: &str, #[case] keep_alive: i32, #[case] pre_stop: i32, #[case] grace: i32) {
    let installation = installation(&spec(json!({
        "exposure": { "hosts": ["*"], "ingress": {}, "proxy": { "name": name } },
    })));
    let front = recognise(&installation, &fixtures::empty_observation());
    let values = Timeouts::chain(30, 2, None, &front);
    assert_eq!((values.keep_alive, values.pre_stop, values.grace_period), (keep_alive, pre_stop, grace));
}

#[rstest]
#[case::the_longer_keep_alive("ingress-nginx", "traefik", 95, 10, 50)]
#[case::outside_of_the_cluster("ingress-nginx", "gke", 620, 20, 60)]
#[case::whichever_is_first("gke", "ingress-nginx", 620, 20, 60)]
#[case::one_that_wants_each_connection_closed("ingress-nginx", "contour", 0, 10, 50)]
fn behind_two_proxies_is_what_suits_both(
    #[case] dashboard: &str,
    #[case] api: &str,
    #[case] keep_alive: i32,
    #[case] pre_stop: i32,
    #[case] grace: i32,
) {
    let at = |host: &str, proxy: &str| json!({ "hosts": [host], "ingress": {}, "proxy": { "name": proxy } });
    let exposure = json!({ "frontend": at("a.example.com", dashboard), "api": at("b.example.com", api) });
    let installation = installation(&spec(json!({ "exposure": exposure })));
    let values = Plan::of_nothing(&installation, &fixtures::empty_observation()).timeouts;
    assert_eq!((values.keep_alive, values.pre_stop, values.grace_period), (keep_alive, pre_stop, grace));
}

#[rstest]
#[case(30, 65)]
#[case(120, 130)]
#[case(3600, 0)]
fn a_load_balancer_with_one_number_for_both_keeps_idle_connections_as_long(
    #[case] request: i32,
    #[case] keep_alive: i32,
) {
    let alb = named("aws-alb").unwrap();
    let front = Front::Proxy {
        proxy: Some(alb),
        read: alb.ingress,
        stated_read: None,
        stated_idle: None,
        own_read: None,
        cluster_ip: false,
        direct: true,
    };
    assert_eq!(Timeouts::chain(request, 2, None, &front).keep_alive, keep_alive);
}

fn observation(class: &str, controller: Option<&str>) -> Observation {
    let mut observation = fixtures::empty_observation();
    observation.front.class = Some(class.to_owned());
    observation.front.controller = controller.map(str::to_owned);
    observation
}

#[test]
fn an_unreadable_class_keeps_the_proxy_that_was_known() {
    let installation = installation(&spec(json!({
        "exposure": { "hosts": ["*"], "ingress": { "className": "public" } },
    })));
    let known = recognise(&installation, &observation("public", Some("k8s.io/ingress-nginx")));
    assert_eq!(known.proxy().map(|proxy| proxy.name), Some("ingress-nginx"));
    let mut unreadable = observation("public", None);
    assert_eq!(recognise(&installation, &unreadable).proxy(), None);
    unreadable.previous.timeouts = Some(Timeouts::chain(30, 2, None, &known).into());
    assert_eq!(recognise(&installation, &unreadable), known);
    let mut other = observation("public", Some("example.com/own"));
    other.previous = unreadable.previous;
    assert_eq!(recognise(&installation, &other).proxy(), None, "a class that tells something else");
}

#[test]
fn connections_to_a_service_are_not_kept() {
    let installation = installation(&spec(json!({
        "exposure": { "hosts": ["*"], "ingress": {
            "className": "public",
            "annotations": { "nginx.ingress.kubernetes.io/service-upstream": "true" },
        } },
    })));
    let front = recognise(&installation, &observation("public", Some("k8s.io/ingress-nginx")));
    assert_eq!(Timeouts::chain(30, 2, None, &front).keep_alive, 0);
}

#[test]
fn one_entry_of_a_map_leaves_the_others_alone() {
    let alb = named("aws-alb").unwrap();
    let front = Front::Proxy {
        proxy: Some(alb),
        read: alb.ingress,
        stated_read: None,
        stated_idle: None,
        own_read: None,
        cluster_ip: false,
        direct: true,
    };
    let annotations = front.annotations(Place::Ingress, 120);
    let annotation = annotations.first().unwrap();
    assert_eq!(annotation.merged(None), "idle_timeout.timeout_seconds=125");
    assert_eq!(
        annotation.merged(Some("routing.http2.enabled=true, deletion_protection.enabled=true")),
        "routing.http2.enabled=true,deletion_protection.enabled=true,idle_timeout.timeout_seconds=125"
    );
    let own = "idle_timeout.timeout_seconds=400";
    assert_eq!(annotation.merged(Some(own)), own, "the user's own entry stays");
    assert_eq!(annotation.instead_of(Some(own)), "idle_timeout.timeout_seconds=125");
}
