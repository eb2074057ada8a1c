//! The simulated Mensatek keeps the rules of the official text, whoever calls: every form here is written by hand.

use std::sync::Arc;

use clave_otp::{
    clock::ManualClock,
    domain::Sender,
    simulator::{
        Account, Accounts, Action, AnswerShape, Credits, Match, MensatekFunction, MensatekRules,
        Protocol, Refusal, Script, Simulator, SimulatorOptions,
    },
};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::simulator::{LOGIN, any_port, client, noon};

/// `0a1b2c3d-000000001` with its password, and another account.
pub(crate) const AUTHORIZATION: &str = "Basic MGExYjJjM2QtMDAwMDAwMDAxOm5vdC1hLXJlYWwtcGFzc3dvcmQ=";
const OTHER: &str = "Basic b3RoZXI6bm90LWEtcmVhbC1wYXNzd29yZA==";

/// One recipient.
pub(crate) const TO: &str = r#"[{"Movil":"34600000001"}]"#;

/// A simulator that knows two accounts and keeps everything, and its clock.
pub(crate) async fn at_noon(script: Script) -> (Simulator, ManualClock) {
    let alias = Sender::parse("ClaveMadrid").unwrap();
    let known = Account::new(LOGIN, "not-a-real-password".into(), [alias]);
    let other = Account::with_any_sender("other", "not-a-real-password".into())
        .on_trial()
        .with_credits(Credits::whole(1));
    let clock = ManualClock::at(noon());
    let accounts = Accounts::listed([known, other]);
    let options = SimulatorOptions::new(accounts, Arc::new(clock.clone()))
        .script(script)
        .keep_all_messages();
    (Simulator::start(any_port(), options).await.unwrap(), clock)
}

/// The form of a function, with `Resp=JSON`.
pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(fields);
    form.append_pair("Resp", "JSON");
    form.finish()
}

/// A call with this body.
pub(crate) fn request(
    simulator: &Simulator,
    function: &str,
    body: String,
) -> reqwest::RequestBuilder {
    client()
        .post(format!("{}/{function}", simulator.mensatek_base()))
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("Authorization", AUTHORIZATION)
        .body(body)
}

async fn text_of(request: reqwest::RequestBuilder) -> String {
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    response.text().await.unwrap()
}

/// The object in the array that is answered.
pub(crate) async fn call(simulator: &Simulator, function: &str, fields: &[(&str, &str)]) -> Value {
    let text = text_of(request(simulator, function, form(fields))).await;
    let answer: Value = serde_json::from_str(&text).expect(&text);
    assert_eq!(answer.as_array().map(Vec::len), Some(1), "{text}");
    answer[0].clone()
}

/// The parameters of a plain SMS, some of them replaced or added.
pub(crate) fn sms<'a>(changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let base = [
        ("Remitente", "ClaveMadrid"),
        ("Destinatarios", TO),
        ("Mensaje", "su codigo"),
    ];
    changed(&base, changes)
}

/// The parameters of a certified SMS, some of them replaced or added.
pub(crate) fn certified<'a>(changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let contact = [
        ("Contacto", "EMPRESA S.L."),
        ("Telcontacto", "900000000"),
        ("Cifcontacto", "B00000000"),
    ];
    changed(&changed(&sms(&[]), &contact), changes)
}

fn changed<'a>(
    base: &[(&'a str, &'a str)],
    changes: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let kept = base
        .iter()
        .filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
    kept.chain(changes).copied().collect()
}

/// Sends; tells the id.
pub(crate) async fn sent(simulator: &Simulator, function: &str, fields: &[(&str, &str)]) -> u64 {
    let answer = call(simulator, function, fields).await;
    answer["idMensaje"]
        .as_u64()
        .unwrap_or_else(|| panic!("{answer}"))
}

#[tokio::test]
async fn a_plain_sms_is_taken_billed_and_remembered() {
    let (simulator, _) = at_noon(Script::new()).await;
    let wishes = sms(&[("Referenciausuario", "ref-1"), ("Vpd", "0"), ("Vpm", "5")]);
    let answer = call(&simulator, "EnviarSMS", &wishes).await;
    let id = answer["idMensaje"].as_u64().unwrap();
    let expected = json!({
        "Res": 1, "Destinatarios": 1, "Msgid": id, "idMensaje": id, "Mensajes": 1, "NoEnviados": 0,
        "CreditosUsados": 1, "Cred": 999,
    });
    assert_eq!(answer, expected);
    let message = simulator.ledger().message_of(&id.to_string()).unwrap();
    assert_eq!(message.protocol, Protocol::Mensatek);
    assert_eq!(message.login.as_str(), LOGIN);
    assert_eq!(message.phone.expose(), "34600000001");
    assert_eq!(message.text.expose(), "su codigo");
    assert_eq!((&*message.sender, message.code), ("ClaveMadrid", Some(1)));
    let five_minutes = std::time::Duration::from_secs(300);
    assert_eq!(message.valid_until, Some(noon() + five_minutes));
    let details = message.mensatek.unwrap();
    assert_eq!(details.function, MensatekFunction::SendSms);
    assert_eq!((&*details.reference, details.segments), ("ref-1", 1));
    let call = &simulator.ledger().calls()[0];
    assert_eq!(call.parameter("Referenciausuario"), Some("ref-1"));
    assert!(!format!("{call:?}").contains("34600000001"));
}

#[tokio::test]
async fn a_certified_message_is_personal_to_each_recipient_and_costs_more() {
    let (simulator, _) = at_noon(Script::new()).await;
    let to = r#"[{"Movil":34600000001,"Variable_1":"Ana","Variable_10":"x"},
        {"Movil":"34600000002","Variable_1":"Pedro"},{"Movil":"34600000001"},
        {"Movil":"600000003"},{"Movil":"+34600000004"},{"Movil":"351912345678"}]"#;
    let long = format!("Hola (Variable_1)(Variable_10) {}", "a".repeat(160));
    let wishes = [
        ("Destinatarios", to),
        ("Mensaje", long.as_str()),
        ("Identificar", "CERTIFICADO-00000000T"),
        ("Aceptacion", "15"),
        ("Report", "1"),
        ("Fixutf8", "0"),
    ];
    let answer = call(&simulator, "EnviarSMSCERTIFICADO", &certified(&wishes)).await;
    let told = [
        "Res",
        "Destinatarios",
        "NoEnviados",
        "CreditosUsados",
        "Cred",
    ];
    let told = told.map(|name| answer[name].as_u64().unwrap());
    assert_eq!(told, [3, 6, 3, 30, 970]);
    let messages = simulator.ledger().messages();
    let codes: Vec<_> = messages.iter().map(|message| message.code).collect();
    assert_eq!(codes, [3, 3, 0, 0, 0, 3].map(Some));
    assert!(messages[0].text.expose().starts_with("Hola Anax a"));
    assert!(messages[5].text.expose().starts_with("Hola  a"));
    assert_eq!(messages[0].mensatek.as_ref().unwrap().protection, 103);
}

#[tokio::test]
async fn every_parameter_is_checked() {
    let (simulator, _) = at_noon(Script::new()).await;
    for wrong in [
        ("Remitente", "DoceLetrasXY"),
        ("Remitente", "Otro"),
        ("Destinatarios", ""),
        ("Destinatarios", "34600000001"),
        ("Destinatarios", "[]"),
        ("Destinatarios", r#"[{"Variable_1":"x"}]"#),
        (
            "Destinatarios",
            r#"[{"Movil":"34600000001","Variable_11":"x"}]"#,
        ),
        ("Destinatarios", r#"[{"Movil":"600000001"}]"#),
        ("Mensaje", " "),
        ("Mensaje", "(FILE:1:a.pdf)"),
        ("Contacto", ""),
        ("Telcontacto", ""),
        ("Cifcontacto", ""),
        ("Tipocontrato", "2"),
        ("Fecha", "mañana"),
        ("Fecha", "2026-11-22 12:59"),
        ("Report", "2"),
        ("Idmensaje", "x"),
        ("Idmensaje", "7"),
        ("Vpd", "21"),
        ("Vph", "24"),
        ("Vpm", "60"),
        ("Vpm", "0"),
        ("Identificar", "DNI"),
        ("Aceptacion", "16"),
        ("Unicode", "si"),
        ("Fixutf8", "2"),
        ("Color", "rojo"),
    ] {
        let answer = call(&simulator, "EnviarSMSCERTIFICADO", &certified(&[wrong])).await;
        assert_eq!(answer["Res"], -3, "{wrong:?}");
        assert!(
            answer["Error"].is_string() && answer["Cred"] == 1000,
            "{answer}"
        );
    }
    for contract in [("Identificar", "OTP"), ("Aceptacion", "1")] {
        let fields = certified(&[contract, ("Tipocontrato", "1")]);
        let answer = call(&simulator, "EnviarSMSCERTIFICADO", &fields).await;
        assert_eq!(answer["Res"], -3, "{contract:?} is of certified SMS alone");
    }
    for of_certified in ["Contacto", "Tipocontrato", "Identificar", "Aceptacion"] {
        let answer = call(&simulator, "EnviarSMS", &sms(&[(of_certified, "1")])).await;
        assert_eq!(answer["Res"], -3, "{of_certified}");
    }
    let twice = format!("{}&Mensaje=otro", form(&sms(&[])));
    let answer = text_of(request(&simulator, "EnviarSMS", twice)).await;
    assert!(answer.contains("repetido"), "{answer}");
    for resp in ["", "&Resp=TXT", "&Resp=XML"] {
        let body = form(&sms(&[])).replace("&Resp=JSON", resp);
        let answer = text_of(request(&simulator, "EnviarSMS", body)).await;
        assert!(answer.contains("\"Res\":-3"), "{resp}: {answer}");
    }
    assert_eq!(simulator.credits(LOGIN), Credits::whole(1000));
}

#[tokio::test]
async fn wrong_credentials_are_minus_one_for_every_function() {
    let (simulator, _) = at_noon(Script::new()).await;
    for function in MensatekFunction::ALL {
        let wrong = client()
            .post(format!("{}/{function}", simulator.mensatek_base()))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .header("Authorization", "Basic b3RoZXI6d3Jvbmc=")
            .body("Resp=JSON");
        assert_eq!(text_of(wrong).await, r#"[{"Res":-1}]"#, "{function}");
    }
    let refused = simulator.ledger().refused();
    assert_eq!(refused.len(), MensatekFunction::ALL.len());
    assert!(
        refused
            .iter()
            .all(|refused| refused.why == Refusal::WrongLogin)
    );
    assert_eq!(simulator.ledger().wrong_logins("other"), 10);
    let rules = MensatekRules {
        bare_wrong_login: true,
        ..MensatekRules::default()
    };
    simulator.play(Script::new().mensatek(rules)).unwrap();
    let bare = client()
        .post(format!("{}/GetCreditos", simulator.mensatek_base()))
        .header("Content-Type", "application/x-www-form-urlencoded");
    assert_eq!(text_of(bare).await, "-1");
}

#[tokio::test]
async fn credits_run_out_with_two_codes() {
    let (simulator, _) = at_noon(Script::new()).await;
    let answer = call(&simulator, "GetCreditos", &[]).await;
    assert_eq!(answer, json!({ "Res": 1, "Cred": 1000 }));
    simulator.set_credits(LOGIN, Credits::hundredths(450));
    let answer = call(&simulator, "EnviarSMSCERTIFICADO", &certified(&[])).await;
    let expected = json!({ "Res": -5, "CreditosNecesarios": 5, "Cred": 4.5 });
    assert_eq!(answer, expected);
    for left in [3.5, 2.5, 1.5, 0.5] {
        assert_eq!(call(&simulator, "EnviarSMS", &sms(&[])).await["Cred"], left);
    }
    assert_eq!(call(&simulator, "EnviarSMS", &sms(&[])).await["Res"], -5);
    simulator.set_credits(LOGIN, Credits::whole(0));
    for (function, order, needed) in [
        ("EnviarSMS", sms(&[]), 1),
        ("EnviarSMSCERTIFICADO", certified(&[]), 5),
    ] {
        let answer = call(&simulator, function, &order).await;
        let expected = json!({ "Res": -2, "CreditosNecesarios": needed, "Cred": 0 });
        assert_eq!(answer, expected, "{function}");
    }
    assert_eq!(simulator.credits("other"), Credits::whole(1));
}

#[tokio::test]
async fn a_group_keeps_its_sender_and_has_each_phone_once() {
    let (simulator, _) = at_noon(Script::new()).await;
    let id = sent(&simulator, "EnviarSMS", &sms(&[])).await.to_string();
    let to = r#"[{"Movil":"34600000001"},{"Movil":"34600000002"}]"#;
    let again = sms(&[("Idmensaje", &id), ("Destinatarios", to), ("Remitente", "")]);
    let answer = call(&simulator, "EnviarSMS", &again).await;
    assert_eq!(
        (&answer["Res"], &answer["NoEnviados"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(answer["idMensaje"].to_string(), id);
    let messages = simulator.ledger().messages();
    assert_eq!(&*messages[2].sender, "ClaveMadrid");
    let nobody_new = call(&simulator, "EnviarSMS", &sms(&[("Idmensaje", &id)])).await;
    assert_eq!(nobody_new["Res"], -3);
    let report = call(&simulator, "GetReportSMSCERTIFICADO", &[("Idmensaje", &id)]).await;
    assert_eq!(report["Destinatarios"], 2);
    let foreign = request(&simulator, "EnviarSMS", form(&sms(&[("Idmensaje", &id)])));
    let foreign = foreign.header("Authorization", OTHER);
    assert_eq!(foreign.send().await.unwrap().status(), 200);
    let kept = certified(&[("Idmensaje", &id)]);
    let answer = call(&simulator, "EnviarSMSCERTIFICADO", &kept).await;
    assert_eq!(answer["Res"], -3, "a group is of one kind");
}

#[tokio::test]
async fn a_script_can_shape_break_and_refuse_every_answer() {
    let shapes = vec![AnswerShape::BareObject, AnswerShape::QuotedNumbers];
    let text = "mal".to_owned();
    let script = Script::new()
        .on(Match::phone("34600000011"), Action::Shapes(shapes))
        .on(Match::phone("34600000012"), Action::BareInt(-1))
        .on(
            Match::phone("34600000013"),
            Action::Fault { code: -3, text },
        )
        .on(Match::phone("34600000014"), Action::MalformedXml)
        .on(Match::phone("34600000015"), Action::NoMessageId)
        .on(Match::phone("34600000016"), Action::Code(-16))
        .on(Match::phone("34600000017"), Action::HtmlPage)
        .on(Match::phone("34600000018"), Action::Code(7))
        .on(Match::function("GetCreditos"), Action::Code(-99))
        .on(
            Match::function("ListarFicheros").times(1),
            Action::DropBeforeReading,
        );
    let (simulator, _) = at_noon(script).await;
    let mut answers = Vec::new();
    for number in 11..=18 {
        let to = format!(r#"[{{"Movil":"346000000{number}"}}]"#);
        let body = form(&sms(&[("Destinatarios", &to)]));
        answers.push(text_of(request(&simulator, "EnviarSMS", body)).await);
    }
    assert!(
        answers[0].starts_with(r#"{"Cred":"999","#),
        "{}",
        answers[0]
    );
    assert_eq!(answers[1], "-1");
    assert_eq!(answers[2], r#"[{"Error":"mal","Res":-3}]"#);
    assert!(serde_json::from_str::<Value>(&answers[3]).is_err());
    assert!(!answers[4].contains("idMensaje") && answers[4].contains("\"Res\":1"));
    assert_eq!(answers[5], r#"[{"Cred":997,"Res":-16}]"#);
    assert!(answers[6].starts_with("<!DOCTYPE"));
    assert!(answers[7].contains("\"Res\":7"), "{}", answers[7]);
    let codes: Vec<_> = simulator
        .ledger()
        .messages()
        .iter()
        .map(|m| m.code)
        .collect();
    let told = [
        Some(1),
        Some(-1),
        None,
        None,
        Some(1),
        Some(-16),
        None,
        Some(7),
    ];
    assert_eq!(codes, told);
    // Taken are those whose answers broke, not those that were refused.
    assert_eq!(simulator.credits(LOGIN), Credits::whole(995));
    assert_eq!(call(&simulator, "GetCreditos", &[]).await["Res"], -99);
    let list = || request(&simulator, "ListarFicheros", form(&[]));
    assert!(list().send().await.is_err());
    assert_eq!(list().send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn only_a_form_to_a_known_function_is_a_call() {
    let (simulator, _) = at_noon(Script::new()).await;
    let unknown = request(&simulator, "enviarsms", form(&sms(&[])));
    assert_eq!(unknown.send().await.unwrap().status(), 404);
    let json = client()
        .post(format!("{}/GetCreditos", simulator.mensatek_base()))
        .header("Content-Type", "application/json")
        .header("Authorization", AUTHORIZATION);
    assert_eq!(json.send().await.unwrap().status(), 415);
    let parts = client()
        .post(format!("{}/GetCreditos", simulator.mensatek_base()))
        .header("Content-Type", "multipart/form-data; boundary=b")
        .header("Authorization", AUTHORIZATION);
    let good = "--b\r\nContent-Disposition: form-data; name=\"Resp\"\r\n\r\nJSON\r\n--b--\r\n";
    let answer = text_of(parts.try_clone().unwrap().body(good)).await;
    assert_eq!(answer, r#"[{"Cred":1000,"Res":1}]"#);
    assert!(text_of(parts.body("no parts")).await.contains("\"Res\":-3"));
    assert_eq!(
        simulator.ledger().refused().pop().unwrap().why,
        Refusal::NotAForm
    );
}
