//! What ties a login to the encryption that it is made over.

use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use x509_parser::signature_algorithm::SignatureAlgorithm;

/// `tls-server-end-point` (RFC 5929, section 4.1), which PostgreSQL computes too: the hash of the server's certificate by
/// the function that it was signed with, or SHA-256 in place of a weak one. `None` where there is no such function
/// (Ed25519), or one that this does not know.
pub(super) fn end_point(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let algorithm = &parsed.signature_algorithm;
    let name = match SignatureAlgorithm::try_from(algorithm).ok()? {
        SignatureAlgorithm::RSASSA_PSS(parameters) => parameters.hash_algorithm_oid().to_id_string(),
        _ => algorithm.algorithm.to_id_string(),
    };
    let hash = match name.as_str() {
        // RSA with MD5, SHA-1 and SHA-256; SHA-1 and SHA-256 of RSASSA-PSS; ECDSA with SHA-1 and SHA-256.
        "1.2.840.113549.1.1.4"
        | "1.2.840.113549.1.1.5"
        | "1.2.840.113549.1.1.11"
        | "1.3.14.3.2.26"
        | "2.16.840.1.101.3.4.2.1"
        | "1.2.840.10045.4.1"
        | "1.2.840.10045.4.3.2" => Sha256::digest(certificate).to_vec(),
        // The same with SHA-384.
        "1.2.840.113549.1.1.12" | "2.16.840.1.101.3.4.2.2" | "1.2.840.10045.4.3.3" => {
            Sha384::digest(certificate).to_vec()
        }
        // The same with SHA-512.
        "1.2.840.113549.1.1.13" | "2.16.840.1.101.3.4.2.3" | "1.2.840.10045.4.3.4" => {
            Sha512::digest(certificate).to_vec()
        }
        _ => return None,
    };
    Some(hash)
}

#[cfg(test)]
mod tests {
    use rcgen::{
        CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
        SignatureAlgorithm,
    };
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(&PKCS_ECDSA_P256_SHA256, Some(32))]
    #[case(&PKCS_ECDSA_P384_SHA384, Some(48))]
    #[case(&PKCS_ED25519, None)]
    fn has_the_length_of_the_signatures_hash(
        #[case] algorithm: &'static SignatureAlgorithm,
        #[case] length: Option<usize>,
    ) {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let certificate = CertificateParams::new([]).unwrap().self_signed(&key).unwrap();
        assert_eq!(end_point(certificate.der()).map(|hash| hash.len()), length);
    }

    #[test]
    fn what_is_no_certificate_has_none() {
        assert_eq!(end_point(&CertificateDer::from(vec![0x30, 0x80, 1, 2])), None);
    }
}
