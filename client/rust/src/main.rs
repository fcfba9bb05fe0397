//! A gRPC client in Rust. How it decides whom to trust is one short function a policy: policies.rs.
//!
//! Contract: ../README.md. Output is one JSON line; exit code 0, 1 if the call failed, 2 wrong usage.

mod arguments;
mod policies;

/// Made from the .proto by `cargo run --example generate`.
mod users {
    include!("users.v1.rs");
}

use std::error::Error;
use std::io::{self, BufRead, Write};
use std::process::ExitCode;

use serde_json::{Value, json};
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};

use arguments::{Arguments, Policy, Usage};
use policies::Trust;
use users::user_service_client::UserServiceClient;
use users::{GetUserRequest, User};

const LOCKED: &str = include_str!("../Cargo.lock");

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().collect();
    let written = match words.get(1).filter(|_| words.len() == 2) {
        Some(word) if word == "--version" => println(&format!(
            "tonic {}, rustls {}",
            version("tonic"),
            version("rustls")
        ))
        .map(|()| 0),
        Some(word) if word == "--batch" => batch().map(|()| 0),
        _ => match Arguments::from_words(words.into_iter()).and_then(|told| answer(&told)) {
            Ok(answer) => {
                println(&answer.to_string()).map(|()| u8::from(answer.get("error").is_some()))
            }
            Err(Usage(message)) => {
                eprintln!("client: {message}");
                Ok(2)
            }
        },
    };
    // Nobody reads what was asked for: nobody reads a complaint either.
    ExitCode::from(written.unwrap_or(1))
}

/// One call a line of stdin, one after the other, each over a channel of its own.
fn batch() -> io::Result<()> {
    for line in io::stdin().lock().split(b'\n') {
        let answer = Arguments::from_json(&line?).and_then(|told| answer(&told));
        println(&match answer {
            Ok(answer) => answer.to_string(),
            Err(Usage(message)) => json!({"usage": {"message": message}}).to_string(),
        })?;
    }
    Ok(())
}

fn println(line: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{line}")
}

/// Makes the call, within the time that it is given.
fn answer(arguments: &Arguments) -> Result<Value, Usage> {
    let endpoint = endpoint(arguments)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let called = runtime.block_on(async {
        tokio::time::timeout(arguments.timeout, get_user(endpoint, arguments)).await
    });
    // Closes the connection, and waits for nothing: not for a name that is still being looked up.
    runtime.shutdown_background();
    Ok(match called {
        Ok(Ok(user)) => json!({"user": {"id": user.id, "name": user.name, "email": user.email}}),
        Ok(Err(status)) => failed(
            status.code(),
            with_causes(status.message().to_owned(), status.source()),
        ),
        Err(_) => failed(Code::DeadlineExceeded, "the time is up".to_owned()),
    })
}

fn failed(code: Code, message: String) -> Value {
    json!({"error": {"code": name(code), "message": message}})
}

/// Asks the server for a user, with the token that identifies this client.
async fn get_user(endpoint: Endpoint, arguments: &Arguments) -> Result<User, Status> {
    let channel = endpoint.connect().await.map_err(|error| {
        // Its own text is "transport error", whatever happened.
        let words = with_causes(error.to_string(), error.source());
        Status::new(Status::from_error(error.into()).code(), words)
    })?;
    let mut request = Request::new(GetUserRequest { id: arguments.id });
    if let Some(token) = &arguments.token {
        let bearer = AsciiMetadataValue::try_from(format!("Bearer {token}"))
            .map_err(|error| Status::internal(error.to_string()))?;
        request.metadata_mut().insert("authorization", bearer);
    }
    let answered = UserServiceClient::new(channel).get_user(request).await?;
    Ok(answered.into_inner())
}

/// What to dial, and how the server must prove itself.
fn endpoint(arguments: &Arguments) -> Result<Endpoint, Usage> {
    let trust = match arguments.policy {
        Policy::Insecure => policies::insecure,
        Policy::SkipVerify => policies::skip_verify,
        Policy::NoCa => policies::no_ca,
        Policy::CaFile => policies::ca_file,
        Policy::SystemRoots => policies::system_roots,
        Policy::Pinned => policies::pinned,
        Policy::SkipHostname => policies::skip_hostname,
        Policy::PinnedKey => policies::pinned_key,
        Policy::MutualTls => policies::mutual_tls,
    }(arguments)?;
    let complete = |mut tls: ClientTlsConfig| -> Result<ClientTlsConfig, Usage> {
        if let Some(name) = &arguments.server_name {
            tls = tls.domain_name(name);
        }
        if let Some(identity) = policies::presented(arguments)? {
            tls = tls.identity(identity);
        }
        Ok(tls)
    };
    let target = &arguments.target;
    let dial = |scheme: &str| Endpoint::from_shared(format!("{scheme}://{target}"));
    match trust {
        Trust::Nobody => dial("http"),
        Trust::Roots(tls) => {
            let tls = complete(tls)?;
            dial("https").and_then(|endpoint| endpoint.tls_config(tls))
        }
        Trust::Verifier(verifier) => {
            let tls = complete(ClientTlsConfig::new())?;
            dial("https").and_then(|endpoint| endpoint.tls_config_with_verifier(tls, verifier))
        }
    }
    .map_err(|error| Usage(with_causes(error.to_string(), error.source())))
}

/// What an error says, and what lies behind it says besides.
fn with_causes(mut said: String, mut source: Option<&(dyn Error + 'static)>) -> String {
    while let Some(cause) = source {
        let words = cause.to_string();
        if !said.ends_with(&words) {
            said = format!("{said}: {words}");
        }
        source = cause.source();
    }
    said
}

/// A status code's name as gRPC writes it: `DeadlineExceeded` is DEADLINE_EXCEEDED.
fn name(code: Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

/// The version that a library is built in.
fn version(library: &str) -> &'static str {
    let entry = format!("name = \"{library}\"\nversion = \"");
    let (_, rest) = LOCKED.split_once(&entry).expect("a library in Cargo.lock");
    rest.split('"').next().unwrap_or_default()
}
