//! When the disk is in trouble: callers are told so soon, nothing is answered OK that is not on the disk, nothing is sent
//! whose attempt could not be recorded, and the service comes back by itself when the disk does.
//!
//! A slower disk than one that is frozen could be had from `dmsetup delay`, which the kernels of test machines lack.

use std::{
    fs,
    io::{Seek as _, SeekFrom, Write as _},
    path::Path,
    process::Command,
};

use clave_otp::{
    grpc::{
        DELIVERY_SERVICE,
        proto::{CreateDeliveryRequest, DeliveryState},
    },
    simulator::{Action, Gate, Match, Script, Simulator},
};
use tonic::{Code, Status};
use tonic_health::pb::health_check_response::ServingStatus::{NotServing, Serving};
use tonic_types::StatusExt as _;

use crate::support::{
    Files,
    disk::Disk,
    platform,
    process::{Process, serve},
    reason_of, request, soon,
};

/// Callers are told in time when the store does not work, and when to come back.
#[track_caller]
fn assert_unavailable(status: &Status) {
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert_eq!(reason_of(status), "STORE_UNAVAILABLE");
    let details = status.get_error_details();
    assert!(details.retry_info().unwrap().retry_delay.is_some());
}

/// An installation with the simulated platform behind it.
async fn installation(script: Script) -> (Files, Simulator) {
    let simulator = platform(script).await;
    let files = Files::write(&simulator.endpoint());
    // Shorter than the usual two seconds, to wait less; longer than a busy machine takes for a commit.
    files.change("service.toml", "[store]", "[store]\nmax_wait_ms = 1500");
    (files, simulator)
}

/// Readiness is off on every way there is, with the reason in one line.
async fn assert_not_ready(service: &Process, reason: &str) {
    // A first sign may be that there is no answer in time; the cause follows.
    service.logs(reason).await;
    service
        .health(DELIVERY_SERVICE)
        .await
        .until(NotServing)
        .await;
    service.health("").await.until(NotServing).await;
    let (status, page) = service.page("/ready");
    assert_eq!(status, 503, "{page}");
    assert!(
        page.starts_with("not ready: ") && page.contains(reason),
        "{page}"
    );
    assert_eq!(page.lines().count(), 1, "{page}");
    assert_eq!(service.page("/live").0, 200, "a restart would not help");
    assert!(
        service
            .page("/metrics")
            .1
            .contains("clave_otp_store_works 0")
    );
}

/// Readiness is back without a restart, and codes go out.
async fn assert_works_again(service: &Process) {
    service.health(DELIVERY_SERVICE).await.until(Serving).await;
    service.health("").await.until(Serving).await;
    assert_eq!(service.page("/ready").0, 200);
    assert_sent(service, request()).await;
}

/// A code is taken and goes out.
async fn assert_sent(service: &Process, request: CreateDeliveryRequest) {
    let delivery = service.create(request).await.unwrap();
    assert_ends(service, &delivery.name, DeliveryState::Sent).await;
}

async fn assert_ends(service: &Process, name: &str, state: DeliveryState) {
    let ended = soon(service.follow(name)).await;
    assert_eq!(ended.state(), state);
}

fn limit_file_sizes(service: &Process, limit: &str) {
    let id = service.id().to_string();
    let set = Command::new("prlimit")
        .args(["--pid", &id, &format!("--fsize={limit}:")])
        .status();
    assert!(set.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_fail_are_told_and_the_service_comes_back_with_the_disk() {
    let (files, simulator) = installation(Script::new()).await;
    let service = Process::start(&files).await;
    assert_sent(&service, request()).await;

    // The system refuses every write beyond the first page, as a quota does.
    limit_file_sizes(&service, "4096");
    let refused = request();
    assert_unavailable(&service.create(refused.clone()).await.unwrap_err());
    assert_not_ready(&service, "the disk refuses to read or write").await;
    // Known trouble is told at once.
    assert_unavailable(&service.create(refused.clone()).await.unwrap_err());

    limit_file_sizes(&service, "unlimited");
    assert_works_again(&service).await;
    assert_sent(&service, refused).await;
    assert_eq!(simulator.ledger().message_count(), 3);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_nothing_new_is_sent_and_what_was_sent_is_recorded_when_there_is_room() {
    let gate = Gate::new();
    let script = Script::new().on(Match::request(1), Action::Hold(gate.clone()));
    let (files, simulator) = installation(script).await;
    let Some(disk) = Disk::make(&files) else {
        return;
    };
    let service = disk.start().await;
    let sending = service.create(request()).await.unwrap();
    let ledger = simulator.ledger().clone();
    soon(ledger.until_held(1)).await;
    let waiting = service.create(request()).await.unwrap();

    let filler = disk.fill(&service);
    assert_unavailable(&service.create(request()).await.unwrap_err());
    assert_not_ready(&service, "the disk is full").await;
    gate.open();
    service.logs("outcomes cannot be recorded").await;
    let found = service.get(&sending.name).await.unwrap();
    assert_eq!(found.state(), DeliveryState::Sending, "reading goes on");
    assert_eq!(ledger.message_count(), 1, "nothing without its record");

    fs::remove_file(filler).unwrap();
    assert_ends(&service, &sending.name, DeliveryState::Sent).await;
    assert_ends(&service, &waiting.name, DeliveryState::Sent).await;
    assert_works_again(&service).await;
    assert_eq!(ledger.message_count(), 3, "each once");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_become_read_only_are_told_and_the_service_comes_back_when_they_are_not() {
    let (files, simulator) = installation(Script::new()).await;
    let Some(disk) = Disk::make(&files) else {
        return;
    };
    let service = disk.start().await;
    assert_sent(&service, request()).await;
    let log = disk.seen_by(&service).join("clave-otp.db-wal");
    let change = |how: &str| {
        let changed = Command::new("chattr").arg(how).arg(&log).status();
        assert!(changed.unwrap().success());
    };

    change("+i");
    assert_unavailable(&service.create(request()).await.unwrap_err());
    assert_not_ready(&service, "the disk refuses to read or write").await;
    change("-i");
    assert_works_again(&service).await;
    assert_eq!(simulator.ledger().message_count(), 2);
    service.stop().await;
}

/// What the kernel does when the disk dies under a file system.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_system_that_gives_up_loses_nothing_that_was_answered() {
    let gate = Gate::new();
    let script = Script::new().on(Match::request(2), Action::Hold(gate.clone()));
    let (files, simulator) = installation(script).await;
    let Some(disk) = Disk::make(&files) else {
        return;
    };
    let service = disk.start().await;
    let sent = service.create(request()).await.unwrap();
    assert_ends(&service, &sent.name, DeliveryState::Sent).await;
    let sending = service.create(request()).await.unwrap();
    soon(simulator.ledger().until_held(1)).await;
    let waiting = service.create(request()).await.unwrap();

    disk.system(&service, "mount", &["-o", "remount,abort"]);
    assert_unavailable(&service.create(request()).await.unwrap_err());
    assert_not_ready(&service, "the disk refuses to read or write").await;
    gate.open();
    service.logs("outcomes cannot be recorded").await;
    service.signal("KILL");
    service.ended().await;

    // Mounting replays the journal, as after a repair.
    let service = disk.start().await;
    let state = async |name: &str| service.get(name).await.unwrap().state();
    assert_eq!(state(&sent.name).await, DeliveryState::Sent);
    assert_eq!(state(&sending.name).await, DeliveryState::Uncertain);
    assert_ends(&service, &waiting.name, DeliveryState::Sent).await;
    assert_eq!(simulator.ledger().message_count(), 3, "each once");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_stands_still_is_told_in_time_and_what_was_given_up_is_not_sent_later() {
    let (files, simulator) = installation(Script::new()).await;
    let Some(disk) = Disk::make(&files) else {
        return;
    };
    let service = disk.start().await;
    assert_sent(&service, request()).await;
    let (first, second) = (request(), request());

    let frozen = disk.freeze(&service);
    // Not DEADLINE_EXCEEDED: our own bound, far below any caller's deadline. The first may be on its way to the disk, the
    // second has not begun.
    let (one, two) = tokio::join!(service.create(first.clone()), async {
        service.logs("does not work").await;
        service.create(second.clone()).await
    });
    assert_unavailable(&one.unwrap_err());
    assert_unavailable(&two.unwrap_err());
    assert_not_ready(&service, "the disk does not answer").await;
    drop(frozen);

    assert_works_again(&service).await;
    assert_sent(&service, first).await;
    assert_eq!(
        simulator.ledger().message_count(),
        3,
        "the first once, though asked for twice, and the second never"
    );
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_of_another_program_is_told_and_the_service_comes_back_when_it_is_gone() {
    let (files, simulator) = installation(Script::new()).await;
    let service = Process::start(&files).await;
    let other = rusqlite::Connection::open(files.path("data/clave-otp.db")).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    assert_unavailable(&service.create(request()).await.unwrap_err());
    assert_not_ready(&service, "another program keeps the database locked").await;
    other.execute_batch("COMMIT").unwrap();
    assert_works_again(&service).await;
    assert_eq!(simulator.ledger().message_count(), 1);
    service.stop().await;
}

/// Everything behind the first page becomes senseless.
fn damage(database: &Path) {
    let mut file = fs::OpenOptions::new().write(true).open(database).unwrap();
    let length = file.metadata().unwrap().len();
    file.seek(SeekFrom::Start(4096)).unwrap();
    let senseless = vec![0xa5; usize::try_from(length - 4096).unwrap()];
    file.write_all(&senseless).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_damaged_between_two_starts_is_refused_until_a_backup_is_back() {
    let (files, simulator) = installation(Script::new()).await;
    let service = Process::start(&files).await;
    let delivery = service.create(request()).await.unwrap();
    assert_ends(&service, &delivery.name, DeliveryState::Sent).await;
    service.stop().await;
    let database = files.path("data/clave-otp.db");
    let backup = fs::read(&database).unwrap();

    damage(&database);
    let output = serve(&files).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("clave-otp.db: is damaged") && told.contains("backup"),
        "{told}"
    );

    fs::write(&database, backup).unwrap();
    let service = Process::start(&files).await;
    let found = service.get(&delivery.name).await.unwrap();
    assert_eq!(found.state(), DeliveryState::Sent);
    service.stop().await;
    assert_eq!(simulator.ledger().message_count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_damaged_while_it_is_used_takes_nothing_more_until_it_is_repaired() {
    let (files, simulator) = installation(Script::new()).await;
    let service = Process::start(&files).await;
    let delivery = service.create(request()).await.unwrap();
    assert_ends(&service, &delivery.name, DeliveryState::Sent).await;
    service.stop().await;
    let database = files.path("data/clave-otp.db");
    // Nothing sound is left in the write-ahead log, however busy the machine was when the service stopped.
    rusqlite::Connection::open(&database)
        .and_then(|connection| connection.pragma_query(None, "wal_checkpoint", |_| Ok(())))
        .unwrap();
    let service = Process::start(&files).await;
    let backup = fs::read(&database).unwrap();

    damage(&database);
    assert_unavailable(&service.get(&delivery.name).await.unwrap_err());
    assert_not_ready(&service, "the database is damaged").await;
    assert_unavailable(&service.create(request()).await.unwrap_err());
    service.stop().await;
    assert_eq!(simulator.ledger().message_count(), 1);

    for log in ["data/clave-otp.db-wal", "data/clave-otp.db-shm"] {
        let _ = fs::remove_file(files.path(log));
    }
    fs::write(&database, backup).unwrap();
    let service = Process::start(&files).await;
    assert_sent(&service, request()).await;
    service.stop().await;
}
