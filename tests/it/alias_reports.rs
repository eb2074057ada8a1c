//! An alias whose messages the platform reports as refused, while those of another sender arrive, is called probably blocked: by
//! the reports that come in, through the service's own door.

use std::{sync::Arc, time::Duration};

use clave_otp::{
    clock::{Clock as _, ManualClock},
    grpc::proto::{CreateDeliveryRequest, DeliveryState, GetAccountRequest},
    simulator::{Action, Match, ReportStep, Script},
};

use crate::{
    reported::speak,
    support::{TestApp, request_at},
};

/// As many as are judged at all.
const EACH: u32 = 20;

fn number(citizen: u32) -> String {
    format!("600000{citizen:03}")
}

async fn warnings(app: &mut TestApp) -> Vec<String> {
    let name = "accounts/madrid-mn".into();
    let account = app.accounts.get_account(GetAccountRequest { name }).await;
    let account = account.unwrap().into_inner().account.unwrap();
    account.aliases[0].warnings.clone()
}

/// Sends a code to each of these citizens under a sender; what they end as.
async fn send(
    app: &mut TestApp,
    clock: &ManualClock,
    sender: &str,
    citizens: std::ops::Range<u32>,
) -> Vec<DeliveryState> {
    let mut names = Vec::new();
    for citizen in citizens {
        let request = CreateDeliveryRequest {
            recipient: format!("+34{}", number(citizen)),
            sender: sender.into(),
            ..request_at(clock.now())
        };
        let accepted = app.accepted(request).await;
        assert_eq!(accepted.sender, sender);
        names.push(accepted.name);
    }
    let mut states = Vec::new();
    for name in names {
        states.push(app.follow(&name).await.1.state());
    }
    states
}

/// Lets hours go by until the watch over the aliases says this; it looks every ten minutes, and judges what is some hours old.
async fn hours_until(app: &mut TestApp, clock: &ManualClock, expected: &[&str]) {
    clock.advance(Duration::from_secs(2 * 3600));
    for _ in 0..20 {
        let seen = async {
            while warnings(app).await != expected {
                tokio::task::yield_now().await;
            }
        };
        // The watch acts when it is woken; a step too many does no harm.
        let patience = Duration::from_millis(200);
        if tokio::time::timeout(patience, seen).await.is_ok() {
            return;
        }
        clock.advance(Duration::from_secs(600));
    }
    panic!("{:?}", warnings(app).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_whose_messages_are_reported_refused_is_probably_blocked_until_they_arrive() {
    // By number, as the platform's rules go: what the alias sends to these is refused on its way, and later no more.
    let (refused, later) = (0..EACH, 2 * EACH..3 * EACH);
    let script = refused.clone().fold(Script::new(), |script, citizen| {
        let steps = vec![ReportStep::of("Rejected").text("alias blocked")];
        script.on(Match::phone(&number(citizen)), Action::Reports(steps))
    });
    let clock = ManualClock::at("2026-11-24T09:10:00Z".parse().unwrap());
    let simulated = Arc::new(clock.clone());
    let mut app = TestApp::start_with(script, simulated, |files| speak(files, "soap")).await;
    let gauge = |value: u8| {
        let labels = "gateway=\"mensajeria-negocios\",alias=\"ClaveMadrid\"";
        [format!(
            "clave_otp_alias_probably_blocked{{{labels}}} {value}\n"
        )]
    };
    app.until_metrics(&gauge(0)).await;
    let under_alias = send(&mut app, &clock, "ClaveMadrid", refused).await;
    assert_eq!(under_alias, vec![DeliveryState::Failed; EACH as usize]);
    assert_eq!(
        warnings(&mut app).await,
        [""; 0],
        "nothing to hold it against"
    );
    let common = send(&mut app, &clock, "217812", EACH..2 * EACH).await;
    assert_eq!(common, vec![DeliveryState::Delivered; EACH as usize]);
    hours_until(&mut app, &clock, &["ALIAS_PROBABLY_BLOCKED"]).await;
    app.until_metrics(&gauge(1)).await;

    // A day on the registry has put it right.
    clock.advance(Duration::from_secs(24 * 3600));
    let under_alias = send(&mut app, &clock, "ClaveMadrid", later.clone()).await;
    assert_eq!(under_alias, vec![DeliveryState::Delivered; EACH as usize]);
    send(&mut app, &clock, "217812", 3 * EACH..4 * EACH).await;
    assert_eq!(
        warnings(&mut app).await,
        ["ALIAS_PROBABLY_BLOCKED"],
        "not judged yet"
    );
    app.until_metrics(&gauge(1)).await;
    hours_until(&mut app, &clock, &[]).await;
    app.until_metrics(&gauge(0)).await;
}
