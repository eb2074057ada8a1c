//! A process dies between a submission and its report: what it had submitted is settled by the report that comes to the next
//! one, and is not sent again.

use clave_otp::{
    grpc::proto::{DeliveryState, WatchDeliveryRequest},
    simulator::{Action, Gate, Match, ReportStep, Script},
};

use crate::{
    reported::speak,
    support::{
        Files, platform,
        process::{Process, serve},
        request, soon,
    },
};

/// An installation whose account speaks this protocol and reports, and whose reports port stays the same.
pub(crate) fn installation(endpoint: &str, protocol: &str) -> Files {
    let files = Files::write(endpoint);
    speak(&files, protocol);
    keep_reports_port(&files);
    files
}

/// The reports port stays the same from process to process: the platform has been told the address.
pub(crate) fn keep_reports_port(files: &Files) {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|reserved| reserved.local_addr())
        .unwrap()
        .port();
    files.change(
        "service.toml",
        "listen = \"127.0.0.1:0\"\npublic_url = \"http://127.0.0.1:0/",
        &format!("listen = \"127.0.0.1:{port}\"\npublic_url = \"http://127.0.0.1:{port}/"),
    );
}

/// The states of a delivery from now on, until it is final; `opened` when the first has been seen.
async fn states(service: &Process, name: &str, opened: &Gate) -> Vec<DeliveryState> {
    let request = WatchDeliveryRequest { name: name.into() };
    let mut client = service.client.clone();
    let mut changes = client.watch_delivery(request).await.unwrap().into_inner();
    let mut seen = Vec::new();
    soon(async {
        while let Some(change) = changes.message().await.unwrap() {
            seen.push(change.delivery.unwrap().state());
            opened.open();
        }
    })
    .await;
    seen
}

/// Kills a service that has submitted a code over this protocol, as `die` says; the states that the next one tells.
async fn told_by_the_next(protocol: &str, crash_at: Option<&str>) -> Vec<DeliveryState> {
    let gate = Gate::new();
    let steps = vec![ReportStep::delivered().held_at(gate.clone())];
    let simulator = platform(Script::new().on(Match::always(), Action::Reports(steps))).await;
    let files = installation(&simulator.endpoint(), protocol);
    let mut command = serve(&files);
    command.args(crash_at.into_iter().flat_map(|at| ["--crash-at", at]));
    let service = Process::run(command).await;
    let request = request();
    // The answer may die with the process: the same request finds its delivery again.
    let created = service.create(request.clone()).await;
    if crash_at.is_none() {
        let name = created.unwrap().name;
        service.until(&name, DeliveryState::Sent).await;
        service.signal("KILL");
    }
    let (status, _) = service.ended().await;
    assert!(!status.success());
    assert_eq!(simulator.ledger().message_count(), 1);

    let service = Process::start(&files).await;
    let name = service.create(request).await.unwrap().name;
    let seen = states(&service, &name, &gate).await;
    let delivery = service.get(&name).await.unwrap();
    let message = &simulator.ledger().messages()[0];
    assert_eq!(
        Some(&*delivery.gateway_message_id),
        message.message_id.as_deref()
    );
    assert_eq!(delivery.attempts, 1);
    service.stop().await;
    assert_eq!(simulator.ledger().message_count(), 1, "sent once");
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_dead_process_had_submitted_is_settled_by_its_report_and_not_sent_again() {
    use DeliveryState::{Delivered, Sent, Uncertain};
    for protocol in ["soap", "rest"] {
        // It dies with the answer in its hand, before it has written it down.
        let seen = told_by_the_next(protocol, Some("after-gateway-answer:1")).await;
        assert_eq!(seen, [Uncertain, Delivered], "{protocol}");
        let seen = told_by_the_next(protocol, None).await;
        assert_eq!(seen, [Sent, Delivered], "{protocol}");
    }
}
