//! `clave-otp certified`: a gRPC client for people that sends certified messages and contracts and asks what became of them.

mod library;
mod messages;
mod words;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use tonic::{Status, transport::Channel};

use super::client::{ClientArgs, explain, failed};
use crate::grpc::proto::certified_message_service_client::CertifiedMessageServiceClient;

/// Sends certified SMS and contracts through a Mensatek account, and asks what became of them.
#[derive(Debug, Args)]
pub struct CertifiedArgs {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    Send(messages::SendArgs),
    /// Shows a message as it is known to the service.
    Get(messages::NameArgs),
    /// Withdraws a message that waits for its time, and what waits in its group.
    Cancel(messages::NameArgs),
    Reschedule(messages::RescheduleArgs),
    /// Asks the platform what has become of a message.
    Report(messages::NameArgs),
    Download(library::DownloadArgs),
    Upload(library::UploadArgs),
    /// Lists the files of the account's library.
    Files(library::WhoseArgs),
    DeleteFile(library::DeleteArgs),
    /// Asks how much credit the account has.
    Balance(library::WhoseArgs),
    Watch(messages::WatchArgs),
}

/// Files go whole, in one message; the service has the last word on their size.
const MOST_BYTES: usize = 64 * 1024 * 1024;

type Client = CertifiedMessageServiceClient<Channel>;

/// What went wrong, in words.
type Done = Result<(), String>;

impl CertifiedArgs {
    /// Runs the command.
    pub async fn run(self) -> ExitCode {
        let channel = match self.client.channel().await {
            Ok(channel) => channel,
            Err(problem) => return failed(&problem),
        };
        let client = Client::new(channel).max_encoding_message_size(MOST_BYTES);
        let out = words::Out(self.client.format);
        let done = match self.command {
            Command::Send(arguments) => arguments.run(client, out).await,
            Command::Get(arguments) => arguments.get(client, out).await,
            Command::Cancel(arguments) => arguments.cancel(client, out).await,
            Command::Reschedule(arguments) => arguments.run(client, out).await,
            Command::Report(arguments) => arguments.report(client, out).await,
            Command::Download(arguments) => arguments.run(client).await,
            Command::Upload(arguments) => arguments.run(client, out).await,
            Command::Files(arguments) => arguments.files(client, out).await,
            Command::DeleteFile(arguments) => arguments.run(client).await,
            Command::Balance(arguments) => arguments.balance(client, out).await,
            Command::Watch(arguments) => arguments.run(client, out).await,
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(problem) => failed(&problem),
        }
    }
}

/// A refusal in words, with what the platform says of it.
fn told(status: &Status) -> String {
    use tonic_types::StatusExt as _;
    let details = status.get_error_details();
    let detail = details
        .error_info()
        .and_then(|info| info.metadata.get("gateway_detail").cloned());
    match detail {
        Some(detail) => format!("{}: {detail}", explain(status)),
        None => explain(status),
    }
}

/// The resource name; the bare id will do.
fn full_name(name: &str) -> String {
    if name.contains('/') {
        name.to_owned()
    } else {
        format!("certifiedMessages/{name}")
    }
}

/// `accounts/{id}`; the bare id will do.
fn full_account(account: &str) -> String {
    if account.is_empty() || account.contains('/') {
        account.to_owned()
    } else {
        format!("accounts/{account}")
    }
}
