//! Codes, numbers, passwords and texts appear in no log line, no answer, no metric and no file, at any level of detail.

use std::{
    fmt::Write as _,
    io,
    sync::{Arc, Mutex},
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use clave_otp::{
    clock::SystemClock,
    grpc::proto::{
        CertifiedAttachment, CertifiedIdentification, CertifiedIdentificationMethod,
        CertifiedMessage, CertifiedMessageKind, CreateDeliveryRequest, DeliveryState,
        GetAccountRequest, ListDeliveriesRequest, SendCertifiedMessageRequest,
        certified_attachment::Content,
    },
    simulator::{Action, Gate, Match, ReportStep, Script, codes::WRONG_NUMBER},
};
use tracing_subscriber::fmt::MakeWriter;

use crate::{
    certified, certified_simulated,
    reported::{report_url, speak},
    simulator::client,
    support::{
        BARCELONA, BARCELONA_LOGIN, MADRID_LOGIN, PASSWORD, TestApp, request, soon, store_bytes,
    },
};

/// Keeps everything that is logged.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

const CODE: &str = "Kanarie748";
const WAITING_CODE: &str = "Kanarie911";
/// Without country code, so that each way of writing it is found.
const NUMBER: &str = "600123987";
const REJECTED_NUMBER: &str = "600123005";
const DROPPED_NUMBER: &str = "600123006";

/// What a platform writes beside a status.
const CITIZENS_WORDS: &str = "Kanarie-Worte";

/// Every value that must not be seen; a part of the composed text stands for the text.
const CANARIES: [&str; 7] = [
    CODE,
    WAITING_CODE,
    NUMBER,
    REJECTED_NUMBER,
    DROPPED_NUMBER,
    PASSWORD,
    "No lo comparta con nadie",
];

fn assert_clean(what: &str, bytes: &[u8]) {
    assert_clean_of(&CANARIES, what, bytes);
}

fn assert_clean_of(canaries: &[&str], what: &str, bytes: &[u8]) {
    for canary in canaries {
        let found = bytes
            .windows(canary.len())
            .position(|window| window == canary.as_bytes());
        if let Some(place) = found {
            let around = &bytes[place.saturating_sub(200)..(place + 200).min(bytes.len())];
            panic!(
                "{what} shows {canary}: …{}…",
                String::from_utf8_lossy(around)
            );
        }
    }
}

fn to(number: &str, code: &str) -> CreateDeliveryRequest {
    CreateDeliveryRequest {
        recipient: format!("+34{number}"),
        code: code.into(),
        ..request()
    }
}

/// What is answered where the request with its secrets is at hand.
async fn refusals(app: &mut TestApp) -> String {
    let mut answers = String::new();
    for wrong in [
        CreateDeliveryRequest {
            purpose: 0,
            ..to(NUMBER, CODE)
        },
        CreateDeliveryRequest {
            recipient: format!("+35{NUMBER}"),
            ..to(NUMBER, CODE)
        },
        CreateDeliveryRequest {
            code: format!("{CODE} "),
            ..to(NUMBER, CODE)
        },
        CreateDeliveryRequest {
            sender: "ClaveBCN".into(),
            ..to(NUMBER, CODE)
        },
        CreateDeliveryRequest {
            administration: "L01061134".into(),
            ..to(NUMBER, CODE)
        },
    ] {
        write!(answers, "{wrong:?}").unwrap();
        let refused = app.create(wrong).await.unwrap_err();
        writeln!(answers, "{refused:?}").unwrap();
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn no_code_number_text_or_password_is_ever_printed_or_kept_in_clear() {
    let log = Log::default();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .init();
    let gate = Gate::new();
    let script = Script::new()
        .on(Match::phone(REJECTED_NUMBER), Action::Code(WRONG_NUMBER))
        .on(Match::phone(DROPPED_NUMBER), Action::DropAfterReading)
        .on(Match::request(4), Action::Hold(gate.clone()))
        .on(
            Match::login(BARCELONA_LOGIN),
            Action::HttpStatus {
                status: 401,
                retry_after: None,
            },
        );
    let mut app = TestApp::start_with(script, Arc::new(SystemClock::new()), |_| {}).await;
    // Success, rejection, a broken connection: one after the other, so that the fourth request is the held one.
    let mut answers = String::new();
    for number in [NUMBER, REJECTED_NUMBER, DROPPED_NUMBER] {
        let delivery = app.ends(to(number, CODE)).await;
        writeln!(answers, "{delivery:?}").unwrap();
    }
    answers.push_str(&refusals(&mut app).await);
    // One on its way and one waiting, so that the store holds both sealed.
    app.accepted(to(REJECTED_NUMBER, CODE)).await;
    soon(app.simulator.ledger().until_held(1)).await;
    let waiting = app.accepted(to(NUMBER, WAITING_CODE)).await;
    assert_clean(
        "the store while codes wait",
        &store_bytes(&app.files.path("")),
    );
    gate.open();
    app.follow(&waiting.name).await;
    let list = app
        .client
        .list_deliveries(ListDeliveriesRequest::default())
        .await
        .unwrap();
    writeln!(answers, "{list:?}").unwrap();
    let ledger = app.simulator.ledger().clone();
    let requests = ledger.request_count();
    let credentials_rejected = CreateDeliveryRequest {
        administration: BARCELONA.into(),
        ..to(NUMBER, CODE)
    };
    app.accepted(credentials_rejected).await;
    soon(ledger.until_ended(requests + 1)).await;
    let metrics = app.metrics().await;
    assert!(metrics.contains("clave_otp_attempts_total"), "{metrics}");
    assert_clean("metrics", metrics.as_bytes());
    assert_clean("answers", answers.as_bytes());
    assert_clean("settings", format!("{:?}", app.files.settings()).as_bytes());

    let (files, _simulator) = app.stop().await;
    assert_clean("the store after a stop", &store_bytes(&files.path("")));
    let logged = log.0.lock().unwrap().clone();
    let lines = String::from_utf8_lossy(&logged);
    assert!(
        lines.contains("grpc: accepted") && lines.contains("TRACE"),
        "the log was really kept"
    );
    assert_clean("the log", &logged);
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_is_the_address_of_reports_or_what_a_report_says() {
    let log = Log::default();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .init();
    for protocol in ["soap", "rest"] {
        let steps = vec![ReportStep::delivered().text(CITIZENS_WORDS)];
        let script = Script::new()
            .on(Match::phone(DROPPED_NUMBER), Action::DropAfterReading)
            .on(Match::always(), Action::Reports(steps));
        let clock = Arc::new(SystemClock::new());
        let mut app = TestApp::start_with(script, clock, |files| speak(files, protocol)).await;
        let mut answers = String::new();
        for number in [NUMBER, DROPPED_NUMBER] {
            let delivery = app.ends(to(number, CODE)).await;
            assert_eq!(delivery.state(), DeliveryState::Delivered);
            writeln!(answers, "{delivery:?}").unwrap();
        }
        let url = report_url(&mut app).await;
        let token = url.rsplit('/').next().unwrap().to_owned();
        // Strangers with half of the address, a wrong log-in, and something that is no report.
        let client = client();
        let body = format!("<x>{CITIZENS_WORDS} {NUMBER}</x>");
        for place in [
            &url,
            &url.replace(&token, "0000"),
            &format!("{url}/{NUMBER}"),
        ] {
            let sent = client
                .post(place)
                .header("content-type", "text/xml")
                .body(body.clone());
            sent.send().await.unwrap();
        }
        let name = "accounts/madrid-mn".into();
        let account = app
            .accounts
            .get_account(GetAccountRequest { name })
            .await
            .unwrap();
        writeln!(answers, "{account:?}").unwrap();
        let authorization = BASE64.encode(format!("{MADRID_LOGIN}:{PASSWORD}"));
        let mut canaries = vec![token.as_str(), authorization.as_str(), CITIZENS_WORDS];
        canaries.extend(CANARIES);
        let metrics = app.metrics().await;
        assert!(metrics.contains("clave_otp_reports_total"), "{metrics}");
        assert_clean_of(&canaries, "metrics", metrics.as_bytes());
        assert_clean_of(&canaries, "answers", answers.as_bytes());
        let settings = format!("{:?}", app.files.settings());
        assert_clean_of(&canaries, "settings", settings.as_bytes());
        let (files, _simulator) = app.stop().await;
        assert_clean_of(&canaries, "the store", &store_bytes(&files.path("")));
        let logged = log.0.lock().unwrap().clone();
        let lines = String::from_utf8_lossy(&logged);
        assert!(
            lines.contains("reports: a report came"),
            "the log was really kept"
        );
        assert_clean_of(&canaries, "the log", &logged);
    }
}

/// Two messages of everything that a citizen could be known by.
fn telling_messages() -> (SendCertifiedMessageRequest, SendCertifiedMessageRequest) {
    let document = format!("%PDF-1.7 {CITIZENS_WORDS}");
    let mut to = certified::addressee(&format!("+34{NUMBER}"));
    to.variables = vec!["Kanarie-Name".into()];
    let contract = SendCertifiedMessageRequest {
        kind: CertifiedMessageKind::ContractByReply.into(),
        addressees: vec![to.clone()],
        text: "Kanarie-Text {1}".into(),
        ..certified::request()
    };
    let protected = SendCertifiedMessageRequest {
        addressees: vec![to],
        text: "Kanarie-Text {1}".into(),
        attachments: vec![CertifiedAttachment {
            content: Some(Content::Pdf(document.into_bytes())),
        }],
        identification: Some(CertifiedIdentification {
            method: CertifiedIdentificationMethod::Document.into(),
            document_number: "77788899Z".into(),
        }),
        ..certified::request()
    };
    (contract, protected)
}

/// And what they do with them.
#[tokio::test(flavor = "multi_thread")]
async fn nor_is_anything_of_a_certified_message() {
    let log = Log::default();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .init();
    let mut story = certified_simulated::start(Script::new(), |_| {}).await;
    let (contract, protected) = telling_messages();
    let mut answers = format!("{contract:?} {protected:?}");
    let answered = story.sent(contract).await;
    let opened = story.sent(protected.clone()).await;
    writeln!(answers, "{answered:?} {opened:?}").unwrap();
    for wrong in [
        SendCertifiedMessageRequest {
            acceptance_days: 99,
            ..protected.clone()
        },
        SendCertifiedMessageRequest {
            text: "Kanarie-Text (FILE:2:a.pdf)".into(),
            ..protected
        },
    ] {
        writeln!(answers, "{:?}", story.send(wrong).await.unwrap_err()).unwrap();
    }
    let simulator = &story.app.simulator;
    let id = |message: &CertifiedMessage| message.gateway_message_id.parse().unwrap();
    simulator
        .contract(id(&answered))
        .answer("Kanarie-Worte sí")
        .await
        .unwrap();
    for kind in 1..=13 {
        let pin = if kind == 1 {
            "Kanarie-Browser"
        } else {
            "Kanarie-Pin"
        };
        simulator
            .contract(id(&opened))
            .event(kind, pin)
            .await
            .unwrap();
    }
    let metrics = story.app.metrics().await;
    assert!(metrics.contains("certified_kept"), "{metrics}");
    let canaries = [NUMBER, "Kanarie", "77788899Z", PASSWORD, CITIZENS_WORDS];
    assert_clean_of(&canaries, "metrics", metrics.as_bytes());
    assert_clean_of(&canaries, "answers", answers.as_bytes());
    let (files, _simulator) = story.app.stop().await;
    assert_clean_of(&canaries, "the store", &store_bytes(&files.path("")));
    let logged = log.0.lock().unwrap().clone();
    let lines = String::from_utf8_lossy(&logged);
    assert!(
        lines.contains("reports: something of a certified message came"),
        "the log was really kept"
    );
    assert_clean_of(&canaries, "the log", &logged);
}
