//! Every reason of the error table that a call can be refused for, with its status and details.

use std::{collections::BTreeSet, sync::Arc};

use clave_otp::{
    clock::SystemClock,
    grpc::proto::{CreateDeliveryRequest, GetDeliveryRequest, ListDeliveriesRequest},
    simulator::Script,
};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::support::{BARCELONA, Files, TestApp, reason_of, request, seconds_after};

type Change = fn(&mut CreateDeliveryRequest);

const INVALID: Code = Code::InvalidArgument;
const PRECONDITION: Code = Code::FailedPrecondition;

/// What is wrong with the request, and how it is refused.
const TABLE: [(&str, Change, Code, &str, Option<&str>); 24] = [
    (
        "no request id",
        |r| r.request_id.clear(),
        INVALID,
        "INVALID_FIELD",
        Some("request_id"),
    ),
    (
        "nil request id",
        |r| r.request_id = uuid::Uuid::nil().to_string(),
        INVALID,
        "INVALID_FIELD",
        Some("request_id"),
    ),
    (
        "no administration",
        |r| r.administration.clear(),
        INVALID,
        "INVALID_FIELD",
        Some("administration"),
    ),
    (
        "no recipient",
        |r| r.recipient.clear(),
        INVALID,
        "RECIPIENT_MALFORMED",
        Some("recipient"),
    ),
    (
        "national form",
        |r| r.recipient = "600000001".into(),
        INVALID,
        "RECIPIENT_MALFORMED",
        Some("recipient"),
    ),
    (
        "fixed line",
        |r| r.recipient = "+34912345678".into(),
        INVALID,
        "RECIPIENT_NOT_MOBILE",
        Some("recipient"),
    ),
    (
        "premium",
        |r| r.recipient = "+34803123456".into(),
        INVALID,
        "RECIPIENT_PREMIUM_OR_SPECIAL",
        Some("recipient"),
    ),
    (
        "satellite",
        |r| r.recipient = "+8816123456789".into(),
        INVALID,
        "RECIPIENT_NON_GEOGRAPHIC",
        Some("recipient"),
    ),
    (
        "country not listed",
        |r| r.recipient = "+33612345678".into(),
        PRECONDITION,
        "RECIPIENT_COUNTRY_NOT_ALLOWED",
        None,
    ),
    (
        "abroad switched off",
        |r| {
            r.administration = BARCELONA.into();
            r.recipient = "+351912345678".into();
        },
        PRECONDITION,
        "INTERNATIONAL_DISABLED",
        None,
    ),
    (
        "no code",
        |r| r.code.clear(),
        INVALID,
        "INVALID_FIELD",
        Some("code"),
    ),
    (
        "code with a space",
        |r| r.code = "12 34".into(),
        INVALID,
        "INVALID_FIELD",
        Some("code"),
    ),
    (
        "no purpose",
        |r| r.purpose = 0,
        INVALID,
        "INVALID_FIELD",
        Some("purpose"),
    ),
    (
        "unknown purpose",
        |r| r.purpose = 99,
        INVALID,
        "INVALID_FIELD",
        Some("purpose"),
    ),
    (
        "no expiry",
        |r| r.expire_time = None,
        INVALID,
        "INVALID_FIELD",
        Some("expire_time"),
    ),
    (
        "impossible expiry",
        |r| r.expire_time.as_mut().unwrap().nanos = -1,
        INVALID,
        "INVALID_FIELD",
        Some("expire_time"),
    ),
    (
        "over",
        |r| r.expire_time.as_mut().unwrap().seconds -= 601,
        INVALID,
        "ALREADY_EXPIRED",
        Some("expire_time"),
    ),
    (
        "too far",
        |r| r.expire_time.as_mut().unwrap().seconds += 1201,
        INVALID,
        "EXPIRY_TOO_FAR",
        Some("expire_time"),
    ),
    (
        "origin malformed",
        |r| r.origin = "not a host".into(),
        INVALID,
        "INVALID_FIELD",
        Some("origin"),
    ),
    (
        "origin not listed",
        |r| r.origin = "clave.gob.es".into(),
        INVALID,
        "INVALID_FIELD",
        Some("origin"),
    ),
    (
        "another's sender",
        |r| r.sender = "ClaveBCN".into(),
        PRECONDITION,
        "SENDER_NOT_ALLOWED",
        None,
    ),
    (
        "no sender at all",
        |r| r.sender = "x".into(),
        PRECONDITION,
        "SENDER_NOT_ALLOWED",
        None,
    ),
    (
        "long reference",
        |r| r.reference = "x".repeat(65),
        INVALID,
        "INVALID_FIELD",
        Some("reference"),
    ),
    (
        "unknown administration",
        |r| r.administration = "L01061134".into(),
        Code::PermissionDenied,
        "ADMINISTRATION_NOT_AVAILABLE",
        None,
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_request_is_refused_with_its_reason_and_sends_nothing() {
    let mut app = TestApp::start(Script::new()).await;
    for (what, change, code, reason, field) in TABLE {
        let mut wrong = request();
        change(&mut wrong);
        let values = [wrong.recipient.clone(), wrong.code.clone()];
        let status = app.create(wrong).await.expect_err(what);
        assert_eq!(
            (status.code(), reason_of(&status).as_str()),
            (code, reason),
            "{what}"
        );
        let details = status.get_error_details();
        let named = details
            .bad_request()
            .and_then(|bad| bad.field_violations.first())
            .map(|violation| violation.field.clone());
        assert_eq!(named.as_deref(), field, "{what}");
        for value in values.iter().filter(|value| value.len() > 2) {
            assert!(
                !format!("{status:?}").contains(value.as_str()),
                "{what} repeats {value}"
            );
        }
    }
    let listed = app
        .client
        .list_deliveries(ListDeliveriesRequest::default())
        .await
        .unwrap();
    assert!(listed.into_inner().deliveries.is_empty());
    assert_eq!(app.simulator.ledger().message_count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_wrong_fields_are_named_at_once() {
    let mut app = TestApp::start(Script::new()).await;
    let status = app
        .create(CreateDeliveryRequest::default())
        .await
        .unwrap_err();
    let details = status.get_error_details();
    let fields: Vec<&str> = details
        .bad_request()
        .unwrap()
        .field_violations
        .iter()
        .map(|violation| violation.field.as_str())
        .collect();
    let required = [
        "request_id",
        "administration",
        "recipient",
        "code",
        "purpose",
        "expire_time",
    ];
    assert_eq!(fields, required);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_is_too_long_for_the_account_is_refused() {
    // Fits with the usual wording; with the longest host and code it takes two segments.
    let long = format!("Cl@ve: {} {{code}}", "a".repeat(130));
    let clock = Arc::new(SystemClock::new());
    let mut app = TestApp::start_with(Script::new(), clock, |files| {
        files.change(
            "administrations/madrid.toml",
            "default_language = \"es\"",
            "default_language = \"es\"\norigins = [\"identidad.sede.example.gob.es\"]",
        );
        let name = "administrations/madrid.toml";
        let text = std::fs::read_to_string(files.path(name)).unwrap();
        files.put(
            name,
            &format!("{text}\n[templates.LOGIN]\nes = \"{long}\"\n"),
        );
    })
    .await;
    let with_host = CreateDeliveryRequest {
        origin: "identidad.sede.example.gob.es".into(),
        ..request()
    };
    let refused = app.refused(with_host).await;
    assert_eq!(refused, (Code::InvalidArgument, "TEXT_TOO_LONG".into()));
    app.accepted(request()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_that_operators_would_block_is_refused_unless_the_common_number_may_serve() {
    let clock = Arc::new(SystemClock::new());
    let suspended = |files: &Files| {
        let name = "administrations/madrid.toml";
        files.change(name, "status = \"inscribed\"", "status = \"suspended\"");
    };
    let mut app = TestApp::start_with(Script::new(), clock.clone(), suspended).await;
    let refused = app.refused(request()).await;
    assert_eq!(
        refused,
        (Code::FailedPrecondition, "ALIAS_NOT_USABLE".into())
    );
    let (files, simulator) = app.stop().await;
    let name = "administrations/madrid.toml";
    files.change(
        name,
        "default_language",
        "alias_policy = \"numeric\"\ndefault_language",
    );
    let mut app = TestApp::start_on(files, simulator, clock).await;
    assert_eq!(app.ends(request()).await.sender, "217812");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_administration_cannot_be_told_from_one_that_is_not_listed() {
    let clock = Arc::new(SystemClock::new());
    let only_madrid = |files: &Files| {
        files.change(
            "service.toml",
            "administrations = [\"*\"]",
            "administrations = [\"L01280796\"]",
        );
    };
    let mut app = TestApp::start_with(Script::new(), clock, only_madrid).await;
    let of = |administration: &str| CreateDeliveryRequest {
        administration: administration.into(),
        ..request()
    };
    let not_listed = app.create(of(BARCELONA)).await.unwrap_err();
    let unknown = app.create(of("L01061134")).await.unwrap_err();
    assert_eq!(not_listed.code(), unknown.code());
    assert_eq!(not_listed.message(), unknown.message());
    assert_eq!(not_listed.details(), unknown.details());
    let list = ListDeliveriesRequest {
        administration: BARCELONA.into(),
        ..ListDeliveriesRequest::default()
    };
    let refused = app.client.list_deliveries(list).await.unwrap_err();
    assert_eq!(reason_of(&refused), "ADMINISTRATION_NOT_AVAILABLE");
    app.accepted(request()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_caller_made_is_not_found_by_one_who_is_not_listed_for_it() {
    let mut app = TestApp::start(Script::new()).await;
    let clock = Arc::new(SystemClock::new());
    let delivery = app.ends(request()).await;
    let (files, simulator) = app.stop().await;
    files.change(
        "service.toml",
        "administrations = [\"*\"]",
        "administrations = [\"L01080193\"]",
    );
    let mut app = TestApp::start_on(files, simulator, clock).await;
    let get = GetDeliveryRequest {
        name: delivery.name,
    };
    let refused = app.client.get_delivery(get).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason_of(&refused)),
        (Code::NotFound, "NOT_FOUND".into())
    );
    let listed = app
        .client
        .list_deliveries(ListDeliveriesRequest::default())
        .await
        .unwrap();
    assert!(listed.into_inner().deliveries.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_without_the_role_may_not_send() {
    let clock = Arc::new(SystemClock::new());
    let mut app = TestApp::start_with(Script::new(), clock, |files| {
        files.change(
            "service.toml",
            "roles = [\"sender\", \"operator\"]",
            "roles = [\"auditor\"]",
        );
    })
    .await;
    let (code, _) = app.refused(request()).await;
    assert_eq!(code, Code::PermissionDenied);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_configured_caller_nobody_is_known() {
    let clock = Arc::new(SystemClock::new());
    let mut app = TestApp::start_with(Script::new(), clock, |files| {
        files.change(
            "service.toml",
            "loopback = true",
            "certificate_san = \"backend.example.gob.es\"",
        );
    })
    .await;
    let refused = app.refused(request()).await;
    assert_eq!(refused, (Code::Unauthenticated, "UNAUTHENTICATED".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_is_answered_even_where_it_would_be_refused_today() {
    let now = clave_otp::clock::Clock::now(&SystemClock::new());
    let clock = clave_otp::clock::ManualClock::at(now);
    let mut app = TestApp::start_with(Script::new(), Arc::new(clock.clone()), |_| {}).await;
    let short = CreateDeliveryRequest {
        expire_time: Some(seconds_after(now, 5)),
        ..crate::support::request_at(now)
    };
    let sent = app.ends(short.clone()).await;
    clock.advance(std::time::Duration::from_secs(60));
    let again = app.create(short.clone()).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.delivery.unwrap().name, sent.name);
    let late = CreateDeliveryRequest {
        request_id: uuid::Uuid::new_v4().to_string(),
        ..short
    };
    assert_eq!(app.refused(late).await.1, "ALREADY_EXPIRED");
}

/// The words in backquotes at the beginning of the rows of a table in `docs/ERRORS.md`.
fn documented(section: &str) -> BTreeSet<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/ERRORS.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, rest) = text
        .split_once(&format!("## {section}\n"))
        .expect("the section is there");
    let table = rest.split("\n## ").next().unwrap_or_default();
    table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_error_table_lists_every_reason_and_no_other() {
    let source = include_str!("../../src/intake/refusal.rs");
    let reasons: BTreeSet<String> = source
        .split("=> \"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .map(str::to_owned)
        .collect();
    assert!(reasons.len() > 20, "{reasons:?}");
    assert_eq!(documented("Refusals"), reasons);
}

/// The words in capitals of a source file.
fn words_of(source: &str) -> BTreeSet<String> {
    let code = source.split("mod tests {").next().unwrap_or_default();
    let is_word = |text: &&str| {
        let mut letters = text.bytes();
        text.len() > 4
            && letters
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
    };
    let quoted = code.split('"').skip(1).step_by(2);
    quoted.filter(is_word).map(str::to_owned).collect()
}

#[test]
fn the_table_of_certified_refusals_lists_every_reason_of_its_own() {
    let own = words_of(include_str!("../../src/grpc/certified/refusals.rs"));
    let platform = words_of(include_str!(
        "../../src/gateway/mensatek/certified/codes.rs"
    ));
    // What the platform says against sending is a message's reason.
    let of_sending = |word: &String| {
        word.starts_with("NO_CREDIT")
            || [
                "GATEWAY_ATTACHMENT_REFUSED",
                "GATEWAY_CONTRACT_WITHOUT_FILE",
                "GATEWAY_FILE_UNKNOWN",
            ]
            .contains(&word.as_str())
    };
    let expected: BTreeSet<String> = own
        .into_iter()
        .chain(platform.into_iter().filter(|word| !of_sending(word)))
        .collect();
    assert!(expected.len() > 20, "{expected:?}");
    let documented = documented("Refusals about certified messages");
    let missing: Vec<&String> = expected.difference(&documented).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let known = |word: &&String| !expected.contains(*word) && !word.starts_with("GATEWAY_");
    let strange: Vec<&String> = documented.iter().filter(known).collect();
    assert!(strange.is_empty(), "{strange:?}");
}
