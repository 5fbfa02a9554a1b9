//! Through which proxy the API server is reached: as kubectl decides it, which asks whether the API server, and not the
//! proxy, is one that `NO_PROXY` means.

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use kube::config::Kubeconfig;

/// What a proxy can speak.
pub(super) const SCHEMES: [&str; 3] = ["http", "https", "socks5"];

/// What the environment says, by the name of a variable; an empty one says nothing.
pub(super) type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The variables of this process.
pub(super) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

/// The proxy of an API server; `Err` holds an address that is none. One that the kubeconfig names is used whatever the
/// environment says.
pub(super) fn of(named: Option<&str>, server: &Uri, variable: Variables<'_>) -> Result<Option<Uri>, String> {
    let address = match named {
        Some(named) => Some(named.to_owned()),
        None => of_environment(server, variable),
    };
    address.map(|address| parse(&address).ok_or(address)).transpose()
}

/// The `proxy-url` of the cluster of a context.
pub(super) fn named<'a>(kubeconfig: &'a Kubeconfig, context: Option<&str>) -> Option<&'a str> {
    let context = context.or(kubeconfig.current_context.as_deref())?;
    let context = kubeconfig.contexts.iter().find(|it| it.name == context)?.context.as_ref()?;
    let cluster = kubeconfig.clusters.iter().find(|it| it.name == context.cluster)?.cluster.as_ref()?;
    cluster.proxy_url.as_deref().filter(|url| !url.is_empty())
}

fn of_environment(server: &Uri, variable: Variables<'_>) -> Option<String> {
    let either = |capital: &str| variable(capital).or_else(|| variable(&capital.to_lowercase()));
    let proxy =
        if server.scheme_str() == Some("http") { either("HTTP_PROXY") } else { either("HTTPS_PROXY") }?;
    // The matcher decides only whether: what it gives back has lost the credentials, and is nothing where the address is
    // none. Any address does.
    let reached = Matcher::builder().all("http://proxy").no(either("NO_PROXY").unwrap_or_default()).build();
    let own_machine = server.host().is_some_and(is_own_machine);
    (!own_machine && reached.intercept(server).is_some()).then_some(proxy)
}

/// What kubectl never asks a proxy for: a cluster on this machine, such as kind's.
fn is_own_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// An address without a scheme is that of an HTTP proxy.
fn parse(address: &str) -> Option<Uri> {
    let whole = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
    let uri: Uri = whole.parse().ok()?;
    let spoken = uri.scheme_str().is_some_and(|scheme| SCHEMES.contains(&scheme));
    (spoken && uri.host().is_some_and(|host| !host.is_empty())).then_some(uri)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const PROXY: &str = "http://user:secret@proxy.example.com:3128";

    #[rstest]
    #[case::nothing_said(&[], "https://10.0.0.1:6443", None)]
    #[case::said(&[("HTTPS_PROXY", PROXY)], "https://10.0.0.1:6443", Some(PROXY))]
    #[case::in_small_letters(&[("https_proxy", PROXY)], "https://10.0.0.1:6443", Some(PROXY))]
    #[case::without_a_scheme(&[("HTTPS_PROXY", "proxy:3128")], "https://10.0.0.1:6443", Some("http://proxy:3128/"))]
    #[case::socks(&[("HTTPS_PROXY", "socks5://proxy:1080")], "https://10.0.0.1:6443", Some("socks5://proxy:1080/"))]
    #[case::for_another_scheme(&[("HTTP_PROXY", PROXY)], "https://10.0.0.1:6443", None)]
    #[case::not_for_it(&[("HTTPS_PROXY", PROXY), ("NO_PROXY", "10.0.0.1")], "https://10.0.0.1:6443", None)]
    #[case::not_for_its_network(&[("HTTPS_PROXY", PROXY), ("NO_PROXY", "a.b, 10.0.0.0/8,")], "https://10.0.0.1:6443", None)]
    #[case::not_for_its_domain(&[("HTTPS_PROXY", PROXY), ("no_proxy", ".example.net")], "https://api.example.net", None)]
    #[case::not_for_any(&[("HTTPS_PROXY", PROXY), ("NO_PROXY", "*")], "https://api.example.net", None)]
    #[case::not_for_the_proxy_itself(&[("HTTPS_PROXY", PROXY), ("NO_PROXY", "proxy.example.com")], "https://10.0.0.1:6443", Some(PROXY))]
    #[case::on_this_machine(&[("HTTPS_PROXY", PROXY)], "https://127.0.0.1:6443", None)]
    #[case::on_this_machine_by_name(&[("HTTPS_PROXY", PROXY)], "https://localhost:6443", None)]
    #[case::on_this_machine_of_six(&[("HTTPS_PROXY", PROXY)], "https://[::1]:6443", None)]
    fn the_environment_says_which(
        #[case] variables: &[(&str, &str)],
        #[case] server: &'static str,
        #[case] expected: Option<&str>,
    ) {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let found = of(None, &Uri::from_static(server), &variable).unwrap();
        let expected = expected.map(|expected| expected.parse::<Uri>().unwrap());
        assert_eq!(found, expected);
    }

    #[test]
    fn the_kubeconfig_goes_before_the_environment() {
        let variable = |name: &str| (name == "NO_PROXY").then(|| "*".to_owned());
        let server = Uri::from_static("https://127.0.0.1:6443");
        let found = of(Some("socks5://10.1.2.3:1080"), &server, &variable).unwrap();
        assert_eq!(found, Some(Uri::from_static("socks5://10.1.2.3:1080")));
    }

    #[rstest]
    #[case("http://")]
    #[case("ftp://user:secret@proxy")]
    fn an_address_that_is_none_is_said(#[case] address: &str) {
        let variable = |name: &str| (name == "HTTPS_PROXY").then(|| address.to_owned());
        assert_eq!(of(None, &Uri::from_static("https://10.0.0.1"), &variable).unwrap_err(), address);
    }
}
