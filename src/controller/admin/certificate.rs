//! The certificate with which metrics are served, read again when its files change.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject as _},
};
use thiserror::Error;
use tokio::{fs, time::sleep};

/// How often the files are read. The kubelet brings a changed Secret within about a minute.
const INTERVAL: Duration = Duration::from_secs(10);

/// The names in a Secret of type kubernetes.io/tls.
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

/// Why a certificate cannot be used.
#[derive(Debug, Error)]
pub enum Error {
    /// A file is not there, or may not be read.
    #[error("{file} cannot be read")]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system reports.
        source: io::Error,
    },
    /// A file is no PEM.
    #[error("{file} holds no {what}")]
    NoPem {
        /// The file.
        file: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// For example the key is another one's.
    #[error("certificate and key cannot be used")]
    Unusable(#[from] rustls::Error),
}

/// A certificate with its key, as the files in a directory have it.
#[derive(Clone, Debug)]
pub struct Certificate {
    directory: PathBuf,
    current: Arc<Mutex<Current>>,
}

#[derive(Clone, Debug)]
struct Current {
    files: Files,
    config: Arc<ServerConfig>,
}

#[derive(Clone, PartialEq, Eq)]
struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// A key is not printed.
impl std::fmt::Debug for Files {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Files").finish_non_exhaustive()
    }
}

impl Certificate {
    /// Reads `tls.crt` and `tls.key` of a directory.
    pub async fn load(directory: &Path) -> Result<Self, Error> {
        let files = Files::read(directory).await?;
        let config = files.config(directory)?;
        let current = Arc::new(Mutex::new(Current { files, config }));
        Ok(Self { directory: directory.to_owned(), current })
    }

    /// What the next connection is served with.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner).config)
    }

    /// Follows the files, without end. What cannot be used leaves the certificate before in its place: certificate and
    /// key may have been read from either side of a change.
    pub(super) async fn follow(&self) {
        loop {
            sleep(INTERVAL).await;
            match self.refresh().await {
                Ok(true) => tracing::info!("metrics are served with the changed certificate"),
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(
                        error = crate::runtime::client::chain(&error),
                        "the certificate stays as it is"
                    );
                }
            }
        }
    }

    /// Whether the files have changed.
    pub(super) async fn refresh(&self) -> Result<bool, Error> {
        let files = Files::read(&self.directory).await?;
        if self.current.lock().unwrap_or_else(PoisonError::into_inner).files == files {
            return Ok(false);
        }
        let config = files.config(&self.directory)?;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Current { files, config };
        Ok(true)
    }
}

impl Files {
    async fn read(directory: &Path) -> Result<Self, Error> {
        let read = async |name| {
            let file = directory.join(name);
            fs::read(&file).await.map_err(|source| Error::Unreadable { file, source })
        };
        Ok(Self { certificate: read(CERTIFICATE).await?, key: read(KEY).await? })
    }

    fn config(&self, directory: &Path) -> Result<Arc<ServerConfig>, Error> {
        let no_pem = |name, what| {
            let file = directory.join(name);
            move |source| Error::NoPem { file, what, source }
        };
        let chain = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<Vec<_>, _>>()
            .map_err(no_pem(CERTIFICATE, "certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(no_pem(KEY, "private key"))?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        Ok(Arc::new(config))
    }
}
