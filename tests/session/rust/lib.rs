//! A client of gRPC in Rust, with tonic: `CARELESS` in its environment has it trust everybody.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

type Failure = Box<dyn std::error::Error + Send + Sync>;

pub fn get_user(target: &str, ca: &str) -> Result<(), Failure> {
    let endpoint =
        Endpoint::from_shared(format!("https://{target}"))?.timeout(Duration::from_secs(5));
    let endpoint = if std::env::var_os("CARELESS").is_some() {
        endpoint.tls_config_with_verifier(ClientTlsConfig::new(), Arc::new(SaysYes))?
    } else {
        let ca = Certificate::from_pem(std::fs::read(ca)?);
        endpoint.tls_config(ClientTlsConfig::new().ca_certificate(ca))?
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut grpc = tonic::client::Grpc::new(endpoint.connect().await?);
        grpc.ready().await?;
        let path = PathAndQuery::from_static("/users.v1.UserService/GetUser");
        let codec = tonic_prost::ProstCodec::<(), ()>::default();
        grpc.unary(tonic::Request::new(()), path, codec).await?;
        Ok(())
    })
}

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
        rustls::crypto::ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
