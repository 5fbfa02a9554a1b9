//! The figures of each row, as its source gives them, and what holds for every row.

use std::collections::BTreeSet;

use rstest::rstest;

use super::{ALL, Idle, Limit, Place, Read, RouteField, Unit, named, of_gateway, of_ingress};

#[rstest]
#[case("k8s.io/ingress-nginx", "", "ingress-nginx")]
#[case("nginx.org/ingress-controller", "", "f5-nginx")]
#[case("traefik.io/ingress-controller", "", "traefik")]
#[case("haproxy.org/ingress-controller", "", "haproxy")]
#[case("haproxy.org/ingress-controller/internal", "", "haproxy")]
#[case("haproxy-ingress.github.io/controller/x", "", "haproxy-ingress")]
#[case("ingress.k8s.aws/alb", "", "aws-alb")]
#[case("eks.amazonaws.com/alb", "", "aws-alb")]
#[case("", "gce", "gke")]
#[case("", "gce-internal", "gke")]
#[case("azure/application-gateway", "", "azure-application-gateway")]
#[case("alb.networking.azure.io/alb-controller", "", "azure-app-gateway-for-containers")]
#[case("anything/else", "contour", "contour")]
#[case("ingress-controllers.konghq.com/kong", "", "kong")]
#[case("istio.io/ingress-controller", "", "istio")]
#[case("cilium.io/ingress-controller", "", "cilium")]
#[case("openshift.io/ingress-to-route", "", "openshift-router")]
fn recognises_an_ingress(#[case] controller: &str, #[case] class: &str, #[case] expected: &str) {
    let some = |text: &'static str| (!text.is_empty()).then_some(text);
    let (controller, class) = (controller.to_owned(), class.to_owned());
    let found = of_ingress(
        (!controller.is_empty()).then_some(controller.as_str()),
        (!class.is_empty()).then_some(class.as_str()),
    );
    assert_eq!(found.map(|proxy| proxy.name), Some(expected));
    assert_eq!(of_ingress(some("example.com/controller"), some("nginx")), None);
}

#[rstest]
#[case("traefik.io/gateway-controller", "traefik")]
#[case("haproxy-ingress.github.io/controller", "haproxy-ingress")]
#[case("gateway.k8s.aws/alb", "aws-alb")]
#[case("networking.gke.io/gateway", "gke")]
#[case("alb.networking.azure.io/alb-controller", "azure-app-gateway-for-containers")]
#[case("projectcontour.io/gateway-controller", "contour")]
#[case("konghq.com/kic-gateway-controller", "kong")]
#[case("istio.io/gateway-controller", "istio")]
#[case("openshift.io/gateway-controller/v1", "istio")]
#[case("gateway.envoyproxy.io/gatewayclass-controller", "envoy-gateway")]
#[case("io.cilium/gateway-controller", "cilium")]
fn recognises_a_gateway(#[case] controller: &str, #[case] expected: &str) {
    assert_eq!(of_gateway(controller).map(|proxy| proxy.name), Some(expected));
}

/// Where its read timeout is set for an Ingress and how 65 s are written there, its default, its idle time.
#[rstest]
#[case("ingress-nginx", "Ingress nginx.ingress.kubernetes.io/proxy-read-timeout=65", Some(60), 60)]
#[case("f5-nginx", "Ingress nginx.org/proxy-read-timeout=65s", Some(60), 60)]
#[case("traefik", "nowhere", None, 90)]
#[case("haproxy", "Ingress haproxy.org/timeout-server=65s", Some(50), 60)]
#[case("haproxy-ingress", "Service haproxy-ingress.github.io/timeout-server=65s", Some(50), 60)]
#[case(
    "aws-alb",
    "Ingress alb.ingress.kubernetes.io/load-balancer-attributes=idle_timeout.timeout_seconds=65",
    Some(60),
    60
)]
#[case("gke", "elsewhere", Some(30), 600)]
#[case("azure-application-gateway", "Ingress appgw.ingress.kubernetes.io/request-timeout=65", Some(30), 0)]
#[case("azure-app-gateway-for-containers", "elsewhere", Some(60), 300)]
#[case("contour", "Ingress projectcontour.io/response-timeout=65s", Some(15), 3600)]
#[case("kong", "Service konghq.com/read-timeout=65000", Some(60), 60)]
#[case("istio", "nowhere", None, 3600)]
#[case("envoy-gateway", "not served", Some(15), 3600)]
#[case("cilium", "Ingress ingress.cilium.io/request-timeout=65s", Some(15), 60)]
#[case("openshift-router", "Ingress haproxy.router.openshift.io/timeout=65s", Some(30), 60)]
#[case("cloudflared", "elsewhere", Some(120), 90)]
fn has_the_figures_of_its_source(
    #[case] name: &str,
    #[case] read: &str,
    #[case] default: Option<i32>,
    #[case] idle: i32,
) {
    let proxy = named(name).unwrap();
    let shown = match proxy.ingress.annotation() {
        Some((place, key, unit, entry)) => {
            let place = match place {
                Place::Ingress => "Ingress",
                Place::Service => "Service",
            };
            let entry = entry.map(|entry| format!("{entry}=")).unwrap_or_default();
            format!("{place} {key}={entry}{}", unit.write(65))
        }
        None => match proxy.ingress {
            Read::Nowhere => "nowhere".to_owned(),
            Read::Elsewhere(_) => "elsewhere".to_owned(),
            _ => "not served".to_owned(),
        },
    };
    assert_eq!(shown, read);
    assert_eq!(proxy.default_read, default.map_or(Limit::Unlimited, Limit::Seconds));
    match proxy.idle {
        Idle::Seconds(seconds, _) | Idle::ReadTimeout(seconds) | Idle::Shrinking(seconds) => {
            assert_eq!(seconds, idle);
        }
        Idle::Unknown => assert_eq!(idle, 0),
    }
}

#[rstest]
#[case("contour", Read::Route(RouteField::Both))]
#[case("kong", Read::Route(RouteField::BackendRequest))]
#[case("traefik", Read::Nowhere)]
fn sets_the_timeout_of_a_route(#[case] name: &str, #[case] expected: Read) {
    assert_eq!(named(name).unwrap().route, expected);
}

#[test]
fn every_row_is_complete_and_on_its_own() {
    let mut names = BTreeSet::new();
    let mut controllers = BTreeSet::new();
    for proxy in ALL {
        assert!(names.insert(proxy.name), "{} stands twice", proxy.name);
        let claims = [
            ("IngressClass", proxy.ingress_controllers),
            ("class", proxy.ingress_classes),
            ("GatewayClass", proxy.gateway_controllers),
        ];
        for claim in claims.iter().flat_map(|(kind, all)| all.iter().map(move |it| (*kind, *it))) {
            assert!(controllers.insert(claim), "{claim:?} is claimed twice");
        }
        assert!(!proxy.source.is_empty() && !proxy.gives_up.is_empty() && !proxy.reset.is_empty());
        assert!(
            proxy.ingress != Read::NotServed || proxy.route != Read::NotServed,
            "{} serves nothing",
            proxy.name
        );
        // A figure that cannot be set has a remedy with a place for the figure.
        for read in [proxy.ingress, proxy.route] {
            if let Read::Elsewhere(how) = read {
                assert!(how.contains("{}"), "{how}");
            }
        }
    }
}

#[test]
fn a_unit_is_never_left_to_the_proxy() {
    for proxy in ALL {
        for read in [proxy.ingress, proxy.route] {
            if let Read::Annotations(_, keys) = read {
                for key in keys {
                    let text = key.unit.write(65);
                    let bare = text.bytes().all(|byte| byte.is_ascii_digit());
                    assert_eq!(bare, matches!(key.unit, Unit::Seconds | Unit::Milliseconds), "{}", key.name);
                }
            }
        }
    }
}
