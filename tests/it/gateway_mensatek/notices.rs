//! Everything that Mensatek API 7.0 tells by itself, and what it is answered.

use clave_otp::{
    domain::{
        BareDigits, DeliveryId, GatewayMessageId, News, Reason, ReportedNumber,
        certified::{
            AttachmentEventKind, CertifiedEvent, CertifiedId, CertifiedNews, MessageGroup,
            PlatformState, Protection,
        },
    },
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
        assert_eq!(
            report.recipient,
            ReportedNumber::parse("+34600000001", BareDigits::WithCountry)
        );
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
            "{{\"SERVICIO\":\"smsmasivo\",\"resultado\":{state},\"movil\":\"34600000001\",\"msgid\":\"77\",\"Referencia\":\"other\"}}"
        );
        let (found, answer) = read_callback(&reader(), JSON, body.as_bytes());
        let Callback::Report(report) = found else {
            panic!("{state}: {found:?}");
        };
        // A reference that is none of ours: the message id says which one it is.
        assert_eq!(report.delivery, None);
        assert_eq!(report.message_id, GatewayMessageId::parse("77"));
        assert_eq!(
            report.recipient,
            ReportedNumber::parse("+34600000001", BareDigits::WithCountry)
        );
        assert_eq!((report.news, report.status.as_str()), (news, kept));
        assert_eq!(answer, taken());
    }
}

/// Without a reference of ours, what is certified may be a code or a certified message; plain SMS is a code.
#[test]
fn a_report_without_a_reference_may_be_about_either() {
    for (service, is_open) in [
        ("SMSCERTIFICADO", true),
        ("SMSCONTRATO", true),
        ("SMSMASIVO", false),
    ] {
        let body = format!(
            "{{\"Servicio\":\"{service}\",\"Resultado\":13,\"Movil\":34600000001,\"idMensaje\":77}}"
        );
        let report = match read_callback(&reader(), JSON, body.as_bytes()).0 {
            Callback::Certified(event, Some(report)) if is_open => {
                assert_eq!((event.message, event.group), (None, MessageGroup::new(77)));
                report
            }
            Callback::Report(report) if !is_open => report,
            other => panic!("{service}: {other:?}"),
        };
        assert_eq!(report.message_id, GatewayMessageId::parse("77"));
        assert_eq!(report.news, News::Delivered);
    }
}

/// Its numbers begin with the code of their country: nine digits are no Spanish number, but one of New Caledonia.
#[test]
fn the_number_of_a_report_begins_with_the_code_of_its_country() {
    let body = br#"{"Servicio":"SMSMASIVO","Resultado":11,"Movil":687712345,"idMensaje":77}"#;
    let Callback::Report(report) = read_callback(&reader(), JSON, body).0 else {
        panic!("it is a report");
    };
    let abroad = ReportedNumber::parse("+687712345", BareDigits::WithCountry);
    assert_eq!(report.recipient, abroad);
}

/// Nine digits after `+` or `00` are no Spanish number.
#[test]
fn a_number_keeps_its_plus_and_its_zeros() {
    for (written, expected) in [
        ("\"+376123456\"", "+376123456"),
        ("\"00376123456\"", "+376123456"),
        ("\"0034600000001\"", "+34600000001"),
        ("\"687712345\"", "+687712345"),
        ("34600000001", "+34600000001"),
    ] {
        let body = format!(
            "{{\"Servicio\":\"SMSMASIVO\",\"Resultado\":11,\"Movil\":{written},\"idMensaje\":77}}"
        );
        let (found, _) = read_callback(&reader(), JSON, body.as_bytes());
        let Callback::Report(report) = found else {
            panic!("{written}: {found:?}");
        };
        let number = report.recipient.unwrap();
        assert_eq!(number.expose_e164(), expected, "{written}");
    }
}

#[test]
fn what_is_of_no_use_is_acknowledged_and_dropped() {
    let nobody = br#"{"Servicio":"SMSMASIVO","Resultado":11,"Movil":34600000001}"#.to_vec();
    // The platform's number alone does not say whom it is about; a reference of ours does.
    let hidden = br#"{"Servicio":"SMSMASIVO","Resultado":11,"Movil":"oculto","idMensaje":77}"#;
    let (hidden, hidden_certified) = (hidden.to_vec(), {
        let text = String::from_utf8_lossy(hidden);
        text.replace("SMSMASIVO", "SMSCERTIFICADO").into_bytes()
    });
    let form = b"Servicio=SMSRECIBIDO&Mensaje=canary".to_vec();
    let event = b"Servicio=EVENTOSSMSCERTIFICADO&TipoEvento=2&Valor=canary".to_vec();
    for (body, word) in [
        (golden("callback-attachment-event.json"), "attachment_event"),
        (golden("callback-citizen-answer.json"), "citizen_answer"),
        (form, "citizen_answer"),
        (event, "attachment_event"),
        (golden("callback-unknown-service.json"), "unknown_service"),
        (nobody, "report_about_no_message"),
        (hidden, "report_about_no_number"),
        (hidden_certified, "report_about_no_number"),
    ] {
        let (found, answer) = read_callback(&reader(), JSON, &body);
        assert_eq!(found, Callback::Dropped(word));
        assert_eq!(answer, taken(), "{word}");
    }
}

/// What a notice says of a certified message, in the two forms that it may come in.
fn event_of(pairs: &[(&str, &str)]) -> CertifiedEvent {
    let json: serde_json::Map<String, serde_json::Value> = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).into()))
        .collect();
    let json = serde_json::Value::Object(json).to_string();
    let form = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish();
    let read = |content_type: &str, body: &str| {
        let (found, answer) = read_callback(&reader(), content_type, body.as_bytes());
        assert_eq!(answer, taken(), "{body}");
        match found {
            Callback::Certified(event, None) => *event,
            other => panic!("{body}: {other:?}"),
        }
    };
    let event = read(JSON, &json);
    assert_eq!(event, read(FORM, &form));
    event
}

const REFERENCE: &str = "c-07070707-0707-0707-0707-070707070707";

#[test]
fn a_reference_of_ours_makes_a_report_an_event() {
    for service in ["SMSCERTIFICADO", "SMSCONTRATO"] {
        let event = event_of(&[
            ("Servicio", service),
            ("Resultado", "162"),
            ("Movil", "34600000001"),
            ("Fecha", "2026-11-24 11:14:24"),
            ("Segundos", "3"),
            ("idMensaje", "10573758"),
            ("Referencia", REFERENCE),
            ("Variables", "{\"Variable_1\":\"canary\"}"),
        ]);
        assert_eq!(event.message, Some(CertifiedId::from_bytes([7; 16])));
        assert_eq!(event.group, MessageGroup::new(10_573_758));
        assert_eq!(
            event.recipient,
            ReportedNumber::parse("+34600000001", BareDigits::WithCountry)
        );
        assert_eq!(event.time.unwrap().to_string(), "2026-11-24T10:14:24Z");
        let news = CertifiedNews::State {
            state: PlatformState::new(162),
            seconds: Some(3),
        };
        assert_eq!(event.news, news);
        assert!(!format!("{event:?}").contains("canary"));
    }
}

/// All thirteen, and what no text knows; a PIN, a number or an identity stands beside most of them.
#[test]
fn of_an_event_of_an_attachment_no_pin_comes_further_than_this() {
    for kind in 0..=14_i64 {
        let event = event_of(&[
            ("Servicio", "EVENTOSSMSCERTIFICADO"),
            ("Fichero", "notifica.pdf"),
            ("TipoAdjunto", "100"),
            ("Fecha", "20261124111424"),
            ("Telefono", "34600000001"),
            ("TipoEvento", &kind.to_string()),
            ("idEnvio", "77"),
            ("Valor", "canary-4711"),
            ("Referencia", REFERENCE),
            ("IP", "192.0.2.7"),
            ("Puerto", "56678"),
        ]);
        let CertifiedNews::Attachment(attachment) = &event.news else {
            panic!("{event:?}");
        };
        assert_eq!(attachment.kind, AttachmentEventKind::of(kind));
        assert_eq!(attachment.protection, Protection::OneTimePin);
        assert_eq!(&*attachment.file, "notifica.pdf");
        assert_eq!(attachment.address, "192.0.2.7".parse().ok());
        assert_eq!(attachment.port, Some(56678));
        let kept = format!("{event:?}").contains("canary");
        assert_eq!(kept, matches!(kind, 1 | 5), "{kind}");
    }
}

#[test]
fn an_answer_belongs_to_the_message_that_it_answers() {
    for (sender, recipient) in [("34600000001", "217812"), ("MIEMPRESA", "34600000001")] {
        let event = event_of(&[
            ("Servicio", "SMSRECIBIDO"),
            ("timestamp", "1664795529"),
            ("Movil", recipient),
            ("Remitente", sender),
            ("Mensaje", "SI canary"),
            ("idR", "56399876"),
            ("idM", "78334454"),
            ("EsCert", "true"),
        ]);
        assert_eq!(
            (event.message, event.group),
            (None, MessageGroup::new(78_334_454))
        );
        assert_eq!(
            event.recipient,
            ReportedNumber::parse("+34600000001", BareDigits::WithCountry)
        );
        assert_eq!(event.time.unwrap().as_second(), 1_664_795_529);
        let CertifiedNews::Reply { text, is_certified } = &event.news else {
            panic!("{event:?}");
        };
        assert_eq!((text.expose(), *is_certified), ("SI canary", true));
        assert!(!format!("{event:?}").contains("canary"));
    }
}

#[test]
fn what_is_no_notice_is_acknowledged_and_counted_with_a_word_of_what_is_wrong() {
    let good = golden("callback-smsmasivo.json");
    let mut rows = vec![(good, "text/xml", "content_type")];
    for body in ["", "{\"Servicio\":\"SMSMASIVO\"", "[]", "[{},{}]", "{} x"] {
        rows.push((body.into(), JSON, "not_json_or_form"));
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
        rows.push((body.into(), FORM, "field"));
    }
    let whole = golden("callback.multipart");
    rows.push((whole, "multipart/form-data; boundary=other", "field"));
    for (body, content_type, word) in rows {
        let (found, answer) = read_callback(&reader(), content_type, &body);
        let body = String::from_utf8_lossy(&body[..body.len().min(100)]).into_owned();
        assert_eq!(found, Callback::Malformed(word), "{body}");
        assert_eq!(answer.status, 200, "it would come again: {body}");
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
        prop_assert_eq!(answer.status, 200);
    }
}
