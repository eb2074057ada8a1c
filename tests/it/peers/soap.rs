//! The SOAP adapter between two ends of the SOAP stack zeep (`tests/peers/soap_gateway.py`): zeep takes its requests apart by a
//! WSDL, answers them, and later sends reports to the address that each request named.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header::CONTENT_TYPE},
    response::IntoResponse,
};
use clave_otp::{
    clock::{Clock as _, SystemClock},
    domain::{DeliveryId, News, Reason},
    gateway::{
        Callback, CallbackRequest, CodeMap, ExpiryForm, Gateway as _, InternationalFormat, Message,
        Now, Outcome,
        http::HttpSettings,
        soap::{SoapGateway, SoapSettings},
    },
};
use serde::Deserialize;
use tokio::{
    net::TcpListener,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};

use super::{API_USER, PASSWORD, Peers};
use crate::{
    gateway_common::{credentials, message},
    support::PATIENCE,
};

/// The account's own address for reports; what is behind it is the delivery.
const REPORTS: &str = "/reports/madrid-mn/secret";

/// The gateway's book.
#[derive(Debug, Deserialize)]
struct Received {
    messages: Vec<Submitted>,
    notices: Vec<BTreeMap<String, String>>,
    wrong_credentials: usize,
    malformed: Vec<String>,
}

/// A request as zeep understood it.
#[derive(Debug, Deserialize)]
struct Submitted {
    soap_action: String,
    version: String,
    sender: String,
    number: String,
    text: String,
    seconds_left: f64,
    delivery_report: String,
    delivery_report_url: String,
    message_id: String,
}

/// What arrived at the listener.
type Arrived = (DeliveryId, Callback);

/// A listener as small as can be: it hands each request to the adapter and answers as that says.
fn listener(gateway: Arc<SoapGateway>, listener: TcpListener) -> UnboundedReceiver<Arrived> {
    let (told, arrived) = unbounded_channel();
    let router = Router::new().fallback(take).with_state((gateway, told));
    tokio::spawn(async move { axum::serve(listener, router).await });
    arrived
}

async fn take(
    State((gateway, told)): State<(Arc<SoapGateway>, UnboundedSender<Arrived>)>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> impl IntoResponse {
    let last = uri.path().strip_prefix(REPORTS).expect("our own address");
    let delivery = DeliveryId::parse_name(&format!("deliveries{last}")).expect("a delivery");
    let read = gateway.read_callback(&CallbackRequest {
        content_type: headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok()),
        delivery: Some(delivery),
        body: &body,
    });
    let (callback, answer) = read.expect("SOAP has reports");
    told.send((delivery, callback)).unwrap();
    let status = StatusCode::from_u16(answer.status).unwrap();
    (status, [(CONTENT_TYPE, answer.content_type)], answer.body)
}

fn settings(platform: &str, listener: &TcpListener) -> SoapSettings {
    let reports = format!("http://{}{REPORTS}", listener.local_addr().unwrap());
    SoapSettings {
        http: HttpSettings::new(format!("http://{platform}/").parse().unwrap()),
        api_user: API_USER.into(),
        password: PASSWORD.into(),
        report_url: Some(reports.parse().unwrap()),
        international_format: InternationalFormat::default(),
        expiry: ExpiryForm::Duration,
        codes: CodeMap::default(),
    }
}

fn planned() -> Vec<(Message, News)> {
    let failed = |reason| News::Failed(Reason::known(reason));
    let texts = [
        ("600000001", "Cl@ve: 748291 <&\"'> ]]>", News::Delivered),
        ("600000002", "ñ € α\r\n\t 😀", failed("REPORTED_EXPIRED")),
        ("600000003", "clau: 123456", failed("REPORTED_REJECTED")),
    ];
    let messages = (1_u8..).zip(texts).map(|(index, (number, text, news))| {
        let mut message = message(&format!("+34{number}"), text, "ClaveEspaña");
        message.delivery = DeliveryId::from_bytes([index; 16]);
        message.valid_for = Duration::from_secs(600 + u64::from(index));
        (message, news)
    });
    messages.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn zeep_understands_each_request_and_its_reports_are_understood() {
    let Some(peers) = Peers::ready() else { return };
    let folder = tempfile::tempdir().unwrap();
    let platform = Peers::platform(peers.program("soap_gateway.py"), folder.path());
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = settings(&platform.address, &socket);
    let gateway = Arc::new(SoapGateway::new(settings.clone()).unwrap());
    let mut arrived = listener(Arc::clone(&gateway), socket);

    let mut planned = planned();
    // The other form of expiry, with a clock that is right.
    let last = planned.pop().unwrap();
    let by_moment = SoapGateway::new(SoapSettings {
        expiry: ExpiryForm::DateTime(Now::new(wall_clock)),
        ..settings
    })
    .unwrap();
    let mut ids = Vec::new();
    for (message, _) in &planned {
        ids.push(
            accepted(gateway.submit(std::slice::from_ref(message), &Duration::MAX.into())).await,
        );
    }
    let one = std::slice::from_ref(&last.0);
    ids.push(accepted(by_moment.submit(one, &Duration::MAX.into())).await);
    planned.push(last);

    for ((message, news), id) in planned.iter().zip(&ids) {
        let (delivery, callback) = next(&mut arrived).await;
        assert_eq!(delivery, message.delivery);
        let Callback::Report(report) = callback else {
            panic!("{callback:?}");
        };
        assert_eq!(report.delivery, Some(message.delivery));
        assert_eq!(report.message_id.unwrap().as_str(), id);
        assert_eq!(&report.news, news);
        let recipient = report.recipient.unwrap();
        let number = message.recipient.expose_e164();
        assert_eq!(recipient.expose_e164(), number);
        let (_, answer_of_a_citizen) = next(&mut arrived).await;
        assert_eq!(answer_of_a_citizen, Callback::Dropped("citizen_answer"));
    }
    check(&platform.stop(), &planned, &ids);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_what_zeep_reads_in_the_request() {
    let Some(peers) = Peers::ready() else { return };
    let folder = tempfile::tempdir().unwrap();
    let platform = Peers::platform(peers.program("soap_gateway.py"), folder.path());
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = settings(&platform.address, &socket);
    settings.password = "another".into();
    let gateway = SoapGateway::new(settings).unwrap();
    let (message, _) = planned().remove(0);
    let found = gateway.submit(&[message], &Duration::MAX.into()).await;
    assert_eq!(found, [credentials(Some(4001))]);
    let received: Received = platform.stop();
    assert_eq!(
        (received.wrong_credentials, received.messages.len()),
        (1, 0)
    );
}

/// The platform counts from its own clock: the machine's.
fn wall_clock() -> jiff::Timestamp {
    SystemClock::new().now()
}

async fn accepted(submitted: impl Future<Output = Vec<Outcome>>) -> String {
    match submitted.await.as_slice() {
        [Outcome::Accepted(Some(id))] => id.as_str().to_owned(),
        other => panic!("{other:?}"),
    }
}

async fn next(arrived: &mut UnboundedReceiver<Arrived>) -> Arrived {
    let next = tokio::time::timeout(PATIENCE, arrived.recv()).await;
    next.expect("a report in time").expect("the listener lives")
}

/// What zeep read in the requests, and in our answers to its notices.
fn check(received: &Received, planned: &[(Message, News)], ids: &[String]) {
    assert_eq!(received.malformed, [""; 0]);
    assert_eq!(received.wrong_credentials, 0);
    assert_eq!(received.messages.len(), planned.len());
    for ((got, (message, _)), id) in received.messages.iter().zip(planned).zip(ids) {
        assert_eq!(got.soap_action, "\"smsTextSubmit\"");
        assert_eq!(got.version, "1.0");
        assert_eq!(got.sender, "ClaveEspaña");
        assert_eq!(
            Some(got.number.as_str()),
            message.recipient.expose_national_digits()
        );
        assert_eq!(got.text, message.text.expose());
        // Exact where it is told as a duration; the rest is the time that the machine took.
        let asked = message.valid_for.as_secs_f64();
        assert!(got.seconds_left <= asked, "{got:?}");
        assert!(got.seconds_left > asked - PATIENCE.as_secs_f64(), "{got:?}");
        assert_eq!(got.delivery_report, "All");
        let ending = format!("{REPORTS}/{}", message.delivery);
        assert!(got.delivery_report_url.ends_with(&ending), "{got:?}");
        assert_eq!(&got.message_id, id);
    }
    let acknowledged = |operation: &str| {
        [
            ("code", "1000"),
            ("operation", operation),
            ("text", "Success"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    };
    let each: [BTreeMap<_, _>; 2] = ["deliveryReport", "smsDeliver"].map(acknowledged);
    let expected = each.iter().cycle().take(2 * planned.len());
    assert!(received.notices.iter().eq(expected), "{received:?}");
}
