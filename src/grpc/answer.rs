//! What the services share: answers in time, refusals, names.

use std::{future::Future, sync::Arc};

use tonic::{Request, Response, Status, metadata::MetadataMap};

use super::{Services, entitlements::caller_of, refusals};
use crate::{
    domain::{AccountId, Caller, DeliveryId},
    intake::Refusal,
};

impl Services {
    /// Gives a call that brought no deadline one of ours. `DEADLINE_EXCEEDED` may hide a success: the caller asks again
    /// with the same `request_id`.
    pub(super) async fn in_time<T>(
        &self,
        metadata: &MetadataMap,
        call: impl Future<Output = Answer<T>>,
    ) -> Answer<T> {
        // The transport watches over a deadline that the caller brought.
        if metadata.contains_key("grpc-timeout") {
            return call.await;
        }
        tokio::select! {
            answer = call => answer,
            () = self.clock.sleep(self.default_deadline) => Err(Status::deadline_exceeded(
                "the call took longer than grpc.default_deadline_ms; ask again with the same request_id",
            )),
        }
    }

    /// Who makes a call that begins something, unless the service stops.
    pub(super) fn admit<T>(&self, request: &Request<T>) -> Result<Arc<Caller>, Status> {
        self.refuse_when_stopping()?;
        caller_of(request)
    }

    fn refuse_when_stopping(&self) -> Result<(), Status> {
        if self.stop.is_cancelled() {
            Err(refusals::status(&Refusal::ShuttingDown))
        } else {
            Ok(())
        }
    }
}

pub(super) type Answer<T> = Result<Response<T>, Status>;

/// Logs a refusal and makes its status.
pub(super) fn refuse(refusal: impl Into<Refusal>) -> Status {
    let refusal = refusal.into();
    if let Refusal::StoreUnavailable(error) = &refusal {
        tracing::error!(%error, "grpc: a call was refused because of the store");
    } else {
        tracing::info!(reason = refusal.reason(), "grpc: refused");
    }
    refusals::status(&refusal)
}

/// Answers with the first wrong field's reason and all wrong fields.
pub(super) fn refuse_all(found: Vec<Refusal>) -> Status {
    let mut found = found.into_iter();
    let Some(first) = found.next() else {
        return Status::internal("a field was neither parsed nor refused");
    };
    tracing::info!(reason = first.reason(), "grpc: refused");
    refusals::status_of_all(&first, found.as_slice())
}

/// Parses `deliveries/{id}`.
pub(super) fn parse_delivery(name: &str) -> Result<DeliveryId, Status> {
    DeliveryId::parse_name(name).map_err(|error| refuse(Refusal::field("name", error.to_string())))
}

/// Parses `accounts/{id}`.
pub(super) fn parse_account(name: &str) -> Result<AccountId, Status> {
    name.strip_prefix("accounts/")
        .and_then(|id| AccountId::parse(id).ok())
        .ok_or_else(|| refuse(Refusal::field("name", "must be accounts/{id}")))
}
