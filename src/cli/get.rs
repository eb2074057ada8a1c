//! `clave-otp get` and `clave-otp watch`: one delivery, now or as it changes.

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
        self.run(false).await
    }

    /// Prints the delivery as it is and each change, until it is final.
    pub async fn watch(self) -> ExitCode {
        self.run(true).await
    }

    async fn run(self, watch: bool) -> ExitCode {
        let mut client = match self.client.connect().await {
            Ok(client) => client,
            Err(problem) => return failed(&problem),
        };
        let name = if self.name.contains('/') {
            self.name
        } else {
            format!("deliveries/{}", self.name)
        };
        let delivery = match client.get_delivery(GetDeliveryRequest { name }).await {
            Ok(response) => response.into_inner().delivery.unwrap_or_default(),
            Err(status) => return failed(&explain(&status)),
        };
        self.client.print(&delivery, false);
        if watch {
            follow::follow(&mut client, &self.client, delivery).await
        } else {
            ExitCode::SUCCESS
        }
    }
}
