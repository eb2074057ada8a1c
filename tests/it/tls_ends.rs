//! What ends while a caller is connected: its certificate, those between it and its authority, and the authority itself.

use std::{sync::Arc, time::Duration};

use clave_otp::{
    clock::{Clock as _, ManualClock},
    simulator::Script,
};
use tonic::Code;

use crate::support::{
    Files, TestApp,
    pki::{Authority, CALLER, Pair, Pki},
    platform, request_at,
};

/// An hour before the year in which something ends. The handshake goes by the machine's clock, the calls by the service's.
const AN_HOUR_BEFORE: &str = "2089-12-31T23:00:00Z";
const LAST_YEAR: i32 = 2090;

async fn start(clock: &ManualClock, write: impl FnOnce(&Files)) -> TestApp {
    let simulator = platform(Script::new()).await;
    let files = Files::write(&simulator.endpoint());
    write(&files);
    TestApp::start_on(files, simulator, Arc::new(clock.clone())).await
}

/// Connected and served an hour before the end, refused an hour after it on the same connection.
async fn is_refused_after_the_end(write: impl FnOnce(&Files)) {
    let clock = ManualClock::at(AN_HOUR_BEFORE.parse().unwrap());
    let mut app = start(&clock, write).await;
    app.accepted(request_at(clock.now())).await;
    app.accepted(request_at(clock.now())).await;
    clock.advance(Duration::from_secs(2 * 3600));
    let refused = app.refused(request_at(clock.now())).await;
    assert_eq!(refused, (Code::Unauthenticated, "UNAUTHENTICATED".into()));
}

/// A caller's certificate with those between it and its authority.
fn with_chain(own: Pair, between: &[&str]) -> Pair {
    Pair {
        certificate: own.certificate.clone() + &between.concat(),
        ..own
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_in_between_that_expires_is_not_believed_any_more() {
    let pki = Pki::new();
    let between = pki.callers.below("in between", LAST_YEAR);
    let caller = with_chain(between.caller(&[CALLER]), &[&between.pem]);
    is_refused_after_the_end(|files| {
        files.serve_tls(&pki.server.server(), &pki.callers);
        // The lists are those of the authority alone.
        let line = "revocation_file = \"tls/revoked.pem\"\n";
        files.change("service.toml", line, "");
        files.call_as(&caller, &pki.server);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_expires_is_not_believed_any_more() {
    let pki = Pki {
        callers: Authority::until("authority of callers", LAST_YEAR),
        ..Pki::new()
    };
    is_refused_after_the_end(|files| pki.write(files)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_beside_the_chain_that_counts_costs_nobody_a_call() {
    let ending = Authority::until("authority of callers", LAST_YEAR);
    let pki = Pki {
        callers: ending,
        ..Pki::new()
    };
    let another = Authority::until("another", LAST_YEAR);
    // It shows one that nobody needs, and its authority has a newer certificate beside the one that ends.
    let caller = with_chain(pki.callers.caller(&[CALLER]), &[&another.pem]);
    let renewed = pki.callers.renewed_until("authority of callers", 2099);
    let clock = ManualClock::at(AN_HOUR_BEFORE.parse().unwrap());
    let mut app = start(&clock, |files| {
        files.serve_tls(&pki.server.server(), &pki.callers);
        files.put("tls/ca.pem", &format!("{}{renewed}", pki.callers.pem));
        files.call_as(&caller, &pki.server);
    })
    .await;
    app.ends(request_at(clock.now())).await;
    app.until_idle().await;
    clock.advance(Duration::from_secs(2 * 3600));
    app.accepted(request_at(clock.now())).await;
    app.accepted(request_at(clock.now())).await;
}
