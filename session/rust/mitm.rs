//! Tries forged certificates on the client of your own tests.
//!
//! Copy this file into `tests/`, beside the test that says `mod mitm;`, and let mitm-demo run it;
//! without that it does nothing, and says so: `mitm-demo audit --session -- cargo test`
#![allow(dead_code)]

use std::env;
use std::fmt::Debug;
use std::io::{self, Write};
use std::net::TcpStream;
use std::panic::{self, AssertUnwindSafe};
use std::time::Duration;

const COMMAND: &str = "mitm-demo audit --session -- cargo test";

/// One certificate, or one attack, that is presented on a port of its own.
pub struct Case {
    pub name: String,
    pub target: String,   // host:port to dial
    pub ca: String,       // file of the CA to trust, PEM
    pub expect: String,   // what a correct client does: accept or reject
    pub severity: String, // must, should or info
    pub title: String,
    pub pin: String, // file of the genuine certificate, for a client that trusts that alone
    pub server_name: String, // the name to expect in the certificate
}

/// Runs the client once for each case, and panics with all that went wrong.
///
/// It goes by what the client sent: the error, or panic, that it ends with is only quoted.
pub fn judge_all<T, E: Debug>(client: impl Fn(&Case) -> Result<T, E>) {
    let Ok(session) = env::var("MITM_SESSION") else {
        // `eprintln!` would be captured, and shown of tests that fail only.
        let _ = writeln!(
            io::stderr(),
            "skipped, no certificates are presented: run {COMMAND}"
        );
        return;
    };
    let mut failures = Vec::new();
    for case in ask(&session, "GET", "/cases.tsv", "").lines().map(case) {
        let error = match panic::catch_unwind(AssertUnwindSafe(|| client(&case))) {
            Ok(Ok(_)) => String::new(),
            Ok(Err(error)) => format!("{error:?}"),
            Err(_) => "the client panicked".to_string(),
        };
        let name: String = case
            .name
            .bytes()
            .map(|byte| format!("%{byte:02X}"))
            .collect();
        let answer = ask(&session, "POST", &format!("/cases/{name}/judge"), &error);
        let (outcome, message) = answer.split_once('\n').unwrap_or((&answer, ""));
        match outcome {
            "ok" => println!("{} ... ok", case.name),
            "skip" => println!("{} ... skipped: {message}", case.name),
            _ => failures.push(message.to_string()),
        }
    }
    assert!(failures.is_empty(), "\n\n{}", failures.join("\n\n"));
}

fn case(line: &str) -> Case {
    let mut fields = line.split('\t').map(str::to_string);
    let mut next = || fields.next().expect("a field of cases.tsv");
    Case {
        name: next(),
        target: next(),
        ca: next(),
        expect: next(),
        severity: next(),
        title: next(),
        pin: next(),
        server_name: next(),
    }
}

/// Makes a request of the session, over a socket of its own.
fn ask(session: &str, method: &str, path: &str, body: &str) -> String {
    let address = session.trim_start_matches("http://");
    let (host, token) = address.split_once('/').unwrap_or((address, ""));
    let request = format!(
        "{method} /{token}{path} HTTP/1.0\r\nHost: {host}\r\nAccept: text/plain\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let exchange = || -> io::Result<String> {
        let mut stream = TcpStream::connect(host)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        stream.write_all(request.as_bytes())?;
        io::read_to_string(stream)
    };
    let answer = exchange()
        .unwrap_or_else(|error| panic!("mitm-demo does not answer ({error}): run {COMMAND}"));
    match answer.split_once("\r\n\r\n") {
        Some((head, text)) if head.contains(" 200 ") => text.to_string(),
        _ => panic!("mitm-demo answers: {answer}"),
    }
}
