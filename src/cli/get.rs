//! `clave-otp get`: one delivery as it is; and, for `clave-otp watch`, as it changes.

use std::process::ExitCode;

use clap::Args;

use super::{
    client::{ClientArgs, explain, failed},
    follow,
};
use crate::grpc::proto::GetDeliveryRequest;

/// Shows one delivery.
#[derive(Debug, Args)]
pub struct GetArgs {
    /// Its name, deliveries/{id}; the bare id will do.
    name: String,
    #[command(flatten)]
    client: ClientArgs,
}

impl GetArgs {
    /// Prints the delivery as it is.
    pub async fn get(self) -> ExitCode {
        show(self.name, self.client, false).await
    }
}

/// Prints the delivery as it is and, where it is watched, each change until it is final.
pub(super) async fn show(name: String, args: ClientArgs, watch: bool) -> ExitCode {
    let mut client = match args.connect().await {
        Ok(client) => client,
        Err(problem) => return failed(&problem),
    };
    let name = if name.contains('/') {
        name
    } else {
        format!("deliveries/{name}")
    };
    let delivery = match client.get_delivery(GetDeliveryRequest { name }).await {
        Ok(response) => response.into_inner().delivery.unwrap_or_default(),
        Err(status) => return failed(&explain(&status)),
    };
    args.print(&delivery, false);
    if watch {
        follow::follow(&mut client, &args, delivery).await
    } else {
        ExitCode::SUCCESS
    }
}
