//! Certified messages through the whole service and the simulated Mensatek, which keeps the rules of the official text: scheduled,
//! moved, cancelled; contracts signed and their certificates downloaded; lost answers settled by what the platform tells.

use std::{io::Cursor, sync::Arc};

use clave_otp::{
    clock::{Clock, SystemClock},
    grpc::proto::{
        CancelCertifiedMessageRequest, CertificatesOfMessage, CertifiedAttachment,
        CertifiedMessage, CertifiedMessageKind, CertifiedMessageState, CertifiedStage,
        DeleteLibraryFileRequest, DeliveryState, DownloadCertificatesRequest, GetBalanceRequest,
        LibraryUploadForm, ListLibraryFilesRequest, RescheduleCertifiedMessageRequest,
        SendCertifiedMessageRequest, UploadLibraryFileRequest, WatchCertifiedEventsRequest,
        WatchCertifiedEventsResponse, certified_attachment::Content, certified_event::News,
        download_certificates_request::Wanted,
    },
    simulator::{Action, CallbackForm, Gate, Match, ReportStep, ReportUrl, Script},
};
use tonic::{Code, Streaming};

use crate::{
    certified::{FILE, Story, addressee, allow, in_an_hour, in_hours, request},
    mensatek::become_mensatek,
    reported::{report_url, until},
    support::{Files, MADRID, MADRID_LOGIN, TestApp, reason_of, request as code_request, soon},
};

/// A service whose Madrid account is one of the simulated Mensatek, which calls back.
pub(crate) async fn start(script: Script, change: impl FnOnce(&Files)) -> Story {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let mut app = TestApp::start_with(script, clock, |files| {
        let text = std::fs::read_to_string(files.path(FILE)).unwrap();
        let line = text
            .lines()
            .find(|line| line.starts_with("endpoint = "))
            .unwrap();
        let base = line
            .split('"')
            .nth(1)
            .unwrap()
            .trim_end_matches("/SrvConexion")
            .to_owned();
        become_mensatek(files, &base);
        allow(files);
        let no_wait = "[certified]\nask_again_after_seconds = 0\n\n[administrations]";
        files.change("service.toml", "[administrations]", no_wait);
        change(files);
    })
    .await;
    let url = ReportUrl::parse(&report_url(&mut app).await).unwrap();
    app.simulator
        .set_callback(MADRID_LOGIN, url, CallbackForm::Json);
    Story::of(app)
}

async fn watch(story: &mut Story) -> Streaming<WatchCertifiedEventsResponse> {
    let request = WatchCertifiedEventsRequest::default();
    let stream = story.client.watch_certified_events(request).await;
    let mut stream = stream.unwrap().into_inner();
    // From now on.
    soon(stream.message()).await.unwrap();
    stream
}

/// The numbers of the states that are told, until this one.
async fn states(stream: &mut Streaming<WatchCertifiedEventsResponse>, last: i64) -> Vec<i64> {
    let mut numbers = Vec::new();
    while numbers.last() != Some(&last) {
        let told = soon(stream.message()).await.unwrap().expect("it goes on");
        if let Some(News::State(state)) = told.event.and_then(|event| event.news) {
            numbers.push(state.status.unwrap().number);
        }
    }
    numbers
}

fn status(message: &CertifiedMessage) -> (i64, CertifiedStage) {
    let status = message.recipients[0].status.as_ref().unwrap();
    (status.number, status.stage())
}

async fn balance(story: &mut Story) -> f64 {
    let request = GetBalanceRequest {
        administration: MADRID.into(),
        account: String::new(),
    };
    let answer = story.client.get_balance(request).await;
    answer.unwrap().into_inner().credits
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_scheduled_moved_and_cancelled() {
    let mut story = start(Script::new(), |_| {}).await;
    let before = balance(&mut story).await;
    let mut stream = watch(&mut story).await;
    let later = SendCertifiedMessageRequest {
        addressees: vec![addressee("+34600000001"), addressee("+34600000002")],
        send_time: Some(in_an_hour()),
        acceptance_days: 10,
        ..request()
    };
    let message = story.sent(later).await;
    assert_eq!(message.state(), CertifiedMessageState::Sent);
    assert_eq!(states(&mut stream, 1).await, [1]);
    assert!(balance(&mut story).await < before);
    let name = || message.name.clone();
    let moved = RescheduleCertifiedMessageRequest {
        name: name(),
        send_time: Some(in_hours(4)),
    };
    let moved = story
        .client
        .reschedule_certified_message(moved)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(moved.moved_messages, 2);
    let cancel = CancelCertifiedMessageRequest { name: name() };
    let cancelled = story
        .client
        .cancel_certified_message(cancel)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(cancelled.cancelled_recipients, 2);
    assert_eq!(
        cancelled.message.unwrap().state(),
        CertifiedMessageState::Cancelled
    );
    assert!(
        (balance(&mut story).await - before).abs() < 0.001,
        "it was paid back"
    );
    let reported = story.report(&message.name).await.unwrap();
    assert_eq!(status(&reported), (29, CertifiedStage::Failed));
    assert_eq!(reported.state(), CertifiedMessageState::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contract_is_signed_and_its_certificate_downloaded() {
    let mut story = start(Script::new(), |_| {}).await;
    let mut stream = watch(&mut story).await;
    let mut to = addressee("+34600000001");
    to.variables = vec!["Ana".into()];
    let contract = SendCertifiedMessageRequest {
        kind: CertifiedMessageKind::ContractBySignature.into(),
        addressees: vec![to],
        text: "{1}, firme su contrato".into(),
        attachments: vec![CertifiedAttachment {
            content: Some(Content::Pdf(b"%PDF-1.7\n%EOF".to_vec())),
        }],
        ..request()
    };
    let message = story.sent(contract).await;
    assert_eq!(message.state(), CertifiedMessageState::Sent, "{message:?}");
    assert_eq!(states(&mut stream, 13).await, [13]);
    let citizen = story
        .app
        .simulator
        .contract(message.gateway_message_id.parse().unwrap());
    citizen.open().await.unwrap();
    citizen.read().await.unwrap();
    citizen.accept().await.unwrap();
    citizen.sign().await.unwrap();
    assert_eq!(states(&mut stream, 181).await, [160, 161, 162, 163, 181]);
    let signed = story.get(&message.name).await;
    assert_eq!(status(&signed), (181, CertifiedStage::Closed));
    assert!(
        signed.recipients[0]
            .status
            .as_ref()
            .unwrap()
            .certificate_available
    );
    for recipient_index in [Some(0), None] {
        let wanted = Wanted::Message(CertificatesOfMessage {
            name: message.name.clone(),
            recipient_index,
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
            whole.extend(piece.content);
        }
        let archive = zip::ZipArchive::new(Cursor::new(whole)).unwrap();
        let mut kinds: Vec<&str> = archive
            .file_names()
            .filter_map(|name| Some(name.rsplit_once('.')?.1))
            .collect();
        kinds.sort_unstable();
        assert_eq!(kinds, ["csv", "pdf"]);
    }
    // The report says what the callbacks have said.
    let reported = story.report(&message.name).await.unwrap();
    assert_eq!(status(&reported), (181, CertifiedStage::Closed));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_platform_tells_settles_a_message_whose_answer_was_lost() {
    let function = Match::function("EnviarSMSCERTIFICADO");
    let script = Script::new().on(function, Action::DropAfterReading);
    let mut story = start(script, |_| {}).await;
    let request = request();
    let message = story.sent(request.clone()).await;
    // The callback may have been quicker than the answer's record.
    assert!(matches!(
        message.state(),
        CertifiedMessageState::Uncertain | CertifiedMessageState::Sent
    ));
    let settled = soon(async {
        loop {
            let message = story.get(&message.name).await;
            if message.recipients[0]
                .status
                .as_ref()
                .is_some_and(|status| status.r#final)
            {
                return message;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(settled.state(), CertifiedMessageState::Sent);
    assert!(!settled.gateway_message_id.is_empty());
    assert_eq!(status(&settled), (14, CertifiedStage::Closed));
    assert!(story.send(request).await.unwrap().replayed);
    let sent = story.app.simulator.ledger().messages().len();
    assert_eq!(sent, 1, "handed over once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_settles_a_code_whose_answer_was_lost() {
    let gate = Gate::new();
    let late = ReportStep::state_of(11).held_at(gate.clone());
    let script = Script::new()
        .on(Match::function("EnviarSMS"), Action::DropAfterReading)
        .on(Match::function("EnviarSMS"), Action::Reports(vec![late]));
    let mut story = start(script, |_| {}).await;
    let accepted = story.app.accepted(code_request()).await;
    // Nothing is told yet, and nobody can say whether it was sent.
    until(&mut story.app, &accepted.name, DeliveryState::Uncertain).await;
    soon(story.app.simulator.ledger().until_reports_held(1)).await;
    let open = story.app.get(&accepted.name).await;
    assert_eq!(open.state(), DeliveryState::Uncertain);
    gate.open();
    let delivered = until(&mut story.app, &accepted.name, DeliveryState::Delivered).await;
    assert_eq!(delivered.attempts, 1);
    assert_eq!(story.app.simulator.ledger().messages().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_go_to_the_library_in_both_forms_and_with_a_message() {
    let mut story = start(Script::new(), |_| {}).await;
    let upload = |name: &str, form: LibraryUploadForm| UploadLibraryFileRequest {
        administration: MADRID.into(),
        file_name: name.into(),
        content: b"%PDF-1.7\n%EOF".to_vec(),
        form: form.into(),
        ..UploadLibraryFileRequest::default()
    };
    for (name, form) in [
        ("uno.pdf", LibraryUploadForm::Files),
        ("dos.pdf", LibraryUploadForm::Base64),
    ] {
        let answer = story.client.upload_library_file(upload(name, form)).await;
        assert_eq!(answer.unwrap().into_inner().file_name, name);
    }
    let library = |story: &Story| {
        let mut client = story.client.clone();
        async move {
            let request = ListLibraryFilesRequest {
                administration: MADRID.into(),
                account: String::new(),
            };
            let answer = client.list_library_files(request).await;
            let files = answer.unwrap().into_inner().files;
            let mut names: Vec<String> = files.into_iter().map(|file| file.file_name).collect();
            names.sort();
            names
        }
    };
    assert_eq!(library(&story).await, ["dos.pdf", "uno.pdf"]);
    let with = |name: &str| SendCertifiedMessageRequest {
        kind: CertifiedMessageKind::ContractByAcceptance.into(),
        attachments: vec![CertifiedAttachment {
            content: Some(Content::LibraryFile(name.into())),
        }],
        ..request()
    };
    let message = story.sent(with("uno.pdf")).await;
    assert_eq!(message.state(), CertifiedMessageState::Sent, "{message:?}");
    let message = story.sent(with("tres.pdf")).await;
    assert_eq!(
        (message.reason.as_str(), message.gateway_code),
        ("GATEWAY_FILE_UNKNOWN", -16)
    );
    let delete = DeleteLibraryFileRequest {
        administration: MADRID.into(),
        account: String::new(),
        file_name: "dos.pdf".into(),
    };
    story
        .client
        .delete_library_file(delete.clone())
        .await
        .unwrap();
    assert_eq!(library(&story).await, ["uno.pdf"]);
    let refused = story.client.delete_library_file(delete).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason_of(&refused)),
        (Code::NotFound, "FILE_UNKNOWN".into())
    );
}

/// Events at attachments and answers, as the citizens of the simulated platform make them.
#[tokio::test(flavor = "multi_thread")]
async fn a_citizens_steps_and_answers_are_told() {
    let mut story = start(Script::new(), |_| {}).await;
    let mut stream = watch(&mut story).await;
    let contract = SendCertifiedMessageRequest {
        kind: CertifiedMessageKind::ContractByReply.into(),
        ..request()
    };
    let message = story.sent(contract).await;
    states(&mut stream, 15).await;
    let citizen = story
        .app
        .simulator
        .contract(message.gateway_message_id.parse().unwrap());
    citizen.answer("sí").await.unwrap();
    let mut replies = Vec::new();
    let mut numbers = Vec::new();
    while numbers.last() != Some(&17) {
        let told = soon(stream.message()).await.unwrap().unwrap();
        match told.event.and_then(|event| event.news) {
            Some(News::Reply(reply)) => replies.push((reply.text, reply.certified)),
            Some(News::State(state)) => numbers.push(state.status.unwrap().number),
            _ => {}
        }
    }
    assert_eq!(replies, [("sí".to_owned(), true)]);
    assert_eq!(numbers, [16, 17]);
}
