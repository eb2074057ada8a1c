//! What is said of aliases day by day, on a clock that stands still until it is told to move: the gauges of the running service, and
//! one line in the log for each warning and day.

use std::{sync::Arc, time::Duration};

use clave_otp::{
    clock::{Clock as _, ManualClock},
    domain::AliasStatus,
    simulator::Script,
    status::AccountStatuses,
    store::Store,
};
use jiff::Timestamp;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::{
    aliases::profile,
    secrets_never_printed::Log,
    store::open,
    support::{TestApp, request_at},
};

const DAY: Duration = Duration::from_secs(24 * 3600);
const TEN_MINUTES: Duration = Duration::from_secs(600);

fn morning() -> Timestamp {
    "2026-11-24T09:10:00Z".parse().unwrap()
}

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

/// How many lines tell of this warning about this account's alias.
fn lines(log: &Log, account: &str, warning: &str) -> usize {
    let of = [
        "aliases: ".to_owned(),
        format!("account={account} "),
        format!("warning=\"{warning}\""),
    ];
    let text = log.text();
    let told = text
        .lines()
        .filter(|line| of.iter().all(|part| line.contains(part)));
    told.count()
}

impl TestApp {
    /// Until the watch over the aliases shows this; it looks every ten minutes and acts when it is woken.
    async fn until_alias_shows(&self, clock: &ManualClock, gauges: &[(&str, i32)]) {
        let gauges = gauges.iter().map(|(name, value)| {
            let labels = "account=\"madrid-mn\",alias=\"ClaveMadrid\"";
            format!("clave_otp_alias_{name}{{{labels}}} {value}\n")
        });
        let gauges: Vec<String> = gauges.collect();
        let mut shown = Box::pin(self.until_metrics(&gauges));
        loop {
            let patience = Duration::from_millis(200);
            match tokio::time::timeout(patience, &mut shown).await {
                Ok(()) => return,
                Err(_) => clock.advance(TEN_MINUTES),
            }
        }
    }
}

#[tokio::test]
async fn the_gauges_of_an_alias_count_the_days_and_its_warnings_are_logged_once_a_day() {
    let (log, _guard) = keep_log();
    let clock = ManualClock::at(morning());
    let mut app = TestApp::start_with(Script::new(), Arc::new(clock.clone()), |files| {
        files.change(
            "administrations/madrid.toml",
            "inscribed_on = 2026-08-03",
            "inscribed_on = 2026-01-10\nends_on = 2026-12-20",
        );
    })
    .await;
    let told = |warning: &str| lines(&log, "madrid-mn", warning);
    for day in 0..3 {
        if day > 0 {
            clock.advance(DAY);
        }
        let gauges = [
            ("usable", 1),
            ("days_left", 26 - day),
            ("days_unused", 318 + day),
        ];
        app.until_alias_shows(&clock, &gauges).await;
    }
    // Used, it is told of no more.
    app.ends(request_at(clock.now())).await;
    let used = [("days_left", 24), ("days_unused", 0)];
    app.until_alias_shows(&clock, &used).await;
    clock.advance(DAY);
    let next_day = [("days_left", 23), ("days_unused", 1)];
    app.until_alias_shows(&clock, &next_day).await;
    // Past its last day.
    clock.advance(24 * DAY);
    let over = [("usable", 0), ("days_left", 0), ("days_unused", 25)];
    app.until_alias_shows(&clock, &over).await;
    app.stop().await;
    assert_eq!(told("ALIAS_ENDS_SOON"), 4, "{}", log.text());
    assert_eq!(told("ALIAS_UNUSED_10_MONTHS"), 3);
    assert_eq!(told("ALIAS_NOT_USABLE"), 1);
    assert_eq!(told("ALIAS_PROBABLY_BLOCKED"), 0);
}

#[tokio::test]
async fn each_warning_is_one_line_a_day_however_often_the_aliases_are_looked_at() {
    let (log, _guard) = keep_log();
    let directory = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(open(directory.path()));
    // Eleven at night in Spain.
    let clock = ManualClock::at("2026-11-24T22:00:00Z".parse().unwrap());
    let mut ending = profile("madrid-mn", true);
    ending.aliases[0].ends_on = Some("2026-12-20".parse().unwrap());
    ending.aliases[0].inscribed_on = Some("2026-01-10".parse().unwrap());
    let mut suspended = profile("sevilla-mn", true);
    suspended.aliases[0].status = AliasStatus::Suspended;
    let sound = profile("lugo-mn", true);
    let statuses = AccountStatuses::new([ending, suspended, sound], store, Arc::new(clock.clone()));
    let watch = statuses.aliases();
    let told = || {
        [
            lines(&log, "madrid-mn", "ALIAS_ENDS_SOON"),
            lines(&log, "madrid-mn", "ALIAS_UNUSED_10_MONTHS"),
            lines(&log, "sevilla-mn", "ALIAS_NOT_USABLE"),
        ]
    };
    for day in 1..=3 {
        // The last of six looks is ten minutes before midnight there.
        for _ in 0..6 {
            watch.look().await.unwrap();
            assert_eq!(told(), [day; 3]);
            clock.advance(TEN_MINUTES);
        }
        clock.advance(TEN_MINUTES * (24 * 6 - 6));
    }
    let all = log.text();
    let all = all.lines().filter(|line| line.contains("warning="));
    assert_eq!(all.count(), 9, "and of nothing else");
}
