//! Codes that go out as certified SMS, through the whole service and the simulated Mensatek: in the name of the account's contact,
//! with the life of the code as validity, and settled by what the platform tells of certified messages.

use clave_otp::{
    grpc::proto::DeliveryState,
    simulator::{Action, Match, MensatekFunction, ReportStep, Script},
};

use crate::{
    certified::{FILE, Story},
    certified_simulated::start,
    reported::until,
    support::{request_to, soon},
};

/// A service whose Madrid account sends its codes as certified SMS.
async fn certifying(script: Script) -> Story {
    start(script, |files| {
        let gateway = "gateway = \"mensatek\"\n";
        let with = format!("{gateway}service = \"certified\"\nvalidity = true\n");
        files.change(FILE, gateway, &with);
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_goes_out_as_a_certified_sms_in_the_name_of_the_contact_and_is_delivered() {
    let mut story = certifying(Script::new()).await;
    let delivery = story.app.ends(request_to(1)).await;
    assert_eq!(delivery.state(), DeliveryState::Delivered);
    assert_eq!(delivery.attempts, 1);
    let ledger = story.app.simulator.ledger().clone();
    // Delivered, then certified.
    soon(ledger.until_reports_acknowledged(2)).await;
    let told: Vec<String> = ledger
        .reports()
        .iter()
        .map(|report| report.status.to_string())
        .collect();
    assert_eq!(told, ["13", "14"]);
    let after = story.app.get(&delivery.name).await;
    assert_eq!(after.state(), DeliveryState::Delivered);

    let calls = ledger.calls();
    let [call] = calls.as_slice() else {
        panic!("one call, and no other: {calls:?}");
    };
    assert_eq!(call.function, MensatekFunction::SendCertified);
    let sent = |name: &str| call.parameter(name).unwrap_or_default();
    let reference = delivery.name.strip_prefix("deliveries/").unwrap();
    for (name, value) in [
        ("Contacto", "Ayuntamiento"),
        ("Telcontacto", "900000000"),
        ("Cifcontacto", "P2807900B"),
        ("Report", "1"),
        ("Remitente", "ClaveMadrid"),
        ("Referenciausuario", reference),
        ("Resp", "JSON"),
        ("Vpd", "0"),
        ("Vph", "0"),
    ] {
        assert_eq!(sent(name), value, "{name}");
    }
    // What is left of the ten minutes of the code.
    let minutes: u32 = sent("Vpm").parse().unwrap();
    assert!((8..=10).contains(&minutes), "{minutes}");
    for name in ["Tipocontrato", "Fecha", "Identificar", "Aceptacion"] {
        assert_eq!(call.parameter(name), None, "{name}");
    }
    let message = &ledger.messages()[0];
    assert_eq!(message.phone.expose(), "34600000001");
    assert!(message.valid_until.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_the_two_states_of_a_certified_sms_says_alone_that_a_code_was_delivered() {
    let only = |state| Action::Reports(vec![ReportStep::state_of(state)]);
    let script = Script::new()
        .on(Match::phone("34600000013"), only(13))
        .on(Match::phone("34600000014"), only(14))
        .on(Match::phone("34600000051"), only(51));
    let mut story = certifying(script).await;
    for (citizen, expected) in [
        (13, DeliveryState::Delivered),
        (14, DeliveryState::Delivered),
        (51, DeliveryState::Failed),
    ] {
        let accepted = story.app.accepted(request_to(citizen)).await;
        let settled = until(&mut story.app, &accepted.name, expected).await;
        assert_eq!(settled.attempts, 1, "{citizen}");
    }
    let sent = story.app.simulator.ledger().messages();
    assert!(sent.iter().all(|message| {
        let details = message.mensatek.as_deref().unwrap();
        details.function == MensatekFunction::SendCertified && details.contract_kind == 0
    }));
    assert_eq!(story.app.simulator.ledger().reports().len(), 3);
}
