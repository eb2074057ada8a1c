//! The simulated Mensatek calls back to the address of an account, as a panel has it set.

use std::{sync::Arc, time::Duration};

use clave_otp::{
    clock::ManualClock,
    simulator::{
        Account, Accounts, Action, Callback, CallbackForm, ContractError, DateForm, Gate, Match,
        ReportEnding, ReportPolicy, ReportStep, ReportUrl, Script, Simulator, SimulatorOptions,
    },
};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::{
    simulator::{LOGIN, any_port, noon},
    simulator_mensatek::{at_noon, call, certified, form, request, sent, sms},
    simulator_receiver::{Came, Receiver},
};

const CERTIFIED: &str = "EnviarSMSCERTIFICADO";

/// A simulator whose callbacks go to a receiver, as JSON; they are repeated soon.
async fn calling_back(script: Script) -> (Simulator, ManualClock, Receiver) {
    let (receiver, url) = Receiver::start().await;
    let policy = ReportPolicy::default().pause(Duration::from_millis(1));
    let (simulator, clock) = at_noon(script.report_policy(policy)).await;
    let url = ReportUrl::parse(&url).unwrap();
    simulator.set_callback(LOGIN, url, CallbackForm::Json);
    (simulator, clock, receiver)
}

fn json_of(came: &Came) -> Value {
    serde_json::from_str(&came.body).expect(&came.body)
}

fn told(receiver: &Receiver, field: &str) -> Vec<Value> {
    let came = receiver.came();
    came.iter()
        .map(|came| json_of(came)[field].clone())
        .collect()
}

fn always(steps: impl IntoIterator<Item = ReportStep>) -> Script {
    let steps = steps.into_iter().collect();
    Script::new().on(Match::always(), Action::Reports(steps))
}

#[tokio::test]
async fn states_are_told_as_json_and_the_address_is_looked_at_first() {
    let (simulator, _, receiver) = calling_back(Script::new()).await;
    let wishes = sms(&[("Referenciausuario", "ref-1")]);
    let id = sent(&simulator, "EnviarSMS", &wishes).await;
    simulator.ledger().until_reports_acknowledged(2).await;
    assert_eq!(receiver.looks(), ["HEAD", "GET"]);
    let came = receiver.came();
    assert_eq!(came[0].path, "/reports/madrid/token");
    assert_eq!(came[0].headers["content-type"], "application/json");
    let mut expected = json!({
        "Servicio": "SMSMASIVO", "Resultado": 2, "Remitente": "ClaveMadrid",
        "Movil": 34_600_000_001_u64, "Fecha": "2026-11-22 13:00:00", "Segundos": 0,
        "idMensaje": id, "Referencia": "ref-1", "idReport": 1_000_000_001,
    });
    assert_eq!(json_of(&came[0]), expected);
    expected["Resultado"] = json!(11);
    assert_eq!(json_of(&came[1]), expected);

    sent(&simulator, CERTIFIED, &certified(&[])).await;
    simulator.ledger().until_reports_acknowledged(4).await;
    assert_eq!(receiver.looks().len(), 2, "once for each address");
    let reports = simulator.ledger().reports();
    let statuses: Vec<_> = reports.iter().map(|report| &*report.status).collect();
    assert_eq!(statuses, ["2", "11", "13", "14"]);
    let printed = format!("{reports:?}");
    assert!(!printed.contains("token") && !printed.contains("34600000001"));
}

#[tokio::test]
async fn an_account_may_have_its_address_from_the_start_with_forms_and_credentials() {
    let (receiver, url) = Receiver::start().await;
    let url = ReportUrl::parse(&url).unwrap();
    let password = "not-a-real-password";
    let basic = Some(("mensatek", password.into()));
    let account = Account::with_any_sender(LOGIN, password.into()).with_callback(
        url,
        CallbackForm::Form,
        basic,
    );
    let clock = Arc::new(ManualClock::at(noon()));
    let options = SimulatorOptions::new(Accounts::listed([account]), clock);
    let simulator = Simulator::start(any_port(), options).await.unwrap();
    let wishes = certified(&[("Referenciausuario", "ref ñ")]);
    let id = sent(&simulator, CERTIFIED, &wishes).await;
    simulator.ledger().until_reports_acknowledged(2).await;
    let came = &receiver.came()[1];
    let media_type = &came.headers["content-type"];
    assert_eq!(media_type, "application/x-www-form-urlencoded");
    let authorization = "Basic bWVuc2F0ZWs6bm90LWEtcmVhbC1wYXNzd29yZA==";
    assert_eq!(came.headers["authorization"], authorization);
    let mut fields: Vec<_> = form_urlencoded::parse(came.body.as_bytes())
        .into_owned()
        .collect();
    fields.sort();
    let id = id.to_string();
    let expected = [
        ("Fecha", "2026-11-22 13:00:00"),
        ("Movil", "34600000001"),
        ("Referencia", "ref ñ"),
        ("Remitente", "ClaveMadrid"),
        ("Resultado", "14"),
        ("Segundos", "0"),
        ("Servicio", "SMSCERTIFICADO"),
        ("idMensaje", &id),
        ("idReport", "1000000001"),
    ];
    let owned = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(fields, owned);
}

#[tokio::test]
async fn a_callback_is_repeated_until_200_and_nothing_else() {
    let (simulator, _, receiver) = calling_back(always([ReportStep::state_of(11)])).await;
    for status in [204, 201, 500, 302] {
        receiver.plan(status, "OK");
    }
    sent(&simulator, "EnviarSMS", &sms(&[])).await;
    simulator.ledger().until_reports(1).await;
    let report = &simulator.ledger().reports()[0];
    let statuses: Vec<_> = report.tries.iter().map(|one| one.answer.status()).collect();
    assert_eq!(statuses, [204, 201, 500, 302, 200].map(Some));
    assert_eq!(report.ending, Some(ReportEnding::Acknowledged));
}

#[tokio::test]
async fn nothing_is_told_to_an_address_that_does_not_answer_a_look() {
    let (simulator, _, receiver) = calling_back(always([ReportStep::state_of(11)])).await;
    receiver.refuse_looks(100);
    sent(&simulator, "EnviarSMS", &sms(&[])).await;
    simulator.ledger().until_reports(1).await;
    assert_eq!(receiver.looks(), ["HEAD"; 5]);
    assert!(receiver.came().is_empty());
    let report = &simulator.ledger().reports()[0];
    assert_eq!(report.ending, Some(ReportEnding::GivenUp));
    assert_eq!(report.last_status(), Some(404));
    // It is set anew: from then on it is taken.
    receiver.refuse_looks(0);
    let to = ("Destinatarios", r#"[{"Movil":"34600000002"}]"#);
    sent(&simulator, "EnviarSMS", &sms(&[to])).await;
    simulator.ledger().until_reports_acknowledged(1).await;
    assert_eq!(receiver.came().len(), 1);
}

#[tokio::test]
async fn callbacks_come_as_the_script_says() {
    let gate = Gate::new();
    let script = always([
        ReportStep::state_of(14).before_answer(),
        ReportStep::state_of(13).date_form(DateForm::Compact),
        ReportStep::state_of(13).phone_as_text().without_reference(),
        ReportStep::state_of(22).times(2).message_id("7"),
        ReportStep::of("Delivered").held_at(gate.clone()),
    ]);
    let (simulator, _, receiver) = calling_back(script).await;
    let wishes = certified(&[("Referenciausuario", "ref-1")]);
    let id = sent(&simulator, CERTIFIED, &wishes).await;
    assert_eq!(told(&receiver, "Resultado")[0], 14, "before the answer");
    simulator.ledger().until_reports_held(1).await;
    assert_eq!(told(&receiver, "Resultado"), [14, 13, 13, 22, 22]);
    gate.open();
    simulator.ledger().until_reports_acknowledged(6).await;
    assert_eq!(told(&receiver, "Resultado")[5], 14);
    let came: Vec<_> = receiver.came().iter().map(json_of).collect();
    assert_eq!(came[1]["Fecha"], "20261122130000");
    assert_eq!(came[1]["Movil"], 34_600_000_001_u64);
    assert_eq!(came[2]["Movil"], "34600000001");
    assert_eq!(
        (&came[2]["Referencia"], &came[3]["idMensaje"]),
        (&Value::Null, &json!(7))
    );
    assert_eq!(came[5]["Referencia"], "ref-1");
    let report = [("Idmensaje", id.to_string())];
    let report: Vec<_> = report
        .iter()
        .map(|(name, id)| (*name, id.as_str()))
        .collect();
    let report = call(&simulator, "GetReportSMSCERTIFICADO", &report).await;
    assert_eq!(report["Informe"][0]["Resultado"], 14);
}

#[tokio::test]
async fn a_message_without_callbacks_still_reaches_its_states() {
    let script = Script::new().on(Match::always(), Action::NoReport);
    let (simulator, _, receiver) = calling_back(script).await;
    let id = sent(&simulator, CERTIFIED, &certified(&[]))
        .await
        .to_string();
    loop {
        let report = call(&simulator, "GetReportSMSCERTIFICADO", &[("Idmensaje", &id)]).await;
        if report["Informe"][0]["Resultado"] == 14 {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert!(receiver.came().is_empty() && receiver.looks().is_empty());
}

#[tokio::test]
async fn a_dropped_connection_is_still_told_what_became_of_its_message() {
    let script = Script::new().on(Match::request(1), Action::DropAfterReading);
    let (simulator, _, receiver) = calling_back(script).await;
    let wishes = sms(&[("Referenciausuario", "ref-1")]);
    let lost = request(&simulator, "EnviarSMS", form(&wishes)).send().await;
    assert!(lost.is_err());
    simulator.ledger().until_reports_acknowledged(2).await;
    assert_eq!(told(&receiver, "Referencia"), ["ref-1", "ref-1"]);
    let refused = Action::HttpStatus {
        status: 503,
        retry_after: None,
    };
    simulator
        .play(Script::new().on(Match::always(), refused))
        .unwrap();
    let refused = request(&simulator, "EnviarSMS", form(&wishes)).send().await;
    assert_eq!(refused.unwrap().status(), 503);
    assert_eq!(simulator.ledger().reports().len(), 2, "nothing was taken");
}

#[tokio::test]
async fn a_scheduled_message_is_told_so_and_goes_at_its_time() {
    let (simulator, clock, receiver) = calling_back(Script::new()).await;
    let wishes = sms(&[("Fecha", "2026-11-22 14:00")]);
    sent(&simulator, "EnviarSMS", &wishes).await;
    simulator.ledger().until_reports_acknowledged(1).await;
    clock.advance(Duration::from_secs(3_600));
    simulator.ledger().until_reports_acknowledged(3).await;
    assert_eq!(told(&receiver, "Resultado"), [1, 2, 11]);
    assert_eq!(told(&receiver, "Fecha")[1], "2026-11-22 14:00:00");
}

#[tokio::test]
async fn a_contract_is_opened_read_accepted_and_signed_in_this_order() {
    let (simulator, _, receiver) = calling_back(Script::new()).await;
    let text = "firme (Variable_1) (BASE64:2:JVBERi0=)";
    let to = r#"[{"Movil":"34600000001","Variable_1":"aqui"}]"#;
    let wishes = [
        ("Mensaje", text),
        ("Destinatarios", to),
        ("Tipocontrato", "50"),
    ];
    let id = sent(&simulator, CERTIFIED, &certified(&wishes)).await;
    simulator.ledger().until_reports_acknowledged(1).await;
    let contract = simulator.contract(id);
    assert_eq!(
        contract.sign().await,
        Err(ContractError::OutOfOrder { state: 13 })
    );
    contract.open().await.unwrap();
    contract.read().await.unwrap();
    contract.locate().await.unwrap();
    contract.accept().await.unwrap();
    contract.sign().await.unwrap();
    assert_eq!(
        contract.reject().await,
        Err(ContractError::OutOfOrder { state: 181 })
    );
    let states = told(&receiver, "Resultado");
    assert_eq!(states, [13, 160, 161, 5000, 162, 163, 181]);
    assert!(
        told(&receiver, "Servicio")
            .iter()
            .all(|name| name == "SMSCONTRATO")
    );
    let variables = told(&receiver, "Variables");
    let of_contract = json!(r#"{"Variable_1":"aqui"}"#);
    assert_eq!((&variables[1], &variables[6]), (&of_contract, &of_contract));
    assert_eq!(variables[2], Value::Null);
    let fields = form(&[("Idmensaje", &id.to_string())]);
    let archive = request(&simulator, "GetSMSCERTIFICADO", fields)
        .send()
        .await;
    assert_eq!(
        archive.unwrap().headers()["content-type"],
        "application/zip"
    );
}

#[tokio::test]
async fn a_contract_is_accepted_rejected_expired_or_answered_by_its_kind() {
    let (simulator, _, receiver) = calling_back(Script::new()).await;
    let text = ("Mensaje", "vea (BASE64:2:JVBERi0=)");
    let mut ids = Vec::new();
    for kind in ["18", "18", "16434", "1", "0"] {
        let fields = certified(&[text, ("Tipocontrato", kind)]);
        ids.push(sent(&simulator, CERTIFIED, &fields).await);
    }
    // 13 for each, then 15 for the contract by answer and 14 for the certified message.
    simulator.ledger().until_reports_acknowledged(7).await;
    let contract = |place: usize| simulator.contract(ids[place]).of("34600000001");
    contract(0).open().await.unwrap();
    contract(0).accept().await.unwrap();
    contract(1).reject().await.unwrap();
    contract(2).expire().await.unwrap();
    contract(3).answer("quizás").await.unwrap();
    contract(3).answer("sí").await.unwrap();
    assert_eq!(
        contract(4).open().await,
        Err(ContractError::WrongKind { kind: 0 })
    );
    assert_eq!(
        contract(0).of("34600000002").open().await,
        Err(ContractError::Unknown)
    );
    let states: Vec<_> = told(&receiver, "Resultado").split_off(7);
    let answer = Value::Null;
    let expected = [160, 162, 180, 190, 195].map(Value::from).into_iter();
    let expected: Vec<_> = expected
        .chain([answer.clone(), answer, json!(16), json!(17)])
        .collect();
    assert_eq!(states, expected);
    let answered = json_of(&receiver.came()[12]);
    let expected = json!({
        "Servicio": "SMSRECIBIDO", "timestamp": noon().as_second(), "Fecha": "2026-11-22 13:00:00",
        "Movil": 34_600_000_990_u64, "Remitente": 34_600_000_001_u64, "Mensaje": "quizás",
        "idR": answered["idR"], "idM": ids[3], "EsCert": true, "Referencia": "",
    });
    assert_eq!(answered, expected);
}

#[tokio::test]
async fn events_at_attachments_are_told_and_their_pins_never_printed() {
    let (simulator, _, receiver) = calling_back(Script::new()).await;
    let wishes = [
        ("Mensaje", "vea (BASE64:2:JVBERi0=)"),
        ("Identificar", "OTP"),
    ];
    let id = sent(&simulator, CERTIFIED, &certified(&wishes)).await;
    simulator.ledger().until_reports_acknowledged(2).await;
    let contract = simulator.contract(id);
    for kind in 1..=13 {
        contract.event(kind, "4711").await.unwrap();
    }
    let came: Vec<_> = receiver.came().split_off(2).iter().map(json_of).collect();
    let expected = json!({
        "Servicio": "EVENTOSSMSCERTIFICADO", "Fichero": "base64.pdf", "TipoAdjunto": 100,
        "Fecha": "2026-11-22 13:00:00", "Telefono": 34_600_000_001_u64, "TipoEvento": 2,
        "idEnvio": id, "idMensaje": id, "Valor": "4711", "Referencia": "", "IP": "192.0.2.10",
        "Puerto": 56_678,
    });
    assert_eq!(came[1], expected);
    let kinds: Vec<_> = came.iter().map(|came| came["TipoEvento"].clone()).collect();
    assert_eq!(kinds, (1..=13).map(Value::from).collect::<Vec<_>>());
    let report = simulator.ledger().reports().pop().unwrap();
    assert_eq!(&*report.status, "event 13");
    let step = ReportStep::event(2, "4711");
    let printed = format!("{report:?} {step:?} {:?}", ReportStep::answer("4711"));
    assert!(!printed.contains("4711"), "{printed}");
}

#[tokio::test]
async fn an_event_tells_how_its_attachment_is_protected() {
    let (simulator, _, receiver) = calling_back(Script::new()).await;
    for (identification, number) in [
        ("LIBRE", 1),
        ("OTP", 100),
        ("MOVIL", 101),
        ("DNI-00000000T", 102),
        ("CERTIFICADO-00000000T", 103),
    ] {
        let wishes = [
            ("Mensaje", "vea (BASE64:2:JVBERi0=)"),
            ("Identificar", identification),
        ];
        let id = sent(&simulator, CERTIFIED, &certified(&wishes)).await;
        simulator.contract(id).event(1, "agent").await.unwrap();
        let told = receiver.came().iter().map(json_of).find(|told| {
            (&told["Servicio"], &told["idMensaje"]) == (&json!("EVENTOSSMSCERTIFICADO"), &json!(id))
        });
        assert_eq!(told.unwrap()["TipoAdjunto"], number, "{identification}");
    }
}

#[tokio::test]
async fn an_address_that_is_set_later_takes_over_with_its_credentials() {
    let (simulator, _, first) = calling_back(always([ReportStep::state_of(11)])).await;
    sent(&simulator, "EnviarSMS", &sms(&[])).await;
    simulator.ledger().until_reports_acknowledged(1).await;
    let (second, url) = Receiver::start().await;
    let callback = Callback::new(ReportUrl::parse(&url).unwrap(), CallbackForm::Form);
    let callback = callback.basic("mensatek", "not-a-real-password".into());
    assert!(!format!("{callback:?}").contains("token"));
    simulator.set_callback_to(LOGIN, callback);
    sent(&simulator, "EnviarSMS", &sms(&[])).await;
    simulator.ledger().until_reports_acknowledged(2).await;
    assert_eq!((first.came().len(), second.looks().len()), (1, 2));
    assert!(second.came()[0].headers.contains_key("authorization"));
    // A test may also have one sent by itself.
    let message = simulator.ledger().messages()[0].clone();
    let answer = simulator.send_report(&message, "190").await.unwrap();
    assert!(answer.acknowledges() && second.came()[1].body.contains("Resultado=190"));
}

#[tokio::test]
async fn a_script_from_a_file_says_where_callbacks_go() {
    let (receiver, url) = Receiver::start().await;
    let toml = format!(
        "[mensatek]\ncredits = 7\n[callback]\nurl = \"{url}\"\nform = \"json\"\n\
         [[rules]]\nphone = \"34600000001\"\naction = {{ reports = [ {{ status = \"13\", \
         date_form = \"compact\", recipient_as_text = true, without_reference = true }}, \
         {{ event = 4, value = \"1\" }}, {{ answer = \"no\" }} ] }}\n"
    );
    let (simulator, _) = at_noon(Script::from_toml(&toml).unwrap()).await;
    sent(&simulator, CERTIFIED, &certified(&[])).await;
    simulator.ledger().until_reports_acknowledged(3).await;
    let came: Vec<_> = receiver.came().iter().map(json_of).collect();
    assert_eq!(
        (&came[0]["Fecha"], &came[0]["Movil"]),
        (&json!("20261122130000"), &json!("34600000001"))
    );
    assert_eq!(
        (&came[1]["TipoEvento"], &came[2]["Mensaje"]),
        (&json!(4), &json!("no"))
    );
    let credits = call(&simulator, "GetCreditos", &[]).await;
    assert_eq!(credits["Cred"], 2);
}
