//! A password file that changes while the service runs: the right one opens the account without a restart, a wrong one closes it and
//! the old one is not tried again, and one that cannot be used changes nothing.

use std::{fs, os::unix::fs::PermissionsExt as _, sync::Arc};

use clave_otp::{
    clock::{Clock, SystemClock},
    grpc::proto::{DeliveryState, GetAccountRequest, LaneState},
    simulator::Script,
};

use crate::{
    reported::speak,
    support::{Files, MADRID_LOGIN, PASSWORD, TestApp, request, request_to, soon},
};

const FILE: &str = "madrid.password";
const NEXT: &str = "madrid.password.next";
const WRONG: &str = "no-es-la-clave-buena";

/// A service that looks at its passwords every second, the simulated platform's REST behind its account.
async fn start(change: impl FnOnce(&Files)) -> TestApp {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    TestApp::start_with(Script::new(), clock, |files| {
        speak(files, "rest");
        files.change(
            "service.toml",
            "[administrations]",
            "[administrations]\nreload_seconds = 1",
        );
        change(files);
    })
    .await
}

async fn until_lane(app: &mut TestApp, wanted: LaneState) {
    soon(async {
        loop {
            let name = "accounts/madrid-mn".into();
            let account = app.accounts.get_account(GetAccountRequest { name }).await;
            if account.unwrap().into_inner().account.unwrap().lane_state() == wanted {
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
}

fn wrong_logins(app: &TestApp) -> u64 {
    app.simulator.ledger().wrong_logins(MADRID_LOGIN)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_right_password_opens_the_account_without_a_restart() {
    let mut app = start(|files| files.secret(FILE, WRONG)).await;
    let waiting = app.accepted(request()).await;
    until_lane(&mut app, LaneState::CredentialsRejected).await;
    app.files.secret(FILE, PASSWORD);
    let (_, ended) = app.follow(&waiting.name).await;
    assert_eq!(ended.state(), DeliveryState::Delivered);
    assert_eq!(wrong_logins(&app), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_next_password_that_is_rejected_closes_the_account_and_the_old_one_is_not_tried() {
    let mut app = start(|_| {}).await;
    assert_eq!(app.ends(request()).await.state(), DeliveryState::Delivered);
    app.files.secret(NEXT, WRONG);
    // Codes go out with the old one until the new one is seen.
    let mut last = None;
    soon(async {
        for citizen in 1.. {
            match app.create(request_to(citizen % 900)).await {
                Ok(created) => last = created.delivery,
                Err(refused) => {
                    let reason = crate::support::reason_of(&refused);
                    assert_eq!(reason, "ACCOUNT_CREDENTIALS_REJECTED");
                    return;
                }
            }
        }
    })
    .await;
    assert_eq!(wrong_logins(&app), 1);
    let waiting = last.unwrap();
    assert_eq!(
        app.get(&waiting.name).await.state(),
        DeliveryState::Accepted
    );
    // The one that is to follow is mended: no restart, no resume.
    app.files.secret(NEXT, PASSWORD);
    let (_, ended) = app.follow(&waiting.name).await;
    assert_eq!(ended.state(), DeliveryState::Delivered);
    assert_eq!(wrong_logins(&app), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_used_is_told_of_and_the_old_password_stays() {
    let mut app = start(|_| {}).await;
    app.files.secret(FILE, WRONG);
    let path = app.files.path(FILE);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let failed = |value: u8| {
        let name = "clave_otp_credentials_reload_failed{account=\"madrid-mn\"}";
        [format!("{name} {value}")]
    };
    app.until_metrics(&failed(1)).await;
    assert_eq!(app.ends(request()).await.state(), DeliveryState::Delivered);
    assert_eq!(wrong_logins(&app), 0);
    app.files.secret(FILE, PASSWORD);
    app.until_metrics(&failed(0)).await;
}
