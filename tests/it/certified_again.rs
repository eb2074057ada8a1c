//! What the platform has refused is not asked of it again and again: it takes wrong calls that are repeated for an attack. The
//! platform's answers are single ones (`mockito`).

use std::{sync::Arc, time::Duration};

use clave_otp::{
    clock::{Clock as _, ManualClock, SystemClock},
    grpc::proto::{
        CancelCertifiedMessageRequest, CertificatesOfMessage, DeleteLibraryFileRequest,
        DownloadCertificatesRequest, RescheduleCertifiedMessageRequest, UploadLibraryFileRequest,
        download_certificates_request::Wanted,
    },
    simulator::Script,
};
use mockito::{Mock, Server, ServerGuard};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{
    certified::{Story, allow, answering, in_an_hour, in_hours, request, start},
    mensatek::become_mensatek,
    support::{MADRID, TestApp, reason_of},
};

/// `certified.ask_again_after_seconds` where nothing is set.
const AGAIN_AFTER: Duration = Duration::from_secs(10);

async fn answering_times(
    platform: &mut ServerGuard,
    function: &str,
    body: &str,
    times: usize,
) -> Mock {
    platform
        .mock("POST", format!("/v7/{function}").as_str())
        .with_body(body)
        .expect(times)
        .create_async()
        .await
}

async fn cancel(story: &Story, name: &str) -> Result<(), Status> {
    let request = CancelCertifiedMessageRequest { name: name.into() };
    let mut client = story.client.clone();
    client.cancel_certified_message(request).await.map(drop)
}

async fn reschedule(
    story: &Story,
    name: &str,
    send_time: prost_types::Timestamp,
) -> Result<(), Status> {
    let request = RescheduleCertifiedMessageRequest {
        name: name.into(),
        send_time: Some(send_time),
    };
    let mut client = story.client.clone();
    client.reschedule_certified_message(request).await.map(drop)
}

async fn download(story: &Story, name: &str, recipient_index: Option<i32>) -> Result<(), Status> {
    let wanted = Wanted::Message(CertificatesOfMessage {
        name: name.into(),
        recipient_index,
    });
    let request = DownloadCertificatesRequest {
        wanted: Some(wanted),
    };
    let mut client = story.client.clone();
    let mut pieces = client.download_certificates(request).await?.into_inner();
    while pieces.message().await?.is_some() {}
    Ok(())
}

async fn upload(story: &Story, content: &[u8]) -> Result<(), Status> {
    let request = UploadLibraryFileRequest {
        administration: MADRID.into(),
        file_name: "a.pdf".into(),
        content: content.to_vec(),
        ..UploadLibraryFileRequest::default()
    };
    let mut client = story.client.clone();
    client.upload_library_file(request).await.map(drop)
}

async fn delete(story: &Story, name: &str) -> Result<(), Status> {
    let request = DeleteLibraryFileRequest {
        administration: MADRID.into(),
        account: String::new(),
        file_name: name.into(),
    };
    let mut client = story.client.clone();
    client.delete_library_file(request).await.map(drop)
}

/// Refused by the platform with this word.
fn refused(told: Result<(), Status>, word: &str) {
    let status = told.unwrap_err();
    assert_eq!(reason_of(&status), word, "{status:?}");
}

/// Not asked of the platform; how long to wait.
fn too_soon(told: Result<(), Status>) -> Duration {
    let status = told.unwrap_err();
    let told = (status.code(), reason_of(&status));
    assert_eq!(told, (Code::ResourceExhausted, "ASKED_TOO_SOON".into()));
    let retry = status.get_details_retry_info().unwrap();
    retry.retry_delay.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_platform_has_refused_is_asked_again_only_when_its_time_has_come() {
    let mut platform = Server::new_async().await;
    let sent = "{\"Res\":1,\"idMensaje\":77,\"Mensajes\":1}";
    answering(&mut platform, "EnviarSMSCERTIFICADO", sent).await;
    // The first time, and when the time has come; some are corrected in between and refused once more.
    let mut asked = Vec::new();
    for (function, body, times) in [
        ("CancelarSMSCERTIFICADO", "[{\"Res\":-4}]", 2),
        ("ReprogramarSMSCERTIFICADO", "[{\"Res\":-6}]", 3),
        ("GetSMSCERTIFICADO", "[{\"Res\":-4}]", 3),
        ("CargarFichero", "[{\"Res\":-11}]", 3),
        ("BorrarFichero", "[{\"Res\":-2}]", 3),
    ] {
        asked.push(answering_times(&mut platform, function, body, times).await);
    }
    let clock = ManualClock::at(SystemClock::new().now());
    let url = platform.url();
    let app = TestApp::start_with(Script::new(), Arc::new(clock.clone()), |files| {
        become_mensatek(files, &url);
        allow(files);
    })
    .await;
    let mut story = Story::of(app);
    let name = story.sent(request()).await.name;
    let (one, other) = (in_an_hour(), in_hours(5));

    refused(cancel(&story, &name).await, "ALREADY_SENT");
    refused(reschedule(&story, &name, one).await, "SEND_TIME_INVALID");
    refused(download(&story, &name, None).await, "REPORT_REFUSED");
    refused(upload(&story, b"MZ").await, "FILE_FORMAT_REFUSED");
    refused(delete(&story, "b.pdf").await, "FILE_UNKNOWN");
    for _ in 0..3 {
        for told in [
            cancel(&story, &name).await,
            reschedule(&story, &name, one).await,
            download(&story, &name, None).await,
            upload(&story, b"MZ").await,
            delete(&story, "b.pdf").await,
        ] {
            assert_eq!(too_soon(told), AGAIN_AFTER);
        }
    }
    // Something else is something else.
    refused(reschedule(&story, &name, other).await, "SEND_TIME_INVALID");
    refused(download(&story, &name, Some(0)).await, "REPORT_REFUSED");
    refused(upload(&story, b"MZ2").await, "FILE_FORMAT_REFUSED");
    refused(delete(&story, "c.pdf").await, "FILE_UNKNOWN");

    clock.advance(AGAIN_AFTER.saturating_sub(Duration::from_secs(1)));
    assert_eq!(
        too_soon(cancel(&story, &name).await),
        Duration::from_secs(1)
    );
    clock.advance(Duration::from_secs(1));
    refused(cancel(&story, &name).await, "ALREADY_SENT");
    refused(reschedule(&story, &name, one).await, "SEND_TIME_INVALID");
    refused(download(&story, &name, None).await, "REPORT_REFUSED");
    refused(upload(&story, b"MZ").await, "FILE_FORMAT_REFUSED");
    refused(delete(&story, "b.pdf").await, "FILE_UNKNOWN");
    for function in &asked {
        function.assert_async().await;
    }
    let limited =
        "clave_otp_certified_limited_total{limit=\"certified.ask_again_after_seconds\"} 16\n";
    assert!(story.app.metrics().await.contains(limited));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_whose_answer_nobody_understands_is_not_asked_for_again_at_once() {
    let mut platform = Server::new_async().await;
    let sent = "{\"Res\":1,\"idMensaje\":77,\"Mensajes\":1}";
    answering(&mut platform, "EnviarSMSCERTIFICADO", sent).await;
    let page = "<html>No existe</html>";
    let asked = answering(&mut platform, "GetSMSCERTIFICADO", page).await;
    let mut story = start(&platform, |_| {}).await;
    let name = story.sent(request()).await.name;
    refused(
        download(&story, &name, None).await,
        "GATEWAY_OUTCOME_UNKNOWN",
    );
    assert!(too_soon(download(&story, &name, None).await) <= AGAIN_AFTER);
    asked.assert_async().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_platform_did_may_be_asked_again_at_once() {
    let mut platform = Server::new_async().await;
    let sent = "{\"Res\":1,\"idMensaje\":77,\"Mensajes\":1}";
    answering(&mut platform, "EnviarSMSCERTIFICADO", sent).await;
    let mut asked = Vec::new();
    for (function, body) in [
        ("ReprogramarSMSCERTIFICADO", "[{\"Res\":1}]"),
        ("GetSMSCERTIFICADO", "PK\u{5}\u{6}"),
        ("CargarFichero", "[{\"Res\":1,\"Nombre\":\"a.pdf\"}]"),
        ("BorrarFichero", "[{\"Res\":1}]"),
    ] {
        asked.push(answering_times(&mut platform, function, body, 2).await);
    }
    let mut story = start(&platform, |_| {}).await;
    let name = story.sent(request()).await.name;
    let time = in_an_hour();
    for _ in 0..2 {
        reschedule(&story, &name, time).await.unwrap();
        download(&story, &name, None).await.unwrap();
        upload(&story, b"%PDF-1.7").await.unwrap();
        delete(&story, "a.pdf").await.unwrap();
    }
    for function in &asked {
        function.assert_async().await;
    }
}
