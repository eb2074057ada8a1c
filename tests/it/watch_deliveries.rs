//! Whoever watches all deliveries sees every change once and in order, whatever ends in between.

use std::{collections::HashMap, path::Path, sync::Arc, time::Duration};

use clave_otp::{
    clock::{Clock as _, ManualClock, SystemClock},
    grpc::proto::{
        Delivery, DeliveryState, WatchDeliveriesRequest, WatchDeliveriesResponse,
        delivery_service_client::DeliveryServiceClient,
    },
    simulator::{Action, Gate, Match, Script},
};
use tonic::{
    Code, Status, Streaming,
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt as _;

use crate::support::{
    BARCELONA, Files, MADRID, TestApp, platform, process::Process, reason_of, request, request_at,
    request_to, soon,
};

pub(crate) type Client = DeliveryServiceClient<Channel>;

/// A client that watches: what it has dealt with, and the token of the last of it.
pub(crate) struct Watcher {
    stream: Streaming<WatchDeliveriesResponse>,
    pub(crate) token: String,
}

impl Watcher {
    pub(crate) async fn begin(
        client: &Client,
        administration: &str,
        token: &str,
    ) -> Result<Self, Status> {
        let request = WatchDeliveriesRequest {
            administration: administration.into(),
            resume_token: token.into(),
        };
        let mut client = client.clone();
        let mut stream = soon(client.watch_deliveries(request)).await?.into_inner();
        let first = soon(stream.message()).await?.unwrap();
        assert_eq!(first.delivery, None, "a watch begins with a token alone");
        assert!(token.is_empty() || token == first.resume_token);
        Ok(Self {
            stream,
            token: first.resume_token,
        })
    }

    async fn message(&mut self) -> Result<WatchDeliveriesResponse, Status> {
        let message = soon(self.stream.message()).await?;
        let message = message.expect("a watch ends with a status");
        self.token.clone_from(&message.resume_token);
        Ok(message)
    }

    async fn next(&mut self) -> Result<Delivery, Status> {
        loop {
            if let Some(delivery) = self.message().await?.delivery {
                return Ok(delivery);
            }
        }
    }

    /// So many changes, each as name and state.
    pub(crate) async fn take(&mut self, changes: usize) -> Seen {
        let mut seen = Vec::new();
        while seen.len() < changes {
            seen.push(as_seen(&self.next().await.unwrap()));
        }
        seen
    }

    /// Why it ends, and what came before.
    async fn end(mut self) -> (Seen, Status, String) {
        let mut seen = Vec::new();
        loop {
            match self.next().await {
                Ok(delivery) => seen.push(as_seen(&delivery)),
                Err(status) => return (seen, status, self.token),
            }
        }
    }
}

pub(crate) type Seen = Vec<(String, DeliveryState)>;

fn as_seen(delivery: &Delivery) -> (String, DeliveryState) {
    (delivery.name.clone(), delivery.state())
}

/// The whole log as it is on the disk.
pub(crate) fn logged(files: &Files) -> Seen {
    let path = files.path("data/clave-otp.db");
    let database = rusqlite::Connection::open(Path::new(&path)).unwrap();
    let mut statement = database
        .prepare("SELECT d.id, c.state FROM changes c JOIN deliveries d ON d.seq = c.delivery ORDER BY c.seq")
        .unwrap();
    let rows = statement.query_map([], |row| {
        let id = clave_otp::domain::DeliveryId::from_bytes(row.get(0)?);
        // The numbers are the same on the wire and in the store.
        let state = DeliveryState::try_from(row.get::<_, i32>(1)?).unwrap();
        Ok((id.name(), state))
    });
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

async fn app_with(section: &str, keys: &str) -> TestApp {
    let clock = Arc::new(SystemClock::new());
    TestApp::start_with(Script::new(), clock, |files| {
        files.change("service.toml", section, &format!("{section}\n{keys}"));
    })
    .await
}

async fn send(client: &Client, deliveries: u32) {
    for citizen in 0..deliveries {
        let mut client = client.clone();
        soon(client.create_delivery(request_to(citizen)))
            .await
            .unwrap();
    }
}

async fn refused(client: &Client, administration: &str, token: &str) -> Status {
    match Watcher::begin(client, administration, token).await {
        Ok(_) => panic!("it was not refused"),
        Err(status) => status,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_told_once_and_in_order_each_with_a_token_of_its_own() {
    use DeliveryState::{Accepted, Sending, Sent};
    let app = TestApp::start(Script::new()).await;
    send(&app.client, 2).await;
    let client = app.client.clone();
    let mut watcher = Watcher::begin(&client, "", "").await.unwrap();
    let mut tokens = vec![watcher.token.clone()];
    send(&client, 5).await;
    let mut ways: HashMap<String, Vec<DeliveryState>> = HashMap::new();
    // Changes of the two from before may come too: from now on is from now on.
    while ways
        .values()
        .filter(|way| **way == [Accepted, Sending, Sent])
        .count()
        < 5
    {
        let delivery = watcher.next().await.unwrap();
        tokens.push(watcher.token.clone());
        let state = delivery.state();
        ways.entry(delivery.name).or_default().push(state);
    }
    let told = tokens.len();
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), told);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_is_the_delivery_as_each_change_left_it_without_anything_secret() {
    let mut app = TestApp::start(Script::new()).await;
    let mut watcher = Watcher::begin(&app.client, MADRID, "").await.unwrap();
    let accepted = app.accepted(request()).await;
    assert_eq!(watcher.next().await.unwrap(), accepted);
    let sending = watcher.next().await.unwrap();
    assert_eq!(
        (sending.state(), sending.attempts),
        (DeliveryState::Sending, 1)
    );
    let sent = watcher.next().await.unwrap();
    assert_eq!(sent, app.get(&accepted.name).await);
    let printed = format!("{sending:?} {sent:?} {}", watcher.token);
    assert!(!printed.contains("748291") && !printed.contains("600000001"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_comes_back_goes_on_without_gap_or_repeat_over_many_changes() {
    let mut app = TestApp::start(Script::new()).await;
    let mut watcher = Watcher::begin(&app.client, "", "").await.unwrap();
    send(&app.client, 3).await;
    let mut seen = watcher.take(4).await;
    let token = watcher.token.clone();
    drop(watcher);
    // Far more than a page of the log, and more come while it is read.
    send(&app.client, 300).await;
    let mut watcher = Watcher::begin(&app.client, "", &token).await.unwrap();
    send(&app.client, 10).await;
    seen.extend(watcher.take(313 * 3 - 4).await);
    assert_eq!(app.ends(request()).await.state(), DeliveryState::Sent);
    seen.extend(watcher.take(3).await);
    let (files, _simulator) = app.stop().await;
    assert!(seen == logged(&files), "a gap, a repeat, or another order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_comes_back_again_and_again_while_changes_come_finds_no_seam() {
    let app = TestApp::start(Script::new()).await;
    let client = app.client.clone();
    let mut token = Watcher::begin(&client, "", "").await.unwrap().token;
    let sending = tokio::spawn(async move { send(&client, 300).await });
    // Each time it catches up from the log and changes over to the feed.
    let (mut seen, mut visit) = (Seen::new(), 0);
    while seen.len() < 900 {
        let mut watcher = Watcher::begin(&app.client, "", &token).await.unwrap();
        let left = 900 - seen.len();
        seen.extend(watcher.take(left.min(visit % 7)).await);
        token = watcher.token;
        visit += 1;
    }
    sending.await.unwrap();
    let (files, _simulator) = app.stop().await;
    assert!(seen == logged(&files), "a seam in {visit} visits");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_killed_and_one_that_is_stopped_leave_neither_gap_nor_repeat() {
    let gate = Gate::new();
    let script = Script::new().on(Match::request(1), Action::Hold(gate.clone()));
    let simulator = platform(script).await;
    let files = Files::write(&simulator.endpoint());
    let service = Process::start(&files).await;
    let mut watcher = Watcher::begin(&service.client, "", "").await.unwrap();
    // One is being sent and two wait behind it when the process is killed.
    service.create(request_to(1)).await.unwrap();
    soon(simulator.ledger().until_held(1)).await;
    service.create(request_to(2)).await.unwrap();
    service.create(request_to(3)).await.unwrap();
    let mut seen = watcher.take(2).await;
    let token = watcher.token.clone();
    service.signal("KILL");
    service.ended().await;

    // The next process calls the first uncertain and sends the others, while nobody watches.
    let service = Process::start(&files).await;
    let delivery = service.create(request_to(4)).await.unwrap();
    soon(service.follow(&delivery.name)).await;
    let mut watcher = Watcher::begin(&service.client, "", &token).await.unwrap();
    seen.extend(watcher.take(3).await);
    service.signal("TERM");
    let (more, status, token) = watcher.end().await;
    seen.extend(more);
    assert_eq!(reason_of(&status), "SHUTTING_DOWN");
    assert_eq!(status.code(), Code::Unavailable);
    service.ended().await;

    let service = Process::start(&files).await;
    let mut watcher = Watcher::begin(&service.client, "", &token).await.unwrap();
    service.create(request_to(5)).await.unwrap();
    let all = 3 * 5;
    seen.extend(watcher.take(all - seen.len()).await);
    service.stop().await;
    assert!(seen.contains(&(seen[0].0.clone(), DeliveryState::Uncertain)));
    assert_eq!(seen, logged(&files));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_sees_what_it_asks_for_and_a_caller_only_what_it_is_listed_for() {
    let mut app = TestApp::start(Script::new()).await;
    let mut madrid = Watcher::begin(&app.client, MADRID, "").await.unwrap();
    let token = madrid.token.clone();
    let barcelona = clave_otp::grpc::proto::CreateDeliveryRequest {
        administration: BARCELONA.into(),
        ..request_to(2)
    };
    app.ends(barcelona).await;
    let of_madrid = app.ends(request_to(1)).await.name;
    let told = madrid.take(3).await;
    assert!(told.iter().all(|(name, _)| *name == of_madrid), "{told:?}");

    let (files, simulator) = app.stop().await;
    let listed = format!("administrations = [\"{MADRID}\"]");
    files.change("service.toml", "administrations = [\"*\"]", &listed);
    let app = TestApp::start_on(files, simulator, Arc::new(SystemClock::new())).await;
    // A token is a place and gives no right.
    let mut all = Watcher::begin(&app.client, "", &token).await.unwrap();
    assert_eq!(all.take(3).await, told);
    for (administration, token) in [(BARCELONA, ""), (BARCELONA, &token), ("L01061134", "")] {
        let status = refused(&app.client, administration, token).await;
        assert_eq!(status.code(), Code::PermissionDenied);
        assert_eq!(reason_of(&status), "ADMINISTRATION_NOT_AVAILABLE");
    }
    let (files, simulator) = app.stop().await;
    files.change("service.toml", "\"sender\", ", "");
    let app = TestApp::start_on(files, simulator, Arc::new(SystemClock::new())).await;
    let status = refused(&app.client, "", "").await;
    assert_eq!(reason_of(&status), "ADMINISTRATION_NOT_AVAILABLE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_installation_or_of_no_one_is_refused_as_a_wrong_field() {
    let (app, other) = (
        TestApp::start(Script::new()).await,
        TestApp::start(Script::new()).await,
    );
    let foreign = Watcher::begin(&other.client, "", "").await.unwrap().token;
    let own = Watcher::begin(&app.client, "", "").await.unwrap().token;
    let beyond = format!("{}-7-1", own.rsplitn(3, '-').nth(2).unwrap());
    for token in [&foreign, &beyond, "1", &"x".repeat(10_000)] {
        let status = refused(&app.client, "", token).await;
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(reason_of(&status), "INVALID_FIELD");
        let details = status.get_error_details();
        let violations = &details.bad_request().unwrap().field_violations;
        assert_eq!(violations[0].field, "resume_token");
    }
    let malformed = refused(&app.client, "Madrid", "").await;
    let details = malformed.get_error_details();
    let violations = &details.bad_request().unwrap().field_violations;
    assert_eq!(violations[0].field, "administration");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_older_than_the_log_is_refused_and_silence_brings_newer_ones() {
    let clock = ManualClock::at(SystemClock::new().now());
    let keys = "[delivery]\nchanges_kept_hours = 1\n\n[administrations]";
    let app = TestApp::start_with(Script::new(), Arc::new(clock.clone()), |files| {
        files.change("service.toml", "[administrations]", keys);
    });
    let mut app = app.await;
    let mut barcelona = Watcher::begin(&app.client, BARCELONA, "").await.unwrap();
    let old = barcelona.token.clone();
    let mut madrid = Watcher::begin(&app.client, MADRID, "").await.unwrap();
    app.accepted(request_at(clock.now())).await;
    madrid.take(3).await;
    // Nothing of it concerns Barcelona, but its token must not grow old.
    soon(async {
        loop {
            clock.advance(Duration::from_secs(30));
            let message = barcelona.message().await.unwrap();
            assert_eq!(message.delivery, None);
            if message.resume_token == madrid.token {
                break;
            }
        }
    })
    .await;
    let status = soon(async {
        loop {
            clock.advance(Duration::from_secs(3700));
            match Watcher::begin(&app.client, "", &old).await {
                // Until the old entries are gone, they are told.
                Ok(_) => tokio::task::yield_now().await,
                Err(status) => break status,
            }
        }
    })
    .await;
    assert_eq!(status.code(), Code::OutOfRange);
    assert_eq!(reason_of(&status), "RESUME_TOKEN_EXPIRED");
    let mut watcher = Watcher::begin(&app.client, "", &barcelona.token)
        .await
        .unwrap();
    let name = app.ends(request_at(clock.now())).await.name;
    assert!(watcher.take(3).await.iter().all(|(told, _)| *told == name));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_cut_off_and_resumes_without_a_gap() {
    let app = app_with(
        "[grpc]",
        "watch_buffer = 256\nmax_watchers_of_all = 2\nmax_watchers_of_all_per_caller = 2",
    )
    .await;
    let narrow = Endpoint::from_shared(format!("http://{}", app.grpc))
        .unwrap()
        .initial_stream_window_size(65_535)
        .connect()
        .await
        .unwrap();
    let narrow = Client::new(narrow);
    let slow = Watcher::begin(&narrow, "", "").await.unwrap();
    let mut quick = Watcher::begin(&app.client, "", "").await.unwrap();
    let deliveries = 600;
    let (client, reading) = (app.client.clone(), quick.take(deliveries * 3));
    let sending = async {
        for _ in 0..2 {
            send(&client, 300).await;
        }
    };
    // One that reads is not held up by one that does not.
    let ((), all) = tokio::join!(sending, reading);
    // The slow one has lost its place though it has not read why.
    let (third, status) = begun_after(&app.client, "", "CALLER_LIMIT").await;
    drop(third);
    assert!(status.is_none_or(|status| {
        status.code() == Code::ResourceExhausted
            && status.get_error_details().retry_info().is_some()
    }));
    let (mut seen, status, token) = slow.end().await;
    assert_eq!(reason_of(&status), "WATCHER_TOO_SLOW");
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.get_error_details().retry_info().is_some());
    assert!(!seen.is_empty() && seen.len() < all.len());
    let (mut resumed, _) = begun_after(&narrow, &token, "CALLER_LIMIT").await;
    seen.extend(resumed.take(all.len() - seen.len()).await);
    let (files, _simulator) = app.stop().await;
    assert!(seen == all && seen == logged(&files));
}

/// Begins to watch until that succeeds; with the last refusal, which must be this one. A place comes back a moment after its
/// watcher has gone.
async fn begun_after(client: &Client, token: &str, reason: &str) -> (Watcher, Option<Status>) {
    soon(async {
        let mut last = None;
        loop {
            match Watcher::begin(client, "", token).await {
                Ok(watcher) => return (watcher, last),
                Err(status) => {
                    assert_eq!(reason_of(&status), reason);
                    last = Some(status);
                }
            }
        }
    })
    .await
}

/// The number behind a metric's name and labels; 0 before its first value.
pub(crate) fn metric(page: &str, name: &str) -> u64 {
    let line = page.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0, |value| value.trim().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_watchers_see_every_change_once_and_the_log_is_read_as_for_one() {
    const CHANNELS: usize = 8;
    const WATCHERS: usize = 1000;
    const DELIVERIES: u32 = 20;
    let simulator = platform(Script::new()).await;
    let files = Files::write(&simulator.endpoint());
    let service = Process::start(&files).await;
    let mut watchers = Vec::new();
    for _ in 0..CHANNELS {
        let endpoint = Endpoint::from_shared(service.grpc.clone()).unwrap();
        let client = Client::new(endpoint.connect().await.unwrap());
        for _ in 0..WATCHERS / CHANNELS {
            watchers.push(Watcher::begin(&client, "", "").await.unwrap());
        }
    }
    let (_, before) = service.page("/metrics");
    let watched = "clave_otp_watchers{watched=\"all\",caller=\"test\"} ";
    assert_eq!(metric(&before, watched), WATCHERS as u64);

    let watching = watchers.into_iter().map(|mut watcher| {
        tokio::spawn(async move { watcher.take(DELIVERIES as usize * 3).await })
    });
    let watching: Vec<_> = watching.collect();
    send(&service.client, DELIVERIES).await;
    let mut told = Vec::new();
    for watcher in watching {
        told.push(watcher.await.unwrap());
    }
    let (_, after) = service.page("/metrics");
    service.stop().await;
    let logged = logged(&files);
    assert_eq!(logged.len(), DELIVERIES as usize * 3);
    assert!(told.iter().all(|seen| *seen == logged));
    let pages = |reader: &str| {
        let name = format!("clave_otp_change_pages_read_total{{reader=\"{reader}\"}} ");
        metric(&after, &name) - metric(&before, &name)
    };
    assert!((1..=u64::from(DELIVERIES) * 3).contains(&pages("feed")));
    assert_eq!(pages("watcher"), 0, "nobody read the log for itself");
}
