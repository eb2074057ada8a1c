//! What the service tells in the end: every delivery, and every change of each since the first life.
//!
//! Must not know: what is made of it.

use std::{collections::HashMap, time::Duration};

use super::callers::Client;
use crate::grpc::proto::{Delivery, DeliveryState, ListDeliveriesRequest, WatchDeliveriesRequest};

/// How often the deliveries without an end are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Longest wait for one more change that must be in the log.
const NEXT_CHANGE: Duration = Duration::from_secs(20);

/// Returns when each delivery has an end, or patience has: those that have none in time are judged as they are.
pub(super) async fn until_all_have_ended(
    mut client: Client,
    patience: Duration,
) -> Result<(), String> {
    let open = ListDeliveriesRequest {
        states: vec![
            DeliveryState::Accepted.into(),
            DeliveryState::Sending.into(),
        ],
        page_size: 1,
        ..ListDeliveriesRequest::default()
    };
    let all_have_ended = async {
        while !page(&mut client, open.clone()).await?.0.is_empty() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok::<_, String>(())
    };
    match tokio::time::timeout(patience, all_have_ended).await {
        Ok(ended) => ended,
        Err(_) => Ok(()),
    }
}

/// Every delivery in the store.
pub(super) async fn everything(mut client: Client) -> Result<Vec<Delivery>, String> {
    let mut all = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListDeliveriesRequest {
            page_size: 1000,
            page_token,
            ..ListDeliveriesRequest::default()
        };
        let (deliveries, next) = page(&mut client, request).await?;
        all.extend(deliveries);
        if next.is_empty() {
            return Ok(all);
        }
        page_token = next;
    }
}

async fn page(
    client: &mut Client,
    request: ListDeliveriesRequest,
) -> Result<(Vec<Delivery>, String), String> {
    let listed = client
        .list_deliveries(request)
        .await
        .map_err(|status| format!("the deliveries cannot be listed: {status}"))?
        .into_inner();
    Ok((listed.deliveries, listed.next_page_token))
}

/// Every change behind this place, in order, until each delivery has been told as it is stored, or nothing more comes.
pub(super) async fn changes_since(
    mut client: Client,
    resume_token: String,
    stored: &[Delivery],
) -> Result<Vec<Delivery>, String> {
    let failed = |status| format!("the changes cannot be watched: {status}");
    let request = WatchDeliveriesRequest {
        resume_token,
        ..WatchDeliveriesRequest::default()
    };
    let watched = client.watch_deliveries(request).await.map_err(failed)?;
    let mut watched = watched.into_inner();
    let mut untold: HashMap<&str, &Delivery> = stored
        .iter()
        .map(|delivery| (delivery.name.as_str(), delivery))
        .collect();
    let mut changes = Vec::new();
    while !untold.is_empty() {
        let Ok(next) = tokio::time::timeout(NEXT_CHANGE, watched.message()).await else {
            break;
        };
        let Some(change) = next.map_err(failed)?.and_then(|change| change.delivery) else {
            continue;
        };
        let is_last = |stored: &&Delivery| {
            stored.state == change.state && stored.update_time == change.update_time
        };
        if untold.get(change.name.as_str()).is_some_and(is_last) {
            untold.remove(change.name.as_str());
        }
        changes.push(change);
    }
    Ok(changes)
}
