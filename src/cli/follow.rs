//! Following one delivery until it is final, for `send` and `watch`.

use std::process::ExitCode;

use super::client::{Client, ClientArgs, explain, failed};
use crate::grpc::proto::{Delivery, DeliveryState, WatchDeliveryRequest};

/// Prints each change after `last`; success when the gateway took the code.
pub(super) async fn follow(client: &mut Client, args: &ClientArgs, mut last: Delivery) -> ExitCode {
    let name = last.name.clone();
    let mut changes = match client.watch_delivery(WatchDeliveryRequest { name }).await {
        Ok(stream) => stream.into_inner(),
        Err(status) => return failed(&explain(&status)),
    };
    loop {
        match changes.message().await {
            Ok(Some(response)) => {
                let Some(delivery) = response.delivery else {
                    continue;
                };
                if delivery != last {
                    args.print(&delivery, false);
                    last = delivery;
                }
            }
            Ok(None) => return exit_code(&last),
            Err(status) => return failed(&explain(&status)),
        }
    }
}

/// Success only for what went out for sure.
fn exit_code(delivery: &Delivery) -> ExitCode {
    match delivery.state() {
        DeliveryState::Sent | DeliveryState::Delivered => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
