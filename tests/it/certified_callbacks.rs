//! What Mensatek tells at the service's own port, in each form that it may come in, and what watchers and callers see of it.

use clave_otp::{
    domain::certified::spanish_time,
    grpc::proto::{
        CertifiedAttachmentAction as Action, CertifiedAttachmentEvent,
        CertifiedAttachmentProtection as Protection, CertifiedEvent, CertifiedMessage,
        CertifiedStage as Stage, DeliveryState, SendCertifiedMessageRequest,
        WatchCertifiedEventsResponse, certified_event::News,
    },
};
use mockito::{Server, ServerGuard};
use serde_json::{Map, Value};
use tonic::Streaming;
use url::form_urlencoded::Serializer;

use crate::{
    certified::{FILE, Story, addressee, answering, request, start},
    certified_events::{next, reference, token, watch},
    mensatek_document::rows,
    reported::{report_url, set, until},
    simulator::client,
    support::{MADRID, request as code_request, soon},
};

type Fields<'a> = [(&'a str, &'a str)];

/// Writes a callback in one of the forms that it may come in: what that is called, and the body.
type Write = fn(&Fields<'_>) -> (&'static str, String);

const FORMS: [Write; 3] = [as_json, as_form, as_multipart];

fn as_json(fields: &Fields<'_>) -> (&'static str, String) {
    let mut object = Map::new();
    for (name, value) in fields {
        // Bare numbers and truths where they are such, as in the samples of the text.
        let bare = value.parse::<u64>().ok().map(Value::from);
        let bare = bare.or_else(|| value.parse::<bool>().ok().map(Value::from));
        object.insert((*name).into(), bare.unwrap_or_else(|| (*value).into()));
    }
    ("application/json", Value::from(object).to_string())
}

fn as_form(fields: &Fields<'_>) -> (&'static str, String) {
    let body = Serializer::new(String::new()).extend_pairs(fields).finish();
    ("application/x-www-form-urlencoded", body)
}

fn as_multipart(fields: &Fields<'_>) -> (&'static str, String) {
    let part = |(name, value): &(&str, &str)| {
        format!("--limite\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let parts: String = fields.iter().map(part).collect();
    let content_type = "multipart/form-data; boundary=limite";
    (content_type, format!("{parts}--limite--\r\n"))
}

/// The platform tells something, and is told that it was taken.
async fn tell(url: &str, (content_type, body): (&str, String)) {
    let sent = client().post(url).header("content-type", content_type);
    let answer = sent.body(body.clone()).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200, "{body}");
}

/// A service that watches, and a message of two citizens under the number 77.
struct Told {
    // Its answers are given as long as it lives.
    _platform: ServerGuard,
    message: CertifiedMessage,
    stream: Streaming<WatchCertifiedEventsResponse>,
    url: String,
    story: Story,
}

impl Told {
    async fn begin() -> Self {
        let mut platform = Server::new_async().await;
        let answer = "{\"Res\":2,\"Msgid\":77}";
        answering(&mut platform, "EnviarSMSCERTIFICADO", answer).await;
        let mut story = start(&platform, |_| {}).await;
        let two = SendCertifiedMessageRequest {
            addressees: vec![addressee("+34600000001"), addressee("+34600000002")],
            ..request()
        };
        let message = story.sent(two).await;
        let mut stream = watch(&mut story, "").await;
        token(&mut stream).await;
        Self {
            _platform: platform,
            message,
            stream,
            url: report_url(&mut story.app).await,
            story,
        }
    }

    /// The next event, which is about the second citizen.
    async fn next(&mut self) -> CertifiedEvent {
        let (event, _) = next(&mut self.stream).await;
        assert_eq!(event.message, self.message.name);
        assert_eq!(event.administration, MADRID);
        assert_eq!(event.account, "accounts/madrid-mn");
        assert_eq!(event.recipient_index, 1);
        assert_eq!(event.masked_recipient, "+34•••••002");
        assert!(event.receive_time.is_some());
        event
    }

    async fn attachment(&mut self) -> CertifiedAttachmentEvent {
        let event = self.next().await;
        let time = spanish_time("2026-11-24 11:14:24").unwrap();
        assert_eq!(event.event_time.unwrap().seconds, time.as_second());
        match event.news {
            Some(News::Attachment(told)) => told,
            other => panic!("{other:?}"),
        }
    }
}

const ACTIONS: [(&str, Action); 14] = [
    ("1", Action::Opened),
    ("2", Action::PinSent),
    ("3", Action::PinRight),
    ("4", Action::PinWrong),
    ("5", Action::PinInvalidated),
    ("6", Action::PhoneWrong),
    ("7", Action::PhoneRight),
    ("8", Action::DocumentRight),
    ("9", Action::DocumentWrong),
    ("10", Action::CertificateRight),
    ("11", Action::CertificateWrong),
    ("12", Action::Accepted),
    ("13", Action::Refused),
    // Not in the text: told by its number.
    ("14", Action::Unspecified),
];

const PROTECTIONS: [(&str, Protection); 6] = [
    ("1", Protection::None),
    ("100", Protection::OneTimePin),
    ("101", Protection::Phone),
    ("102", Protection::Document),
    ("103", Protection::Certificate),
    ("7", Protection::Unspecified),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_action_and_protection_is_told_to_watchers_in_whatever_form_it_comes() {
    let mut told = Told::begin().await;
    let reference = reference(&told.message.name);
    for (place, write) in FORMS.into_iter().enumerate() {
        for (number, action) in ACTIONS {
            for (kind, protection) in PROTECTIONS {
                // Each saying is told once, so each is about a file of its own.
                let file = format!("{place}-{number}-{kind}.pdf");
                let mut fields = vec![
                    ("Servicio", "EVENTOSSMSCERTIFICADO"),
                    ("Fichero", file.as_str()),
                    ("TipoAdjunto", kind),
                    ("Fecha", "2026-11-24 11:14:24"),
                    ("Telefono", "34600000002"),
                    ("TipoEvento", number),
                    ("idEnvio", "77"),
                    ("idMensaje", "77"),
                    ("Valor", "canary-4711"),
                    ("IP", "192.0.2.77"),
                    ("Puerto", "56678"),
                ];
                // By our own reference, and by the platform's number alone.
                if kind != "1" {
                    fields.push(("Referencia", &reference));
                }
                tell(&told.url, write(&fields)).await;
                let event = told.attachment().await;
                assert_eq!(event.action(), action, "{file}");
                assert_eq!(event.gateway_number.to_string(), number);
                assert_eq!(event.protection(), protection, "{file}");
                assert_eq!(event.file_name, file);
                // Of the others it is a PIN, a number, or an identity.
                let is_plain = matches!(action, Action::Opened | Action::PinInvalidated);
                let value = if is_plain { "canary-4711" } else { "" };
                assert_eq!(event.value, value, "{file}");
                assert_eq!((&*event.address, event.port), ("192.0.2.77", 56678));
            }
        }
    }
}

/// A state of the platform, the stage it stands for, its word where it failed, whether it is final and certified.
const STATES: [(&str, Stage, &str, bool, bool); 11] = [
    ("5000", Stage::Unspecified, "", false, false),
    ("1", Stage::Waiting, "", false, false),
    ("51", Stage::Failed, "REPORTED_HANDSET_FAILED", true, false),
    ("13", Stage::Delivered, "", false, false),
    ("160", Stage::Opened, "", false, true),
    ("161", Stage::Read, "", false, false),
    ("162", Stage::Accepted, "", false, false),
    ("163", Stage::Signed, "", false, false),
    ("181", Stage::Closed, "", true, true),
    ("190", Stage::Closed, "", true, false),
    ("4711", Stage::Unspecified, "", false, false),
];

#[tokio::test(flavor = "multi_thread")]
async fn states_and_answers_are_told_to_watchers_in_whatever_form_they_come() {
    for write in FORMS {
        let mut told = Told::begin().await;
        let reference = reference(&told.message.name);
        for (number, stage, reason, is_final, is_certified) in STATES {
            let fields = [
                ("Servicio", "SMSCONTRATO"),
                ("Resultado", number),
                ("Remitente", "ClaveMadrid"),
                ("Movil", "34600000002"),
                ("Fecha", "2026-11-24 11:14:24"),
                ("Segundos", "3"),
                ("idMensaje", "77"),
                ("Referencia", &reference),
                ("idReport", "1234567890"),
            ];
            tell(&told.url, write(&fields)).await;
            let Some(News::State(state)) = told.next().await.news else {
                panic!("{number}");
            };
            assert_eq!(state.seconds, Some(3));
            let status = state.status.unwrap();
            assert_eq!(status.number.to_string(), number);
            assert_eq!(status.stage(), stage, "{number}");
            assert_eq!(status.reason, reason, "{number}");
            assert_eq!(status.meaning.is_empty(), number == "4711");
            let says = (status.r#final, status.certificate_available);
            assert_eq!(says, (is_final, is_certified), "{number}");
        }
        // The furthest of them stays, as the message shows it too.
        let recipients = told.story.get(&told.message.name).await.recipients;
        assert_eq!(recipients[0].status, None);
        let status = recipients[1].status.as_ref().unwrap();
        assert_eq!((status.number, status.stage()), (190, Stage::Closed));
        for (text, certified) in [("SÍ, acepto", "true"), ("BAJA", "false")] {
            let fields = [
                ("Servicio", "SMSRECIBIDO"),
                ("timestamp", "1795514064"),
                ("Movil", "34600000009"),
                ("Remitente", "34600000002"),
                ("Mensaje", text),
                ("idR", "5"),
                ("idM", "77"),
                ("EsCert", certified),
            ];
            tell(&told.url, write(&fields)).await;
            let event = told.next().await;
            assert_eq!(event.event_time.unwrap().seconds, 1_795_514_064);
            let Some(News::Reply(reply)) = event.news else {
                panic!("{text}");
            };
            assert_eq!((&*reply.text, reply.certified), (text, certified == "true"));
        }
    }
}

/// All that the document names; each is told with its number, the platform's words and what it says of the message.
#[tokio::test(flavor = "multi_thread")]
async fn every_state_is_told_to_watchers_by_its_number() {
    let mut told = Told::begin().await;
    let mut tried = 0;
    for row in rows("States") {
        let (first, last) = row[0].split_once('–').unwrap_or((&row[0], &row[0]));
        for number in first.parse::<i64>().unwrap()..=last.parse().unwrap() {
            let written = number.to_string();
            let fields = [
                ("Servicio", "SMSCERTIFICADO"),
                ("Resultado", written.as_str()),
                ("Movil", "34600000002"),
                ("Fecha", "2026-11-24 11:14:24"),
                ("idMensaje", "77"),
            ];
            tell(&told.url, as_json(&fields)).await;
            let Some(News::State(state)) = told.next().await.news else {
                panic!("{number}");
            };
            let status = state.status.unwrap();
            assert_eq!(status.number, number);
            assert!(!status.meaning.is_empty(), "{number}");
            let says = match status.stage() {
                // A contract that ran out says nothing of its SMS.
                Stage::Unspecified => "nothing".to_owned(),
                Stage::Closed if number == 195 => "nothing".to_owned(),
                Stage::Waiting => "waiting".to_owned(),
                Stage::Failed => format!("`{}`", status.reason),
                _ => "delivered".to_owned(),
            };
            assert_eq!(says, row[3], "{number}");
            tried += 1;
        }
    }
    assert!(tried > 100, "{tried}");
}

/// A code that was sent as certified SMS, reported without our reference: the platform's number says which it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_certified_code_is_settled_by_the_platforms_number_alone() {
    for (state, expected) in [
        ("14", DeliveryState::Delivered),
        ("50", DeliveryState::Failed),
    ] {
        for write in FORMS {
            let mut platform = Server::new_async().await;
            let answer = "{\"Res\":1,\"Msgid\":10573758}";
            answering(&mut platform, "EnviarSMSCERTIFICADO", answer).await;
            let mut story = start(&platform, |files| {
                let gateway = "gateway = \"mensatek\"\n";
                let certified = format!("{gateway}service = \"certified\"\n");
                files.change(FILE, gateway, &certified);
            })
            .await;
            let url = report_url(&mut story.app).await;
            let accepted = story.app.accepted(code_request()).await;
            let sent = until(&mut story.app, &accepted.name, DeliveryState::Sent).await;
            assert_eq!(sent.gateway_message_id, "10573758");
            let report = |number, id| {
                write(&[
                    ("Servicio", "SMSCERTIFICADO"),
                    ("Resultado", state),
                    ("Movil", number),
                    ("Fecha", "2026-11-24 11:14:24"),
                    ("idMensaje", id),
                ])
            };
            // Another message, and another citizen's number.
            tell(&url, report("34600000001", "10573759")).await;
            tell(&url, report("34600000009", "10573758")).await;
            let untouched = story.app.get(&accepted.name).await;
            assert_eq!(untouched.state(), DeliveryState::Sent);
            tell(&url, report("34600000001", "10573758")).await;
            let settled = soon(story.app.follow(&accepted.name)).await.1;
            assert_eq!(settled.state(), expected, "{state}");
        }
    }
}

/// The panel looks whether the address is there before it uses it, and may be told a log-in for it.
#[tokio::test(flavor = "multi_thread")]
async fn the_address_answers_a_look_and_asks_for_its_log_in() {
    let platform = Server::new_async().await;
    let mut open = start(&platform, |_| {}).await;
    let url = report_url(&mut open.app).await;
    for look in [client().head(&url), client().get(&url)] {
        let answer = look.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        assert_eq!(answer.text().await.unwrap(), "");
    }
    let elsewhere = format!("{url}x");
    let answer = client().head(&elsewhere).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 404);

    let password = "una-clave-de-avisos";
    let mut closed = start(&platform, |files| {
        files.secret("reports.password", password);
        let keys = "user = \"mensatek\"\npassword_file = \"../reports.password\"";
        set(files, keys);
    })
    .await;
    let url = report_url(&mut closed.app).await;
    let report = as_json(&[
        ("Servicio", "SMSMASIVO"),
        ("Resultado", "11"),
        ("Movil", "34600000001"),
        ("idMensaje", "1"),
    ])
    .1;
    for (password, status) in [(None, 401), (Some("otra"), 401), (Some(password), 200)] {
        let told = client().post(&url).body(report.clone());
        let told = told.header("content-type", "application/json");
        for request in [client().head(&url), client().get(&url), told] {
            let request = match password {
                Some(password) => request.basic_auth("mensatek", Some(password)),
                None => request,
            };
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status().as_u16(), status, "{password:?}");
            let asks = answer.headers().contains_key("www-authenticate");
            assert_eq!(asks, status == 401);
        }
    }
}
