//! Everything that Mensatek API 7.0 tells by itself, and what it is answered.

use clave_otp::{
    domain::{DeliveryId, GatewayMessageId, News, Reason, ReportedNumber},
    gateway::{Callback, CallbackAnswer},
};
use proptest::prelude::*;

use super::{FORM, JSON, golden, reader};
use crate::gateway_common::read_callback;

fn taken() -> CallbackAnswer {
    CallbackAnswer {
        status: 200,
        content_type: "text/plain; charset=utf-8",
        body: b"OK".to_vec(),
    }
}

/// All services, as JSON and as both kinds of form.
#[test]
fn every_report_is_understood_and_acknowledged() {
    let multipart = "Multipart/Form-Data; charset=utf-8; boundary=\"canary-boundary\"";
    for (file, content_type) in [
        ("callback-smsmasivo.json", JSON),
        ("callback-smscertificado.json", JSON),
        (
            "callback-smscontrato.json",
            "application/json; charset=utf-8",
        ),
        ("callback.form", FORM),
        ("callback.multipart", multipart),
        // By what it is, not by what it is called.
        ("callback-smsmasivo.json", FORM),
    ] {
        let (found, answer) = read_callback(&reader(), content_type, &golden(file));
        let Callback::Report(report) = found else {
            panic!("{file}: {found:?}");
        };
        assert_eq!(report.delivery, Some(DeliveryId::from_bytes([7; 16])));
        assert_eq!(report.message_id, GatewayMessageId::parse("10573758"));
        assert_eq!(report.recipient, ReportedNumber::parse("+34600000001"));
        assert_eq!(report.news, News::Delivered, "{file}");
        assert_eq!(report.status.as_str(), "11");
        assert_eq!(answer, taken(), "{file}");
    }
}

/// One row of each kind of the table, as number and as text; every row is tested beside the table.
#[test]
fn a_state_comes_as_a_number_or_as_a_text() {
    let failed = |word| News::Failed(Reason::known(word));
    for (state, news, kept) in [
        ("13", News::Delivered, "13"),
        ("\"14\"", News::Delivered, "14"),
        ("1002", News::Waiting, "1002"),
        ("53", failed("REPORTED_EXPIRED"), "53"),
        ("\"50\"", failed("REPORTED_NUMBER_UNKNOWN"), "50"),
        ("4711", News::Unknown, "4711"),
        ("-1", News::Unknown, "-1"),
        ("\"DELIVRD\"", News::Unknown, "DELIVRD"),
        ("\"su clave es 748291\"", News::Unknown, "?"),
    ] {
        let body = format!(
            "{{\"SERVICIO\":\"smsmasivo\",\"resultado\":{state},\"movil\":\"600000001\",\"msgid\":\"77\",\"Referencia\":\"other\"}}"
        );
        let (found, answer) = read_callback(&reader(), JSON, body.as_bytes());
        let Callback::Report(report) = found else {
            panic!("{state}: {found:?}");
        };
        // A reference that is none of ours: the message id says which one it is.
        assert_eq!(report.delivery, None);
        assert_eq!(report.message_id, GatewayMessageId::parse("77"));
        assert_eq!(report.recipient, ReportedNumber::parse("+34600000001"));
        assert_eq!((report.news, report.status.as_str()), (news, kept));
        assert_eq!(answer, taken());
    }
}

#[test]
fn what_is_of_no_use_is_acknowledged_and_dropped() {
    let nobody = br#"{"Servicio":"SMSMASIVO","Resultado":11,"Movil":34600000001}"#.to_vec();
    let form = b"Servicio=SMSRECIBIDO&Mensaje=canary".to_vec();
    for (body, word) in [
        (golden("callback-attachment-event.json"), "attachment_event"),
        (golden("callback-citizen-answer.json"), "citizen_answer"),
        (form, "citizen_answer"),
        (golden("callback-unknown-service.json"), "unknown_service"),
        (nobody, "report_about_no_message"),
    ] {
        let (found, answer) = read_callback(&reader(), JSON, &body);
        assert_eq!(found, Callback::Dropped(word));
        assert_eq!(answer, taken(), "{word}");
    }
}

#[test]
fn a_request_that_is_no_notice_is_refused_with_a_word() {
    let good = golden("callback-smsmasivo.json");
    let mut rows = vec![(good, "text/xml", 415, "content_type")];
    for body in ["", "{\"Servicio\":\"SMSMASIVO\"", "[]", "[{},{}]", "{} x"] {
        rows.push((body.into(), JSON, 400, "not_json_or_form"));
    }
    for body in [
        "{}",
        "hola",
        "%%%=%zz&&&",
        r#"{"Servicio":{},"Resultado":11}"#,
        r#"{"Servicio":"SMSMASIVO","Movil":34600000001,"idMensaje":1}"#,
        r#"{"Servicio":"SMSMASIVO","Resultado":11,"idMensaje":1}"#,
        r#"{"Servicio":"SMSMASIVO","Resultado":[11],"Movil":34600000001,"idMensaje":1}"#,
        "Servicio=SMSMASIVO&Resultado=11&Resultado=50&Movil=34600000001&idMensaje=1",
        "Servicio=SMSMASIVO&Resultado=11&Movil=34600000001&Movil=34600000002&idMensaje=1",
    ] {
        rows.push((body.into(), FORM, 400, "field"));
    }
    let whole = golden("callback.multipart");
    rows.push((whole, "multipart/form-data; boundary=other", 400, "field"));
    for (body, content_type, status, word) in rows {
        let (found, answer) = read_callback(&reader(), content_type, &body);
        let body = String::from_utf8_lossy(&body[..body.len().min(100)]).into_owned();
        assert_eq!(found, Callback::Malformed(word), "{body}");
        assert_eq!(answer.status, status, "{body}");
        assert_eq!(answer.body, word.as_bytes(), "{body}");
    }
}

proptest! {
    #[test]
    fn any_notice_is_answered_without_panic(
        body in proptest::collection::vec(any::<u8>(), 0..400),
        content_type in "(application/json|multipart/form-data; boundary=[-a-]{0,2}|application/x-www-form-urlencoded)",
    ) {
        let (_, answer) = read_callback(&reader(), &content_type, &body);
        prop_assert!(matches!(answer.status, 200 | 400));
    }
}
