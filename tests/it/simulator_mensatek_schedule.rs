//! Over the simulated Mensatek a message waits for its time on the injected clock, is moved, is cancelled and paid back.

use std::time::Duration;

use clave_otp::simulator::{Action, Credits, Match, Script};
use serde_json::json;

use crate::{
    simulator::LOGIN,
    simulator_mensatek::{at_noon, call, certified, form, request, sent, sms},
};

const CANCEL: &str = "CancelarSMSCERTIFICADO";
const RESCHEDULE: &str = "ReprogramarSMSCERTIFICADO";
const REPORT: &str = "GetReportSMSCERTIFICADO";
const OTHER: &str = "Basic b3RoZXI6bm90LWEtcmVhbC1wYXNzd29yZA==";

#[tokio::test]
async fn a_message_is_scheduled_moved_and_cancelled_and_its_credits_come_back() {
    let (simulator, clock) = at_noon(Script::new()).await;
    let to = r#"[{"Movil":"34600000001"},{"Movil":"34600000002"}]"#;
    // Spanish time: in an hour.
    let wishes = certified(&[("Fecha", "2026-11-22 14:00"), ("Destinatarios", to)]);
    let id = sent(&simulator, "EnviarSMSCERTIFICADO", &wishes)
        .await
        .to_string();
    assert_eq!(simulator.credits(LOGIN), Credits::whole(990));
    let report = call(&simulator, REPORT, &[("Idmensaje", &id)]).await;
    assert_eq!(report["Informe"][0]["Resultado"], 1);
    assert_eq!(report["Informe"][0]["Estado"], "Programado");
    let date = ("Fecha", "2026-11-22 15:00");
    let moved = call(&simulator, RESCHEDULE, &[("Idmensaje", &id), date]).await;
    assert_eq!(moved, json!({ "Res": 2, "Cred": 990 }));
    clock.advance(Duration::from_secs(3_600));
    let report = call(&simulator, REPORT, &[("Idmensaje", &id)]).await;
    assert_eq!(
        report["Informe"][1]["Resultado"], 1,
        "its first time means nothing any more"
    );
    let cancelled = call(&simulator, CANCEL, &[("Idmensaje", &id)]).await;
    let number: u64 = id.parse().unwrap();
    let expected = json!({ "Res": 2, "IDMENSAJE": number, "CRED": 1000, "CREDR": 10 });
    assert_eq!(cancelled, expected);
    clock.advance(Duration::from_secs(7_200));
    let report = call(&simulator, REPORT, &[("Idmensaje", &id)]).await;
    assert_eq!(report["Informe"][0]["Resultado"], 29);
    for function in [CANCEL, RESCHEDULE] {
        let date = ("Fecha", "2026-11-23 15:00");
        let fields = [("Idmensaje", id.as_str()), date];
        let fields = if function == CANCEL {
            &fields[..1]
        } else {
            &fields
        };
        assert_eq!(
            call(&simulator, function, fields).await["Res"],
            -5,
            "{function}"
        );
    }
}

#[tokio::test]
async fn a_message_goes_when_its_time_has_come_and_cannot_be_moved_then() {
    let (simulator, clock) = at_noon(Script::new()).await;
    let wishes = sms(&[("Fecha", "2026-11-22 14:00")]);
    let id = sent(&simulator, "EnviarSMS", &wishes).await.to_string();
    clock.advance(Duration::from_secs(3_600));
    let date = ("Fecha", "2026-11-22 15:00");
    let moved = call(&simulator, RESCHEDULE, &[("Idmensaje", &id), date]).await;
    assert_eq!(moved["Res"], -4);
    let cancelled = call(&simulator, CANCEL, &[("Idmensaje", &id)]).await;
    assert_eq!(cancelled, json!({ "Res": -4, "CRED": 999 }));
}

#[tokio::test]
async fn every_code_of_both_functions_can_be_provoked() {
    let (simulator, _) = at_noon(Script::new()).await;
    let wishes = sms(&[("Fecha", "2026-11-22 14:00")]);
    let id = sent(&simulator, "EnviarSMS", &wishes).await.to_string();
    let good = "2026-11-22 15:00";
    for (function, fields, code) in [
        (CANCEL, vec![], -3),
        (CANCEL, vec![("Idmensaje", "x")], -3),
        (CANCEL, vec![("Idmensaje", "7")], -2),
        (RESCHEDULE, vec![("Idmensaje", id.as_str())], -3),
        (RESCHEDULE, vec![("Fecha", good)], -3),
        (RESCHEDULE, vec![("Idmensaje", "7"), ("Fecha", good)], -2),
        (
            RESCHEDULE,
            vec![("Idmensaje", &id), ("Fecha", "22/11/2026")],
            -6,
        ),
        (
            RESCHEDULE,
            vec![("Idmensaje", &id), ("Fecha", "2026-11-22 13:00")],
            -7,
        ),
        (REPORT, vec![], -3),
        (REPORT, vec![("Idmensaje", "7")], -4),
    ] {
        let answer = call(&simulator, function, &fields).await;
        assert_eq!(answer["Res"], code, "{function} {fields:?}");
    }
    for function in [CANCEL, REPORT] {
        let url = format!("{}/{function}", simulator.mensatek_base());
        let foreign = crate::simulator::client()
            .post(url)
            .header("Content-Type", "application/x-www-form-urlencoded")
            .header("Authorization", OTHER)
            .body(form(&[("Idmensaje", &id)]));
        let answer = foreign.send().await.unwrap().text().await.unwrap();
        assert!(answer.contains("\"Res\":-2"), "{function}: {answer}");
    }
    simulator
        .play(Script::new().on(Match::function(CANCEL), Action::Code(-4)))
        .unwrap();
    let body = form(&[("Idmensaje", &id)]);
    let answer = request(&simulator, CANCEL, body).send().await.unwrap();
    assert!(answer.text().await.unwrap().contains("\"Res\":-4"));
    assert_eq!(
        simulator.credits(LOGIN),
        Credits::whole(999),
        "nothing was cancelled"
    );
}
