//! Encryption, and who is at the other end.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{
        CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
    },
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
    server::ParsedCertificate,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{
    end_point::end_point,
    probe::{ProbeFailure, ProbeFailureKind},
    stream::Stream,
};
use crate::{
    postgres::{Roots, Trust},
    runtime::metered::{Exceeded, Metered},
};

/// What is known of the server at the other end of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Peer {
    /// Whether it has proved who it is.
    pub(super) proved: bool,
    /// Whether the connection is encrypted.
    pub(super) encrypted: bool,
    /// What ties a login to this encryption: the hash of the server's certificate, `tls-server-end-point` of RFC 5929.
    /// `None` where the certificate does not say which hash.
    pub(super) end_point: Option<Vec<u8>>,
}

/// Encrypts a connection.
pub(super) async fn encrypt(
    socket: Metered<TcpStream>,
    host: &str,
    trust: &Trust,
) -> Result<(Stream, Peer), ProbeFailure> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| {
        ProbeFailure::new(ProbeFailureKind::Unverified, "the host's name is none that a certificate can have")
    });
    let (name, names_agree) = match name {
        Ok(name) => (name, true),
        Err(failure) if trust.demands_proof() && trust.checks_name() => return Err(failure),
        // Sent to nobody: an address has no server name indication.
        Err(_) => (ServerName::from(std::net::Ipv4Addr::UNSPECIFIED), false),
    };
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(Verifier::new(trust, &provider, names_agree)?);
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ProbeFailure::new(ProbeFailureKind::Tls, &error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::<Verifier>::clone(&verifier))
        .with_no_client_auth();
    let stream =
        TlsConnector::from(Arc::new(config)).connect(name, socket).await.map_err(|error| refused(&error))?;
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let peer = Peer {
        proved: verifier.proved.load(Ordering::Relaxed),
        encrypted: true,
        end_point: certificates.first().and_then(|own| end_point(own)),
    };
    Ok((Stream::Tls(Box::new(stream)), peer))
}

/// What a failed handshake means.
fn refused(error: &std::io::Error) -> ProbeFailure {
    if let Some(exceeded) = Exceeded::of(error) {
        return ProbeFailure::too_much(&exceeded.to_string());
    }
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        Some(Error::InvalidCertificate(why)) => unverified(why),
        Some(Error::InvalidMessage(_) | Error::InappropriateMessage { .. }) => ProbeFailure::not_postgres(),
        Some(error) => ProbeFailure::new(ProbeFailureKind::Tls, &error.to_string()),
        None => ProbeFailure::new(ProbeFailureKind::Tls, "the server hung up while encryption was agreed on"),
    }
}

fn unverified(why: &CertificateError) -> ProbeFailure {
    let what = match why {
        // The latter is webpki's word for a certificate that is its own authority.
        CertificateError::UnknownIssuer | CertificateError::BadSignature | CertificateError::Other(_) => {
            "the server's certificate is signed by none of the authorities that the operator knows; name yours in spec.database.caFrom".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the server's certificate is not one for the host that DATABASE_URL names (its subjectAltName counts); use a name that it has, or sslmode=verify-ca".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate has expired".to_owned()
        }
        other => format!("the server's certificate cannot be verified ({other})"),
    };
    ProbeFailure::new(ProbeFailureKind::Unverified, &what)
}

/// Verifies the server's certificate, and goes on without proof where the URL demands none: then the connection is
/// encrypted, and nobody knows to whom.
#[derive(Debug)]
struct Verifier {
    roots: RootCertStore,
    /// Certificates that are trusted as they are: PostgreSQL's usual self-signed one is its own authority, which
    /// webpki takes for no server's.
    trusted: Vec<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
    demands_proof: bool,
    checks_name: bool,
    names_agree: bool,
    proved: AtomicBool,
}

impl Verifier {
    fn new(trust: &Trust, provider: &CryptoProvider, names_agree: bool) -> Result<Self, ProbeFailure> {
        let mut roots = RootCertStore::empty();
        let mut trusted = Vec::new();
        match &trust.roots {
            Roots::Public => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Roots::Pem(pem) => {
                for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()).flatten() {
                    // One that cannot sign others may still be the server's own.
                    roots.add(certificate.clone()).ok();
                    trusted.push(certificate);
                }
                if trusted.is_empty() && trust.demands_proof() {
                    return Err(ProbeFailure::new(
                        ProbeFailureKind::Unverified,
                        "what spec.database.caFrom names holds no certificate; it must be PEM, beginning with -----BEGIN CERTIFICATE-----",
                    ));
                }
            }
        }
        Ok(Self {
            roots,
            trusted,
            algorithms: provider.signature_verification_algorithms,
            demands_proof: trust.demands_proof(),
            checks_name: trust.checks_name(),
            names_agree,
            proved: AtomicBool::new(false),
        })
    }

    fn verify(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        let certificate = ParsedCertificate::try_from(own)?;
        if !self.trusted.contains(own) {
            verify_server_cert_signed_by_trust_anchor(
                &certificate,
                &self.roots,
                others,
                now,
                self.algorithms.all,
            )?;
        }
        if !self.checks_name {
            return Ok(());
        }
        if !self.names_agree {
            return Err(CertificateError::NotValidForName.into());
        }
        verify_server_name(&certificate, name)
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.verify(own, others, name, now);
        self.proved.store(verified.is_ok(), Ordering::Relaxed);
        match verified {
            Err(error) if self.demands_proof => Err(error),
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
