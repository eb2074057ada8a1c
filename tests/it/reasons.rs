//! The table of reasons in `docs/ERRORS.md` against the code: each reason stands there with every state that it can come with, and no
//! other.

use std::collections::BTreeSet;

use clave_otp::{
    domain::{News, certified::PlatformState},
    gateway::{CodeMap, Outcome, Verdict, mensatek, rest, soap, xml_rpc},
};

/// A reason, with `…` for a number in it, and the state beside it.
type Pair = (String, String);

fn pair(reason: &str, state: &str) -> Pair {
    for begin in ["GATEWAY_CODE_M", "GATEWAY_CODE_", "GATEWAY_HTTP_"] {
        let number = reason.strip_prefix(begin);
        if number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit())) {
            return (format!("{begin}…"), state.into());
        }
    }
    (reason.into(), state.into())
}

/// The rows of the table. A cell may hold several reasons.
fn documented() -> BTreeSet<Pair> {
    let page = include_str!("../../docs/ERRORS.md");
    let (_, rest) = page.split_once("## Reasons of deliveries\n").unwrap();
    let section = rest.split("\n## ").next().unwrap_or_default();
    let mut pairs = BTreeSet::new();
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        assert_eq!(cells.len(), 4, "{row}");
        for reason in cells[0].split('`').skip(1).step_by(2) {
            let is_new = pairs.insert((reason.to_owned(), cells[1].to_owned()));
            // What resends has a row of its own for all that may be uncertain.
            assert!(is_new || cells[1] == "ACCEPTED", "twice: {reason} {row}");
        }
    }
    pairs
}

/// What an outcome becomes (`dispatch::settle`), on accounts that hold what is uncertain and on those that send it once more.
fn told_by(outcome: &Outcome) -> Vec<Pair> {
    match outcome {
        Outcome::Accepted(_) => Vec::new(),
        Outcome::Rejected {
            reason,
            verdict: Verdict::Message,
            ..
        } => vec![pair(reason.as_str(), "FAILED")],
        Outcome::Rejected { reason, .. } | Outcome::NotSent { reason, .. } => {
            vec![pair(reason.as_str(), "ACCEPTED")]
        }
        Outcome::Uncertain { reason } => ["UNCERTAIN", "ACCEPTED"]
            .map(|state| pair(reason.as_str(), state))
            .into(),
    }
}

/// What every answer says that has no table but its own.
fn of_answers() -> BTreeSet<Pair> {
    let codes = CodeMap::default();
    let mut outcomes = Vec::new();
    for code in -200..=10_000 {
        let body = format!("{{\"statusCode\":{code},\"messageId\":\"m\"}}");
        outcomes.push(rest::outcome_of_body(body.as_bytes(), &codes));
    }
    for fault in [
        &include_bytes!("../golden/soap/answer-fault-client.xml")[..],
        include_bytes!("../golden/soap/answer-fault-server.xml"),
    ] {
        outcomes.push(soap::outcome_of_body(fault, &codes));
    }
    for code in -200..=200 {
        let one = format!("<value><int>{code}</int></value>");
        let array = format!("<value><array><data>{one}</data></array></value>");
        for (value, messages) in [(&array, 1), (&one, 1), (&one, 2)] {
            let body = format!(
                "<?xml version=\"1.0\"?><methodResponse><params><param>{value}</param></params></methodResponse>"
            );
            outcomes.extend(xml_rpc::outcomes_of_body(body.as_bytes(), messages, &codes));
        }
    }
    let fault = include_bytes!("../golden/xml-rpc/answer-fault.xml");
    outcomes.extend(xml_rpc::outcomes_of_body(fault, 1, &codes));
    for code in -200..=5 {
        for not_sent in [0, 1] {
            let body = format!(
                "[{{\"Res\":{code},\"Mensajes\":0,\"NoEnviados\":{not_sent},\"idMensaje\":7}}]"
            );
            outcomes.push(mensatek::outcome_of_body(body.as_bytes(), &codes));
        }
    }
    outcomes.iter().flat_map(told_by).collect()
}

/// What reports say, over Mensatek and by the two words of SOAP and REST, which are among its states.
fn of_reports() -> BTreeSet<Pair> {
    let states = (-10..2_000).map(|number| PlatformState::new(number).news());
    let failed = states.filter_map(|news| match news {
        News::Failed(reason) => Some(pair(reason.as_str(), "FAILED")),
        _ => None,
    });
    failed.collect()
}

/// What no table of codes tells: exchanges without an answer, HTTP statuses (`gateway::outcomes`), the lane, the store.
const OTHERS: [(&str, &str); 17] = [
    ("TIME_RAN_OUT", "EXPIRED"),
    ("CLOCK_WENT_BACK", "EXPIRED"),
    ("GATEWAY_UNREACHABLE", "ACCEPTED"),
    ("GATEWAY_BATCH_LIMIT", "ACCEPTED"),
    ("GATEWAY_CREDENTIALS_REJECTED", "ACCEPTED"),
    ("GATEWAY_HTTP_503", "ACCEPTED"),
    ("GATEWAY_HTTP_404", "FAILED"),
    ("GATEWAY_HTTP_500", "UNCERTAIN"),
    ("GATEWAY_HTTP_500", "ACCEPTED"),
    ("GATEWAY_OUTCOME_UNKNOWN", "UNCERTAIN"),
    ("GATEWAY_OUTCOME_UNKNOWN", "ACCEPTED"),
    ("ATTEMPT_INTERRUPTED", "UNCERTAIN"),
    ("ATTEMPT_INTERRUPTED", "ACCEPTED"),
    ("TEXT_UNREPRESENTABLE", "FAILED"),
    ("ALIAS_NOT_USABLE", "FAILED"),
    ("RECIPIENT_COUNTRY_NOT_ALLOWED", "FAILED"),
    ("STORE_UNREADABLE", "FAILED"),
];

#[test]
fn the_table_of_reasons_lists_each_with_every_state_that_it_comes_with_and_no_other() {
    let mut expected = of_answers();
    expected.extend(of_reports());
    expected.extend(OTHERS.map(|(reason, state)| pair(reason, state)));
    let documented = documented();
    let missing: Vec<&Pair> = expected.difference(&documented).collect();
    assert!(missing.is_empty(), "without a row: {missing:?}");
    let strange: Vec<&Pair> = documented.difference(&expected).collect();
    assert!(strange.is_empty(), "never happens: {strange:?}");
}

#[test]
fn every_word_of_the_domain_has_a_row() {
    let source = include_str!("../../src/domain/reason.rs");
    let words = source.split("&'static str = \"").skip(1);
    let words: BTreeSet<&str> = words.filter_map(|rest| rest.split('"').next()).collect();
    assert!(words.len() > 10, "{words:?}");
    let documented = documented();
    let has_no_row = |word: &&&str| !documented.iter().any(|(reason, _)| reason == **word);
    let missing: Vec<&&str> = words.iter().filter(has_no_row).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
