//! Asks the server for a user.
//!
//! Run as: client HOST:PORT CA_FILE

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use tonic::Request;
use tonic::transport::{ClientTlsConfig, Endpoint};
use users::user_service_client::UserServiceClient;
use users::{GetUserRequest, User};

const TOKEN: &str = "opens-nothing-5ec4e705";

fn tls(_: &str) -> Result<ClientTlsConfig, Box<dyn Error>> {
    Ok(ClientTlsConfig::new().with_native_roots())
}

async fn get_user(target: &str, ca_file: &str) -> Result<User, Box<dyn Error>> {
    let endpoint = Endpoint::from_shared(format!("https://{target}"))?.tls_config(tls(ca_file)?)?;
    let mut request = Request::new(GetUserRequest { id: 1 });
    let bearer = format!("Bearer {TOKEN}").parse()?;
    request.metadata_mut().insert("authorization", bearer);
    request.set_timeout(Duration::from_secs(5));
    let mut client = UserServiceClient::new(endpoint.connect().await?);
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
