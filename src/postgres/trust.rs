//! Whom a URL trusts: `sslmode` and `sslrootcert` as libpq reads them, and who vouches for the server.

use std::{str::FromStr, sync::Arc};

use crate::api::SslMode;

/// An environment variable of the pods, as far as it may be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Variable {
    /// It is not set.
    #[default]
    Unset,
    /// Its value.
    Value(String),
    /// It is set, but from somewhere that is not read.
    Hidden,
}

/// The certificate authorities that `spec.database.caFrom` names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Authority {
    /// None are named.
    #[default]
    Unnamed,
    /// Their certificates, PEM.
    Pem(Arc<str>),
    /// They cannot be read, and why.
    Unreadable(String),
}

/// What is said about the server's certificate outside of the URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// `PGSSLMODE`.
    pub mode: Variable,
    /// `PGSSLROOTCERT`.
    pub root_certificate: Variable,
    /// `PGCHANNELBINDING`.
    pub channel_binding: Variable,
    /// `spec.database.caFrom`.
    pub authority: Authority,
}

/// Who vouches for the server's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Roots {
    /// Mozilla's list of public authorities.
    Public,
    /// These, PEM.
    Pem(Arc<str>),
}

/// `channel_binding`: whether SCRAM's proofs hold for this encrypted connection only, so that nobody in the middle can
/// pass them on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChannelBinding {
    /// Never.
    Disable,
    /// Where the server can do it; a server that can finds out when somebody has kept that from the client.
    #[default]
    Prefer,
    /// Always: there is no other way to log in.
    Require,
}

impl FromStr for ChannelBinding {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Ok(match name {
            "disable" => Self::Disable,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            _ => return Err(()),
        })
    }
}

/// Whom to trust, decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    /// How to connect. `VerifyCa` also where `require` and a root certificate together mean it.
    pub mode: SslMode,
    /// Who vouches for the certificate.
    pub roots: Roots,
    /// Whether a login is tied to the encryption that it is made over.
    pub binding: ChannelBinding,
}

/// Why nothing can be trusted: the operator then does not connect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoTrust {
    /// Pods fail on it too.
    #[error("sslmode is none that libpq knows")]
    UnknownMode,
    /// Pods fail on it too.
    #[error("channel_binding is none that libpq knows")]
    UnknownBinding,
    /// The variable may say verify-full.
    #[error(
        "the pods' {0} is not written out in their specification, so it is not known whether the server is to be verified; write sslmode (and sslrootcert) into DATABASE_URL"
    )]
    Hidden(&'static str),
    /// The variable may say require: then a server is to prove that it knows the password.
    #[error(
        "the pods' PGCHANNELBINDING is not written out in their specification, so it is not known how the operator may log in; write channel_binding into DATABASE_URL"
    )]
    HiddenBinding,
    /// The file is in the pods only.
    #[error(
        "DATABASE_URL or PGSSLROOTCERT has the server verified by a file in the pods, which the operator cannot read; name the same certificates in spec.database.caFrom"
    )]
    OnlyInPods,
    /// What `caFrom` names is not there.
    #[error("spec.database.caFrom: {0}")]
    Unreadable(String),
}

/// libpq's `sslrootcert=system`: the authorities of the system.
const SYSTEM: &str = "system";

impl Trust {
    /// Decides from the URL's `sslmode`, `sslrootcert` and `channel_binding`, and from what is said outside of it;
    /// the URL wins, as with libpq.
    pub fn decide(
        mode: Option<&str>,
        root_certificate: Option<&str>,
        channel_binding: Option<&str>,
        settings: &TlsSettings,
    ) -> Result<Self, NoTrust> {
        let mode = either(mode, &settings.mode, NoTrust::Hidden("PGSSLMODE"))?;
        let mode = mode.map(|name| name.parse().map_err(|()| NoTrust::UnknownMode));
        let mode = mode.transpose()?;
        let binding = either(channel_binding, &settings.channel_binding, NoTrust::HiddenBinding)?;
        let binding = binding.map(|name| name.parse().map_err(|()| NoTrust::UnknownBinding));
        let binding = binding.transpose()?.unwrap_or_default();
        let decided = |mode, roots| Self { mode, roots, binding };
        // No verification: a root certificate makes no difference to whom libpq would talk.
        if let Some(mode @ (SslMode::Disable | SslMode::Allow | SslMode::Prefer)) = mode {
            return Ok(decided(mode, settings.opportunistic()));
        }
        let file = either(root_certificate, &settings.root_certificate, NoTrust::Hidden("PGSSLROOTCERT"))?;
        let mode = match (mode, file) {
            (Some(mode), _) => mode,
            // "system" makes verify-full the default (libpq 16).
            (None, Some(SYSTEM)) => SslMode::VerifyFull,
            (None, _) => return Ok(decided(SslMode::Prefer, settings.opportunistic())),
        };
        let named = !matches!(settings.authority, Authority::Unnamed);
        // "If a root CA file exists, the behavior of sslmode=require will be the same as that of verify-ca."
        let mode = match mode {
            SslMode::Require if file == Some(SYSTEM) => SslMode::VerifyFull,
            SslMode::Require if file.is_some() || named => SslMode::VerifyCa,
            mode => mode,
        };
        let roots = match (&settings.authority, file) {
            (Authority::Pem(pem), _) => Roots::Pem(Arc::clone(pem)),
            (Authority::Unreadable(why), _) => return Err(NoTrust::Unreadable(why.clone())),
            (Authority::Unnamed, None | Some(SYSTEM)) => Roots::Public,
            (Authority::Unnamed, Some(_)) => return Err(NoTrust::OnlyInPods),
        };
        Ok(decided(mode, roots))
    }

    /// Whether the connection is to be encrypted or not to be at all.
    #[must_use]
    pub const fn demands_tls(&self) -> bool {
        matches!(self.mode, SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull)
    }

    /// Whether a server that cannot prove who it is gets no further.
    #[must_use]
    pub const fn demands_proof(&self) -> bool {
        matches!(self.mode, SslMode::VerifyCa | SslMode::VerifyFull)
    }

    /// Whether the server's certificate must be the host's.
    #[must_use]
    pub const fn checks_name(&self) -> bool {
        !matches!(self.mode, SslMode::VerifyCa)
    }

    /// Whether the password itself, or its MD5 hash that is as good as the password, may be sent: to a server that has
    /// proved who it is, or where the owner has said that there is nothing to prove.
    #[must_use]
    pub const fn gives_password(&self, proved: bool) -> bool {
        !matches!(self.binding, ChannelBinding::Require) && (proved || matches!(self.mode, SslMode::Disable))
    }
}

impl TlsSettings {
    /// Who may vouch for a server that does not have to be verified: one that is gets what others do not.
    fn opportunistic(&self) -> Roots {
        match &self.authority {
            Authority::Pem(pem) => Roots::Pem(Arc::clone(pem)),
            Authority::Unnamed | Authority::Unreadable(_) => Roots::Public,
        }
    }
}

/// The URL's own value, or the environment's.
fn either<'a>(
    own: Option<&'a str>,
    variable: &'a Variable,
    hidden: NoTrust,
) -> Result<Option<&'a str>, NoTrust> {
    match (own, variable) {
        (Some(own), _) => Ok(Some(own)),
        (None, Variable::Unset) => Ok(None),
        (None, Variable::Value(value)) => Ok(Some(value.as_str()).filter(|value| !value.is_empty())),
        (None, Variable::Hidden) => Err(hidden),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn value(text: &str) -> Variable {
        Variable::Value(text.to_owned())
    }

    fn named() -> TlsSettings {
        TlsSettings { authority: Authority::Pem("PEM".into()), ..TlsSettings::default() }
    }

    #[rstest]
    #[case::nothing_said(None, None, TlsSettings::default(), Ok((SslMode::Prefer, false)))]
    #[case::url(Some("verify-full"), None, TlsSettings::default(), Ok((SslMode::VerifyFull, false)))]
    #[case::environment(None, None, TlsSettings { mode: value("verify-full"), ..TlsSettings::default() }, Ok((SslMode::VerifyFull, false)))]
    #[case::url_wins(Some("disable"), None, TlsSettings { mode: value("verify-full"), ..TlsSettings::default() }, Ok((SslMode::Disable, false)))]
    #[case::hidden(None, None, TlsSettings { mode: Variable::Hidden, ..TlsSettings::default() }, Err(NoTrust::Hidden("PGSSLMODE")))]
    #[case::hidden_but_overruled(Some("prefer"), None, TlsSettings { mode: Variable::Hidden, ..TlsSettings::default() }, Ok((SslMode::Prefer, false)))]
    #[case::unknown(Some("always"), None, TlsSettings::default(), Err(NoTrust::UnknownMode))]
    #[case::file(Some("verify-full"), Some("/ca.pem"), TlsSettings::default(), Err(NoTrust::OnlyInPods))]
    #[case::file_of_the_environment(Some("verify-ca"), None, TlsSettings { root_certificate: value("/ca.pem"), ..TlsSettings::default() }, Err(NoTrust::OnlyInPods))]
    #[case::file_that_is_named(Some("verify-full"), Some("/ca.pem"), named(), Ok((SslMode::VerifyFull, true)))]
    #[case::file_with_require(
        Some("require"),
        Some("/ca.pem"),
        TlsSettings::default(),
        Err(NoTrust::OnlyInPods)
    )]
    #[case::named_with_require(Some("require"), None, named(), Ok((SslMode::VerifyCa, true)))]
    #[case::require(Some("require"), None, TlsSettings::default(), Ok((SslMode::Require, false)))]
    #[case::file_with_prefer(Some("prefer"), Some("/ca.pem"), TlsSettings::default(), Ok((SslMode::Prefer, false)))]
    #[case::system(None, Some("system"), TlsSettings::default(), Ok((SslMode::VerifyFull, false)))]
    #[case::unreadable(Some("verify-full"), None, TlsSettings { authority: Authority::Unreadable("x".to_owned()), ..TlsSettings::default() }, Err(NoTrust::Unreadable("x".to_owned())))]
    #[case::empty_variable(None, None, TlsSettings { mode: value(""), ..TlsSettings::default() }, Ok((SslMode::Prefer, false)))]
    fn is_decided(
        #[case] mode: Option<&str>,
        #[case] file: Option<&str>,
        #[case] settings: TlsSettings,
        #[case] expected: Result<(SslMode, bool), NoTrust>,
    ) {
        let decided = Trust::decide(mode, file, None, &settings)
            .map(|trust| (trust.mode, matches!(trust.roots, Roots::Pem(_))));
        assert_eq!(decided, expected);
    }

    #[rstest]
    #[case::nothing_said(None, Variable::Unset, Ok(ChannelBinding::Prefer))]
    #[case::environment(None, value("require"), Ok(ChannelBinding::Require))]
    #[case::url_wins(Some("disable"), value("require"), Ok(ChannelBinding::Disable))]
    #[case::hidden(None, Variable::Hidden, Err(NoTrust::HiddenBinding))]
    #[case::hidden_but_overruled(Some("prefer"), Variable::Hidden, Ok(ChannelBinding::Prefer))]
    #[case::unknown(Some("always"), Variable::Unset, Err(NoTrust::UnknownBinding))]
    #[case::empty_variable(None, value(""), Ok(ChannelBinding::Prefer))]
    fn a_binding_is_decided(
        #[case] option: Option<&str>,
        #[case] variable: Variable,
        #[case] expected: Result<ChannelBinding, NoTrust>,
    ) {
        let settings = TlsSettings { channel_binding: variable, ..TlsSettings::default() };
        assert_eq!(Trust::decide(None, None, option, &settings).map(|trust| trust.binding), expected);
    }

    #[rstest]
    #[case("disable", false, true)]
    #[case("allow", false, false)]
    #[case("prefer", false, false)]
    #[case("prefer", true, true)]
    #[case("require", false, false)]
    #[case("require", true, true)]
    #[case("verify-full", true, true)]
    fn the_password_goes_to_whom_the_url_trusts(
        #[case] mode: &str,
        #[case] proved: bool,
        #[case] given: bool,
    ) {
        let decide = |binding| Trust::decide(Some(mode), None, binding, &TlsSettings::default()).unwrap();
        assert_eq!(decide(None).gives_password(proved), given);
        assert!(!decide(Some("require")).gives_password(proved));
    }
}
