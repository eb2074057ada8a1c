//! Fail-over between protocols, both ways: what SOAP cannot send goes out over REST and the other way round, each in its own
//! form, and the report of the account that sent it settles it. And between the two platforms, where an alias is kept.

use std::{net::SocketAddr, sync::Arc};

use clave_otp::{
    clock::SystemClock,
    domain::Sender,
    grpc::proto::{CreateDeliveryRequest, Delivery, DeliveryState},
    simulator::{
        Account, Accounts, Action, Match, Protocol, ReceivedMessage, Script, Simulator,
        SimulatorOptions,
    },
};

use crate::{
    reported::{speak, until},
    support::{Files, PASSWORD, TestApp, request, request_to, soon},
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

async fn second_platform() -> Simulator {
    let senders = [Sender::Common];
    let accounts = Accounts::listed([Account::new(SECOND_LOGIN, PASSWORD.into(), senders)]);
    let options = SimulatorOptions::new(accounts, Arc::new(SystemClock::new())).keep_all_messages();
    let address: SocketAddr = ([127, 0, 0, 1], 0).into();
    Simulator::start(address, options).await.unwrap()
}

/// Madrid's first account speaks `first` to a platform that does not do what it is asked; its second one speaks `second`.
async fn start(first: &Spoken, second: &Spoken, there: &Simulator) -> TestApp {
    // A whole answer by which the platform says itself that it did not send.
    let unwell = Script::new().on(Match::always(), Action::Code(4006));
    TestApp::start_with(unwell, Arc::new(SystemClock::new()), |files| {
        add_second(files, second, there);
        speak(files, first.protocol);
        let api_user = "api_user = \"0a1b2c3d";
        files.change(FILE, api_user, &format!("{}{api_user}", first.keys));
    })
    .await
}

fn add_second(files: &Files, spoken: &Spoken, there: &Simulator) {
    let endpoint = match spoken.is {
        Protocol::Soap => there.soap_endpoint(),
        _ => there.rest_base(),
    };
    let Spoken { protocol, keys, .. } = spoken;
    let second = format!(
        "[[accounts]]\nid = \"madrid-two\"\ngateway = \"mensajeria-negocios\"\nprotocol = \"{protocol}\"\n{keys}\
         api_user = \"{SECOND_LOGIN}\"\npassword_file = \"../madrid.password\"\nsenders = [\"217812\"]\nendpoint = \"{endpoint}\"\n\
         [accounts.international]\nenabled = true\nallowed_regions = [\"PT\"]\n\n[[aliases]]"
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
        let abroad = CreateDeliveryRequest {
            recipient: "+351912345678".into(),
            ..request_to(2)
        };
        let abroad = app.ends(abroad).await;
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

/// The two platforms between which an alias is kept, byte for byte, where its record lists both.
#[tokio::test(flavor = "multi_thread")]
async fn between_the_two_platforms_a_code_keeps_the_alias_that_is_enabled_for_both() {
    let alias = Sender::parse("ClaveMadrid").unwrap();
    for (gateways, sender) in [
        ("[\"mensajeria-negocios\", \"mensatek\"]", "ClaveMadrid"),
        // Enabled for one alone it goes nowhere else: the code waits.
        ("[\"mensajeria-negocios\"]", ""),
    ] {
        let accounts =
            Accounts::listed([Account::new(SECOND_LOGIN, PASSWORD.into(), [alias.clone()])]);
        let options =
            SimulatorOptions::new(accounts, Arc::new(SystemClock::new())).keep_all_messages();
        let there = Simulator::start(([127, 0, 0, 1], 0).into(), options).await;
        let there = there.unwrap();
        let unwell = Script::new().on(Match::always(), Action::Code(4006));
        let mut app = TestApp::start_with(unwell, Arc::new(SystemClock::new()), |files| {
            let second = format!(
                "[[accounts]]\nid = \"madrid-two\"\ngateway = \"mensatek\"\napi_user = \"{SECOND_LOGIN}\"\n\
                 password_file = \"../madrid.password\"\nsenders = [\"ClaveMadrid\"]\nendpoint = \"{}\"\n\n[[aliases]]",
                there.mensatek_base()
            );
            files.change(FILE, "[[aliases]]", &second);
            files.change(FILE, "[\"mensajeria-negocios\"]", gateways);
            speak(files, "soap");
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
