//! `WatchDeliveries`: a watcher's changes as a stream of messages, which a client that does not read cannot hold up.

use std::pin::Pin;

use futures_util::{Stream, stream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::{
    Services,
    answer::{Answer, refuse, refuse_all},
    convert::{to_proto_delivery, watch_request},
    proto::{WatchDeliveriesRequest, WatchDeliveriesResponse},
    refusals,
};
use crate::{
    intake::Refusal,
    status::{Told, WatchPlace, Watched, Watching},
};

/// Messages made ahead of what the connection takes.
const AHEAD: usize = 16;

type Message = Result<WatchDeliveriesResponse, Status>;

pub(super) type WatchDeliveriesStream = Pin<Box<dyn Stream<Item = Message> + Send>>;

/// Begins to tell a caller of all changes that it may see.
pub(super) async fn all(
    services: &Services,
    request: &Request<WatchDeliveriesRequest>,
) -> Answer<WatchDeliveriesStream> {
    let caller = services.admit(request)?;
    let message = request.get_ref();
    let administration = watch_request(message).map_err(refuse_all)?;
    let token = Some(message.resume_token.as_str()).filter(|token| !token.is_empty());
    let place = services
        .watch_places
        .take(Watched::All, &caller.name)
        .map_err(refuse)?;
    let watching = services
        .feed
        .watch(&caller, administration, token)
        .await
        .map_err(refuse)?;
    Ok(Response::new(stream_of(
        watching,
        place,
        services.stop.clone(),
    )))
}

/// The transport asks for a message only when its client takes one, so the watcher is followed beside it: it gives its place
/// back as soon as it is cut off, however long the client takes to learn of that.
fn stream_of(
    watching: Watching,
    place: WatchPlace,
    stop: CancellationToken,
) -> WatchDeliveriesStream {
    let (sender, mut receiver) = mpsc::channel(AHEAD + 1);
    // One place is kept for the last word: there must be room for it when there is none for anything else.
    let last_word = sender.clone().try_reserve_owned();
    tokio::spawn(async move {
        let _place = place;
        let end = follow(watching, &sender, &stop).await;
        if let (Some(status), Ok(last_word)) = (end, last_word) {
            last_word.send(Err(status));
        }
    });
    Box::pin(stream::poll_fn(move |context| receiver.poll_recv(context)))
}

/// Tells the watcher's changes until it ends; `None` when the client has left.
async fn follow(
    mut watching: Watching,
    sender: &mpsc::Sender<Message>,
    stop: &CancellationToken,
) -> Option<Status> {
    loop {
        let told = tokio::select! {
            biased;
            () = sender.closed() => return None,
            () = stop.cancelled() => return Some(refusals::status(&Refusal::ShuttingDown)),
            told = watching.next() => match told {
                Ok(told) => told,
                Err(error) => return Some(refuse(error)),
            },
        };
        // What is in hand when the watcher is cut off has not been told: the token of what was told before brings it again.
        tokio::select! {
            biased;
            room = sender.reserve() => room.ok()?.send(Ok(to_proto(&told))),
            () = stop.cancelled() => return Some(refusals::status(&Refusal::ShuttingDown)),
            error = watching.until_overrun() => return Some(refuse(error)),
        }
    }
}

fn to_proto(told: &Told) -> WatchDeliveriesResponse {
    WatchDeliveriesResponse {
        delivery: told.delivery().map(to_proto_delivery),
        resume_token: told.token.to_string(),
    }
}
