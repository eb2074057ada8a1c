//! Every function for certified messages: what it says no with, what breaks off, and certificates piece by piece.

use std::time::Duration;

use clave_otp::{
    domain::{
        Recipient,
        certified::{FileContent, LibraryFileName, SendTime},
    },
    gateway::{
        certified::{
            CertifiedFailure, CertifiedGateway, LibraryUpload, RefusalKind, UploadForm,
            WantedCertificates,
        },
        mensatek::{DownloadLimits, MensatekGateway, MensatekSettings},
    },
};
use futures_util::StreamExt as _;
use mockito::Server;

use super::{
    certified::{
        BALANCE, CANCEL, CERTIFICATES, DELETE, FILES, REPORT, RESCHEDULE, SEND, UPLOAD, group,
        order, platform, sending,
    },
    settings,
};

/// Asks a function for what it does.
pub(crate) async fn call(
    gateway: &MensatekGateway,
    function: &str,
) -> Result<(), CertifiedFailure> {
    let name = LibraryFileName::parse("a.pdf").unwrap();
    let time = SendTime::new("2026-07-02T00:00:00Z".parse().unwrap()).unwrap();
    match function {
        SEND => CertifiedGateway::send(gateway, &order()).await.map(drop),
        CANCEL => gateway.cancel(group()).await.map(drop),
        RESCHEDULE => gateway.reschedule(group(), time).await.map(drop),
        REPORT => gateway.report(group()).await.map(drop),
        CERTIFICATES => {
            let wanted = WantedCertificates::OfMessage(group());
            gateway.certificates(&wanted).await.map(drop)
        }
        UPLOAD => {
            let file = LibraryUpload {
                name,
                content: FileContent::new(b"%PDF".to_vec()),
                delete_when_certified: false,
                form: UploadForm::Files,
            };
            gateway.upload(&file).await.map(drop)
        }
        FILES => gateway.files().await.map(drop),
        DELETE => gateway.delete_file(&name).await,
        BALANCE => gateway.balance().await.map(drop),
        other => panic!("{other}"),
    }
}

async fn failure(function: &str, status: usize, body: &str) -> CertifiedFailure {
    let mut server = Server::new_async().await;
    let asked = server
        .mock("POST", format!("/v7/{function}").as_str())
        .with_status(status)
        .with_body(body)
        .expect(1)
        .create_async()
        .await;
    let failure = call(&sending(&server.url()), function).await.unwrap_err();
    asked.assert_async().await;
    failure
}

/// By hand from the text: every negative number of every function.
pub(crate) const REFUSALS: &[(&str, i64, &str, RefusalKind)] = {
    use RefusalKind::{Absent, Credentials, Invalid, NoCredit, State, Trouble};
    &[
        (SEND, 0, "GATEWAY_REJECTED_NUMBER", Invalid),
        (SEND, -1, "GATEWAY_CREDENTIALS_REJECTED", Credentials),
        (SEND, -2, "NO_CREDIT", NoCredit),
        (SEND, -3, "GATEWAY_REQUEST_INVALID", Invalid),
        (SEND, -4, "GATEWAY_ATTACHMENT_REFUSED", Invalid),
        (SEND, -5, "NO_CREDIT_LEFT", NoCredit),
        (SEND, -15, "GATEWAY_CONTRACT_WITHOUT_FILE", Invalid),
        (SEND, -16, "GATEWAY_FILE_UNKNOWN", Absent),
        (SEND, -99, "GATEWAY_CODE_M99", State),
        (CANCEL, -1, "GATEWAY_CREDENTIALS_REJECTED", Credentials),
        (CANCEL, -2, "MESSAGE_NOT_OF_ACCOUNT", Absent),
        (CANCEL, -3, "GATEWAY_REQUEST_INVALID", Invalid),
        (CANCEL, -4, "ALREADY_SENT", State),
        (CANCEL, -5, "ALREADY_CANCELLED", State),
        (RESCHEDULE, -1, "GATEWAY_CREDENTIALS_REJECTED", Credentials),
        (RESCHEDULE, -2, "MESSAGE_NOT_OF_ACCOUNT", Absent),
        (RESCHEDULE, -3, "GATEWAY_REQUEST_INVALID", Invalid),
        (RESCHEDULE, -4, "ALREADY_SENT", State),
        (RESCHEDULE, -5, "ALREADY_CANCELLED", State),
        (RESCHEDULE, -6, "SEND_TIME_INVALID", Invalid),
        (RESCHEDULE, -7, "SEND_TIME_PAST", Invalid),
        (REPORT, -1, "GATEWAY_CREDENTIALS_REJECTED", Credentials),
        (REPORT, -2, "MESSAGE_NOT_OF_ACCOUNT", Absent),
        (REPORT, -3, "GATEWAY_REQUEST_INVALID", Invalid),
        (REPORT, -4, "REPORT_REFUSED", Trouble),
        (
            CERTIFICATES,
            -1,
            "GATEWAY_CREDENTIALS_REJECTED",
            Credentials,
        ),
        (CERTIFICATES, -2, "MESSAGE_NOT_OF_ACCOUNT", Absent),
        (CERTIFICATES, -3, "GATEWAY_REQUEST_INVALID", Invalid),
        (CERTIFICATES, -4, "REPORT_REFUSED", Trouble),
        (UPLOAD, -1, "GATEWAY_CREDENTIALS_REJECTED", Credentials),
        (UPLOAD, -3, "GATEWAY_REQUEST_INVALID", Invalid),
        (UPLOAD, -10, "LIBRARY_FULL", State),
        (UPLOAD, -11, "FILE_FORMAT_REFUSED", Invalid),
        (UPLOAD, -12, "FILE_BASE64_MISSING", Invalid),
        (UPLOAD, -13, "FILE_PART_MISSING", Invalid),
        (UPLOAD, -15, "FILE_FORM_UNKNOWN", Invalid),
        (UPLOAD, -16, "FILE_TOO_LARGE", Invalid),
        (UPLOAD, -17, "FILE_UPLOAD_FAILED", Trouble),
        (UPLOAD, -18, "TRIAL_ACCOUNT", State),
        (FILES, -1, "GATEWAY_CREDENTIALS_REJECTED", Credentials),
        (FILES, -3, "GATEWAY_REQUEST_INVALID", Invalid),
        (FILES, -10, "LIBRARY_FULL", State),
        (FILES, -11, "FILE_FORMAT_REFUSED", Invalid),
        (FILES, -12, "FILE_BASE64_MISSING", Invalid),
        (FILES, -13, "FILE_PART_MISSING", Invalid),
        (FILES, -15, "FILE_FORM_UNKNOWN", Invalid),
        (FILES, -16, "FILE_TOO_LARGE", Invalid),
        (FILES, -17, "FILE_UPLOAD_FAILED", Trouble),
        (FILES, -18, "TRIAL_ACCOUNT", State),
        (DELETE, -1, "GATEWAY_CREDENTIALS_REJECTED", Credentials),
        (DELETE, -2, "FILE_UNKNOWN", Absent),
        (DELETE, -3, "GATEWAY_REQUEST_INVALID", Invalid),
        (BALANCE, -1, "GATEWAY_CREDENTIALS_REJECTED", Credentials),
        (BALANCE, -7, "GATEWAY_CODE_M7", State),
    ]
};

#[tokio::test]
async fn every_negative_number_of_every_function_has_its_word() {
    for (function, code, word, kind) in REFUSALS {
        let body = format!(
            "[{{\"Res\":\"{code}\",\"Error\":\"Falta 34600000001\",\"NoEnviados\":2,\"CreditosNecesarios\":\"3,5\"}}]"
        );
        let CertifiedFailure::Refused(refused) = failure(function, 200, &body).await else {
            panic!("{function} {code}");
        };
        assert_eq!(refused.reason.as_str(), *word, "{function} {code}");
        assert_eq!(
            (refused.kind, refused.code),
            (*kind, Some(*code)),
            "{function}"
        );
        assert_eq!(refused.detail.as_deref(), Some("Falta ###########"));
        assert_eq!(refused.credits_needed, Some(3.5));
    }
}

/// What is not understood, or broke off, leaves open what became of it; of what only reads nothing is lost.
#[tokio::test]
async fn what_is_not_understood_is_uncertain_where_something_may_have_been_done() {
    for function in [SEND, CANCEL, RESCHEDULE, UPLOAD, DELETE] {
        for (status, body) in [
            (200, "<html>"),
            (500, ""),
            (500, "{\"Res\":1}"),
            (200, "{}"),
        ] {
            let found = failure(function, status, body).await;
            let uncertain = matches!(found, CertifiedFailure::Uncertain(_));
            assert!(uncertain, "{function} {status} {body}: {found:?}");
        }
    }
    for function in [REPORT, CERTIFICATES, FILES, BALANCE] {
        for (status, body) in [(200, "<html>"), (500, ""), (503, "")] {
            let found = failure(function, status, body).await;
            let not_done = matches!(found, CertifiedFailure::NotDone(_));
            assert!(not_done, "{function} {status} {body}: {found:?}");
        }
    }
    for function in [SEND, BALANCE] {
        let found = failure(function, 503, "").await;
        assert!(matches!(found, CertifiedFailure::NotDone(_)), "{found:?}");
        let CertifiedFailure::Refused(refused) = failure(function, 401, "").await else {
            panic!("{function}");
        };
        assert_eq!(refused.kind, RefusalKind::Credentials);
        let nobody = sending("http://127.0.0.1:9");
        let found = call(&nobody, function).await.unwrap_err();
        assert!(matches!(found, CertifiedFailure::NotDone(_)), "{found:?}");
    }
    // Success that says nothing of its list or its credit.
    for (function, body) in [(REPORT, "{\"Res\":1,\"Informe\":\"x\"}"), (BALANCE, "1")] {
        let found = failure(function, 200, body).await;
        assert!(matches!(found, CertifiedFailure::NotDone(_)), "{found:?}");
    }
    // Not one of the numbers was taken.
    let none = failure(SEND, 200, "{\"Res\":1,\"Mensajes\":0,\"NoEnviados\":2}").await;
    let CertifiedFailure::Refused(refused) = none else {
        panic!("{none:?}");
    };
    assert_eq!(refused.reason.as_str(), "GATEWAY_REJECTED_NUMBER");
}

#[tokio::test]
async fn without_a_contact_nothing_is_sent() {
    let gateway = super::gateway("http://127.0.0.1:9");
    assert!(!gateway.can_send());
    let found = CertifiedGateway::send(&gateway, &order())
        .await
        .unwrap_err();
    assert!(
        matches!(found, CertifiedFailure::NotDone(reason) if reason.as_str() == "CERTIFIED_CONTACT_MISSING")
    );
}

#[tokio::test]
async fn certificates_come_in_pieces_and_end_at_the_limit() {
    let mut zip = b"PK\x03\x04".to_vec();
    zip.resize(300_004, 7);
    let wanted =
        WantedCertificates::OfRecipient(group(), Recipient::parse("+34600000001").unwrap());
    let fields = [("Idmensaje", "1283876988"), ("Telefono", "34600000001")];
    for (max_bytes, is_whole) in [(300_004, true), (300_003, false)] {
        let mut server = Server::new_async().await;
        let content = zip.clone();
        let mut wanted_fields: Vec<(String, String)> =
            fields.map(|(a, b)| (a.into(), b.into())).into();
        wanted_fields.push(("Resp".into(), "JSON".into()));
        // In chunks: the length is not announced.
        let asked = server
            .mock("POST", "/v7/GetSMSCERTIFICADO")
            .match_request(move |request| {
                let body = request.body().unwrap();
                let pairs: Vec<_> = url::form_urlencoded::parse(body).into_owned().collect();
                pairs == wanted_fields
            })
            .with_chunked_body(move |writer| {
                content
                    .chunks(10_000)
                    .try_for_each(|piece| writer.write_all(piece))
            })
            .create_async()
            .await;
        let settings = MensatekSettings {
            download: DownloadLimits {
                max_bytes,
                patience: Duration::from_secs(60),
            },
            ..settings(&server.url())
        };
        let gateway = MensatekGateway::new(settings).unwrap();
        let mut pieces = gateway.certificates(&wanted).await.unwrap();
        let mut whole = Vec::new();
        let mut end = None;
        while let Some(piece) = pieces.next().await {
            match piece {
                Ok(piece) => whole.extend_from_slice(&piece),
                Err(failure) => end = Some(failure),
            }
        }
        asked.assert_async().await;
        if is_whole {
            assert_eq!((whole == zip, end), (true, None));
        } else {
            assert_eq!(end, Some(CertifiedFailure::TooLarge));
            assert!(whole.len() < zip.len());
        }
    }
}

#[tokio::test]
async fn a_download_that_announces_too_much_is_not_begun() {
    let mut server = Server::new_async().await;
    let days = |text: &str| text.parse().unwrap();
    let wanted = WantedCertificates::Between(days("2026-11-01"), days("2026-11-30"));
    let fields = [("FechaInicio", "2026-11-01"), ("FechaFin", "2026-11-30")];
    let asked = platform(&mut server, CERTIFICATES, &fields, "PK\u{3}\u{4}0123456789").await;
    let settings = MensatekSettings {
        download: DownloadLimits {
            max_bytes: 10,
            ..DownloadLimits::default()
        },
        ..settings(&server.url())
    };
    let gateway = MensatekGateway::new(settings).unwrap();
    let found = gateway.certificates(&wanted).await.map(drop);
    assert_eq!(found, Err(CertifiedFailure::TooLarge));
    asked.assert_async().await;
}
