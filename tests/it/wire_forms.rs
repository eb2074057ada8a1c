//! What the platform is told of a code's remaining life and of its number, through the whole program, in each form that an account may be
//! configured for.

use std::{sync::Arc, time::Duration};

use clave_otp::{
    clock::{Clock as _, ManualClock},
    domain::Sender,
    grpc::proto::{CreateDeliveryRequest, DeliveryState},
    simulator::{
        Account, Accounts, Action, Gate, Match, ReceivedMessage, Script, Simulator,
        SimulatorOptions,
    },
};
use jiff::{SignedDuration, Timestamp};

use crate::{
    reported::{speak, until},
    support::{Files, MADRID_LOGIN, PASSWORD, TestApp, request, request_at, soon},
};

const FILE: &str = "administrations/madrid.toml";

fn account_keys(files: &Files, keys: &str) {
    let before = "request_timeout_ms = 15000";
    files.change(FILE, before, &format!("{before}\n{keys}"));
}

/// The platform, by its own clock.
async fn platform_by(clock: &ManualClock, script: Script) -> Simulator {
    let senders = [Sender::parse("ClaveMadrid").unwrap(), Sender::Common];
    let accounts = Accounts::listed([Account::new(MADRID_LOGIN, PASSWORD.into(), senders)]);
    let options = SimulatorOptions::new(accounts, Arc::new(clock.clone()))
        .script(script)
        .keep_all_messages();
    let address = ([127, 0, 0, 1], 0).into();
    Simulator::start(address, options).await.unwrap()
}

/// Two codes that live ten minutes: one that goes out at once, and one that waits for a hundred seconds behind it. What the platform
/// understood of each, and when it is over for us.
async fn at_once_and_after_waiting(
    protocol: &str,
    keys: &str,
    (ours, theirs): (&ManualClock, &ManualClock),
) -> [(ReceivedMessage, Timestamp); 2] {
    let gate = Gate::new();
    let script = Script::new()
        .on(Match::request(1), Action::Hold(gate.clone()))
        .on(Match::always(), Action::NoReport);
    let simulator = platform_by(theirs, script).await;
    let files = Files::write(&simulator.endpoint());
    speak(&files, protocol);
    account_keys(&files, keys);
    let mut app = TestApp::start_on(files, simulator, Arc::new(ours.clone())).await;
    let expires = ours.now() + Duration::from_secs(600);
    let first = app.accepted(request_at(ours.now())).await;
    // The first request of an account tries its credentials, so it goes alone.
    soon(app.simulator.ledger().until_held(1)).await;
    let second = CreateDeliveryRequest {
        recipient: "+34600000002".into(),
        ..request_at(ours.now())
    };
    let second = app.accepted(second).await;
    for clock in [ours, theirs] {
        clock.advance(Duration::from_secs(100));
    }
    gate.open();
    for delivery in [first, second] {
        until(&mut app, &delivery.name, DeliveryState::Sent).await;
    }
    let messages: [ReceivedMessage; 2] = app.simulator.ledger().messages().try_into().unwrap();
    let phones = messages.each_ref().map(|message| message.phone.expose());
    assert_eq!(phones, ["600000001", "600000002"]);
    messages.map(|message| (message, expires))
}

/// The clocks of the two sides differ by an hour, as nobody can exclude: that tells a duration from a moment.
#[tokio::test(flavor = "multi_thread")]
async fn the_platform_is_told_how_long_a_code_lives_or_when_it_ends_also_after_it_has_waited() {
    let told_early = SignedDuration::from_secs(10);
    for protocol in ["soap", "rest"] {
        for (keys, is_moment) in [
            ("", false),
            ("expiry_format = \"duration\"", false),
            ("expiry_format = \"date-time\"", true),
        ] {
            let ours = ManualClock::at("2026-11-24T13:00:00.75Z".parse().unwrap());
            let theirs = ManualClock::at("2026-11-24T12:00:00Z".parse().unwrap());
            let told = at_once_and_after_waiting(protocol, keys, (&ours, &theirs)).await;
            for ((message, expires), left) in told.into_iter().zip([600, 500]) {
                let ends = message.valid_until.expect("it was told");
                let what = format!("{protocol} {keys:?} {left}: {ends}");
                // Never longer than the code lives, and less only by what a connection may take.
                let too_early = if is_moment {
                    expires.duration_since(ends)
                } else {
                    let life = ends.duration_since(message.receive_time);
                    SignedDuration::from_secs(left) - life
                };
                assert!(!too_early.is_negative(), "{what}");
                assert!(too_early < told_early, "{what}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_written_for_the_platform_as_the_account_says() {
    let (here, abroad) = ("+34600000001", "+351912345678");
    let zeros = ("", "600000001", "00351912345678");
    let explicit = ("international_format = \"00\"", zeros.1, zeros.2);
    let plus = ("international_format = \"+\"", zeros.1, abroad);
    let e164 = ("number_format = \"e164\"", here, abroad);
    for (protocol, (keys, national, foreign)) in [
        ("xml-rpc", zeros),
        ("xml-rpc", plus),
        ("soap", zeros),
        ("soap", explicit),
        ("soap", plus),
        ("rest", zeros),
        ("rest", explicit),
        ("rest", plus),
        ("rest", e164),
    ] {
        let clock = Arc::new(clave_otp::clock::SystemClock::new());
        let mut app = TestApp::start_with(Script::new(), clock, |files| {
            if protocol != "xml-rpc" {
                speak(files, protocol);
            }
            account_keys(files, keys);
        })
        .await;
        for recipient in [here, abroad] {
            let code = CreateDeliveryRequest {
                recipient: recipient.into(),
                ..request()
            };
            let state = app.ends(code).await.state();
            // The simulated platform takes no `00` over REST: whether the true one does is not known.
            let is_refused = protocol == "rest" && recipient == abroad && foreign != abroad;
            assert_eq!(state == DeliveryState::Failed, is_refused, "{protocol}");
        }
        let messages = app.simulator.ledger().messages();
        let phones: Vec<&str> = messages.iter().map(|one| one.phone.expose()).collect();
        assert_eq!(phones, [national, foreign], "{protocol} {keys}");
    }
}
