//! `clave-otp watch`: one delivery until it is final, or all of them as they change.

use std::process::ExitCode;

use clap::Args;

use super::{
    client::{ClientArgs, Format, as_json, explain, failed},
    get,
};
use crate::grpc::proto::{WatchDeliveriesRequest, WatchDeliveriesResponse};

/// Follows one delivery until it is final; without a name, every change of all of them.
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// Its name, deliveries/{id}; the bare id will do. Without it all deliveries are followed.
    name: Option<String>,
    /// DIR3 code: follows this administration's deliveries alone.
    #[arg(long, default_value = "", conflicts_with = "name")]
    administration: String,
    /// Goes on behind this token of an earlier watch; otherwise with the changes from now on.
    #[arg(long, default_value = "", conflicts_with = "name")]
    resume_token: String,
    #[command(flatten)]
    client: ClientArgs,
}

impl WatchArgs {
    /// Prints what changes, until the delivery is final or the watch is ended.
    pub async fn run(self) -> ExitCode {
        match self.name {
            Some(name) => get::show(name, self.client, true).await,
            None => self.all().await,
        }
    }

    async fn all(self) -> ExitCode {
        let mut client = match self.client.connect().await {
            Ok(client) => client,
            Err(problem) => return failed(&problem),
        };
        let mut token = self.resume_token.clone();
        let request = WatchDeliveriesRequest {
            administration: self.administration,
            resume_token: self.resume_token,
        };
        let mut changes = match client.watch_deliveries(request).await {
            Ok(stream) => stream.into_inner(),
            Err(status) => return failed(&explain(&status)),
        };
        loop {
            match changes.message().await {
                Ok(Some(message)) => {
                    print(&self.client, &message);
                    token = message.resume_token;
                }
                Ok(None) => return failed(&go_on("the watch ended", &token)),
                Err(status) => return failed(&go_on(&explain(&status), &token)),
            }
        }
    }
}

/// People see what changed; programs see each token too, so that they can go on behind what they have dealt with.
fn print(client: &ClientArgs, message: &WatchDeliveriesResponse) {
    match (client.format, &message.delivery) {
        (Format::Text, Some(delivery)) => client.print(delivery, false),
        (Format::Text, None) => {}
        (Format::Json, delivery) => {
            let mut line = delivery.as_ref().map_or_else(
                || serde_json::Value::Object(serde_json::Map::new()),
                |delivery| as_json(delivery, false),
            );
            line["resume_token"] = message.resume_token.as_str().into();
            println!("{line}");
        }
    }
}

fn go_on(problem: &str, token: &str) -> String {
    if token.is_empty() {
        return problem.to_owned();
    }
    format!("{problem}\n  to go on without a gap: clave-otp watch --resume-token {token}")
}
