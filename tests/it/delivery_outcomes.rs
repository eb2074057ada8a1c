//! What becomes of a code, for each outcome.

use clave_otp::{
    grpc::proto::{
        CancelDeliveryRequest, CreateDeliveryRequest, DeliveryState, Destination, Encoding,
        ListDeliveriesRequest, PreviewDeliveryRequest, Purpose,
    },
    simulator::{Action, Gate, Match, Script, codes::WRONG_NUMBER},
};
use tonic::Code;
use uuid::Uuid;

use crate::support::{
    BARCELONA, BARCELONA_LOGIN, MADRID, MADRID_LOGIN, TestApp, reason_of, request, request_to, soon,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_national_code_goes_out_from_the_alias_of_the_account() {
    let mut app = TestApp::start(Script::new()).await;
    let delivery = app.ends(request()).await;
    assert_eq!(delivery.state(), DeliveryState::Sent);
    assert_eq!(delivery.reason, "");
    assert_eq!(delivery.sender, "ClaveMadrid");
    assert_eq!(delivery.destination(), Destination::National);
    assert_eq!(delivery.masked_recipient, "+34•••••001");
    assert_eq!(delivery.account, "accounts/madrid-mn");
    assert_eq!(delivery.encoding(), Encoding::Gsm7);
    assert_eq!((delivery.segments, delivery.attempts), (1, 1));
    assert!(delivery.submit_time.is_some());

    let messages = app.simulator.ledger().messages();
    let [message] = messages.as_slice() else {
        panic!("one message, not {}", messages.len());
    };
    assert_eq!(message.login.as_str(), MADRID_LOGIN);
    assert_eq!(message.phone.expose(), "600000001", "nine digits at home");
    assert_eq!(
        message.text.expose(),
        "Cl@ve: su codigo es 748291. Caduca en 10 minutos. No lo comparta con nadie."
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_administration_sends_on_its_own_account_with_its_own_sender() {
    let mut app = TestApp::start(Script::new()).await;
    let of_barcelona = CreateDeliveryRequest {
        administration: BARCELONA.into(),
        ..request()
    };
    let delivery = app.ends(of_barcelona).await;
    assert_eq!(delivery.sender, "217812");
    assert_eq!(app.ends(request()).await.sender, "ClaveMadrid");
    let seen: Vec<(String, String)> = app
        .simulator
        .ledger()
        .messages()
        .iter()
        .map(|message| (message.login.to_string(), message.sender.to_string()))
        .collect();
    let expected = [(BARCELONA_LOGIN, "217812"), (MADRID_LOGIN, "ClaveMadrid")];
    assert_eq!(
        seen,
        expected.map(|(login, sender)| (login.to_owned(), sender.to_owned()))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_citizen_abroad_sees_the_number_of_the_platform() {
    let mut app = TestApp::start(Script::new()).await;
    let abroad = CreateDeliveryRequest {
        recipient: "+351912345678".into(),
        ..request()
    };
    let delivery = app.ends(abroad).await;
    assert_eq!(delivery.state(), DeliveryState::Sent);
    assert_eq!(delivery.sender, "638444812");
    assert_eq!(delivery.destination(), Destination::International);
    assert_eq!(
        app.simulator.ledger().messages()[0].phone.expose(),
        "00351912345678"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_the_gateway_rejects_fails_alone() {
    let script = Script::new().on(Match::phone("600000005"), Action::Code(WRONG_NUMBER));
    let mut app = TestApp::start(script).await;
    let wrong = CreateDeliveryRequest {
        recipient: "+34600000005".into(),
        ..request()
    };
    let (failed, sent) = (app.ends(wrong).await, app.ends(request()).await);
    assert_eq!(failed.state(), DeliveryState::Failed);
    assert_eq!(failed.reason, "GATEWAY_REJECTED_NUMBER");
    assert_eq!(sent.state(), DeliveryState::Sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_answers_with_the_first_delivery_and_sends_nothing() {
    let mut app = TestApp::start(Script::new()).await;
    let request = request();
    let first = app.ends(request.clone()).await;
    let again = app.create(request).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.delivery.unwrap(), first);
    assert_eq!(app.simulator.ledger().message_count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_calls_with_one_request_id_are_one_delivery_and_one_sms() {
    let app = TestApp::start(Script::new()).await;
    let request = request();
    let calls = (0..64).map(|_| {
        let (mut client, request) = (app.client.clone(), request.clone());
        tokio::spawn(async move { client.create_delivery(request).await.unwrap().into_inner() })
    });
    let mut names = std::collections::HashSet::new();
    let mut stored = 0;
    for call in calls.collect::<Vec<_>>() {
        let answer = call.await.unwrap();
        names.insert(answer.delivery.unwrap().name);
        stored += usize::from(!answer.replayed);
    }
    assert_eq!((names.len(), stored), (1, 1));
    let ledger = app.simulator.ledger().clone();
    soon(ledger.until_messages(1)).await;
    app.stop().await;
    assert_eq!(ledger.message_count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_content_under_one_request_id_is_refused() {
    let mut app = TestApp::start(Script::new()).await;
    let first = request();
    app.accepted(first.clone()).await;
    let changes: [fn(&mut CreateDeliveryRequest); 6] = [
        |request| request.code = "748292".into(),
        |request| request.recipient = "+34600000002".into(),
        |request| request.administration = BARCELONA.into(),
        |request| request.purpose = Purpose::Signature.into(),
        |request| request.sender = "217812".into(),
        |request| request.reference = "other".into(),
    ];
    for change in changes {
        let mut other = first.clone();
        change(&mut other);
        let refused = app.refused(other).await;
        assert_eq!(refused, (Code::AlreadyExists, "REQUEST_ID_REUSED".into()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_waits_can_be_withdrawn_and_one_on_its_way_cannot() {
    let gate = Gate::new();
    let script = Script::new().on(Match::request(1), Action::Hold(gate.clone()));
    let mut app = TestApp::start(script).await;
    let on_its_way = app.accepted(request()).await;
    let ledger = app.simulator.ledger().clone();
    soon(ledger.until_held(1)).await;
    let waiting = app.accepted(request_to(2)).await;

    let cancel = |name: &str| CancelDeliveryRequest { name: name.into() };
    let cancelled = app
        .client
        .cancel_delivery(cancel(&waiting.name))
        .await
        .unwrap();
    let cancelled = cancelled.into_inner().delivery.unwrap();
    assert_eq!(cancelled.state(), DeliveryState::Cancelled);
    let again = app.client.cancel_delivery(cancel(&waiting.name)).await;
    assert!(again.is_ok(), "cancelling twice is no failure");
    let refused = app
        .client
        .cancel_delivery(cancel(&on_its_way.name))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(reason_of(&refused), "TOO_LATE_TO_CANCEL");

    gate.open();
    assert_eq!(
        app.follow(&on_its_way.name).await.1.state(),
        DeliveryState::Sent
    );
    app.stop().await;
    assert_eq!(
        ledger.message_count(),
        1,
        "the withdrawn code never went out"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_shows_the_delivery_now_and_each_change_to_its_end() {
    let gate = Gate::new();
    let script = Script::new().on(Match::request(1), Action::Hold(gate.clone()));
    let mut app = TestApp::start(script).await;
    let delivery = app.accepted(request()).await;
    soon(app.simulator.ledger().until_held(1)).await;
    let (mut watcher, name) = (app.client.clone(), delivery.name.clone());
    let mut changes = watcher
        .watch_delivery(clave_otp::grpc::proto::WatchDeliveryRequest { name })
        .await
        .unwrap()
        .into_inner();
    let mut states = Vec::new();
    while let Some(change) = soon(changes.message()).await.unwrap() {
        states.push(change.delivery.unwrap().state());
        gate.open();
    }
    assert_eq!(states, [DeliveryState::Sending, DeliveryState::Sent]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_newest_first_filtered_and_paged() {
    let script = Script::new().on(Match::phone("600000005"), Action::Code(WRONG_NUMBER));
    let mut app = TestApp::start(script).await;
    let mut names = Vec::new();
    for number in 0..5 {
        let numbered = CreateDeliveryRequest {
            reference: format!("order-{number}"),
            ..request()
        };
        names.push(app.ends(numbered).await.name);
    }
    let failing = CreateDeliveryRequest {
        administration: BARCELONA.into(),
        recipient: "+34600000005".into(),
        ..request()
    };
    let failed = app.ends(failing).await;
    names.reverse();

    let mut list = async |request: ListDeliveriesRequest| {
        let page = app
            .client
            .list_deliveries(request)
            .await
            .unwrap()
            .into_inner();
        let names: Vec<String> = page.deliveries.into_iter().map(|d| d.name).collect();
        (names, page.next_page_token)
    };
    let of_madrid = ListDeliveriesRequest {
        administration: MADRID.into(),
        page_size: 2,
        ..ListDeliveriesRequest::default()
    };
    let mut paged = Vec::new();
    let mut token = String::new();
    loop {
        let page_token = token.clone();
        let (page, next) = list(ListDeliveriesRequest {
            page_token,
            ..of_madrid.clone()
        })
        .await;
        assert!(page.len() <= 2);
        paged.extend(page);
        if next.is_empty() {
            break;
        }
        token = next;
    }
    assert_eq!(paged, names);
    let by_state = ListDeliveriesRequest {
        states: vec![DeliveryState::Failed.into()],
        ..ListDeliveriesRequest::default()
    };
    assert_eq!(list(by_state).await.0, [failed.name]);
    let by_reference = ListDeliveriesRequest {
        reference: "order-3".into(),
        ..ListDeliveriesRequest::default()
    };
    assert_eq!(list(by_reference).await.0, [names[1].clone()]);

    let of_another_list = ListDeliveriesRequest {
        page_token: token,
        ..ListDeliveriesRequest::default()
    };
    let refused = app
        .client
        .list_deliveries(of_another_list)
        .await
        .unwrap_err();
    assert_eq!(reason_of(&refused), "INVALID_FIELD");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_shows_all_but_the_code_and_sends_nothing() {
    let mut app = TestApp::start(Script::new()).await;
    let asked = request();
    let preview = app
        .client
        .preview_delivery(PreviewDeliveryRequest {
            administration: asked.administration,
            recipient: asked.recipient,
            code: asked.code,
            purpose: asked.purpose,
            language: "ca-ES".into(),
            expire_time: asked.expire_time,
            ..PreviewDeliveryRequest::default()
        })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(preview.account, "accounts/madrid-mn");
    assert_eq!(preview.sender, "ClaveMadrid");
    assert_eq!(preview.language, "ca");
    assert!(
        preview.masked_text.contains("••••••"),
        "{}",
        preview.masked_text
    );
    assert!(!preview.masked_text.contains("748291"));
    assert_eq!(preview.encoding(), Encoding::Gsm7);
    assert_eq!(preview.segments, 1);
    assert!(
        preview
            .replaced_characters
            .iter()
            .any(|r| r.original == "ú" && r.replacement == "u")
    );
    let list = app
        .client
        .list_deliveries(ListDeliveriesRequest::default())
        .await
        .unwrap();
    assert!(list.into_inner().deliveries.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_nobody_made_is_not_found() {
    let mut app = TestApp::start(Script::new()).await;
    let name = format!("deliveries/{}", Uuid::new_v4());
    let refused = app
        .client
        .get_delivery(clave_otp::grpc::proto::GetDeliveryRequest { name: name.clone() })
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), reason_of(&refused)),
        (Code::NotFound, "NOT_FOUND".into())
    );
    let cancel = app
        .client
        .cancel_delivery(CancelDeliveryRequest { name })
        .await;
    assert_eq!(cancel.unwrap_err().code(), Code::NotFound);
}
