//! What the platform tells of certified messages: it settles what was uncertain, moves recipients on, and is told to whoever
//! watches, each saying once, without PINs.

use std::sync::Arc;

use clave_otp::{
    clock::SystemClock,
    grpc::proto::{
        CertifiedAttachmentAction, CertifiedEvent, CertifiedMessageState, CertifiedStage,
        SendCertifiedMessageRequest, WatchCertifiedEventsRequest, WatchCertifiedEventsResponse,
        certified_event::News,
    },
    simulator::Simulator,
};
use mockito::Server;
use tonic::Streaming;

use crate::{
    certified::{Story, addressee, answering, in_an_hour, request, start},
    reported::report_url,
    simulator::client,
    support::{BARCELONA, Files, TestApp, reason_of, soon, store_bytes},
};

/// The platform tells something; the status that it is answered.
async fn tell(story: &mut Story, body: String) -> u16 {
    let url = report_url(&mut story.app).await;
    let sent = client()
        .post(url)
        .header("content-type", "application/json")
        .body(body);
    sent.send().await.unwrap().status().as_u16()
}

pub(crate) fn reference(name: &str) -> String {
    format!("c-{}", name.strip_prefix("certifiedMessages/").unwrap())
}

fn state(name: &str, number: &str, state: u32) -> String {
    format!(
        "{{\"Servicio\":\"SMSCERTIFICADO\",\"Resultado\":{state},\"Remitente\":\"x\",\"Movil\":{number},\"Fecha\":\"2026-11-24 11:14:24\",\
         \"Segundos\":3,\"idMensaje\":77,\"Referencia\":\"{}\"}}",
        reference(name)
    )
}

pub(crate) async fn watch(
    story: &mut Story,
    token: &str,
) -> Streaming<WatchCertifiedEventsResponse> {
    let request = WatchCertifiedEventsRequest {
        administration: String::new(),
        resume_token: token.into(),
    };
    let stream = story.client.watch_certified_events(request).await;
    stream.unwrap().into_inner()
}

/// The next event, with its token.
pub(crate) async fn next(
    stream: &mut Streaming<WatchCertifiedEventsResponse>,
) -> (CertifiedEvent, String) {
    soon(async {
        loop {
            let message = stream.message().await.unwrap().expect("it goes on");
            if let Some(event) = message.event {
                return (event, message.resume_token);
            }
        }
    })
    .await
}

/// The token that a watch begins with.
pub(crate) async fn token(stream: &mut Streaming<WatchCertifiedEventsResponse>) -> String {
    let message = soon(stream.message()).await.unwrap().unwrap();
    assert!(message.event.is_none());
    message.resume_token
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_settles_a_message_whose_answer_was_lost() {
    let mut platform = Server::new_async().await;
    let asked = answering(
        &mut platform,
        "EnviarSMSCERTIFICADO",
        "<html>en mantenimiento</html>",
    )
    .await;
    let mut story = start(&platform, |_| {}).await;
    let request = SendCertifiedMessageRequest {
        send_time: Some(in_an_hour()),
        ..request()
    };
    let message = story.sent(request.clone()).await;
    assert_eq!(message.state(), CertifiedMessageState::Uncertain);
    assert_eq!(message.reason, "GATEWAY_OUTCOME_UNKNOWN");
    // Never handed over again, and not asked about while its number is not known.
    assert!(story.send(request).await.unwrap().replayed);
    let refused = story.report(&message.name).await.unwrap_err();
    assert_eq!(reason_of(&refused), "MESSAGE_NUMBER_UNKNOWN");
    // Somebody else's number is not believed.
    let body = state(&message.name, "34600000009", 1);
    assert_eq!(tell(&mut story, body).await, 200);
    assert_eq!(story.get(&message.name).await, message);
    let body = state(&message.name, "\"0034600000001\"", 1);
    assert_eq!(tell(&mut story, body).await, 200);
    let settled = story.get(&message.name).await;
    assert_eq!(settled.state(), CertifiedMessageState::Sent);
    assert_eq!(
        (settled.gateway_message_id.as_str(), settled.reason.as_str()),
        ("77", "")
    );
    asked.assert_async().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_reached_is_never_taken_back_and_each_saying_is_told_once() {
    let mut platform = Server::new_async().await;
    answering(
        &mut platform,
        "EnviarSMSCERTIFICADO",
        "{\"Res\":2,\"Msgid\":77}",
    )
    .await;
    let mut story = start(&platform, |_| {}).await;
    let two = SendCertifiedMessageRequest {
        addressees: vec![addressee("+34600000001"), addressee("+34600000002")],
        ..request()
    };
    let message = story.sent(two).await;
    let mut stream = watch(&mut story, "").await;
    token(&mut stream).await;
    for (number, told) in [
        ("34600000002", 2),
        ("34600000002", 13),
        ("34600000002", 13),
        ("34600000002", 2),
        ("34600000002", 777),
        ("34600000002", 14),
        ("34600000002", 51),
    ] {
        let body = state(&message.name, number, told);
        assert_eq!(tell(&mut story, body).await, 200);
    }
    let mut numbers = Vec::new();
    while numbers.last() != Some(&51) {
        let (event, _) = next(&mut stream).await;
        assert_eq!(
            (event.message.as_str(), event.recipient_index),
            (message.name.as_str(), 1)
        );
        assert_eq!(event.masked_recipient, "+34•••••002");
        let Some(News::State(state)) = event.news else {
            panic!("{event:?}");
        };
        numbers.push(state.status.unwrap().number);
    }
    assert_eq!(numbers, [2, 13, 777, 14, 51]);
    let recipients = story.get(&message.name).await.recipients;
    assert_eq!(recipients[0].status, None);
    let status = recipients[1].status.as_ref().unwrap();
    assert_eq!(
        (status.number, status.stage()),
        (14, CertifiedStage::Closed)
    );
}

/// Tells of attachments and answers, by the platform's number; each is answered, whatever it is about.
async fn tell_all(story: &mut Story) {
    let attachment = |kind: u32, value: &str, id: u32| {
        format!(
            "{{\"Servicio\":\"EVENTOSSMSCERTIFICADO\",\"Fichero\":\"notifica.pdf\",\"TipoAdjunto\":100,\"Fecha\":\"2026-11-24 11:14:24\",\
             \"Telefono\":34600000001,\"TipoEvento\":{kind},\"idEnvio\":{id},\"idMensaje\":{id},\"Valor\":\"{value}\",\"IP\":\"192.0.2.77\",\"Puerto\":56678}}"
        )
    };
    for body in [
        attachment(2, "canary-4711", 77),
        attachment(4, "canary-4711", 77),
        attachment(1, "Navegador-7", 77),
        attachment(1, "canary", 99),
        "{\"Servicio\":\"SMSRECIBIDO\",\"timestamp\":1795514064,\"Movil\":34600000009,\"Remitente\":\"34600000001\",\"Mensaje\":\"SI canary-reply\",\"idM\":77,\"EsCert\":true}".into(),
        "{\"Servicio\":\"SMSRECIBIDO\",\"Movil\":34600000009,\"Remitente\":\"34600000001\",\"Mensaje\":\"BAJA\"}".into(),
    ] {
        assert_eq!(tell(story, body).await, 200);
    }
}

/// By the platform's number where our reference does not come back; events that are about nothing of ours are answered all the same.
#[tokio::test(flavor = "multi_thread")]
async fn attachments_and_answers_are_told_without_pins_and_again_after_a_restart() {
    let mut platform = Server::new_async().await;
    answering(
        &mut platform,
        "EnviarSMSCERTIFICADO",
        "{\"Res\":1,\"Msgid\":77}",
    )
    .await;
    let mut story = start(&platform, |_| {}).await;
    let message = story.sent(request()).await;
    let mut stream = watch(&mut story, "").await;
    let begin = token(&mut stream).await;
    tell_all(&mut story).await;
    let actions = [
        CertifiedAttachmentAction::PinSent,
        CertifiedAttachmentAction::PinWrong,
        CertifiedAttachmentAction::Opened,
    ];
    let mut after_first = String::new();
    for expected in actions {
        let (event, token) = next(&mut stream).await;
        let Some(News::Attachment(told)) = event.news else {
            panic!("{event:?}");
        };
        assert_eq!(told.action(), expected);
        let value = if expected == CertifiedAttachmentAction::Opened {
            "Navegador-7"
        } else {
            ""
        };
        assert_eq!(
            (told.value.as_str(), told.address.as_str(), told.port),
            (value, "192.0.2.77", 56678)
        );
        if after_first.is_empty() {
            after_first = token;
        }
    }
    let (event, _) = next(&mut stream).await;
    let Some(News::Reply(reply)) = event.news else {
        panic!("{event:?}");
    };
    assert_eq!(
        (reply.text.as_str(), reply.certified),
        ("SI canary-reply", true)
    );
    drop(stream);
    let (files, simulator) = story.app.stop().await;
    let kept = store_bytes(&files.path(""));
    for secret in [
        "canary",
        "4711",
        "192.0.2.77",
        "Navegador",
        "600000001",
        "resoluci",
    ] {
        let found = kept
            .windows(secret.len())
            .any(|bytes| bytes == secret.as_bytes());
        assert!(!found, "{secret}");
    }
    again_after_a_restart(files, simulator, (&after_first, &begin), &message.name).await;
}

/// What is behind a token is told again; another log's token is refused.
async fn again_after_a_restart(
    files: Files,
    simulator: Simulator,
    (after_first, begin): (&str, &str),
    name: &str,
) {
    let app = TestApp::start_on(files, simulator, Arc::new(SystemClock::new())).await;
    let mut story = Story::of(app);
    let mut stream = watch(&mut story, after_first).await;
    let (event, _) = next(&mut stream).await;
    assert!(
        matches!(&event.news, Some(News::Attachment(told)) if told.action() == CertifiedAttachmentAction::PinWrong)
    );
    assert_eq!(event.message, name);
    // A token of another log, and of none.
    let changes = begin.strip_prefix('c').unwrap().to_owned();
    for bad in ["x", &changes, &begin.replace("c1-", "c1-0")] {
        let request = WatchCertifiedEventsRequest {
            administration: String::new(),
            resume_token: bad.into(),
        };
        let refused = story
            .client
            .watch_certified_events(request)
            .await
            .map(drop)
            .unwrap_err();
        assert_eq!(reason_of(&refused), "INVALID_FIELD", "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_is_told_of_its_own_administrations_alone() {
    let mut platform = Server::new_async().await;
    answering(
        &mut platform,
        "EnviarSMSCERTIFICADO",
        "{\"Res\":1,\"Msgid\":77}",
    )
    .await;
    let mut story = start(&platform, |_| {}).await;
    let message = story.sent(request()).await;
    let mut stream = watch(&mut story, "").await;
    let begin = token(&mut stream).await;
    let body = state(&message.name, "34600000001", 13);
    tell(&mut story, body).await;
    next(&mut stream).await;
    drop(stream);
    let (files, simulator) = story.app.stop().await;
    files.change(
        "service.toml",
        "administrations = [\"*\"]",
        &format!("administrations = [\"{BARCELONA}\"]"),
    );
    files.change(
        "service.toml",
        "[grpc]",
        "[grpc]\nwatch_heartbeat_seconds = 1",
    );
    let app = TestApp::start_on(files, simulator, Arc::new(SystemClock::new())).await;
    let mut story = Story::of(app);
    let mut stream = watch(&mut story, &begin).await;
    token(&mut stream).await;
    // The next thing told is the heartbeat, whose token is behind the event.
    assert_ne!(token(&mut stream).await, begin);
}
