//! How many may watch: each kind of watch has places of its own, no caller keeps another out, and a thousand see it all.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, atomic::AtomicUsize, atomic::Ordering},
    time::Duration,
};

use clave_otp::{
    certified::{self, Certified, Events},
    clock::{Clock, SystemClock},
    domain::{Caller, CallerName, Delivery, Role, Scope},
    grpc::{
        self, Callers,
        proto::{DeliveryState, WatchDeliveriesRequest, WatchDeliveryRequest},
    },
    intake::Intake,
    routing::Directory,
    simulator::{Action, Gate, Match, ReportStep, Script},
    status::{AccountStatuses, Feed, FeedSettings, WatchLimits, WatchPlaces},
    store::{Acceptance, CertifiedStore},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, Streaming, transport::Endpoint};
use tonic_types::StatusExt as _;

use crate::reported::speak;
use crate::store::{new_delivery_at, open};
use crate::support::{
    Files, PATIENCE, TestApp, platform, process::Process, reason_of, request, request_to, soon,
};
use crate::watch_deliveries::{Client, metric};

async fn watch_one(
    client: &Client,
    name: &str,
) -> Result<Streaming<grpc::proto::WatchDeliveryResponse>, Status> {
    let request = WatchDeliveryRequest { name: name.into() };
    Ok(client.clone().watch_delivery(request).await?.into_inner())
}

async fn watch_all(
    client: &Client,
) -> Result<Streaming<grpc::proto::WatchDeliveriesResponse>, Status> {
    let request = WatchDeliveriesRequest::default();
    Ok(client.clone().watch_deliveries(request).await?.into_inner())
}

/// A refusal at the limit of one caller says when to try again, and whose limit it is.
fn assert_caller_limit<T>(refused: Result<T, Status>, caller: &str, key: &str) {
    let Err(status) = refused else {
        panic!("it was not refused");
    };
    assert_eq!(reason_of(&status), "CALLER_LIMIT");
    assert_eq!(status.code(), Code::ResourceExhausted);
    let details = status.get_error_details();
    assert!(details.retry_info().is_some());
    let violation = &details.quota_failure().unwrap().violations[0];
    assert_eq!(violation.subject, format!("callers/{caller}"));
    assert!(violation.description.contains(key), "{violation:?}");
}

/// A place comes back a moment after its watch has gone.
async fn once_there_is_a_place<T, F: Future<Output = Result<T, Status>>>(
    mut watch: impl FnMut() -> F,
) -> T {
    soon(async {
        loop {
            match watch().await {
                Ok(watching) => return watching,
                Err(status) => assert_eq!(reason_of(&status), "CALLER_LIMIT"),
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_of_each_kind_have_places_of_their_own_and_give_them_back() {
    let gate = Gate::new();
    let script = Script::new().on(Match::request(1), Action::Hold(gate.clone()));
    let clock = Arc::new(SystemClock::new());
    let keys = "[grpc]\nmax_watchers = 4\nmax_watchers_per_caller = 2\nmax_watchers_of_all = 2";
    let mut app = TestApp::start_with(script, clock, |files| {
        files.change("service.toml", "[grpc]", keys);
    })
    .await;
    let name = app.accepted(request()).await.name;
    let client = app.client.clone();
    let one = watch_one(&client, &name).await.unwrap();
    let _other = watch_one(&client, &name).await.unwrap();
    let refused = watch_one(&client, &name).await;
    assert_caller_limit(refused, "test", "grpc.max_watchers_per_caller");
    // Whoever watches one by one keeps nobody from watching all.
    let all = watch_all(&client).await.unwrap();
    let refused = watch_all(&client).await;
    assert_caller_limit(refused, "test", "grpc.max_watchers_of_all_per_caller");
    drop(one);
    once_there_is_a_place(|| watch_one(&client, &name)).await;
    drop(all);
    once_there_is_a_place(|| watch_all(&client)).await;
    gate.open();
}

/// The services on a port of their own, where everybody is this caller.
async fn served_to(caller: &str, mut services: grpc::Services) -> Client {
    services.callers = Arc::new(Callers::OverLoopback(Some(Arc::new(Caller {
        name: CallerName::parse(caller).unwrap(),
        roles: vec![Role::Sender],
        scope: Scope::All,
    }))));
    let router = grpc::router(services, |routes| routes, grpc::Limits::default()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let limits = grpc::ConnectionLimits {
        max_connections: 10,
        max_handshakes_per_source: 1,
        arrival_timeout: PATIENCE,
        closing: CancellationToken::new(),
        cut: CancellationToken::new(),
    };
    tokio::spawn(router.serve_with_incoming(grpc::accept_within(limits, None, listener)));
    Client::connect(format!("http://{address}")).await.unwrap()
}

/// No account sends certified messages.
fn nothing_certified(
    store: &Arc<dyn CertifiedStore>,
    clock: &Arc<dyn Clock>,
) -> (Certified, Events) {
    let limits = certified::Limits {
        max_in_flight: 1,
        max_recipients: 1,
        max_downloads: 1,
        ask_again_after: Duration::ZERO,
        events_per_message: NonZeroU32::MIN,
    };
    let held = || (store.clone(), clock.clone());
    let events = Events::new(store.clone(), clock.clone(), Duration::from_secs(30));
    (
        Certified::new(&Directory::new([]), [], held(), limits),
        events,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_takes_all_it_may_keeps_no_other_out() {
    let directory = tempfile::tempdir().unwrap();
    let store: Arc<dyn CertifiedStore> = Arc::new(open(directory.path()));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let life = Duration::from_secs(600);
    let new = new_delivery_at(clock.now(), life);
    let Acceptance::Stored(Delivery { id, .. }) = store.accept(new).await.unwrap() else {
        panic!("it was not stored");
    };
    let settings = FeedSettings {
        buffer: 256,
        heartbeat: Duration::from_secs(30),
    };
    let (feed, _tailer) = Feed::new(store.clone(), clock.clone(), settings);
    let (certified, certified_events) = nothing_certified(&store, &clock);
    let limits = WatchLimits {
        most: 4,
        most_per_caller: 3,
    };
    let services = grpc::Services {
        intake: Intake::new(
            Directory::new([]),
            HashMap::new(),
            store.clone(),
            clock.clone(),
            life,
        ),
        accounts: AccountStatuses::new([], store.clone(), clock.clone()),
        status: clave_otp::status::Status::new(store, clock.clone()),
        certified,
        certified_events,
        feed,
        watch_places: WatchPlaces::new(limits, limits),
        callers: Arc::new(Callers::OverLoopback(None)),
        clock,
        default_deadline: Duration::from_secs(10),
        stop: CancellationToken::new(),
    };
    let greedy = served_to("greedy", services.clone()).await;
    let modest = served_to("modest", services).await;
    let (mut of_one, mut of_all) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        of_one.push(watch_one(&greedy, &id.name()).await.unwrap());
        of_all.push(watch_all(&greedy).await.unwrap());
    }
    let refused = watch_one(&greedy, &id.name()).await;
    assert_caller_limit(refused, "greedy", "grpc.max_watchers_per_caller");
    let refused = watch_all(&greedy).await;
    assert_caller_limit(refused, "greedy", "grpc.max_watchers_of_all_per_caller");
    of_one.push(watch_one(&modest, &id.name()).await.unwrap());
    of_all.push(watch_all(&modest).await.unwrap());
    // Now all places are taken, which is no fault of this caller.
    let full = watch_one(&modest, &id.name()).await.unwrap_err();
    assert_eq!(reason_of(&full), "TOO_MANY_WATCHERS");
    assert!(full.message().contains("grpc.max_watchers)"), "{full}");
    assert!(full.get_error_details().retry_info().is_some());
    assert!(full.get_error_details().quota_failure().is_none());
    let full = watch_all(&modest).await.unwrap_err();
    assert_eq!(reason_of(&full), "TOO_MANY_WATCHERS");
    assert!(
        full.message().contains("grpc.max_watchers_of_all)"),
        "{full}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_who_watch_a_delivery_each_see_it_sent_and_then_delivered() {
    const CHANNELS: u32 = 8;
    const WATCHERS: u32 = 1000;
    let gate = Gate::new();
    let steps = vec![ReportStep::delivered().held_at(gate.clone())];
    let simulator = platform(Script::new().on(Match::always(), Action::Reports(steps))).await;
    let files = Files::write(&simulator.endpoint());
    speak(&files, "soap");
    let service = Process::start(&files).await;
    let sent = Arc::new(AtomicUsize::new(0));
    let (all_sent, mut is_sent) = tokio::sync::watch::channel(());
    let mut watching = Vec::new();
    for channel in 0..CHANNELS {
        let endpoint = Endpoint::from_shared(service.grpc.clone()).unwrap();
        let client = Client::new(endpoint.connect().await.unwrap());
        for citizen in 0..WATCHERS / CHANNELS {
            let request = request_to(channel * (WATCHERS / CHANNELS) + citizen);
            let name = service.create(request).await.unwrap().name;
            let mut states = watch_one(&client, &name).await.unwrap();
            let (sent, all_sent) = (Arc::clone(&sent), all_sent.clone());
            watching.push(tokio::spawn(async move {
                let mut seen: Vec<DeliveryState> = Vec::new();
                while let Some(change) = states.message().await.unwrap() {
                    let state = change.delivery.unwrap().state();
                    seen.push(state);
                    if state == DeliveryState::Sent
                        && sent.fetch_add(1, Ordering::Relaxed) + 1 == WATCHERS as usize
                    {
                        all_sent.send_replace(());
                    }
                }
                seen
            }));
        }
    }
    soon(is_sent.changed()).await.unwrap();
    let (_, page) = service.page("/metrics");
    let watched = "clave_otp_watchers{watched=\"one\",caller=\"test\"} ";
    assert_eq!(metric(&page, watched), u64::from(WATCHERS));
    // Now all reports come at once.
    gate.open();
    let all_seen = soon(async {
        let mut all_seen = Vec::new();
        for watcher in watching {
            all_seen.push(watcher.await.unwrap());
        }
        all_seen
    });
    for seen in all_seen.await {
        let last = [DeliveryState::Sent, DeliveryState::Delivered];
        assert!(seen.ends_with(&last), "{seen:?}");
        let mut once = seen.clone();
        once.dedup();
        assert_eq!(once, seen, "each state is told once");
    }
    service.stop().await;
    assert_eq!(simulator.ledger().message_count(), u64::from(WATCHERS));
}
