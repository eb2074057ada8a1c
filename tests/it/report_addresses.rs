//! Who may report to the real program over SOAP and REST: the address is one account's alone until it gets another, and the
//! log-in and the source are asked of every report.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use clave_otp::{
    grpc::proto::{
        CreateDeliveryRequest,
        DeliveryState::{self, Delivered, Sent as IsSent},
    },
    simulator::{Action, Match, ReceivedMessage, Script, Simulator},
};
use url::Url;

use crate::{
    golden_platform::{Answer, BOTH, Story, address_of, post, refusals, reports},
    reported::{set, speak, speak_in},
    reports_port::{ELSEWHERE, reqwest_from},
    simulator::client,
    support::{
        BARCELONA, BARCELONA_LOGIN, Files, MADRID_LOGIN, platform, process::Process, request,
        request_to,
    },
};

/// A code that the platform took for an account.
struct Sent {
    account: &'static str,
    name: String,
    message: ReceivedMessage,
    url: Url,
}

/// The program with two administrations that speak the same protocol, each with a code that waits for its report.
struct Two {
    service: Process,
    files: Files,
    madrid: Sent,
    barcelona: Sent,
}

impl Two {
    async fn begin(protocol: &str) -> Self {
        let script = Script::new().on(Match::always(), Action::NoReport);
        let simulator = platform(script).await;
        let files = Files::write(&simulator.endpoint());
        speak(&files, protocol);
        speak_in(&files, "administrations/barcelona.toml", protocol);
        let service = Process::start(&files).await;
        let of_barcelona = CreateDeliveryRequest {
            administration: BARCELONA.into(),
            ..request_to(2)
        };
        let madrid = sent(&service, &simulator, request(), ("madrid-mn", MADRID_LOGIN)).await;
        let account = ("barcelona-mn", BARCELONA_LOGIN);
        let barcelona = sent(&service, &simulator, of_barcelona, account).await;
        Self {
            service,
            files,
            madrid,
            barcelona,
        }
    }

    async fn states(&self) -> [DeliveryState; 2] {
        let mut states = [DeliveryState::Unspecified; 2];
        for (state, sent) in states.iter_mut().zip([&self.madrid, &self.barcelona]) {
            *state = self.service.get(&sent.name).await.unwrap().state();
        }
        states
    }
}

async fn sent(
    service: &Process,
    simulator: &Simulator,
    request: CreateDeliveryRequest,
    (account, login): (&'static str, &str),
) -> Sent {
    let name = service.create(request).await.unwrap().name;
    service.until(&name, DeliveryState::Sent).await;
    let messages = simulator.ledger().messages();
    let mut messages = messages.into_iter();
    Sent {
        account,
        name,
        message: messages.find(|it| it.login.as_str() == login).unwrap(),
        url: service.report_url(account).await,
    }
}

/// The address with another token.
fn with_token_of(url: &Url, other: &Url) -> Url {
    let token = other.path_segments().unwrap().next_back().unwrap();
    let mut url = url.clone();
    url.path_segments_mut().unwrap().pop().push(token);
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_of_one_account_is_of_no_use_for_another() {
    for spoken in &BOTH {
        let two = Two::begin(spoken.protocol).await;
        let (madrid, barcelona) = (&two.madrid, &two.barcelona);
        let report = spoken.report(&barcelona.message, "Delivered");
        let tell = async |url: &Url| post(url, spoken.media_type, report.clone()).await;
        // Each account's name before the other's token, for the account and for the delivery.
        for wrong in [
            with_token_of(&barcelona.url, &madrid.url),
            with_token_of(&madrid.url, &barcelona.url),
        ] {
            for url in [&wrong, &address_of(&wrong, &barcelona.name)] {
                assert_eq!(tell(url).await, Answer::nothing(404), "{url}");
            }
        }
        assert_eq!(two.states().await, [IsSent, IsSent]);
        assert_eq!(refusals(&two.service, "?", "wrong_address"), 4);
        // At the other's own address, for which the platform has the key: acknowledged, or it comes for ever, and not believed.
        for url in [&madrid.url, &address_of(&madrid.url, &barcelona.name)] {
            assert_eq!(tell(url).await, spoken.report_taken());
        }
        assert_eq!(two.states().await, [IsSent, IsSent]);
        assert_eq!(
            reports(&two.service, madrid.account, "early"),
            1,
            "by its id"
        );
        assert_eq!(
            reports(&two.service, madrid.account, "unknown"),
            1,
            "by its address"
        );
        assert_eq!(reports(&two.service, madrid.account, "settled"), 0);

        assert_eq!(tell(&barcelona.url).await, spoken.report_taken());
        assert_eq!(two.states().await, [IsSent, Delivered]);
        assert_eq!(reports(&two.service, barcelona.account, "settled"), 1);
        two.service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_path_version_closes_the_old_address_of_that_account_alone() {
    for spoken in &BOTH {
        let mut two = Two::begin(spoken.protocol).await;
        two.service.stop().await;
        set(&two.files, "path_version = 2");
        two.service = Process::start(&two.files).await;
        let (madrid, barcelona) = (&two.madrid, &two.barcelona);
        let new = two.service.report_url(madrid.account).await;
        // The port may be another after a restart; the path was the old address.
        let at_this_port = |path: &Url| {
            let mut url = new.clone();
            url.set_path(path.path());
            url
        };
        let old = at_this_port(&madrid.url);
        assert_ne!(new, old);
        let report = spoken.report(&madrid.message, "Delivered");
        let tell = async |url: &Url| post(url, spoken.media_type, report.clone()).await;
        for url in [&old, &address_of(&old, &madrid.name)] {
            assert_eq!(tell(url).await, Answer::nothing(404), "{url}");
            assert_eq!(
                client().get(url.clone()).send().await.unwrap().status(),
                404
            );
        }
        assert_eq!(two.states().await, [IsSent, IsSent]);
        assert_eq!(tell(&new).await, spoken.report_taken());
        assert_eq!(two.states().await, [Delivered, IsSent]);

        let same = two.service.report_url(barcelona.account).await;
        assert_eq!(same, at_this_port(&barcelona.url), "the other's stays");
        let report = spoken.report(&barcelona.message, "Delivered");
        let answer = post(&same, spoken.media_type, report).await;
        assert_eq!(answer, spoken.report_taken());
        assert_eq!(two.states().await, [Delivered, Delivered]);
        two.service.stop().await;
    }
}

const PASSWORD: &str = "una-clave-de-avisos";

/// Posts the golden report with this `Authorization`.
async fn report_as(story: &Story, client: &reqwest::Client, authorization: Option<&str>) -> Answer {
    let spoken = story.spoken;
    let mut request = client
        .post(story.url.clone())
        .header("content-type", spoken.media_type)
        .body(spoken.golden("callback-delivered"));
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    let response = request.send().await.unwrap();
    let asks = response.headers().get("www-authenticate");
    assert_eq!(asks.is_some(), response.status() == 401);
    Answer::of(response).await
}

fn basic(scheme: &str, user: &str, password: &str) -> String {
    format!("{scheme} {}", BASE64.encode(format!("{user}:{password}")))
}

fn ask_for_both(files: &Files) {
    files.secret("reports.password", PASSWORD);
    set(
        files,
        "allowed_sources = [\"127.0.0.1\"]\nuser = \"platform\"\npassword_file = \"../reports.password\"",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_taken_with_the_right_log_in_from_a_listed_source_and_not_otherwise() {
    for spoken in &BOTH {
        let story = Story::begin(spoken, ask_for_both).await;
        let before = story.seen().await;
        assert_eq!(before.0.state(), IsSent);
        let right = basic("Basic", "platform", PASSWORD);
        let wrong = [
            None,
            Some(basic("Basic", "platform", "una-clave-de-aviso")),
            Some(basic("Basic", "platform", "")),
            Some(basic("Basic", "plataforma", PASSWORD)),
            Some(basic("Bearer", "platform", PASSWORD)),
            Some(format!("{right}=")),
            Some(PASSWORD.to_owned()),
        ];
        for wrong in &wrong {
            let answer = report_as(&story, &client(), wrong.as_deref()).await;
            assert_eq!(answer, Answer::nothing(401), "{wrong:?}");
            assert_eq!(story.seen().await, before, "{wrong:?}");
        }
        assert_eq!(story.refusals("wrong_login"), wrong.len() as u64);
        // From elsewhere nobody learns that there is something to log in to.
        let elsewhere = reqwest_from(ELSEWHERE);
        for authorization in [None, Some(right.as_str())] {
            let answer = report_as(&story, &elsewhere, authorization).await;
            assert_eq!(answer, Answer::nothing(404));
        }
        assert_eq!(story.refusals("wrong_source"), 2);
        assert_eq!(story.seen().await, before);

        let answer = report_as(&story, &client(), Some(&right)).await;
        assert_eq!(answer, spoken.report_taken());
        let delivery = story.service.get(&story.name).await.unwrap();
        assert_eq!(delivery.state(), Delivered, "{}", spoken.protocol);
        // Its name may be written in any case (RFC 9110, 11.1).
        for scheme in ["basic", "BASIC"] {
            let again = basic(scheme, "platform", PASSWORD);
            let answer = report_as(&story, &client(), Some(&again)).await;
            assert_eq!(answer, spoken.report_taken(), "{scheme}");
        }
        assert_eq!(story.reports("repeated"), 2);
        story.service.stop().await;
    }
}
