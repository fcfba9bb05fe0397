//! What the client is told: options on the command line, or the same as JSON.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use serde_json::{Map, Value};

/// A gRPC client for users.v1.UserService.
#[derive(Parser)]
#[command(
    name = "client",
    after_help = "Or --batch: the same options as a JSON object a line on stdin. Or --version."
)]
pub struct Arguments {
    /// What to dial, and the name that the server must prove
    #[arg(long, value_name = "HOST:PORT", value_parser = target)]
    pub target: String,
    /// Whom to trust
    #[arg(long, value_enum)]
    pub policy: Policy,
    /// For ca-file, skip-hostname and mutual-tls: the CA, PEM
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// For pinned and pinned-key: the server's certificates, PEM
    #[arg(long, value_name = "FILE")]
    pub pin: Option<PathBuf>,
    /// What to present to a server that asks, PEM, leaf first
    #[arg(long, value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,
    /// The key of its leaf, PEM
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// Name to check, if not the target's
    #[arg(long, value_name = "NAME")]
    pub server_name: Option<String>,
    /// User to ask for
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        allow_negative_numbers = true
    )]
    pub id: i64,
    /// Sent as `authorization: Bearer T`
    #[arg(long, value_name = "T")]
    pub token: Option<String>,
    /// Seconds, in all
    #[arg(long, value_name = "S", default_value = "5", value_parser = seconds)]
    pub timeout: Duration,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Policy {
    Insecure,
    SkipVerify,
    NoCa,
    CaFile,
    SystemRoots,
    Pinned,
    SkipHostname,
    PinnedKey,
    MutualTls,
}

/// What is wrong with what the client was told, in one line.
pub struct Usage(pub String);

impl Arguments {
    /// The options of a command line. `--help` is answered here, and ends the program.
    pub fn from_words(words: impl Iterator<Item = OsString>) -> Result<Self, Usage> {
        Self::try_parse_from(words).map_err(|error| {
            if !error.use_stderr() {
                error.exit();
            }
            one_line(&error.to_string())
        })
    }

    /// The same as a JSON object: each key is an option without its dashes.
    pub fn from_json(line: &[u8]) -> Result<Self, Usage> {
        let options: Map<String, Value> = serde_json::from_slice(line)
            .map_err(|error| Usage(format!("not a JSON object: {error}")))?;
        let mut words = vec!["client".to_owned()];
        for (key, value) in options {
            match value {
                Value::String(text) => words.push(format!("--{key}={text}")),
                Value::Number(number) => words.push(format!("--{key}={number}")),
                _ => return Err(Usage(format!("{key}: a string or a number is needed"))),
            }
        }
        Self::try_parse_from(words).map_err(|error| one_line(&error.to_string()))
    }
}

/// The first paragraph of what clap says; the others are advice.
fn one_line(said: &str) -> Usage {
    let first = said.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = first.split_whitespace().collect();
    Usage(words.join(" ").trim_start_matches("error: ").to_owned())
}

fn target(text: &str) -> Result<String, String> {
    match text.rsplit_once(':') {
        // Whatever ends a host in a URI would dial something else.
        Some((host, port)) if !host.is_empty() && !host.contains(['/', '?', '#', '@']) => port
            .parse::<u16>()
            .map(|_| text.to_owned())
            .map_err(|error| error.to_string()),
        _ => Err("not HOST:PORT".to_owned()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number <= 86_400.0 => Ok(Duration::from_secs_f64(number)),
        _ => Err("no number of seconds".to_owned()),
    }
}
