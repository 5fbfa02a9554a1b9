//! What stands in front of the pods.

use crate::proxy::{Idle, Limit, Place, Proxy, Read, What};

/// What the proxy's read timeout has above the request's: the proxy must never cut first, and a proxy whose timeout
/// covers the whole response needs time for the transfer.
pub(super) const PROXY_MARGIN: i32 = 5;

/// What stands in front of the pods, and what is known of its timeouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front {
    /// Services only: clients inside of the cluster, or a proxy that somebody else put there.
    Services,
    /// An Ingress or `HTTPRoute`.
    Proxy {
        /// Whose it is, where that is known.
        proxy: Option<&'static Proxy>,
        /// Where its timeout for a response is set.
        read: Read,
        /// `spec.exposure.proxy.readTimeoutSeconds`: what the user says that it is, where the operator cannot see it.
        stated_read: Option<i32>,
        /// `spec.exposure.proxy.idleTimeoutSeconds`.
        stated_idle: Option<i32>,
        /// What an annotation of the user's own sets the read timeout to, instead of the operator.
        own_read: Option<Limit>,
        /// It sends requests to a Service's address, so connections stay with pods that are about to end.
        cluster_ip: bool,
        /// It sends them to the API itself; `false` where the frontend's server is between.
        direct: bool,
    },
}

impl Front {
    /// How long it waits for a response when requests may take so many seconds.
    #[must_use]
    pub fn read(&self, request: i32) -> Limit {
        let Self::Proxy { proxy, read, stated_read, own_read, .. } = *self else {
            return Limit::Unlimited;
        };
        let wanted = Limit::Seconds(request.saturating_add(PROXY_MARGIN));
        let stated = stated_read.map(Limit::Seconds);
        match read {
            Read::Annotations(..) | Read::Entry(..) => own_read.unwrap_or(wanted),
            Read::Route(_) => wanted,
            Read::Nowhere => stated.unwrap_or(Limit::Unlimited),
            // Its default is enough for a short request; for a longer one somebody must have raised it, which shows
            // nowhere where the operator looks.
            Read::Elsewhere(_) => stated.unwrap_or_else(|| match proxy.map(|proxy| proxy.default_read) {
                Some(Limit::Seconds(default)) if default >= request => Limit::Seconds(default),
                Some(Limit::Unlimited) => Limit::Unlimited,
                _ => Limit::Unknown,
            }),
            Read::NotServed => stated.unwrap_or(Limit::Unknown),
        }
    }

    /// How long it keeps an idle connection when it waits so long for a response.
    #[must_use]
    pub fn idle(&self, read: Limit) -> Limit {
        let Self::Proxy { proxy, stated_idle, cluster_ip, direct, .. } = *self else {
            return Limit::Unknown;
        };
        if !direct {
            // The frontend's server opens a connection for each request (http-proxy-middleware 3.0.5, no agent).
            return Limit::Seconds(0);
        }
        if cluster_ip {
            // However long: the pod may end before.
            return Limit::Unlimited;
        }
        if let Some(stated) = stated_idle {
            return Limit::Seconds(stated);
        }
        match (proxy.map(|proxy| proxy.idle), read) {
            (Some(Idle::Seconds(idle, _) | Idle::Shrinking(idle)), _) => Limit::Seconds(idle),
            (Some(Idle::ReadTimeout(least)), Limit::Seconds(read)) => Limit::Seconds(read.max(least)),
            _ => Limit::Unknown,
        }
    }

    /// The row of the proxy, where it is known.
    #[must_use]
    pub const fn proxy(&self) -> Option<&'static Proxy> {
        match self {
            Self::Services => None,
            Self::Proxy { proxy, .. } => *proxy,
        }
    }

    /// Annotations of an object that make the proxy wait long enough for requests of so many seconds.
    #[must_use]
    pub fn annotations(&self, place: Place, request: i32) -> Vec<Annotation> {
        let Self::Proxy { read, .. } = *self else {
            return Vec::new();
        };
        let limit = request.saturating_add(PROXY_MARGIN);
        match read {
            Read::Annotations(on, keys) if on == place => keys
                .iter()
                .map(|key| Annotation {
                    key: key.name,
                    value: key.unit.write(match key.what {
                        What::Read | What::Send => limit,
                        What::Retry => request,
                    }),
                    entry: None,
                })
                .collect(),
            Read::Entry(on, key, entry) if on == place => {
                vec![Annotation { key, value: limit.to_string(), entry: Some(entry) }]
            }
            _ => Vec::new(),
        }
    }
}

/// One annotation that the operator writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// Its key.
    pub key: &'static str,
    /// Its value, or that of one entry of it.
    pub value: String,
    /// The entry, where the annotation is a map (`a=1,b=2`) that others write too.
    pub entry: Option<&'static str>,
}

impl Annotation {
    /// The whole value of the annotation. What the user's own annotation says stays: all of it, or the other entries
    /// of a map.
    #[must_use]
    pub fn merged(&self, own: Option<&str>) -> String {
        match (self.entry, own) {
            (None, Some(own)) => own.to_owned(),
            (Some(entry), Some(own)) if self::entry(own, entry).is_some() => own.to_owned(),
            _ => self.instead_of(own),
        }
    }

    /// The whole value of the annotation, with this one's instead of what it says now.
    #[must_use]
    pub fn instead_of(&self, own: Option<&str>) -> String {
        let Some(entry) = self.entry else {
            return self.value.clone();
        };
        let mine = format!("{entry}={}", self.value);
        let others = own.unwrap_or_default().split(',').map(str::trim);
        others
            .filter(|pair| !pair.is_empty() && pair.split('=').next().map(str::trim) != Some(entry))
            .chain([mine.as_str()])
            .collect::<Vec<_>>()
            .join(",")
    }
}

/// The value of one entry of a map annotation (`a=1,b=2`).
pub(crate) fn entry<'a>(map: &'a str, name: &str) -> Option<&'a str> {
    map.split(',')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim())
}
