//! What an operator sees of accounts and does about them.

use std::sync::Arc;

use clave_otp::{
    clock::SystemClock,
    grpc::proto::{
        DeliveryState, GetAccountRequest, LaneState, ListAccountsRequest, PauseAccountRequest,
        ResumeAccountRequest,
    },
    simulator::Script,
};
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::support::{
    Files, MADRID, MADRID_LOGIN, PASSWORD, TestApp, reason_of, request, request_to, soon,
};

const NAME: &str = "accounts/madrid-mn";

fn pause() -> PauseAccountRequest {
    PauseAccountRequest { name: NAME.into() }
}

fn resume() -> ResumeAccountRequest {
    ResumeAccountRequest { name: NAME.into() }
}

async fn lane_state(app: &mut TestApp) -> LaneState {
    let get = GetAccountRequest { name: NAME.into() };
    let account = app.accounts.get_account(get).await.unwrap().into_inner();
    account.account.unwrap().lane_state()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_account_takes_and_sends_nothing_until_it_is_resumed() {
    let mut app = TestApp::start(Script::new()).await;
    let paused = app
        .accounts
        .pause_account(pause())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(paused.account.unwrap().lane_state(), LaneState::Paused);
    let refused = app.refused(request()).await;
    assert_eq!(refused, (Code::Unavailable, "ACCOUNT_PAUSED".into()));

    // Also a new process keeps it paused.
    let (files, simulator) = app.stop().await;
    let mut app = TestApp::start_on(files, simulator, Arc::new(SystemClock::new())).await;
    assert_eq!(lane_state(&mut app).await, LaneState::Paused);
    let opened = app
        .accounts
        .resume_account(resume())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(opened.account.unwrap().lane_state(), LaneState::Open);
    assert_eq!(app.ends(request()).await.state(), DeliveryState::Sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_when_an_account_is_paused_goes_out_when_it_is_resumed() {
    let gate = clave_otp::simulator::Gate::new();
    let held = clave_otp::simulator::Action::Hold(gate.clone());
    let script = Script::new().on(clave_otp::simulator::Match::request(1), held);
    let mut app = TestApp::start(script).await;
    let on_its_way = app.accepted(request_to(1)).await;
    soon(app.simulator.ledger().until_held(1)).await;
    let waiting = app.accepted(request_to(2)).await;
    app.accounts.pause_account(pause()).await.unwrap();
    gate.open();
    assert_eq!(
        app.follow(&on_its_way.name).await.1.state(),
        DeliveryState::Sent
    );
    assert_eq!(
        app.get(&waiting.name).await.state(),
        DeliveryState::Accepted
    );
    app.accounts.resume_account(resume()).await.unwrap();
    assert_eq!(
        app.follow(&waiting.name).await.1.state(),
        DeliveryState::Sent
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_may_have_rejected_credentials_tried_once_more() {
    let clock = Arc::new(SystemClock::new());
    let wrong = |files: &Files| {
        files.secret("madrid.password", "una-clave-equivocada");
        files.change(
            "administrations/madrid.toml",
            "request_timeout_ms = 15000",
            "request_timeout_ms = 15000\n[accounts.codes]\n\"-1\" = { reason = \"WRONG_LOGIN\", effect = \"credentials\" }",
        );
    };
    let mut app = TestApp::start_with(Script::new(), clock, wrong).await;
    app.accepted(request()).await;
    let ledger = app.simulator.ledger().clone();
    soon(ledger.until_refused(1)).await;
    soon(async { while lane_state(&mut app).await != LaneState::CredentialsRejected {} }).await;
    app.accounts.resume_account(resume()).await.unwrap();
    soon(ledger.until_refused(2)).await;
    soon(async { while lane_state(&mut app).await != LaneState::CredentialsRejected {} }).await;
    app.stop().await;
    assert_eq!(
        ledger.wrong_logins(MADRID_LOGIN),
        2,
        "once, and once more by hand"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_listed_with_how_their_lanes_fare_and_without_secrets() {
    let mut app = TestApp::start(Script::new()).await;
    app.ends(request()).await;
    let first = ListAccountsRequest {
        page_size: 1,
        ..ListAccountsRequest::default()
    };
    let page = app
        .accounts
        .list_accounts(first.clone())
        .await
        .unwrap()
        .into_inner();
    let second = ListAccountsRequest {
        page_token: page.next_page_token,
        ..first
    };
    assert_eq!(page.accounts[0].name, "accounts/barcelona-mn");
    assert_eq!(
        page.accounts[0].senders,
        ["217812", "ClaveBCN"],
        "the default one first"
    );
    let page = app
        .accounts
        .list_accounts(second)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(page.next_page_token, "");
    let madrid = &page.accounts[0];
    assert_eq!(
        (madrid.name.as_str(), madrid.administration.as_str()),
        (NAME, MADRID)
    );
    assert_eq!(madrid.lane_state(), LaneState::Open);
    assert!(madrid.last_success_time.is_some() && madrid.gateway_latency.is_some());
    assert!(
        !format!("{madrid:?}").contains(PASSWORD) && !format!("{madrid:?}").contains(MADRID_LOGIN)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_operator_of_the_administration_sees_and_pauses_its_accounts() {
    let clock = Arc::new(SystemClock::new());
    let sender_alone = |files: &Files| {
        files.change("service.toml", "[\"sender\", \"operator\"]", "[\"sender\"]");
    };
    let mut app = TestApp::start_with(Script::new(), clock.clone(), sender_alone).await;
    for refused in [
        app.accounts.pause_account(pause()).await.map(drop),
        app.accounts.resume_account(resume()).await.map(drop),
        app.accounts
            .list_accounts(ListAccountsRequest::default())
            .await
            .map(drop),
    ] {
        assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
    }
    let (files, simulator) = app.stop().await;
    files.change("service.toml", "[\"sender\"]", "[\"operator\"]");
    files.change("service.toml", "[\"*\"]", "[\"L01080193\"]");
    let mut app = TestApp::start_on(files, simulator, clock).await;
    let refused = app.accounts.pause_account(pause()).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason_of(&refused)),
        (Code::NotFound, "NOT_FOUND".into())
    );
    let listed = app
        .accounts
        .list_accounts(ListAccountsRequest::default())
        .await
        .unwrap();
    assert_eq!(listed.into_inner().accounts.len(), 1);
    assert_eq!(
        app.refused(request()).await.0,
        Code::PermissionDenied,
        "an operator cannot send"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_health_of_each_account_can_be_watched() {
    let mut app = TestApp::start(Script::new()).await;
    let channel = app.channel.clone();
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel);
    let service = format!("clave.otp.v1.{NAME}");
    let watch = tonic_health::pb::HealthCheckRequest { service };
    let mut changes = health.watch(watch).await.unwrap().into_inner();
    let mut until = async |wanted: ServingStatus| {
        soon(async { while changes.message().await.unwrap().unwrap().status() != wanted {} }).await;
    };
    until(ServingStatus::Serving).await;
    app.accounts.pause_account(pause()).await.unwrap();
    until(ServingStatus::NotServing).await;
    app.accounts.resume_account(resume()).await.unwrap();
    until(ServingStatus::Serving).await;
    app.stop().await;
}
