//! Bad input at the service: what the rules refuse before anybody is asked, and what the simulated Mensatek refuses, with its own
//! number and a word for it.

use clave_otp::{
    grpc::proto::{
        CancelCertifiedMessageRequest, CertifiedAttachment, CertifiedMessageKind,
        CertifiedMessageState, GetBalanceRequest, LibraryUploadForm,
        RescheduleCertifiedMessageRequest, SendCertifiedMessageRequest, UploadLibraryFileRequest,
        certified_attachment::Content,
    },
    simulator::{Action, Match, MensatekRules, Script},
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{
    certified::{Story, in_an_hour, in_hours, request},
    certified_simulated::start,
    support::{MADRID, reason_of, seconds_after},
};

const SEND: &str = "EnviarSMSCERTIFICADO";
const RESCHEDULE: &str = "ReprogramarSMSCERTIFICADO";
const UPLOAD: &str = "CargarFichero";

/// Longest file of the simulated platform in these stories, in bytes.
const FILE_BYTES: usize = 1_000;

fn scripted(function: &str, code: i32) -> Script {
    Script::new().on(Match::function(function), Action::Code(code))
}

fn file(name: &str, content: Vec<u8>) -> UploadLibraryFileRequest {
    UploadLibraryFileRequest {
        administration: MADRID.into(),
        file_name: name.into(),
        content,
        ..UploadLibraryFileRequest::default()
    }
}

fn pdf(bytes: usize) -> Vec<u8> {
    let mut content = b"%PDF-1.7\n".to_vec();
    content.resize(bytes, b' ');
    content
}

async fn upload(story: &Story, request: UploadLibraryFileRequest) -> Result<(), Status> {
    let mut client = story.client.clone();
    client.upload_library_file(request).await.map(drop)
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

async fn balance(story: &Story) -> Result<(), Status> {
    let request = GetBalanceRequest {
        administration: MADRID.into(),
        account: String::new(),
    };
    let mut client = story.client.clone();
    client.get_balance(request).await.map(drop)
}

/// The platform said no with its own number: status, word, number, and a time to come again where that may help.
fn refused_by_platform(told: Result<(), Status>, code: Code, word: &str, number: i32) {
    let status = told.unwrap_err();
    assert_eq!((status.code(), reason_of(&status)), (code, word.into()));
    let info = status.get_details_error_info().unwrap();
    let shown = info.metadata.get("gateway_code").map(String::as_str);
    assert_eq!(shown, Some(number.to_string().as_str()), "{word}");
    assert!(status.message().contains(&number.to_string()), "{status:?}");
    let may_come_again = status.get_details_retry_info().is_some();
    assert_eq!(may_come_again, code == Code::Unavailable, "{word}");
}

/// Refused by our own rules, by the name of the field.
fn refused_by_rule(told: Result<(), Status>, field: &str) {
    let status = told.unwrap_err();
    let found = (status.code(), reason_of(&status));
    assert_eq!(found, (Code::InvalidArgument, "INVALID_FIELD".into()));
    let details = status.get_error_details();
    let violations = &details.bad_request().unwrap().field_violations;
    assert_eq!(violations[0].field, field);
    assert!(!violations[0].description.is_empty());
}

fn calls(story: &Story, function: &str) -> usize {
    let calls = story.app.simulator.ledger().calls();
    let of = calls.iter().filter(|call| call.function.name() == function);
    of.count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_the_platform_does_not_take_is_refused_with_its_number() {
    let rules = MensatekRules {
        file_bytes: FILE_BYTES,
        most_files: 1,
        ..MensatekRules::default()
    };
    let story = start(Script::new().mensatek(rules), |_| {}).await;
    for form in [LibraryUploadForm::Files, LibraryUploadForm::Base64] {
        let sending = |name: &str, content: Vec<u8>| UploadLibraryFileRequest {
            form: form.into(),
            ..file(name, content)
        };
        let told = upload(&story, sending("grande.pdf", pdf(FILE_BYTES + 1))).await;
        refused_by_platform(told, Code::InvalidArgument, "FILE_TOO_LARGE", -16);
        // By its name, and by what it holds.
        for (name, content) in [("foto.png", pdf(100)), ("falso.pdf", b"MZ".to_vec())] {
            let told = upload(&story, sending(name, content)).await;
            refused_by_platform(told, Code::InvalidArgument, "FILE_FORMAT_REFUSED", -11);
        }
        upload(&story, sending("justo.pdf", pdf(FILE_BYTES)))
            .await
            .unwrap();
        let told = upload(&story, sending("otro.pdf", pdf(100))).await;
        refused_by_platform(told, Code::FailedPrecondition, "LIBRARY_FULL", -10);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_of_a_file_is_at_most_fifteen_characters() {
    let story = start(Script::new(), |_| {}).await;
    for name in ["abcdefghijkl.pdf", "ñandú.pdf", "a b.pdf", "notifica", ""] {
        let told = upload(&story, file(name, pdf(100))).await;
        refused_by_rule(told, "file_name");
    }
    refused_by_rule(upload(&story, file("a.pdf", Vec::new())).await, "content");
    assert_eq!(calls(&story, UPLOAD), 0, "nobody was asked");
    let longest = "abcdefghijk.pdf";
    assert_eq!(longest.len(), 15);
    upload(&story, file(longest, pdf(100))).await.unwrap();
    assert_eq!(calls(&story, UPLOAD), 1);
}

fn contract(attachments: Vec<CertifiedAttachment>) -> SendCertifiedMessageRequest {
    SendCertifiedMessageRequest {
        kind: CertifiedMessageKind::ContractBySignature.into(),
        attachments,
        ..request()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contract_without_its_pdf_is_refused_here_and_by_the_platform_with_its_number() {
    let mut story = start(scripted(SEND, -15), |_| {}).await;
    let told = story.send(contract(Vec::new())).await.map(drop);
    refused_by_rule(told, "attachments");
    assert_eq!(calls(&story, SEND), 0, "nobody was asked");
    // Where the platform does not see the PDF that was sent.
    let content = Some(Content::Pdf(pdf(100)));
    let message = story
        .sent(contract(vec![CertifiedAttachment { content }]))
        .await;
    assert_eq!(message.state(), CertifiedMessageState::Failed);
    assert_eq!(
        (message.reason.as_str(), message.gateway_code),
        ("GATEWAY_CONTRACT_WITHOUT_FILE", -15)
    );
    assert_eq!(story.get(&message.name).await, message, "it is kept so");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attachment_that_is_too_large_for_the_platform_fails_with_its_number() {
    let rules = MensatekRules {
        file_bytes: FILE_BYTES,
        ..MensatekRules::default()
    };
    let mut story = start(Script::new().mensatek(rules), |_| {}).await;
    let content = Some(Content::Pdf(pdf(FILE_BYTES + 1)));
    let message = story
        .sent(contract(vec![CertifiedAttachment { content }]))
        .await;
    assert_eq!(message.state(), CertifiedMessageState::Failed);
    assert_eq!(
        (message.reason.as_str(), message.gateway_code),
        ("GATEWAY_ATTACHMENT_REFUSED", -4)
    );
}

/// A message that waits for its time at the platform.
async fn waiting(story: &mut Story) -> String {
    let later = SendCertifiedMessageRequest {
        send_time: Some(in_an_hour()),
        ..request()
    };
    let message = story.sent(later).await;
    assert_eq!(message.state(), CertifiedMessageState::Sent);
    message.name
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_not_moved_into_the_past() {
    let mut story = start(scripted(RESCHEDULE, -7), |_| {}).await;
    let name = waiting(&mut story).await;
    let before = story.get(&name).await;
    let past = seconds_after(jiff::Timestamp::UNIX_EPOCH, 1_700_000_000);
    refused_by_rule(reschedule(&story, &name, past).await, "send_time");
    assert_eq!(calls(&story, RESCHEDULE), 0, "nobody was asked");
    // As where the time passes on the way.
    let told = reschedule(&story, &name, in_hours(4)).await;
    refused_by_platform(told, Code::InvalidArgument, "SEND_TIME_PAST", -7);
    let after = story.get(&name).await;
    assert_eq!(after.send_time, before.send_time, "it was not moved");
    assert_eq!(after.state(), CertifiedMessageState::Sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_was_sent_is_neither_cancelled_nor_moved() {
    let mut story = start(Script::new(), |_| {}).await;
    let name = story.sent(request()).await.name;
    let cancel = CancelCertifiedMessageRequest { name: name.clone() };
    let told = story.client.cancel_certified_message(cancel).await;
    refused_by_platform(told.map(drop), Code::FailedPrecondition, "ALREADY_SENT", -4);
    let told = reschedule(&story, &name, in_hours(4)).await;
    refused_by_platform(told, Code::FailedPrecondition, "ALREADY_SENT", -4);
    let message = story.get(&name).await;
    assert_eq!(message.state(), CertifiedMessageState::Sent);
}

/// One of each kind that the platform can say no with; the one of a file that is not there is in another story.
#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_no_has_its_status() {
    let script = scripted(UPLOAD, -17)
        .on(Match::function(RESCHEDULE), Action::Code(-2))
        .on(Match::function("GetCreditos").times(1), Action::Code(-77))
        .on(Match::function("GetCreditos"), Action::Code(-1));
    let mut story = start(script, |_| {}).await;
    let told = upload(&story, file("a.pdf", pdf(100))).await;
    refused_by_platform(told, Code::Unavailable, "FILE_UPLOAD_FAILED", -17);
    let name = waiting(&mut story).await;
    let told = reschedule(&story, &name, in_hours(4)).await;
    refused_by_platform(told, Code::NotFound, "MESSAGE_NOT_OF_ACCOUNT", -2);
    // A number that the text does not have.
    let told = balance(&story).await;
    refused_by_platform(told, Code::FailedPrecondition, "GATEWAY_CODE_M77", -77);
    let told = balance(&story).await;
    refused_by_platform(told, Code::Unavailable, "GATEWAY_CREDENTIALS_REJECTED", -1);
    let told = balance(&story).await.unwrap_err();
    assert_eq!(
        reason_of(&told),
        "ACCOUNT_CREDENTIALS_REJECTED",
        "once is enough"
    );
    assert_eq!(calls(&story, "GetCreditos"), 2);
}
