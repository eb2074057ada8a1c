//! The simulated Mensatek calls back to the address of an account, as a panel has it set.

use clave_otp::simulator::{CallbackForm, ReportUrl, Script};
use serde_json::{Value, json};

use crate::{
    simulator::LOGIN,
    simulator_mensatek::{at_noon, certified, sent, sms},
    simulator_receiver::Receiver,
};

#[tokio::test]
async fn states_are_told_as_json_and_the_address_is_looked_at_first() {
    let (simulator, _) = at_noon(Script::new()).await;
    let (receiver, url) = Receiver::start().await;
    simulator.set_callback(LOGIN, ReportUrl::parse(&url).unwrap(), CallbackForm::Json);
    let wishes = sms(&[("Referenciausuario", "ref-1")]);
    let id = sent(&simulator, "EnviarSMS", &wishes).await;
    simulator.ledger().until_reports_acknowledged(2).await;
    assert_eq!(receiver.looks(), ["HEAD", "GET"]);
    let came = receiver.came();
    assert_eq!(came[0].path, "/reports/madrid/token");
    assert_eq!(came[0].headers["content-type"], "application/json");
    let told: Vec<Value> = came
        .iter()
        .map(|came| serde_json::from_str(&came.body).unwrap())
        .collect();
    let mut expected = json!({
        "Servicio": "SMSMASIVO", "Resultado": 2, "Remitente": "ClaveMadrid",
        "Movil": 34_600_000_001_u64, "Fecha": "2026-11-22 13:00:00", "Segundos": 0,
        "idMensaje": id, "Referencia": "ref-1", "idReport": 1_000_000_001,
    });
    assert_eq!(told[0], expected);
    expected["Resultado"] = json!(11);
    assert_eq!(told[1], expected);

    sent(&simulator, "EnviarSMSCERTIFICADO", &certified(&[])).await;
    simulator.ledger().until_reports_acknowledged(4).await;
    assert_eq!(receiver.looks().len(), 2, "once for each address");
    let reports = simulator.ledger().reports();
    let statuses: Vec<_> = reports.iter().map(|report| &*report.status).collect();
    assert_eq!(statuses, ["2", "11", "13", "14"]);
    let printed = format!("{reports:?}");
    assert!(!printed.contains("token") && !printed.contains("34600000001"));
}
