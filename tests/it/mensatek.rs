//! Codes through Mensatek, from the call to the citizen's handset: the platform's answers are single ones (`mockito`), what it
//! tells later comes in by the service's own door.

use std::sync::Arc;

use clave_otp::{
    clock::{Clock, SystemClock},
    grpc::proto::{
        Account, Delivery, DeliveryState, GetAccountRequest, LaneState, WatchDeliveryRequest,
    },
    simulator::Script,
};
use mockito::{Matcher, Mock, Server, ServerGuard};

use crate::{
    reported::{listen, until},
    simulator::client,
    support::{Files, TestApp, request, request_to, soon},
};

const FILE: &str = "administrations/madrid.toml";

/// Makes Madrid's account one of Mensatek, whose alias may be sent through it.
pub(crate) fn become_mensatek(files: &Files, platform: &str) {
    let text = std::fs::read_to_string(files.path(FILE)).unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("endpoint = "))
        .unwrap();
    files.change(FILE, line, &format!("endpoint = \"{platform}/v7\""));
    files.change(
        FILE,
        "gateway = \"mensajeria-negocios\"",
        "gateway = \"mensatek\"",
    );
    files.change(FILE, "[\"ClaveMadrid\", \"217812\"]", "[\"ClaveMadrid\"]");
    files.change(
        FILE,
        "enabled = true\nallowed_regions = [\"PT\"]",
        "enabled = false",
    );
    files.change(FILE, "[\"mensajeria-negocios\"]", "[\"mensatek\"]");
    listen(files);
}

async fn start(platform: &ServerGuard, change: impl FnOnce(&Files)) -> TestApp {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    TestApp::start_with(Script::new(), clock, |files| {
        become_mensatek(files, &platform.url());
        change(files);
    })
    .await
}

async fn answering(platform: &mut ServerGuard, body: &str) -> Mock {
    platform
        .mock("POST", "/v7/EnviarSMS")
        .match_body(Matcher::Regex("Movil.*34600000".into()))
        .with_body(body)
        .create_async()
        .await
}

pub(crate) async fn account(app: &mut TestApp) -> Account {
    let name = "accounts/madrid-mn".into();
    let account = app.accounts.get_account(GetAccountRequest { name }).await;
    account.unwrap().into_inner().account.unwrap()
}

/// The platform tells what became of a code, in its own way.
async fn tell(app: &mut TestApp, delivery: &Delivery, state: u32, number: &str) -> u16 {
    let url = account(app).await.report_url;
    let reference = delivery.name.strip_prefix("deliveries/").unwrap();
    let body = format!(
        "{{\"Servicio\":\"SMSMASIVO\",\"Resultado\":{state},\"Remitente\":\"ClaveMadrid\",\"Movil\":{number},\
         \"Fecha\":\"2026-11-24 11:14:24\",\"Segundos\":3,\"idMensaje\":10573758,\"Referencia\":\"{reference}\"}}"
    );
    let sent = client()
        .post(url)
        .header("content-type", "application/json")
        .body(body);
    sent.send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_goes_out_and_is_delivered_when_the_platform_says_so() {
    let mut platform = Server::new_async().await;
    let sent = answering(
        &mut platform,
        "[{\"Res\":1,\"Msgid\":10573758,\"Cred\":\"1.234,5\"}]",
    )
    .await;
    let mut app = start(&platform, |_| {}).await;
    let accepted = app.accepted(request()).await;
    let taken = until(&mut app, &accepted.name, DeliveryState::Sent).await;
    assert_eq!(taken.sender, "ClaveMadrid");
    assert_eq!(taken.gateway_message_id, "10573758");
    sent.assert_async().await;
    // The lane tells it when the outcome is recorded, so a moment after the delivery does.
    soon(async {
        while account(&mut app).await.credit != Some(1234.5) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // On its way, then there.
    assert_eq!(tell(&mut app, &accepted, 2, "34600000001").await, 200);
    assert_eq!(app.get(&accepted.name).await.state(), DeliveryState::Sent);
    assert_eq!(tell(&mut app, &accepted, 11, "34600000001").await, 200);
    let delivery = app.follow(&accepted.name).await.1;
    assert_eq!(delivery.state(), DeliveryState::Delivered);
}

/// The platform repeats for ever what is not answered with 200.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_platform_tells_is_answered_with_200_whatever_it_is() {
    let platform = Server::new_async().await;
    let mut app = start(&platform, |files| {
        files.change(
            "service.toml",
            "[reports]\n",
            "[reports]\nmax_body_bytes = 4096\n",
        );
    })
    .await;
    let url = account(&mut app).await.report_url;
    let post = |url: String, content_type: &'static str, body: String| async move {
        let sent = client().post(url).header("content-type", content_type);
        sent.body(body).send().await.unwrap().status().as_u16()
    };
    let json = "application/json";
    let form = "application/x-www-form-urlencoded";
    let wrong = [
        (json, "{", "not_json_or_form"),
        (json, "[]", "not_json_or_form"),
        (json, "", "not_json_or_form"),
        (
            form,
            "Servicio=SMSMASIVO&Movil=34600000001&idMensaje=1",
            "field",
        ),
        (form, "hola", "field"),
        ("text/xml", "<a/>", "content_type"),
    ];
    for (content_type, body, _) in wrong {
        let status = post(url.clone(), content_type, body.into()).await;
        assert_eq!(status, 200, "{content_type} {body}");
    }
    let unknown = "{\"Servicio\":\"OTRO\",\"x\":1}";
    assert_eq!(post(url.clone(), json, unknown.into()).await, 200);
    let metrics = app.metrics().await;
    for (word, count) in [("not_json_or_form", 3), ("field", 2), ("content_type", 1)] {
        let counted = format!(
            "clave_otp_report_requests_refused_total{{account=\"madrid-mn\",problem=\"{word}\"}} {count}\n"
        );
        assert!(metrics.contains(&counted), "{counted}");
    }
    // What stays outside: too much, and whoever has not the address.
    assert_eq!(post(url.clone(), json, " ".repeat(4097)).await, 413);
    let elsewhere = url.replace("/madrid-mn/", "/madrid-mt/");
    assert_eq!(post(elsewhere, json, "{".into()).await, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_settles_a_code_whose_answer_was_not_understood() {
    for (state, expected) in [(13, DeliveryState::Delivered), (51, DeliveryState::Failed)] {
        let mut platform = Server::new_async().await;
        answering(&mut platform, "<html>en mantenimiento</html>").await;
        let mut app = start(&platform, |_| {}).await;
        let accepted = app.accepted(request()).await;
        until(&mut app, &accepted.name, DeliveryState::Uncertain).await;
        // Somebody else's number is not believed.
        assert_eq!(tell(&mut app, &accepted, state, "34600000009").await, 200);
        assert_eq!(
            app.get(&accepted.name).await.state(),
            DeliveryState::Uncertain
        );
        assert_eq!(
            tell(&mut app, &accepted, state, "\"0034600000001\"").await,
            200
        );
        let delivery = app.follow(&accepted.name).await.1;
        assert_eq!(delivery.state(), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_and_no_credit_close_the_account_after_one_request() {
    for (answer, lane, reason) in [
        (
            "-1",
            LaneState::CredentialsRejected,
            "ACCOUNT_CREDENTIALS_REJECTED",
        ),
        (
            "{\"Res\":-2,\"Cred\":0}",
            LaneState::NoCredit,
            "ACCOUNT_NO_CREDIT",
        ),
        (
            "[{\"Res\":\"-5\"}]",
            LaneState::NoCredit,
            "ACCOUNT_NO_CREDIT",
        ),
    ] {
        let mut platform = Server::new_async().await;
        let asked = answering(&mut platform, answer).await.expect(1);
        let mut app = start(&platform, |_| {}).await;
        let waiting = app.accepted(request()).await;
        soon(async {
            while account(&mut app).await.lane_state() != lane {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert_eq!(app.refused(request_to(2)).await.1, reason);
        assert_eq!(
            app.get(&waiting.name).await.state(),
            DeliveryState::Accepted
        );
        asked.assert_async().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_fails_over_to_another_platform_only_where_it_may_go_out_there() {
    for (enabled, expected) in [
        ("[\"mensajeria-negocios\", \"mensatek\"]", "ClaveMadrid"),
        ("[\"mensajeria-negocios\"]", ""),
    ] {
        let mut platform = Server::new_async().await;
        answering(&mut platform, "[{\"Res\":1,\"Msgid\":7}]").await;
        let url = platform.url();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let mut app = TestApp::start_with(Script::new(), clock, |files| {
            let second = format!(
                "[[accounts]]\nid = \"madrid-mt\"\ngateway = \"mensatek\"\nendpoint = \"{url}/v7\"\napi_user = \"madrid\"\n\
                 password_file = \"../madrid.password\"\nsenders = [\"ClaveMadrid\"]\n\n[[aliases]]"
            );
            files.change(FILE, "[[aliases]]", &second);
            files.change(FILE, "enabled_gateways = [\"mensajeria-negocios\"]", &format!("enabled_gateways = {enabled}"));
            let text = std::fs::read_to_string(files.path(FILE)).unwrap();
            let line = text.lines().find(|line| line.starts_with("endpoint = ")).unwrap();
            // Nothing listens there.
            files.change(FILE, line, "endpoint = \"http://127.0.0.1:9/\"");
            listen(files);
        })
        .await;
        let accepted = app.accepted(request()).await;
        if expected.is_empty() {
            // No lawful way but the first: it is tried there again.
            let request = WatchDeliveryRequest {
                name: accepted.name.clone(),
            };
            let watched = app.client.watch_delivery(request).await.unwrap();
            let mut states = watched.into_inner();
            let tried = soon(async {
                loop {
                    let next = states.message().await.unwrap();
                    let delivery = next.expect("it goes on").delivery.unwrap();
                    if delivery.attempts >= 2 {
                        return delivery;
                    }
                }
            })
            .await;
            assert_eq!(tried.account, "accounts/madrid-mn");
            let other = app.accepted(request_to(2)).await;
            assert_eq!(other.account, "accounts/madrid-mn");
        } else {
            let sent = until(&mut app, &accepted.name, DeliveryState::Sent).await;
            assert_eq!(
                (sent.account.as_str(), sent.sender.as_str()),
                ("accounts/madrid-mt", expected)
            );
        }
    }
}
