//! Certified messages through the service: recorded once, handed over once, cancelled, moved, asked about, downloaded. The
//! platform's answers are single ones (`mockito`).

use std::sync::Arc;

use clave_otp::{
    clock::{Clock, SystemClock},
    domain::certified::SendTime,
    grpc::proto::{
        CancelCertifiedMessageRequest, CertificatesOfMessage, CertifiedAddressee,
        CertifiedAttachment, CertifiedMessage, CertifiedMessageKind, CertifiedMessageState,
        CertifiedStage, DownloadCertificatesRequest, GetCertifiedMessageRequest,
        GetCertifiedReportRequest, RescheduleCertifiedMessageRequest, SendCertifiedMessageRequest,
        SendCertifiedMessageResponse, certified_attachment::Content,
        certified_message_service_client::CertifiedMessageServiceClient,
        download_certificates_request::Wanted,
    },
    simulator::Script,
};
use jiff::SignedDuration;
use mockito::{Matcher, Mock, Server, ServerGuard};
use tonic::{Code, Status, transport::Channel};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::{
    mensatek::become_mensatek,
    support::{Files, MADRID, TestApp, reason_of, seconds_after},
};

pub(crate) const FILE: &str = "administrations/madrid.toml";
const CONTACT: &str =
    "contact_name = \"Ayuntamiento\"\ncontact_phone = \"900000000\"\ncontact_nif = \"P2807900B\"\n";

/// A running service whose Madrid account may send certified messages, and a client of the service for them.
pub(crate) struct Story {
    pub(crate) app: TestApp,
    pub(crate) client: CertifiedMessageServiceClient<Channel>,
}

pub(crate) async fn start(platform: &ServerGuard, change: impl FnOnce(&Files)) -> Story {
    start_at(&platform.url(), change).await
}

/// The same with the platform at an address.
pub(crate) async fn start_at(platform: &str, change: impl FnOnce(&Files)) -> Story {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let app = TestApp::start_with(Script::new(), clock, |files| {
        become_mensatek(files, platform);
        allow(files);
        change(files);
    })
    .await;
    Story::of(app)
}

/// Gives the caller the role and the account a contact.
pub(crate) fn allow(files: &Files) {
    let roles = "roles = [\"sender\", \"operator\", \"certified\"]";
    files.change("service.toml", "roles = [\"sender\", \"operator\"]", roles);
    let gateway = "gateway = \"mensatek\"\n";
    files.change(FILE, gateway, &format!("{gateway}{CONTACT}"));
}

impl Story {
    pub(crate) fn of(app: TestApp) -> Self {
        let client = CertifiedMessageServiceClient::new(app.channel.clone())
            .max_encoding_message_size(64 * 1024 * 1024);
        Self { app, client }
    }

    pub(crate) async fn send(
        &mut self,
        request: SendCertifiedMessageRequest,
    ) -> Result<SendCertifiedMessageResponse, Status> {
        let answer = self.client.send_certified_message(request).await;
        answer.map(tonic::Response::into_inner)
    }

    /// Sends what must be taken by the service; the message as it was answered.
    pub(crate) async fn sent(&mut self, request: SendCertifiedMessageRequest) -> CertifiedMessage {
        self.send(request).await.unwrap().message.unwrap()
    }

    pub(crate) async fn get(&mut self, name: &str) -> CertifiedMessage {
        let name = name.into();
        let answer = self
            .client
            .get_certified_message(GetCertifiedMessageRequest { name });
        answer.await.unwrap().into_inner().message.unwrap()
    }

    pub(crate) async fn report(&mut self, name: &str) -> Result<CertifiedMessage, Status> {
        let name = name.into();
        let answer = self
            .client
            .get_certified_report(GetCertifiedReportRequest { name });
        Ok(answer.await?.into_inner().message.unwrap())
    }
}

pub(crate) fn addressee(number: &str) -> CertifiedAddressee {
    CertifiedAddressee {
        recipient: number.into(),
        variables: Vec::new(),
    }
}

pub(crate) fn request() -> SendCertifiedMessageRequest {
    SendCertifiedMessageRequest {
        request_id: Uuid::new_v4().to_string(),
        administration: MADRID.into(),
        kind: CertifiedMessageKind::Certified.into(),
        addressees: vec![addressee("+34600000001")],
        text: "Le notificamos una resolución".into(),
        reference: "expediente-7".into(),
        ..SendCertifiedMessageRequest::default()
    }
}

/// In so many hours, or a little later where Spanish time has that hour twice: such a time is refused.
pub(crate) fn in_hours(hours: i64) -> prost_types::Timestamp {
    let wanted = SystemClock::new().now() + SignedDuration::from_hours(hours);
    let later = wanted + SignedDuration::from_hours(2);
    let moment = SendTime::new(wanted).map_or(later, |_| wanted);
    seconds_after(moment, 0)
}

pub(crate) fn in_an_hour() -> prost_types::Timestamp {
    in_hours(1)
}

pub(crate) async fn answering(platform: &mut ServerGuard, function: &str, body: &str) -> Mock {
    platform
        .mock("POST", format!("/v7/{function}").as_str())
        .with_body(body)
        .expect(1)
        .create_async()
        .await
}

const TAKEN: &str =
    "[{\"Res\":1,\"idMensaje\":77,\"Mensajes\":2,\"NoEnviados\":0,\"CreditosUsados\":1.5}]";

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_handed_over_once_however_often_it_is_asked_for() {
    let mut platform = Server::new_async().await;
    let asked = platform
        .mock("POST", "/v7/EnviarSMSCERTIFICADO")
        .match_body(Matcher::Regex("Referenciausuario=c-[0-9a-f-]{36}".into()))
        .with_body(TAKEN)
        .expect(1)
        .create_async()
        .await;
    let mut story = start(&platform, |_| {}).await;
    let request = request();
    let first = story.send(request.clone()).await.unwrap();
    let message = first.message.unwrap();
    assert!(!first.replayed);
    assert_eq!(message.state(), CertifiedMessageState::Sent);
    assert_eq!(message.gateway_message_id, "77");
    assert_eq!((message.messages, message.credits_used), (2, Some(1.5)));
    assert_eq!(message.sender, "ClaveMadrid");
    assert_eq!(message.recipients[0].masked_recipient, "+34•••••001");
    let again = story.send(request.clone()).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.message.as_ref(), Some(&message));
    assert_eq!(story.get(&message.name).await, message);
    // Other content under the same id, in whatever field.
    for other in [
        SendCertifiedMessageRequest {
            text: "Otra cosa".into(),
            ..request.clone()
        },
        SendCertifiedMessageRequest {
            addressees: vec![addressee("+34600000002")],
            ..request.clone()
        },
        SendCertifiedMessageRequest {
            acceptance_days: 3,
            ..request.clone()
        },
        SendCertifiedMessageRequest {
            send_time: Some(in_an_hour()),
            ..request.clone()
        },
        SendCertifiedMessageRequest {
            reference: "otra".into(),
            ..request
        },
    ] {
        let refused = story.send(other).await.unwrap_err();
        assert_eq!(refused.code(), Code::AlreadyExists);
        assert_eq!(reason_of(&refused), "REQUEST_ID_REUSED");
    }
    asked.assert_async().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn racing_repeats_are_one_message() {
    let mut platform = Server::new_async().await;
    let asked = answering(&mut platform, "EnviarSMSCERTIFICADO", TAKEN).await;
    let story = start(&platform, |files| {
        files.change(
            "service.toml",
            "[administrations]",
            "[certified]\nmax_in_flight = 8\n\n[administrations]",
        );
    })
    .await;
    let request = request();
    let calls = (0..8).map(|_| {
        let (mut client, request) = (story.client.clone(), request.clone());
        async move {
            client
                .send_certified_message(request)
                .await
                .unwrap()
                .into_inner()
        }
    });
    let answers = futures_util::future::join_all(calls).await;
    let names: std::collections::BTreeSet<String> = answers
        .iter()
        .map(|answer| answer.message.as_ref().unwrap().name.clone())
        .collect();
    assert_eq!(names.len(), 1);
    assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1);
    asked.assert_async().await;
}

/// Two messages that wait under one number.
async fn two_of_a_group(story: &mut Story) -> (CertifiedMessage, CertifiedMessage) {
    let later = SendCertifiedMessageRequest {
        send_time: Some(in_an_hour()),
        ..request()
    };
    let first = story.sent(later.clone()).await;
    let joined = SendCertifiedMessageRequest {
        request_id: Uuid::new_v4().to_string(),
        addressees: vec![addressee("+34600000002")],
        group: first.name.clone(),
        ..later
    };
    let second = story.sent(joined).await;
    assert_eq!(second.gateway_message_id, "77");
    (first, second)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_waits_is_moved_and_cancelled_with_its_group() {
    let mut platform = Server::new_async().await;
    let _sending = platform
        .mock("POST", "/v7/EnviarSMSCERTIFICADO")
        .with_body(TAKEN)
        .expect(2)
        .create_async()
        .await;
    let moving = answering(
        &mut platform,
        "ReprogramarSMSCERTIFICADO",
        "[{\"Res\":2,\"Cred\":7}]",
    )
    .await;
    let cancelling = answering(
        &mut platform,
        "CancelarSMSCERTIFICADO",
        "[{\"Res\":2,\"CREDR\":3}]",
    )
    .await;
    let mut story = start(&platform, |_| {}).await;
    let (first, second) = two_of_a_group(&mut story).await;
    let new_time = in_hours(4);
    let moved = story
        .client
        .reschedule_certified_message(RescheduleCertifiedMessageRequest {
            name: first.name.clone(),
            send_time: Some(new_time),
        })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(moved.moved_messages, 2);
    let time = moved.message.unwrap().send_time.unwrap();
    assert!((new_time.seconds..=new_time.seconds + 60).contains(&time.seconds));
    assert_eq!(story.get(&second.name).await.send_time, Some(time));
    let cancel = CancelCertifiedMessageRequest {
        name: first.name.clone(),
    };
    let cancelled = story
        .client
        .cancel_certified_message(cancel.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (cancelled.cancelled_recipients, cancelled.credits_back),
        (2, Some(3.0))
    );
    for name in [&first.name, &second.name] {
        assert_eq!(
            story.get(name).await.state(),
            CertifiedMessageState::Cancelled
        );
    }
    // The platform is not asked what is known.
    let refused = story
        .client
        .cancel_certified_message(cancel)
        .await
        .unwrap_err();
    assert_eq!(reason_of(&refused), "ALREADY_CANCELLED");
    moving.assert_async().await;
    cancelling.assert_async().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contract_takes_its_pdf_along_and_its_certificate_comes_in_pieces() {
    let mut platform = Server::new_async().await;
    let asked = platform
        .mock("POST", "/v7/EnviarSMSCERTIFICADO")
        .match_body(Matcher::AllOf(vec![
            Matcher::Regex("Tipocontrato=50&".into()),
            Matcher::Regex("%28BASE64%3A2%3AJVBERi0x".into()),
        ]))
        .with_body(TAKEN)
        .create_async()
        .await;
    let zip: Vec<u8> = [b"PK\x03\x04".to_vec(), vec![7; 500_000]].concat();
    let download = platform
        .mock("POST", "/v7/GetSMSCERTIFICADO")
        .match_body(Matcher::Regex("Idmensaje=77&Telefono=34600000001&".into()))
        .with_body(&zip)
        .create_async()
        .await;
    let mut story = start(&platform, |_| {}).await;
    // Larger than a message about a code may be.
    let pdf = [b"%PDF-1.7".to_vec(), vec![b' '; 1024 * 1024]].concat();
    let contract = SendCertifiedMessageRequest {
        kind: CertifiedMessageKind::ContractBySignature.into(),
        attachments: vec![CertifiedAttachment {
            content: Some(Content::Pdf(pdf)),
        }],
        ..request()
    };
    let message = story.sent(contract).await;
    asked.assert_async().await;
    let wanted = Wanted::Message(CertificatesOfMessage {
        name: message.name,
        recipient_index: Some(0),
    });
    let request = DownloadCertificatesRequest {
        wanted: Some(wanted),
    };
    let mut pieces = story
        .client
        .download_certificates(request)
        .await
        .unwrap()
        .into_inner();
    let mut whole = Vec::new();
    while let Some(piece) = pieces.message().await.unwrap() {
        assert!(piece.content.len() <= 64 * 1024);
        whole.extend(piece.content);
    }
    assert!(whole == zip);
    download.assert_async().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_moves_the_recipients_on_and_is_not_asked_for_again_at_once() {
    let mut platform = Server::new_async().await;
    answering(&mut platform, "EnviarSMSCERTIFICADO", TAKEN).await;
    let rows = r#"[{"Fecha":"2026-11-24 11:14:24","Tiempo":3,"Telefono":"34600000001","Resultado":14},{"Telefono":"34600000009","Resultado":51}]"#;
    let body = format!("[{{\"Res\":1,\"Informe\":{rows}}}]");
    let asked = answering(&mut platform, "GetReportSMSCERTIFICADO", &body).await;
    let mut story = start(&platform, |_| {}).await;
    let message = story.sent(request()).await;
    let reported = story.report(&message.name).await.unwrap();
    let status = reported.recipients[0].status.as_ref().unwrap();
    assert_eq!(
        (status.number, status.stage()),
        (14, CertifiedStage::Closed)
    );
    assert!(status.r#final && status.certificate_available);
    assert_eq!(status.meaning, "SMS Certificado entregado y certificado");
    let refused = story.report(&message.name).await.unwrap_err();
    assert_eq!(reason_of(&refused), "ASKED_TOO_SOON");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.get_details_retry_info().is_some());
    asked.assert_async().await;
}
