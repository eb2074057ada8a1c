//! Whoever watches all deliveries sees what reports change once and in order, though a process dies between a submission and its
//! report; and the words that other back ends know for our states.

use clave_otp::{
    domain,
    grpc::proto::{
        DeliveryState::{self, Accepted, Delivered, Sending, Sent},
        WatchDeliveryRequest,
    },
    simulator::{Action, Gate, Match, ReportStep, Script},
};
use tonic::Code;

use crate::{
    reported,
    reported_after_death::installation,
    support::{platform, process::Process, request_to, soon},
    watch_deliveries::{Seen, Watcher, logged},
};

fn states_of(seen: &Seen, name: &str) -> Vec<DeliveryState> {
    let of_it = seen.iter().filter(|(told, _)| told == name);
    of_it.map(|(_, state)| *state).collect()
}

/// Sends a code as callers are asked to: where the machine is too busy to answer in time, the same call again.
async fn sent(service: &Process, citizen: u32) -> String {
    let request = request_to(citizen);
    soon(async {
        loop {
            match service.create(request.clone()).await {
                Ok(delivery) => return delivery.name,
                Err(status) => assert_eq!(status.code(), Code::DeadlineExceeded, "{status}"),
            }
        }
    })
    .await
}

/// How far the watcher had come when the process died, of a delivery that was `SENT` by then.
async fn watched_over_a_death(protocol: &str, seen_before: usize, is_back_first: bool) {
    let gate = Gate::new();
    // The platform says it again and again, before and after the watcher is back.
    let steps = vec![ReportStep::delivered().times(3).held_at(gate.clone())];
    let simulator = platform(Script::new().on(Match::always(), Action::Reports(steps))).await;
    let files = installation(&simulator.endpoint(), protocol);
    let service = Process::start(&files).await;
    let mut watcher = Watcher::begin(&service.client, "", "").await.unwrap();
    let first = sent(&service, 1).await;
    let mut seen = watcher.take(seen_before).await;
    let token = watcher.token.clone();
    // It goes on reading, and what it does with that is lost with it.
    let unsaved = watcher.take(3 - seen_before).await;
    let last = seen.iter().chain(&unsaved).next_back();
    assert_eq!(last, Some(&(first.clone(), Sent)));
    service.signal("KILL");
    let (status, _) = service.ended().await;
    assert!(!status.success());
    drop(watcher);

    let service = Process::start(&files).await;
    let ledger = simulator.ledger();
    let mut back = None;
    if is_back_first {
        let watcher = Watcher::begin(&service.client, "", &token).await;
        back = Some(watcher.unwrap());
    }
    gate.open();
    soon(ledger.until_reports_acknowledged(3)).await;
    let mut watcher = match back {
        Some(watcher) => watcher,
        None => Watcher::begin(&service.client, "", &token).await.unwrap(),
    };
    seen.extend(watcher.take(4 - seen_before).await);
    // What follows directly is of the next delivery: the other two reports of the first one have come and are no changes.
    let second = sent(&service, 2).await;
    seen.extend(watcher.take(4).await);
    service.stop().await;
    let way = [Accepted, Sending, Sent, Delivered];
    assert_eq!(states_of(&seen, &first), way, "{protocol}");
    assert_eq!(states_of(&seen, &second), way, "{protocol}");
    assert_eq!(seen, logged(&files), "a gap, a repeat, or another order");
    assert_eq!(ledger.message_count(), 2, "each was sent once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_comes_to_the_next_process_is_told_once_to_a_watcher_that_resumes() {
    for protocol in ["soap", "rest"] {
        for is_back_first in [true, false] {
            watched_over_a_death(protocol, 3, is_back_first).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_had_not_dealt_with_all_when_the_process_died_is_told_the_rest_and_the_report()
 {
    for is_back_first in [true, false] {
        watched_over_a_death("soap", 1, is_back_first).await;
    }
}

/// A code whose platform reports at once that it has it, and that the handset has it: each change comes, as in the log, to whoever
/// watches it alone.
#[tokio::test(flavor = "multi_thread")]
async fn who_watches_one_delivery_is_told_each_change_however_quickly_they_follow() {
    for protocol in ["soap", "rest"] {
        let gate = Gate::new();
        // The first is held until the answer is recorded: what comes before it is told with it.
        let reports = Gate::new();
        let first = ReportStep::of("Retrieved").held_at(reports.clone());
        let steps = vec![first, ReportStep::delivered()];
        let script = Script::new()
            .on(Match::always(), Action::Hold(gate.clone()))
            .on(Match::always(), Action::Reports(steps));
        let mut app = reported::start(protocol, script).await;
        for citizen in 1..=20 {
            let name = app.accepted(request_to(citizen)).await.name;
            let request = WatchDeliveryRequest { name: name.clone() };
            let changes = app.client.watch_delivery(request).await.unwrap();
            let mut changes = changes.into_inner();
            let mut seen = Vec::new();
            while let Some(change) = soon(changes.message()).await.unwrap() {
                seen.push(change.delivery.unwrap().state());
                match seen[..] {
                    [.., Sent, Sent] => {}
                    [.., Sent] => reports.release_one(),
                    [.., Sending] => gate.release_one(),
                    _ => {}
                }
            }
            assert!(
                seen.ends_with(&[Sending, Sent, Sent, Delivered]),
                "{seen:?}"
            );
            let logged = states_of(&logged(&app.files), &name);
            assert!(
                logged.ends_with(&seen),
                "{protocol}: {seen:?} of {logged:?}"
            );
        }
    }
}

/// All states of the interface, by name, without the enum's prefix.
fn all_states() -> Vec<(&'static str, DeliveryState)> {
    let numbers = 1..1000;
    let states = numbers.filter_map(|number| DeliveryState::try_from(number).ok());
    let name = |state: DeliveryState| state.as_str_name().strip_prefix("DELIVERY_STATE_");
    states.map(|state| (name(state).unwrap(), state)).collect()
}

#[test]
fn every_state_has_one_word_of_the_states_platform() {
    let page = include_str!("../../docs/WATCHING.md");
    let (_, section) = page.split_once("\n## Our states in the words of").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let mut told: Vec<(&str, &str)> = Vec::new();
    for row in rows {
        let mut cells = row.split(" | ");
        let (states, word) = (cells.next().unwrap(), cells.next().unwrap());
        let word = word.strip_prefix('`').unwrap().strip_suffix('`').unwrap();
        for state in states.split("`, `") {
            told.push((state.trim_end_matches('`'), word));
        }
    }
    let states = all_states();
    assert!(states.len() >= 9, "{states:?}");
    told.sort_unstable();
    // A state that waits for more is pending, whatever it is called; of those that end, one means that it has arrived.
    let mut expected: Vec<(&str, &str)> = states
        .iter()
        .map(|(name, state)| {
            let number = u8::try_from(i32::from(*state)).unwrap();
            let ends = domain::DeliveryState::from_stored(number).unwrap();
            let word = match (*state, ends.is_always_final()) {
                (Delivered, true) => "Entregado",
                (_, true) => "Rechazado",
                (_, false) => "Pendiente",
            };
            (*name, word)
        })
        .collect();
    expected.sort_unstable();
    assert_eq!(told, expected);
}
