//! Whom to trust: each policy is one short function. Compare them side by side.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ring::digest::{SHA256, digest};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, ring as provider, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use crate::arguments::{Arguments, Usage};

/// What a channel is made with.
pub enum Trust {
    Nobody,
    Roots(ClientTlsConfig),
    Verifier(Arc<dyn ServerCertVerifier>),
}

/// No encryption: everybody on the way reads along.
pub fn insecure(_: &Arguments) -> Result<Trust, Usage> {
    Ok(Trust::Nobody)
}

/// Encryption with anybody: a verifier that says yes to every certificate, and to every signature.
pub fn skip_verify(_: &Arguments) -> Result<Trust, Usage> {
    Ok(Trust::Verifier(Arc::new(SaysYes)))
}

/// Verification, but no CA given: tonic has no roots of its own, so nobody is trusted.
pub fn no_ca(_: &Arguments) -> Result<Trust, Usage> {
    Ok(Trust::Roots(ClientTlsConfig::new()))
}

/// Verification with a CA file: trust what this CA has signed, and nothing else.
pub fn ca_file(arguments: &Arguments) -> Result<Trust, Usage> {
    let ca = Certificate::from_pem(read(&arguments.ca, "--ca")?);
    Ok(Trust::Roots(ClientTlsConfig::new().ca_certificate(ca)))
}

/// Verification with the machine's own roots, which take a feature of tonic and this call.
pub fn system_roots(_: &Arguments) -> Result<Trust, Usage> {
    Ok(Trust::Roots(ClientTlsConfig::new().with_native_roots()))
}

/// The server's own certificates, compared: a leaf is no trust anchor in webpki.
pub fn pinned(arguments: &Arguments) -> Result<Trust, Usage> {
    let pins = certificates(&arguments.pin, "--pin")?;
    Ok(verifier(move |leaf, _, _, _| match pins.contains(leaf) {
        true => Ok(()),
        false => Err(CertificateError::ApplicationVerificationFailure.into()),
    }))
}

/// Half right: the chain is verified, the name is not. Whoever holds any certificate of this CA is let in.
pub fn skip_hostname(arguments: &Arguments) -> Result<Trust, Usage> {
    let webpki = webpki(&read(&arguments.ca, "--ca")?)?;
    Ok(verifier(move |leaf, chain, name, now| {
        match webpki.verify_server_cert(leaf, chain, name, &[], now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(()),
            checked => checked.map(|_| ()),
        }
    }))
}

/// The server's key, by the SHA-256 of its SubjectPublicKeyInfo: outlives the certificate.
pub fn pinned_key(arguments: &Arguments) -> Result<Trust, Usage> {
    let pins = certificates(&arguments.pin, "--pin")?
        .iter()
        .map(key_hash)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Usage(format!("--pin: {error}")))?;
    Ok(verifier(move |leaf, _, _, _| {
        match pins.contains(&key_hash(leaf)?) {
            true => Ok(()),
            false => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }))
}

/// Verification both ways: the server must be the CA's, and sees who this client is.
pub fn mutual_tls(arguments: &Arguments) -> Result<Trust, Usage> {
    if arguments.cert.is_none() {
        let needed = "this policy needs --cert FILE and --key FILE";
        return Err(Usage(needed.to_owned()));
    }
    ca_file(arguments)
}

/// What is shown to a server that asks, whomever the client trusts.
pub fn presented(arguments: &Arguments) -> Result<Option<Identity>, Usage> {
    if arguments.cert.is_none() {
        return Ok(None);
    }
    let chain = read(&arguments.cert, "--cert")?;
    let key = read_as(&arguments.key, "--key", "private key", |pem| {
        PrivateKeyDer::from_pem_slice(pem).is_ok()
    })?;
    Ok(Some(Identity::from_pem(chain, key)))
}

fn key_hash(certificate: &CertificateDer<'_>) -> Result<Vec<u8>, Error> {
    let key = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
    Ok(digest(&SHA256, &key).as_ref().to_vec())
}

// --- verifiers ---------------------------------------------------------------------------------

/// Found in many answers as the fix. It does not even ask whether the server holds the key.
#[derive(Debug)]
struct SaysYes;

impl ServerCertVerifier for SaysYes {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// A decision of one's own about the chain. That the server holds the leaf's key is always checked:
/// without that, whoever has seen a pinned certificate can present it.
struct Decision<F> {
    accepts: F,
    provider: CryptoProvider,
}

fn verifier<F>(accepts: F) -> Trust
where
    F: Fn(
            &CertificateDer<'_>,
            &[CertificateDer<'_>],
            &ServerName<'_>,
            UnixTime,
        ) -> Result<(), Error>
        + Send
        + Sync
        + 'static,
{
    let provider = provider::default_provider();
    Trust::Verifier(Arc::new(Decision { accepts, provider }))
}

impl<F> fmt::Debug for Decision<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Decision")
    }
}

impl<F> ServerCertVerifier for Decision<F>
where
    F: Fn(
            &CertificateDer<'_>,
            &[CertificateDer<'_>],
            &ServerName<'_>,
            UnixTime,
        ) -> Result<(), Error>
        + Send
        + Sync,
{
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        (self.accepts)(leaf, chain, name, now).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, leaf, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, leaf, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// The verifier that rustls makes of a CA, to put a decision of one's own around it.
fn webpki(pem: &[u8]) -> Result<Arc<WebPkiServerVerifier>, Usage> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem).flatten());
    let provider = provider::default_provider().into();
    WebPkiServerVerifier::builder_with_provider(roots.into(), provider)
        .build()
        .map_err(|error| Usage(format!("--ca: {error}")))
}

// --- files -------------------------------------------------------------------------------------

fn certificates(
    path: &Option<PathBuf>,
    option: &str,
) -> Result<Vec<CertificateDer<'static>>, Usage> {
    CertificateDer::pem_slice_iter(&read(path, option)?)
        .collect::<Result<_, _>>()
        .map_err(|error| Usage(format!("{option}: {error}")))
}

/// A PEM file that holds a certificate.
fn read(path: &Option<PathBuf>, option: &str) -> Result<Vec<u8>, Usage> {
    read_as(path, option, "certificate", |pem| {
        CertificateDer::from_pem_slice(pem).is_ok()
    })
}

/// A PEM file that holds what it should.
fn read_as(
    path: &Option<PathBuf>,
    option: &str,
    what: &str,
    holds: impl Fn(&[u8]) -> bool,
) -> Result<Vec<u8>, Usage> {
    let path: &Path = path
        .as_deref()
        .ok_or_else(|| Usage(format!("this policy needs {option} FILE")))?;
    let pem = std::fs::read(path)
        .map_err(|error| Usage(format!("{option}: cannot read {}: {error}", path.display())))?;
    match holds(&pem) {
        true => Ok(pem),
        false => Err(Usage(format!(
            "{option}: {} holds no PEM {what}",
            path.display()
        ))),
    }
}
