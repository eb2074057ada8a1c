//! Aliases and numbers abroad as operators, callers and platforms see them.

use std::{collections::BTreeSet, fs, sync::Arc, time::Duration};

use clave_otp::{
    clock::{Clock as _, ManualClock, SystemClock},
    domain::{
        AccountId, Alias, AliasRecord, AliasStatus, Caller, CallerName, Dir3, GatewayName,
        InternationalNumber, Role, Scope, Sender, day_in_spain,
    },
    grpc::proto::{AccountAlias, CreateDeliveryRequest, GetAccountRequest, PreviewDeliveryRequest},
    simulator::{Account, Accounts, Script, Simulator, SimulatorOptions},
    status::{AccountProfile, AccountStatuses},
    store::Store,
};
use jiff::ToSpan as _;
use rusqlite::{Connection, params};

use crate::{
    store::{account, open},
    support::{BARCELONA, Files, MADRID, MADRID_LOGIN, PASSWORD, TestApp, reason_of, request},
};

const MADRID_FILE: &str = "administrations/madrid.toml";

async fn alias_of_madrid(app: &mut TestApp) -> AccountAlias {
    let name = "accounts/madrid-mn".into();
    let answer = app.accounts.get_account(GetAccountRequest { name }).await;
    let account = answer.unwrap().into_inner().account.unwrap();
    assert_eq!(account.aliases.len(), 1, "217812 is none");
    account.aliases.into_iter().next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_that_an_alias_is_unused_until_it_is_used() {
    let today = day_in_spain(SystemClock::new().now());
    let inscribed = today - 11.months() - 3.days();
    let clock = Arc::new(SystemClock::new());
    let mut app = TestApp::start_with(Script::new(), clock, |files| {
        files.change(MADRID_FILE, "2026-08-03", &inscribed.to_string());
    })
    .await;
    let alias = alias_of_madrid(&mut app).await;
    assert_eq!(alias.alias, "ClaveMadrid");
    assert_eq!((alias.status.as_str(), alias.usable), ("inscribed", true));
    assert_eq!(alias.inscribed_on, inscribed.to_string());
    assert_eq!(alias.enabled_gateways, ["mensajeria-negocios"]);
    assert_eq!(alias.last_used_on, "");
    assert_eq!(alias.warnings, ["ALIAS_UNUSED_11_MONTHS"]);
    // Abroad nobody sees it: that is no use.
    let abroad = CreateDeliveryRequest {
        recipient: "+351912345678".into(),
        ..request()
    };
    assert_eq!(app.ends(abroad).await.sender, "638444812");
    assert_eq!(alias_of_madrid(&mut app).await, alias);

    assert_eq!(app.ends(request()).await.sender, "ClaveMadrid");
    let alias = alias_of_madrid(&mut app).await;
    assert_eq!(alias.warnings, [""; 0]);
    let today = [today, day_in_spain(SystemClock::new().now())].map(|day| day.to_string());
    assert!(
        today.contains(&alias.last_used_on),
        "or just after midnight"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_why_an_alias_cannot_be_used() {
    for (from, to, status) in [
        (
            "status = \"inscribed\"",
            "status = \"suspended\"",
            "suspended",
        ),
        (
            "enabled_gateways = [\"mensajeria-negocios\"]",
            "enabled_gateways = [\"mensatek\"]",
            "inscribed",
        ),
        ("alias = \"ClaveMadrid\"", "alias = \"Otro\"", ""),
    ] {
        let clock = Arc::new(SystemClock::new());
        let change = |files: &Files| files.change(MADRID_FILE, from, to);
        let mut app = TestApp::start_with(Script::new(), clock, change).await;
        let alias = alias_of_madrid(&mut app).await;
        assert_eq!((alias.status.as_str(), alias.usable), (status, false));
        assert_eq!(alias.warnings, ["ALIAS_NOT_USABLE"], "{to}");
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_platform_asks_for_it_the_number_shown_abroad_is_what_requests_say() {
    let number = InternationalNumber::parse("638444812").unwrap();
    let senders = [
        Sender::parse("ClaveMadrid").unwrap(),
        Sender::International(number),
    ];
    let accounts = Accounts::listed([Account::new(MADRID_LOGIN, PASSWORD.into(), senders)]);
    let options = SimulatorOptions::new(accounts, Arc::new(SystemClock::new())).keep_all_messages();
    let simulator = Simulator::start(([127, 0, 0, 1], 0).into(), options)
        .await
        .unwrap();
    let files = Files::write(&simulator.endpoint());
    files.change(
        MADRID_FILE,
        "allowed_regions",
        "sender_on_wire = \"fallback\"\nallowed_regions",
    );
    let mut app = TestApp::start_on(files, simulator, Arc::new(SystemClock::new())).await;
    let abroad = CreateDeliveryRequest {
        recipient: "+351912345678".into(),
        ..request()
    };
    let preview = app.client.preview_delivery(preview_of(&abroad));
    let preview = preview.await.unwrap();
    assert_eq!(preview.into_inner().sender, "638444812");
    assert_eq!(app.ends(abroad).await.sender, "638444812");
    assert_eq!(app.ends(request()).await.sender, "ClaveMadrid");
    let seen: Vec<String> = app
        .simulator
        .ledger()
        .messages()
        .iter()
        .map(|message| message.sender.to_string())
        .collect();
    assert_eq!(seen, ["638444812", "ClaveMadrid"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_is_refused_as_the_code_itself_would_be() {
    let clock = Arc::new(SystemClock::new());
    let mut app = TestApp::start_with(Script::new(), clock, |files| {
        files.change(MADRID_FILE, "2026-08-03", "2999-08-03");
    })
    .await;
    for (administration, recipient, sender, reason) in [
        (MADRID, "+33612345678", "", "RECIPIENT_COUNTRY_NOT_ALLOWED"),
        (BARCELONA, "+351912345678", "", "INTERNATIONAL_DISABLED"),
        (MADRID, "+34600000001", "", "ALIAS_NOT_USABLE"),
        (MADRID, "+34600000001", "OtroAlias", "SENDER_NOT_ALLOWED"),
        // Not even where an account writes it itself.
        (MADRID, "+351912345678", "638444812", "SENDER_NOT_ALLOWED"),
    ] {
        let asked = CreateDeliveryRequest {
            administration: administration.into(),
            recipient: recipient.into(),
            sender: sender.into(),
            ..request()
        };
        let preview = app.client.preview_delivery(preview_of(&asked)).await;
        assert_eq!(reason_of(&preview.unwrap_err()), reason);
        assert_eq!(app.refused(asked).await.1, reason);
    }
    assert_eq!(app.simulator.ledger().message_count(), 0);
}

fn preview_of(asked: &CreateDeliveryRequest) -> PreviewDeliveryRequest {
    PreviewDeliveryRequest {
        administration: asked.administration.clone(),
        recipient: asked.recipient.clone(),
        code: asked.code.clone(),
        purpose: asked.purpose,
        language: asked.language.clone(),
        expire_time: asked.expire_time,
        sender: asked.sender.clone(),
        ..PreviewDeliveryRequest::default()
    }
}

fn operator() -> Caller {
    Caller {
        name: CallerName::parse("operator").unwrap(),
        roles: [Role::Operator].into_iter().collect(),
        scope: Scope::All,
    }
}

pub fn profile(id: &str, brings_reports: bool) -> AccountProfile {
    let alias = Alias::parse("ClaveMadrid").unwrap();
    AccountProfile {
        id: AccountId::parse(id).unwrap(),
        administration: Dir3::parse("L01280796").unwrap(),
        gateway: GatewayName::MensajeriaNegocios,
        senders: vec![Sender::Alias(alias.clone()), Sender::Common],
        international_enabled: false,
        aliases: vec![AliasRecord {
            alias,
            status: AliasStatus::Inscribed,
            inscribed_on: Some("2026-08-03".parse().unwrap()),
            lapses_on: None,
            ends_on: None,
            last_used_on: None,
            enabled_gateways: BTreeSet::from([GatewayName::MensajeriaNegocios]),
        }],
        brings_reports,
        report_url: None,
    }
}

/// What the database has counted in the hour that begins `hours` before noon.
fn count(database: &Connection, account: &str, sender: &str, hours: i64, figures: (i64, i64)) {
    let noon: jiff::Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
    database
        .execute(
            "INSERT OR REPLACE INTO sender_figures VALUES (?1, ?2, 'NATIONAL', ?3, ?4, ?5, 0)",
            params![
                account,
                sender,
                noon.as_second() / 3600 - hours,
                figures.0,
                figures.1
            ],
        )
        .unwrap();
}

/// The warnings about the account's one alias.
async fn warnings(statuses: &AccountStatuses, id: &AccountId) -> Vec<&'static str> {
    let account = statuses.get(&operator(), id).await.unwrap();
    let warnings = account.aliases[0].standing.warnings.iter();
    warnings.map(|warning| warning.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_whose_messages_stop_arriving_is_called_probably_blocked_until_they_do_again() {
    let directory = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(open(directory.path()));
    let database = Connection::open(directory.path().join("clave-otp.db")).unwrap();
    let clock = ManualClock::at("2026-11-22T12:30:00Z".parse().unwrap());
    let without_reports = AccountId::parse("sevilla-mn").unwrap();
    let profiles = [profile("madrid-mn", true), profile("sevilla-mn", false)];
    let statuses = AccountStatuses::new(profiles, store, Arc::new(clock.clone()));
    // Too young to be judged, and of an account whose gateway reports nothing: else the alias would arrive.
    count(&database, "madrid-mn", "ClaveMadrid", 1, (500, 500));
    count(&database, "sevilla-mn", "ClaveMadrid", 3, (500, 500));
    count(&database, "madrid-mn", "ClaveMadrid", 3, (40, 2));
    count(&database, "madrid-mn", "217812", 3, (40, 38));
    let watch = statuses.aliases();
    watch.look().await.unwrap();
    // It is the alias that is blocked at the gateway, whichever account sends under it.
    for id in [&account(), &without_reports] {
        assert_eq!(warnings(&statuses, id).await, ["ALIAS_PROBABLY_BLOCKED"]);
    }
    // A day on, too few messages say nothing; then there are more, and they arrive.
    clock.advance(Duration::from_secs(24 * 3600));
    count(&database, "madrid-mn", "ClaveMadrid", -21, (10, 10));
    count(&database, "madrid-mn", "217812", -21, (40, 38));
    watch.look().await.unwrap();
    assert_eq!(
        warnings(&statuses, &account()).await,
        ["ALIAS_PROBABLY_BLOCKED"]
    );
    count(&database, "madrid-mn", "ClaveMadrid", -22, (10, 9));
    watch.look().await.unwrap();
    assert_eq!(warnings(&statuses, &account()).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_aliases_are_told_in_the_metrics() {
    let mut app = TestApp::start(Script::new()).await;
    app.ends(request()).await;
    app.until_metrics(&[
        "clave_otp_alias_usable{account=\"madrid-mn\",alias=\"ClaveMadrid\"} 1".into(),
        "clave_otp_alias_days_unused{account=\"madrid-mn\"".into(),
    ])
    .await;
}

#[test]
fn the_guide_for_operators_tells_of_every_warning() {
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    for guide in ["OPERATIONS.md", "es/alias.md"] {
        let text = fs::read_to_string(docs.join(guide)).unwrap();
        for word in [
            "ALIAS_NOT_USABLE",
            "ALIAS_LAPSES_SOON",
            "ALIAS_ENDS_SOON",
            "ALIAS_UNUSED_10_MONTHS",
            "ALIAS_UNUSED_11_MONTHS",
            "ALIAS_UNUSED_12_MONTHS",
            "ALIAS_PROBABLY_BLOCKED",
        ] {
            assert!(text.contains(word), "{guide} says nothing of {word}");
        }
    }
}
