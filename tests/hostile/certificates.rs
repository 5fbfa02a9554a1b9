//! Certificates of servers, made for one test.

use std::sync::Arc;

use rcgen::{BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};

/// A self-signed certificate, and its text.
pub fn certificate(name: &str) -> (Arc<ServerConfig>, String) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let config = config(&made.signing_key, made.cert.der().clone());
    (config, made.cert.pem())
}

/// A certificate that is signed by an authority, and the authority's.
pub fn signed(name: &str) -> (Arc<ServerConfig>, String) {
    let issued = issued(name);
    (config(&issued.key, issued.certificate.der().clone()), issued.authority)
}

/// What a server needs to prove who it is, and what its clients need to believe it.
pub struct Issued {
    /// The server's own.
    pub certificate: Certificate,
    /// Its key.
    pub key: KeyPair,
    /// The certificate of the authority that signed it, PEM.
    pub authority: String,
}

/// A certificate of an authority of its own.
pub fn issued(name: &str) -> Issued {
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // OpenSSL takes a certificate for its own authority where both have one name.
    authority.distinguished_name.push(DnType::CommonName, "authority of a test");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    Issued { certificate, key, authority: authority.pem() }
}

fn config(key: &KeyPair, certificate: CertificateDer<'static>) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    Arc::new(config)
}
