//! The callers: several at once, each with its own requests; they ask again with the same `request_id` whenever a call
//! breaks, and write down what they were told.
//!
//! Must not know: when and how the service dies, the platform.

use std::{
    collections::BTreeSet,
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
};
use tonic::{Request, Status, transport::Channel};
use tonic_types::StatusExt as _;

use super::{
    chance::{Chance, Purpose},
    installation::{SAMPLES, Sample},
};
use crate::{
    clock::{Clock, SystemClock},
    grpc::proto::{
        self, CancelDeliveryRequest, CreateDeliveryRequest,
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
/// Life of an ordinary code: longer than any run, so that it never expires.
const LONG_LIFE: Duration = Duration::from_secs(29 * 60);
/// First of the numbers, one for each delivery (none of them is asked for anything: no SMS is sent).
pub(super) const FIRST_PHONE: u64 = 600_000_000;

/// What a caller knows in the end of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    Ok,
    /// With this reason.
    Refused(String),
    /// Its calls broke, and it gave up.
    Nothing,
}

/// What a caller knows in the end of its cancellation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CancelTold {
    NotAsked,
    Ok,
    Refused,
    Nothing,
}

/// One request and what was told about it.
#[derive(Debug)]
pub(super) struct Asked {
    /// Its number in the run, which also makes its phone and its reference.
    pub(super) number: u64,
    pub(super) sample: &'static Sample,
    pub(super) code: Code,
    pub(super) expire_time: Timestamp,
    pub(super) told: Told,
    /// Names that an OK brought; more than one is a broken promise.
    pub(super) names: BTreeSet<String>,
    pub(super) cancelled: CancelTold,
    /// Other content under the same `request_id` was taken.
    pub(super) reuse_was_taken: bool,
}

/// A one-time code that does not print itself.
#[derive(Clone)]
pub(super) struct Code(pub(super) String);

impl std::fmt::Debug for Code {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Code")
    }
}

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
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            book.push(self.ask(number).await);
            // Without a rest all would come at once, and go out in one request.
            let rest = Chance::of(self.seed, Purpose::Rest, number).milliseconds(REST_BETWEEN);
            tokio::time::sleep(rest).await;
        }
        book
    }

    /// One request from its first call to the last word about it.
    async fn ask(&self, number: u64) -> Asked {
        let mut chance = Chance::of(self.seed, Purpose::Caller, number);
        let (request, mut asked) = self.request(number, &mut chance);
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
            asked.reuse_was_taken = matches!(self.create(other).await, Answer::Ok(_));
        }
        if chance.percent(12) {
            asked.cancelled = self.cancel(&asked).await;
        }
        asked
    }

    fn request(&self, number: u64, chance: &mut Chance) -> (CreateDeliveryRequest, Asked) {
        let sample = &SAMPLES[usize::from(chance.percent(40))];
        let life = if chance.percent(20) {
            chance.milliseconds(30..=2500)
        } else {
            LONG_LIFE
        };
        // Kept to the microsecond, as the store keeps it.
        let now = self.clock.now().as_microsecond();
        let expire_time = i64::try_from(life.as_micros())
            .ok()
            .and_then(|life| Timestamp::from_microsecond(now + life).ok())
            .unwrap_or(Timestamp::MAX);
        let code = format!("{:06}", chance.among(0..=999_999));
        let high = u128::from(chance.next()) << 64;
        let id = uuid::Builder::from_random_bytes((high | u128::from(chance.next())).to_be_bytes());
        let request = CreateDeliveryRequest {
            request_id: id.into_uuid().to_string(),
            administration: sample.dir3.into(),
            recipient: format!("+34{}", FIRST_PHONE + number),
            code: code.clone(),
            purpose: proto::Purpose::Login.into(),
            language: chance.pick(&["es", "ca", "gl", "eu", "en"]).into(),
            expire_time: Some(prost_types::Timestamp {
                seconds: expire_time.as_second(),
                nanos: expire_time.subsec_nanosecond(),
            }),
            reference: reference(number),
            ..CreateDeliveryRequest::default()
        };
        let asked = Asked {
            number,
            sample,
            code: Code(code),
            expire_time,
            told: Told::Nothing,
            names: BTreeSet::new(),
            cancelled: CancelTold::NotAsked,
            reuse_was_taken: false,
        };
        (request, asked)
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
            Ok(delivery) => Answer::Ok(delivery.unwrap_or_default().name),
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

/// What came of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    /// With the name of the delivery.
    Ok(String),
    /// With this reason.
    Refused(String),
    /// It may have been taken or not.
    Broken,
}

impl Asked {
    /// An OK counts whatever else was told; a refusal counts more than nothing.
    fn note(&mut self, answer: Answer) {
        match answer {
            Answer::Ok(name) => {
                self.told = Told::Ok;
                self.names.insert(name);
            }
            Answer::Refused(reason) if self.told == Told::Nothing => {
                self.told = Told::Refused(reason);
            }
            Answer::Refused(_) | Answer::Broken => {}
        }
    }
}

/// The caller's own id of a request.
pub(super) fn reference(number: u64) -> String {
    format!("chaos-{number}")
}

fn in_time<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(CALL_TIMEOUT);
    request
}

/// The reason that the service gave; none where the call broke on its way.
fn reason_of(status: &Status) -> Option<String> {
    let details = status.get_error_details();
    details
        .error_info()
        .filter(|info| info.domain == "clave-otp")
        .map(|info| info.reason.clone())
}
