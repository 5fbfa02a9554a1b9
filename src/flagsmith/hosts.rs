//! Django's rule for the `Host` header (`django.http.request.validate_host`, Django 5.2).

/// Whether an entry of `ALLOWED_HOSTS` lets requests for a host in: the same name whatever its case, a domain with a
/// leading dot for itself and all below it, or `*` for every host. A wildcard host (`*.example.com`) is let in only where
/// every name below it is.
pub(crate) fn allows(entry: &str, host: &str) -> bool {
    if entry == "*" || entry.eq_ignore_ascii_case(host) {
        return true;
    }
    let Some(domain) = entry.strip_prefix('.') else {
        return false;
    };
    let (domain, host) = (domain.to_ascii_lowercase(), host.to_ascii_lowercase());
    let name = host.trim_start_matches('*').trim_start_matches('.');
    name == domain || name.ends_with(&format!(".{domain}"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("*", "flags.example.com", true)]
    #[case("flags.example.com", "Flags.Example.com", true)]
    #[case(".example.com", "example.com", true)]
    #[case(".example.com", "flags.EXAMPLE.com", true)]
    #[case(".example.com", "*.example.com", true)]
    #[case(".example.com", "notexample.com", false)]
    #[case("example.com", "flags.example.com", false)]
    fn as_django_decides(#[case] entry: &str, #[case] host: &str, #[case] expected: bool) {
        assert_eq!(allows(entry, host), expected);
    }
}
