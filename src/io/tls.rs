//! TLS settings: a configuration that was given, or one built here.
//!
//! The provider is always named. The process-wide default is neither read nor installed, so a
//! service that chose its own, or none, is left as it was.

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use rustls::{AlertDescription, CertificateError, ClientConfig, Error, RootCertStore};
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Whom a `wss` connection trusts.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Roots {
    /// The certificates that the operating system trusts. Read from disk at the first `wss`
    /// connection.
    #[default]
    System,
    /// Mozilla's certificates, as compiled into the program. Needs nothing from the system, and
    /// ages with the build.
    WebPki,
    /// The certificates in this PEM text, and no others.
    Pem(Vec<u8>),
}

/// Why no TLS configuration could be made.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsSetupError {
    /// The crate was built without a TLS provider and none was given.
    #[error(
        "no TLS provider: build with the feature `ring` or `aws-lc-rs`, or give a ClientConfig"
    )]
    NoProvider,
    /// The system has no trusted certificates, or none that could be read.
    #[error("no trusted root certificates found on this system{0}; use WebPki or Pem roots")]
    NoSystemRoots(String),
    /// The PEM text holds no certificate, or something that is not one.
    #[error("the given roots are not PEM certificates: {0}")]
    BadPem(String),
    /// The provider supports none of the protocol versions.
    #[error("the TLS provider cannot be used: {0}")]
    Provider(Error),
}

/// Where a feed's TLS configuration comes from. Built at most once, then shared.
#[derive(Clone)]
pub(crate) struct Tls(Arc<Source>);

enum Source {
    Given(Arc<ClientConfig>),
    Built {
        roots: Roots,
        config: OnceLock<Result<Arc<ClientConfig>, TlsSetupError>>,
    },
}

impl Tls {
    /// A configuration of the user's own, used as it is.
    pub(crate) fn given(config: Arc<ClientConfig>) -> Self {
        Self(Arc::new(Source::Given(config)))
    }

    /// One to be built when first needed.
    pub(crate) fn from_roots(roots: Roots) -> Self {
        Self(Arc::new(Source::Built {
            roots,
            config: OnceLock::new(),
        }))
    }

    /// The configuration. Reads files the first time: not for an async task's own thread.
    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>, TlsSetupError> {
        match &*self.0 {
            Source::Given(config) => Ok(Arc::clone(config)),
            Source::Built { roots, config } => config.get_or_init(|| build(roots)).clone(),
        }
    }

    /// The configuration, if it can be had without reading anything.
    pub(crate) fn ready(&self) -> Option<Result<Arc<ClientConfig>, TlsSetupError>> {
        match &*self.0 {
            Source::Given(config) => Some(Ok(Arc::clone(config))),
            Source::Built { config, .. } => config.get().cloned(),
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &*self.0 {
            Source::Given(_) => "Tls(given)",
            Source::Built {
                roots: Roots::System,
                ..
            } => "Tls(system roots)",
            Source::Built {
                roots: Roots::WebPki,
                ..
            } => "Tls(webpki roots)",
            Source::Built {
                roots: Roots::Pem(_),
                ..
            } => "Tls(given roots)",
        })
    }
}

fn provider() -> Result<CryptoProvider, TlsSetupError> {
    #[cfg(feature = "ring")]
    return Ok(rustls::crypto::ring::default_provider());
    #[cfg(all(feature = "aws-lc-rs", not(feature = "ring")))]
    return Ok(rustls::crypto::aws_lc_rs::default_provider());
    #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
    return Err(TlsSetupError::NoProvider);
}

fn build(roots: &Roots) -> Result<Arc<ClientConfig>, TlsSetupError> {
    let provider = Arc::new(provider()?);
    let store = Arc::new(trusted(roots)?);
    let verifier = WebPkiServerVerifier::builder_with_provider(store, Arc::clone(&provider))
        .build()
        .map_err(|error| TlsSetupError::BadPem(error.to_string()))?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsSetupError::Provider)?
        .with_webpki_verifier(verifier)
        .with_no_client_auth();
    // A server that would rather speak HTTP/2 must not: the upgrade is HTTP/1.1.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn trusted(roots: &Roots) -> Result<RootCertStore, TlsSetupError> {
    let mut store = RootCertStore::empty();
    match roots {
        Roots::System => {
            let found = rustls_native_certs::load_native_certs();
            // Systems carry some certificates that webpki cannot use; the rest is what counts.
            let (added, _unusable) = store.add_parsable_certificates(found.certs);
            if added == 0 {
                let why = found
                    .errors
                    .first()
                    .map(|e| format!(" ({e})"))
                    .unwrap_or_default();
                return Err(TlsSetupError::NoSystemRoots(why));
            }
        }
        Roots::WebPki => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Roots::Pem(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|e| TlsSetupError::BadPem(e.to_string()))?;
                store
                    .add(certificate)
                    .map_err(|e| TlsSetupError::BadPem(e.to_string()))?;
            }
            if store.is_empty() {
                return Err(TlsSetupError::BadPem("no certificate in it".into()));
            }
        }
    }
    Ok(store)
}

/// What went wrong in a TLS handshake, named so that it can be acted upon.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsFailure {
    /// The server's certificate is past its time.
    #[error("the server's certificate has expired")]
    Expired,
    /// The server's certificate is not valid yet; or this machine's clock is behind.
    #[error("the server's certificate is not valid yet")]
    NotYetValid,
    /// The certificate is for another name.
    #[error("the server's certificate is for another name")]
    WrongName,
    /// No trusted root has signed it.
    #[error("the server's certificate is signed by an unknown issuer")]
    UnknownIssuer,
    /// It was revoked.
    #[error("the server's certificate was revoked")]
    Revoked,
    /// It is wrong in another way.
    #[error("the server's certificate is not acceptable: {0}")]
    Certificate(String),
    /// The peer does not speak TLS.
    #[error("the server does not speak TLS on this port")]
    NotTls,
    /// There is no protocol version or cipher both sides know.
    #[error("the server and this client have no TLS version or cipher in common")]
    NothingInCommon,
    /// The host in the URL cannot be the name on a certificate.
    #[error("the host in the URL is not a name that a certificate can have")]
    BadName,
    /// Another failure.
    #[error("TLS failed: {0}")]
    Other(String),
}

impl From<&Error> for TlsFailure {
    fn from(error: &Error) -> Self {
        use CertificateError as Bad;
        match error {
            Error::InvalidCertificate(bad) => match bad {
                Bad::Expired | Bad::ExpiredContext { .. } => Self::Expired,
                Bad::NotValidYet | Bad::NotValidYetContext { .. } => Self::NotYetValid,
                Bad::NotValidForName | Bad::NotValidForNameContext { .. } => Self::WrongName,
                Bad::UnknownIssuer => Self::UnknownIssuer,
                Bad::Revoked => Self::Revoked,
                other => Self::Certificate(other.to_string()),
            },
            Error::InvalidMessage(_) => Self::NotTls,
            Error::PeerIncompatible(_)
            | Error::AlertReceived(
                AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure,
            ) => Self::NothingInCommon,
            other => Self::Other(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_that_are_no_certificates_are_refused_with_the_reason() {
        for pem in [
            "",
            "nonsense",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            let tls = Tls::from_roots(Roots::Pem(pem.into()));
            assert!(
                matches!(tls.config(), Err(TlsSetupError::BadPem(_))),
                "{pem:?}"
            );
        }
    }

    #[test]
    fn a_configuration_is_built_once_and_installs_no_process_default() {
        let tls = Tls::from_roots(Roots::WebPki);
        assert!(tls.ready().is_none());
        let config = tls.config().expect("a configuration");
        let again = tls.ready().expect("kept").expect("a configuration");
        assert!(Arc::ptr_eq(&config, &again));
        assert_eq!(config.alpn_protocols, [b"http/1.1".to_vec()]);
        assert!(
            CryptoProvider::get_default().is_none(),
            "the process default is not ours"
        );
        let given = Tls::given(Arc::clone(&config));
        assert!(Arc::ptr_eq(&config, &given.config().expect("as given")));
    }
}
