//! Fields of the official text that say nothing we need: whatever stands in them, and where they are missing, all is the same.

use clave_otp::gateway::certified::CertifiedGateway as _;
use mockito::Server;
use serde_json::{Value, json};

use super::{
    JSON, accepted,
    certified::{CANCEL, REPORT, group, sending},
    outcome_of, reader,
};
use crate::gateway_common::read_callback;

/// What may stand in such a field; nothing for a field that is missing.
fn contents() -> [Option<Value>; 6] {
    [
        None,
        Some(json!(7)),
        Some(json!("x")),
        Some(Value::Null),
        Some(json!([{}, []])),
        Some(json!({"Res": -1, "Resultado": 12})),
    ]
}

/// An object with such a field.
fn with(mut object: Value, field: &str, content: Option<Value>) -> String {
    if let Some(content) = content {
        object[field] = content;
    }
    object.to_string()
}

#[tokio::test]
async fn a_field_of_an_answer_that_is_not_read_changes_nothing() {
    let mut server = Server::new_async().await;
    let gateway = sending(&server.url());
    for content in contents() {
        let sent = json!({"Res": 1, "Msgid": 10_573_758, "Mensajes": 1, "NoEnviados": 0});
        let sent = with(sent, "Destinatarios", content.clone());
        assert_eq!(outcome_of(200, &sent).await, accepted(), "{sent}");

        server.reset();
        let cancelled = json!({"Res": 3, "CRED": 10, "CREDR": 1.5});
        let reported = json!({"Res": 1, "Informe": [{"Telefono": "34600000001", "Resultado": 14}]});
        for (function, answer) in [
            (CANCEL, with(cancelled, "IDMENSAJE", content.clone())),
            (REPORT, with(reported, "Destinatarios", content.clone())),
        ] {
            let path = format!("/v7/{function}");
            let mock = server.mock("POST", path.as_str()).with_body(answer);
            mock.create_async().await;
        }
        let cancelled = gateway.cancel(group()).await.unwrap();
        assert_eq!(
            (cancelled.recipients, cancelled.credits_back),
            (3, Some(1.5))
        );
        let rows = gateway.report(group()).await.unwrap();
        assert_eq!((rows.len(), rows[0].state.number()), (1, 14));
    }
}

/// Beside each recipient the words of its state; what a state means is known by its number.
#[tokio::test]
async fn the_words_of_a_state_in_a_report_change_nothing() {
    let mut server = Server::new_async().await;
    let gateway = sending(&server.url());
    let mut told = Vec::new();
    for content in contents() {
        server.reset();
        let row = json!({
            "Fecha": "2026-11-24 11:14:24", "Tiempo": 3, "Telefono": "34600000001", "Resultado": 14,
        });
        let row = with(row, "Estado", content);
        let body = format!("[{{\"Res\":1,\"Informe\":[{row}]}}]");
        let path = format!("/v7/{REPORT}");
        let mock = server.mock("POST", path.as_str()).with_body(body);
        mock.create_async().await;
        let rows = gateway.report(group()).await.unwrap();
        assert_eq!((rows.len(), rows[0].state.number()), (1, 14), "{row}");
        told.push(rows);
    }
    for other in &told {
        assert_eq!(*other, told[0]);
    }
}

#[test]
fn a_field_of_a_callback_that_is_not_read_changes_nothing() {
    let report = json!({
        "Servicio": "SMSMASIVO", "Resultado": 11, "Movil": 34_600_000_001_u64, "idMensaje": 10_573_758,
        "Referencia": "07070707-0707-0707-0707-070707070707",
    });
    let reply = json!({
        "Servicio": "SMSRECIBIDO", "timestamp": 1_664_795_529, "Movil": 217_812, "Remitente": 34_600_000_001_u64,
        "Mensaje": "SI", "idM": 78_334_454, "EsCert": true,
    });
    // The end of a contract. That a CSV comes with it is all that the notes on versions say of it.
    let signed = json!({
        "Servicio": "SMSCONTRATO", "Resultado": 181, "Movil": 34_600_000_001_u64, "idMensaje": 77,
        "Referencia": "c-07070707-0707-0707-0707-070707070707",
    });
    for (field, callback) in [
        ("CSV", &signed),
        ("Variables", &signed),
        ("Remitente", &report),
        ("idReport", &report),
        ("idR", &reply),
    ] {
        let told = contents().map(|content| {
            let body = with(callback.clone(), field, content);
            read_callback(&reader(), JSON, body.as_bytes())
        });
        for other in &told {
            assert_eq!(*other, told[0], "{field}");
        }
    }
}
