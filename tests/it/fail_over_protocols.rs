//! Fail-over between protocols, both ways: what SOAP cannot send goes out over REST and the other way round, each in its own
//! form, and the report of the account that sent it settles it. And between the two platforms, where an alias is kept.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use clave_otp::{
    clock::{Clock as _, ManualClock, SystemClock},
    domain::Sender,
    grpc::proto::{
        CreateDeliveryRequest, Delivery, DeliveryState, PauseAccountRequest, ResumeAccountRequest,
    },
    simulator::{
        Account, Accounts, Action, Match, Protocol, ReceivedMessage, Script, Simulator,
        SimulatorOptions,
    },
};

use crate::{
    reported::{speak, until},
    support::{
        Files, MADRID_LOGIN, PASSWORD, TestApp, request, request_at, request_to, seconds_after,
        soon,
    },
};

const FILE: &str = "administrations/madrid.toml";
const SECOND_LOGIN: &str = "99887766-madridtwo";

/// One account's protocol, and how a number stands on its wire.
struct Spoken {
    protocol: &'static str,
    is: Protocol,
    keys: &'static str,
    national: &'static str,
    abroad: &'static str,
}

const SOAP: Spoken = Spoken {
    protocol: "soap",
    is: Protocol::Soap,
    keys: "",
    national: "600000001",
    abroad: "00351912345678",
};
const REST: Spoken = Spoken {
    protocol: "rest",
    is: Protocol::Rest,
    keys: "number_format = \"e164\"\n",
    national: "+34600000001",
    abroad: "+351912345678",
};

/// A platform where this log-in may use these senders, besides the common one.
async fn platform_of(login: &str, senders: &[&str], script: Script) -> Simulator {
    let senders = senders.iter().map(|sender| Sender::from_stored(sender));
    let senders = senders.map(Result::unwrap);
    let accounts = Accounts::listed([Account::new(login, PASSWORD.into(), senders)]);
    let options = SimulatorOptions::new(accounts, Arc::new(SystemClock::new()))
        .script(script)
        .keep_all_messages();
    let address: SocketAddr = ([127, 0, 0, 1], 0).into();
    Simulator::start(address, options).await.unwrap()
}

async fn second_platform() -> Simulator {
    platform_of(SECOND_LOGIN, &[], Script::new()).await
}

/// A whole answer by which the platform says itself that it did not send.
fn unwell() -> Script {
    Script::new().on(Match::always(), Action::Code(4006))
}

/// Madrid's first account speaks `first` to a platform that does not do what it is asked; its second one speaks `second`.
async fn start(first: &Spoken, second: &Spoken, there: &Simulator) -> TestApp {
    TestApp::start_with(unwell(), Arc::new(SystemClock::new()), |files| {
        speak_in(files, first);
        add_second(files, second, there, "");
    })
    .await
}

/// Makes Madrid's first account speak so.
fn speak_in(files: &Files, spoken: &Spoken) {
    speak(files, spoken.protocol);
    let api_user = "api_user = \"0a1b2c3d";
    files.change(FILE, api_user, &format!("{}{api_user}", spoken.keys));
}

/// Adds the second account, with these keys for numbers abroad.
fn add_second(files: &Files, spoken: &Spoken, there: &Simulator, abroad: &str) {
    let endpoint = match spoken.is {
        Protocol::Soap => there.soap_endpoint(),
        _ => there.rest_base(),
    };
    let Spoken { protocol, keys, .. } = spoken;
    let second = format!(
        "[[accounts]]\nid = \"madrid-two\"\ngateway = \"mensajeria-negocios\"\nprotocol = \"{protocol}\"\n{keys}\
         api_user = \"{SECOND_LOGIN}\"\npassword_file = \"../madrid.password\"\nsenders = [\"217812\"]\nendpoint = \"{endpoint}\"\n\
         [accounts.international]\nenabled = true\nallowed_regions = [\"PT\"]\n{abroad}\n[[aliases]]"
    );
    files.change(FILE, "[[aliases]]", &second);
}

fn way(delivery: &Delivery) -> (&str, &str, DeliveryState) {
    (&delivery.account, &delivery.sender, delivery.state())
}

fn wire(message: &ReceivedMessage) -> (Protocol, &str, &str) {
    (message.protocol, message.phone.expose(), &message.sender)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_protocol_cannot_send_goes_out_over_the_other_in_its_own_form() {
    for (first, second) in [(&SOAP, &REST), (&REST, &SOAP)] {
        let there = second_platform().await;
        let mut app = start(first, second, &there).await;
        let accepted = app.accepted(request()).await;
        assert_eq!(
            way(&accepted),
            ("accounts/madrid-mn", "ClaveMadrid", DeliveryState::Accepted)
        );
        // The report of the account that sent it is the one that counts.
        let delivery = app.follow(&accepted.name).await.1;
        let told = second.protocol;
        assert_eq!(
            way(&delivery),
            ("accounts/madrid-two", "217812", DeliveryState::Delivered),
            "{told}"
        );
        assert_eq!(delivery.attempts, 2);
        let abroad = app.ends(abroad(2)).await;
        assert_eq!(
            way(&abroad),
            ("accounts/madrid-two", "638444812", DeliveryState::Delivered)
        );

        let (here, sent) = (app.simulator.ledger().messages(), there.ledger().messages());
        assert_eq!(wire(&here[0]), (first.is, first.national, "ClaveMadrid"));
        assert_eq!(here[0].code, Some(4006));
        let on_the_wire: Vec<_> = sent.iter().map(wire).collect();
        let expected = [
            (second.is, second.national, "217812"),
            (second.is, second.abroad, "217812"),
        ];
        assert_eq!(on_the_wire, expected);
        let id = delivery.name.strip_prefix("deliveries/").unwrap();
        let url = sent[0].report_url.as_ref().unwrap().expose().to_owned();
        assert!(url.contains("/reports/madrid-two/") && url.ends_with(id));
        assert_eq!(
            Some(&*delivery.gateway_message_id),
            sent[0].message_id.as_deref()
        );
    }
}

/// A request for a citizen in Portugal.
fn abroad(citizen: u32) -> CreateDeliveryRequest {
    CreateDeliveryRequest {
        recipient: "+351912345678".into(),
        ..request_to(citizen)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_shown_abroad_stands_in_requests_over_soap_and_rest_where_the_platform_asks_for_it()
 {
    for spoken in [&SOAP, &REST] {
        let senders = ["ClaveMadrid", "638444812"];
        let simulator = platform_of(MADRID_LOGIN, &senders, Script::new()).await;
        let files = Files::write(&simulator.endpoint());
        speak_in(&files, spoken);
        let regions = "allowed_regions";
        let fallback = format!("sender_on_wire = \"fallback\"\n{regions}");
        files.change(FILE, regions, &fallback);
        let mut app = TestApp::start_on(files, simulator, Arc::new(SystemClock::new())).await;
        for (asked, told) in [(abroad(2), "638444812"), (request(), "ClaveMadrid")] {
            let delivery = app.ends(asked).await;
            let expected = ("accounts/madrid-mn", told, DeliveryState::Delivered);
            assert_eq!(way(&delivery), expected, "{}", spoken.protocol);
        }
        let sent = app.simulator.ledger().messages();
        let on_the_wire: Vec<_> = sent.iter().map(wire).collect();
        let expected = [
            (spoken.is, spoken.abroad, "638444812"),
            (spoken.is, spoken.national, "ClaveMadrid"),
        ];
        assert_eq!(on_the_wire, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_abroad_by_the_other_account_goes_and_is_told_as_that_one_says() {
    let fallback = "sender = \"638000222\"\nsender_on_wire = \"fallback\"\n";
    let requested = "";
    // The keys of the first account, what stands on its wire, and the same of the second, with what the citizen sees then.
    for (first, here, second, there, told) in [
        (requested, "ClaveMadrid", fallback, "638000222", "638000222"),
        (fallback, "638000222", requested, "217812", "638444812"),
    ] {
        for (spoken, other) in [(&SOAP, &REST), (&REST, &SOAP)] {
            let other_platform = platform_of(SECOND_LOGIN, &["638000222"], Script::new()).await;
            let senders = ["ClaveMadrid", "638000222"];
            let simulator = platform_of(MADRID_LOGIN, &senders, unwell()).await;
            let files = Files::write(&simulator.endpoint());
            let regions = "allowed_regions";
            files.change(FILE, regions, &format!("{first}{regions}"));
            speak_in(&files, spoken);
            add_second(&files, other, &other_platform, second);
            let mut app = TestApp::start_on(files, simulator, Arc::new(SystemClock::new())).await;
            let delivery = app.ends(abroad(2)).await;
            let expected = ("accounts/madrid-two", told, DeliveryState::Delivered);
            assert_eq!(way(&delivery), expected);
            let (tried, sent) = (
                app.simulator.ledger().messages(),
                other_platform.ledger().messages(),
            );
            assert_eq!(wire(&tried[0]), (spoken.is, spoken.abroad, here));
            assert_eq!(wire(&sent[0]), (other.is, other.abroad, there));
            assert_eq!((tried.len(), sent.len()), (1, 1));
        }
    }
}

const BOTH: &str = "[\"mensajeria-negocios\", \"mensatek\"]";
const ONE: &str = "[\"mensajeria-negocios\"]";

/// Madrid's first account speaks SOAP; the second one is at Mensatek, and holds the same alias.
fn between_the_platforms(files: &Files, there: &Simulator, gateways: &str) {
    let second = format!(
        "[[accounts]]\nid = \"madrid-two\"\ngateway = \"mensatek\"\napi_user = \"{SECOND_LOGIN}\"\n\
         password_file = \"../madrid.password\"\nsenders = [\"ClaveMadrid\"]\nendpoint = \"{}\"\n\n[[aliases]]",
        there.mensatek_base()
    );
    files.change(FILE, "[[aliases]]", &second);
    files.change(FILE, ONE, gateways);
    speak(files, "soap");
}

/// The delivery once it is in this state; the clock moves on in small steps where a lane waits for it.
async fn until_on(
    clock: &ManualClock,
    app: &mut TestApp,
    name: &str,
    state: DeliveryState,
) -> Delivery {
    let mut waiting = Box::pin(until(app, name, state));
    loop {
        let patience = Duration::from_millis(20);
        match tokio::time::timeout(patience, &mut waiting).await {
            Ok(delivery) => return delivery,
            Err(_) => clock.advance(Duration::from_millis(500)),
        }
    }
}

/// A code waits for a platform that is sick, while the other account is paused; then the service begins anew, with another file or
/// the same, and that account is resumed.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_under_an_alias_does_not_go_by_a_platform_that_was_struck_from_its_record() {
    for (then, expected) in [
        (
            BOTH,
            ("accounts/madrid-two", "ClaveMadrid", DeliveryState::Sent),
        ),
        (
            ONE,
            ("accounts/madrid-mn", "ClaveMadrid", DeliveryState::Expired),
        ),
    ] {
        let there = platform_of(SECOND_LOGIN, &["ClaveMadrid"], Script::new()).await;
        let clock = ManualClock::at(SystemClock::new().now());
        let shared = Arc::new(clock.clone());
        let mut app = TestApp::start_with(unwell(), shared.clone(), |files| {
            between_the_platforms(files, &there, BOTH);
        })
        .await;
        let other = || "accounts/madrid-two".to_owned();
        let pause = PauseAccountRequest { name: other() };
        app.accounts.pause_account(pause).await.unwrap();
        let half_a_minute = CreateDeliveryRequest {
            expire_time: Some(seconds_after(clock.now(), 30)),
            ..request_at(clock.now())
        };
        let code = app.accepted(half_a_minute).await;
        let accepted = ("accounts/madrid-mn", "ClaveMadrid", DeliveryState::Accepted);
        assert_eq!(way(&code), accepted);
        soon(app.simulator.ledger().until_messages(1)).await;

        let (files, simulator) = app.stop().await;
        files.change(FILE, BOTH, then);
        let mut app = TestApp::start_on(files, simulator, shared).await;
        let resume = ResumeAccountRequest { name: other() };
        app.accounts.resume_account(resume).await.unwrap();
        let ended = until_on(&clock, &mut app, &code.name, expected.2).await;
        assert_eq!(way(&ended), expected);
        let went = u64::from(expected.2 == DeliveryState::Sent);
        assert_eq!(there.ledger().message_count(), went);
    }
}

/// The two platforms between which an alias is kept, byte for byte, where its record lists both.
#[tokio::test(flavor = "multi_thread")]
async fn between_the_two_platforms_a_code_keeps_the_alias_that_is_enabled_for_both() {
    for (gateways, sender) in [
        (BOTH, "ClaveMadrid"),
        // Enabled for one alone it goes nowhere else: the code waits.
        (ONE, ""),
    ] {
        let there = platform_of(SECOND_LOGIN, &["ClaveMadrid"], Script::new()).await;
        let mut app = TestApp::start_with(unwell(), Arc::new(SystemClock::new()), |files| {
            between_the_platforms(files, &there, gateways);
        })
        .await;
        let accepted = app.accepted(request()).await;
        if sender.is_empty() {
            soon(app.simulator.ledger().until_messages(1)).await;
            assert_eq!(there.ledger().request_count(), 0);
            let waits = app.get(&accepted.name).await;
            assert_eq!(waits.account, "accounts/madrid-mn");
            continue;
        }
        // Mensatek calls an address that its panel holds, and nobody has entered one: SENT is all that can be known.
        let sent = until(&mut app, &accepted.name, DeliveryState::Sent).await;
        assert_eq!(
            way(&sent),
            ("accounts/madrid-two", sender, DeliveryState::Sent)
        );
        let sent = there.ledger().messages();
        assert_eq!(
            wire(&sent[0]),
            (Protocol::Mensatek, "34600000001", "ClaveMadrid")
        );
    }
}
