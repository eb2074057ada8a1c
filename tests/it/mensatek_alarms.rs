//! An account that Mensatek turns away, for its credentials or for want of credit, raises an alarm: its gauge and an ERROR in the log,
//! be it a code or a certified message that was turned away. The platform's answers are single ones (`mockito`).

use mockito::{Matcher, Server, ServerGuard};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::{
    certified::{Story, request, start},
    secrets_never_printed::Log,
    support::{request as code_request, soon},
};

/// What the platform says, and the cause that the alarm names.
const TURNED_AWAY: [(&str, &str); 3] = [
    ("-1", "credentials"),
    ("[{\"Res\":-2,\"Cred\":0}]", "no_credit"),
    ("{\"Res\":\"-5\"}", "no_credit"),
];

/// Keeps what this thread logs, where all tasks of these stories run.
fn keep_log() -> (Log, DefaultGuard) {
    let log = Log::default();
    let guard = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(log.clone())
        .finish()
        .set_default();
    (log, guard)
}

/// The gauge of each cause, this one at 1 and the others at 0, or all at 0.
fn gauges(raised: Option<&str>) -> Vec<String> {
    ["paused", "credentials", "no_credit"]
        .map(|cause| {
            let value = u8::from(raised == Some(cause));
            format!("clave_otp_lane_closed{{account=\"madrid-mn\",cause=\"{cause}\"}} {value}\n")
        })
        .to_vec()
}

/// The errors in the log that hold these words about the account.
fn errors(log: &Log, words: &str) -> usize {
    let text = log.text();
    let told = text.lines().filter(|line| {
        line.contains(" ERROR ") && line.contains("account=madrid-mn") && line.contains(words)
    });
    told.count()
}

/// A service whose account is open; its platform answers everything with this body.
async fn open(platform: &mut ServerGuard, body: &str) -> Story {
    platform
        .mock("POST", Matcher::Any)
        .with_body(body)
        .create_async()
        .await;
    let story = start(platform, |_| {}).await;
    story.app.until_metrics(&gauges(None)).await;
    story
}

#[tokio::test]
async fn a_code_that_is_turned_away_raises_the_alarm() {
    for (body, cause) in TURNED_AWAY {
        let (log, _guard) = keep_log();
        let mut platform = Server::new_async().await;
        let mut story = open(&mut platform, body).await;
        story.app.accepted(code_request()).await;
        story.app.until_metrics(&gauges(Some(cause))).await;
        let words = match cause {
            "credentials" => "rejects the account's credentials",
            _ => "has no credit at its gateway",
        };
        soon(async {
            while errors(&log, words) == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert_eq!(errors(&log, words), 1, "{}", log.text());
        soon(story.app.stop()).await;
    }
}

#[tokio::test]
async fn a_certified_message_that_is_turned_away_raises_the_alarm() {
    for (body, cause) in TURNED_AWAY {
        let (log, _guard) = keep_log();
        let mut platform = Server::new_async().await;
        let mut story = open(&mut platform, body).await;
        story.sent(request()).await;
        story.app.until_metrics(&gauges(Some(cause))).await;
        let words = match cause {
            "credentials" => "cause=\"credentials rejected\"",
            _ => "cause=\"no credit\"",
        };
        assert_eq!(errors(&log, words), 1, "{}", log.text());
        assert_eq!(errors(&log, "the platform turns the account away"), 1);
        soon(story.app.stop()).await;
    }
}
