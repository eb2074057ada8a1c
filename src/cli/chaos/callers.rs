//! The callers: several at once, each with its own requests; they ask again with the same `request_id` whenever a call
//! breaks, and write down what they were told.
//!
//! Must not know: when and how the service dies, the platform.

use std::{
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::{OptionFuture, join, join_all};
use tokio::{
    sync::{Semaphore, SemaphorePermit, watch},
    task::JoinSet,
};
use tonic::{Request, Status, transport::Channel};
use tonic_types::StatusExt as _;

use super::{
    asked::{Answer, Asked, CancelTold, Told},
    chance::{Chance, Purpose},
    citizens::{self, Citizen},
};
use crate::{
    clock::{Clock, SystemClock},
    grpc::proto::{
        CancelDeliveryRequest, CreateDeliveryRequest,
        delivery_service_client::DeliveryServiceClient,
    },
};

pub(super) type Client = DeliveryServiceClient<Channel>;

/// Callers at one time.
const CALLERS: usize = 8;
/// Longest wait for one answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Rest before a broken call is repeated to a service that seems to be there.
const REST: Duration = Duration::from_millis(30);
/// Rest of a caller between its requests, in milliseconds.
const REST_BETWEEN: RangeInclusive<u64> = 0..=40;
/// Most requests that are allowed and have not begun.
const MOST_WAITING: usize = 200;

/// What all callers share.
#[derive(Debug)]
struct Room {
    seed: u64,
    next: AtomicU64,
    /// One permit for each request that may be begun.
    allowed: Semaphore,
    service: watch::Receiver<Option<Client>>,
    clock: SystemClock,
}

/// The callers, at work.
#[derive(Debug)]
pub(super) struct Callers {
    room: Arc<Room>,
    service: watch::Sender<Option<Client>>,
    tasks: JoinSet<Vec<Asked>>,
}

impl Callers {
    /// They wait until they are let in and a service is there.
    pub(super) fn start(seed: u64) -> Self {
        let (service, served) = watch::channel(None);
        let room = Arc::new(Room {
            seed,
            next: AtomicU64::new(0),
            allowed: Semaphore::new(0),
            service: served,
            clock: SystemClock::new(),
        });
        let mut tasks = JoinSet::new();
        for _ in 0..CALLERS {
            tasks.spawn(Arc::clone(&room).work());
        }
        Self {
            room,
            service,
            tasks,
        }
    }

    /// Lets so many more requests begin; fewer where many have not begun yet, as on a busy machine.
    pub(super) fn allow(&self, requests: u64) {
        let room = MOST_WAITING.saturating_sub(self.room.allowed.available_permits());
        let permits = usize::try_from(requests).unwrap_or(usize::MAX).min(room);
        self.room.allowed.add_permits(permits);
    }

    /// Tells everyone where the service is, or that it is gone.
    pub(super) fn serve(&self, client: Option<Client>) {
        self.service.send_replace(client);
    }

    /// Returns what they were told when every request that was allowed has come to its end.
    pub(super) async fn finish(mut self) -> Vec<Asked> {
        while self.room.allowed.available_permits() > 0 {
            tokio::time::sleep(REST).await;
        }
        self.room.allowed.close();
        let mut book = Vec::new();
        while let Some(done) = self.tasks.join_next().await {
            // A caller that panicked has told so; its requests are then missing in the book, and the judge sees them.
            book.extend(done.unwrap_or_default());
        }
        book.sort_by_key(|asked| asked.number);
        book
    }
}

impl Room {
    async fn work(self: Arc<Self>) -> Vec<Asked> {
        let mut book = Vec::new();
        while let Ok(permit) = self.allowed.acquire().await {
            permit.forget();
            let citizen = Citizen::of(self.seed, self.next.fetch_add(1, Ordering::Relaxed));
            // A second code counts as a request of its own, so there may be none left for it.
            let second = citizen.second.filter(|_| {
                self.allowed
                    .try_acquire()
                    .map(SemaphorePermit::forget)
                    .is_ok()
            });
            let second = second.map(async |second| {
                tokio::time::sleep(second.after).await;
                self.ask(&citizen, true).await
            });
            let (first, second) = join(self.ask(&citizen, false), OptionFuture::from(second)).await;
            book.push(first);
            book.extend(second);
            // Without a rest all would come at once, and go out in one request.
            let rest =
                Chance::of(self.seed, Purpose::Rest, citizen.index).milliseconds(REST_BETWEEN);
            tokio::time::sleep(rest).await;
        }
        book
    }

    /// One request from its first call to the last word about it.
    async fn ask(&self, citizen: &Citizen, second: bool) -> Asked {
        let number = citizen.number(second);
        let mut chance = Chance::of(self.seed, Purpose::Caller, number);
        let (request, mut asked) =
            citizens::request(self.seed, citizen, second, &mut chance, self.clock.now());
        let copies = if chance.percent(15) {
            chance.among(2..=4)
        } else {
            1
        };
        let racing = (0..copies).map(|copy| {
            let chance = Chance::of(chance.clone().next(), Purpose::Caller, copy);
            self.persist(request.clone(), chance)
        });
        for answer in join_all(racing).await {
            asked.note(answer);
        }
        if asked.told != Told::Ok {
            return asked;
        }
        if chance.percent(8) {
            let again = self.persist(request.clone(), chance.clone()).await;
            asked.note(again);
        }
        if chance.percent(8) {
            let other = CreateDeliveryRequest {
                code: "OTHER7".into(),
                ..request
            };
            asked.reuse_was_taken = matches!(self.create(other).await, Answer::Ok(..));
        }
        if chance.percent(12) {
            asked.cancelled = self.cancel(&asked).await;
        }
        asked
    }

    /// Asks until there is an answer; now and then gives up after a broken call, as callers do.
    async fn persist(&self, request: CreateDeliveryRequest, mut chance: Chance) -> Answer {
        loop {
            let answer = self.create(request.clone()).await;
            if answer != Answer::Broken || chance.percent(6) {
                return answer;
            }
            tokio::time::sleep(REST).await;
        }
    }

    async fn create(&self, request: CreateDeliveryRequest) -> Answer {
        let mut client = self.client().await;
        let answered = client.create_delivery(in_time(request)).await;
        match answered.map(|response| response.into_inner().delivery) {
            Ok(delivery) => Answer::Ok(delivery.unwrap_or_default().name, self.clock.now()),
            Err(status) => reason_of(&status).map_or(Answer::Broken, Answer::Refused),
        }
    }

    async fn cancel(&self, asked: &Asked) -> CancelTold {
        let Some(name) = asked.names.first() else {
            return CancelTold::NotAsked;
        };
        let mut client = self.client().await;
        let request = CancelDeliveryRequest { name: name.clone() };
        match client.cancel_delivery(in_time(request)).await {
            Ok(_) => CancelTold::Ok,
            Err(status) if reason_of(&status).is_some() => CancelTold::Refused,
            Err(_) => CancelTold::Nothing,
        }
    }

    /// Waits until there is a service.
    async fn client(&self) -> Client {
        let mut service = self.service.clone();
        loop {
            if let Some(client) = service.borrow_and_update().clone() {
                return client;
            }
            if service.changed().await.is_err() {
                // The run is over: the driver ends its callers.
                std::future::pending::<()>().await;
            }
        }
    }
}

fn in_time<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(CALL_TIMEOUT);
    request
}

/// The reason why the service has surely not done it; none where the call broke on its way, or where the service itself cannot say:
/// behind a store that is too slow it may still be done (docs/ERRORS.md).
fn reason_of(status: &Status) -> Option<String> {
    let details = status.get_error_details();
    details
        .error_info()
        .filter(|info| info.domain == "clave-otp" && info.reason != "STORE_UNAVAILABLE")
        .map(|info| info.reason.clone())
}
