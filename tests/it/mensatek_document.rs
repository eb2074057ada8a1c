//! `docs/MENSATEK.md` against the description of the API, the adapter, and the stories that it names.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use clave_otp::{
    domain::{
        DeliveryId, News,
        certified::{CertifiedId, CertifiedNews, Protection},
    },
    gateway::{
        Callback, Gateway as _, Outcome, Verdict,
        mensatek::{Contact, MensatekGateway, MensatekSettings, Service},
    },
};
use mockito::Server;

use crate::{
    gateway_common::{answering, message, messages, read_callback},
    gateway_mensatek,
    support::openapi,
};

const SENDING: [&str; 2] = ["EnviarSMS", "EnviarSMSCERTIFICADO"];

/// The answers and the objects in them, by function; that of `GetSMSCERTIFICADO` where there is no archive.
const ANSWERS: [(&str, &str, &str); 10] = [
    ("EnviarSMS", "Sent", "SentAnswer"),
    ("EnviarSMSCERTIFICADO", "Sent", "SentAnswer"),
    ("CancelarSMSCERTIFICADO", "Cancelled", "CancelledAnswer"),
    (
        "ReprogramarSMSCERTIFICADO",
        "Rescheduled",
        "RescheduledAnswer",
    ),
    ("GetReportSMSCERTIFICADO", "Reported", "ReportedAnswer"),
    ("GetSMSCERTIFICADO", "Certificates", "CertificatesAnswer"),
    ("CargarFichero", "Uploaded", "UploadedAnswer"),
    ("ListarFicheros", "Listed", "ListedAnswer"),
    ("BorrarFichero", "Deleted", "DeletedAnswer"),
    ("GetCreditos", "Credit", "CreditAnswer"),
];

const CALLBACKS: [(&str, &str); 3] = [
    ("report", "Report"),
    ("attachment event", "AttachmentEvent"),
    ("received message", "ReceivedMessage"),
];

fn document() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/MENSATEK.md");
    fs::read_to_string(path).unwrap()
}

/// The rows of the table below this heading, each as its cells.
pub(crate) fn rows(heading: &str) -> Vec<Vec<String>> {
    let document = document();
    let heading = format!("## {heading}");
    let below = document.lines().skip_while(|line| *line != heading).skip(1);
    let section = below.take_while(|line| !line.starts_with("## "));
    let cells = |line: &str| {
        let inner = line.trim_matches('|').split('|');
        inner.map(|cell| cell.trim().to_owned()).collect()
    };
    let lines = section.filter(|line| line.starts_with('|'));
    let rows: Vec<Vec<String>> = lines.skip(2).map(cells).collect();
    assert!(!rows.is_empty(), "{heading}");
    for row in &rows {
        assert_eq!(row.len(), rows[0].len(), "{row:?}");
        assert!(row.iter().all(|cell| !cell.is_empty()), "{row:?}");
    }
    rows
}

/// What stands in back quotes.
fn quoted(cell: &str) -> Vec<String> {
    let parts = cell.split('`').skip(1).step_by(2);
    parts.map(str::to_owned).collect()
}

/// The first two cells of each row, where the first may name several functions.
fn pairs(heading: &str) -> BTreeSet<(String, String)> {
    let rows = rows(heading).into_iter();
    let pairs = rows.flat_map(|row| {
        let second = quoted(&row[1]).remove(0);
        let functions = quoted(&row[0]).into_iter();
        functions.map(move |function| (function, second.clone()))
    });
    pairs.collect()
}

fn described<'a>(
    owners: impl IntoIterator<Item = (&'a str, Vec<String>)>,
) -> BTreeSet<(String, String)> {
    let owners = owners.into_iter();
    let pairs = owners.flat_map(|(owner, names)| {
        let names = names.into_iter();
        names.map(move |name| (owner.to_owned(), name))
    });
    pairs.collect()
}

#[test]
fn every_function_parameter_and_field_of_the_description_has_a_row() {
    let functions = openapi::functions();
    let named: BTreeSet<String> = rows("Functions")
        .iter()
        .map(|row| quoted(&row[0]).remove(0))
        .collect();
    assert_eq!(named, functions.iter().cloned().collect());
    assert_eq!(functions.len(), 10);

    let parameters = functions
        .iter()
        .map(|function| (function.as_str(), openapi::parameters_of(function)));
    assert_eq!(pairs("Parameters"), described(parameters));

    let fields = ANSWERS.map(|(function, _, object)| (function, openapi::properties_of(object)));
    assert_eq!(pairs("Fields of answers"), described(fields));

    let told: BTreeSet<(String, String)> = rows("Callbacks")
        .iter()
        .map(|row| (row[0].clone(), quoted(&row[1]).remove(0)))
        .collect();
    let fields = CALLBACKS.map(|(callback, object)| (callback, openapi::properties_of(object)));
    assert_eq!(told, described(fields));
}

#[test]
fn every_number_of_the_description_has_a_row() {
    let mut found: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
    for row in rows("Numbers in `Res`") {
        // "above 0" is a success like 1, and so is an archive.
        let number = row[1].parse().unwrap_or(1);
        for function in quoted(&row[0]) {
            found.entry(function).or_default().insert(number);
        }
    }
    let numbers = |answer| {
        let examples = openapi::examples_of(answer).into_iter();
        let numbers = examples.filter_map(|name| name.strip_prefix("res")?.parse().ok());
        let mut numbers: BTreeSet<i32> = numbers.collect();
        numbers.insert(1);
        numbers
    };
    let described = ANSWERS.map(|(function, answer, _)| (function.to_owned(), numbers(answer)));
    assert_eq!(found, BTreeMap::from(described));
}

#[test]
fn every_event_has_a_row() {
    let events = rows("Events at an attachment");
    let of = |field: &str| -> Vec<String> {
        let rows = events.iter().filter(|row| quoted(&row[0]) == [field]);
        rows.map(|row| row[1].clone()).collect()
    };
    let expected: Vec<String> = (1..=13).map(|kind| kind.to_string()).collect();
    assert_eq!(of("TipoEvento"), expected);
    assert_eq!(of("TipoAdjunto"), ["1", "100", "101", "102", "103"]);
}

/// With everything that is optional.
fn settings(url: &str) -> MensatekSettings {
    MensatekSettings {
        reports: true,
        validity: true,
        ..gateway_mensatek::settings(url)
    }
}

fn certified() -> Service {
    Service::Certified(Contact {
        name: "Ayuntamiento".into(),
        phone: "900000000".into(),
        nif: "P0000000B".into(),
    })
}

#[test]
fn every_state_means_for_a_code_what_its_row_says() {
    let mut meanings = BTreeMap::new();
    let mut of_the_text = Vec::new();
    for row in rows("States") {
        let (first, last) = row[0].split_once('–').unwrap_or((&row[0], &row[0]));
        let range = first.parse::<i64>().unwrap()..=last.parse().unwrap();
        if row[1] == "text" {
            of_the_text.extend(range.clone());
        }
        for state in range {
            let twice = meanings.insert(state, row[3].clone());
            assert_eq!(twice, None, "{state}");
        }
    }
    assert_eq!(of_the_text, openapi::states());
    let gateway = MensatekGateway::new(settings("http://127.0.0.1:9")).unwrap();
    let code = DeliveryId::from_bytes([7; 16]);
    for state in -10..6_000 {
        let body = format!(
            "{{\"Servicio\":\"SMSCONTRATO\",\"Resultado\":{state},\"Movil\":34600000001,\"Referencia\":\"{code}\"}}"
        );
        let (found, _) = read_callback(&gateway, "application/json", body.as_bytes());
        let Callback::Report(report) = found else {
            panic!("{state}: {found:?}");
        };
        let told = match report.news {
            News::Delivered => "delivered".to_owned(),
            News::Waiting => "waiting".to_owned(),
            News::Failed(reason) => format!("`{}`", reason.as_str()),
            News::Unknown => "nothing".to_owned(),
        };
        let written = meanings.get(&state).map_or("nothing", String::as_str);
        assert_eq!(told, written, "{state}");
    }
}

/// As JSON, with our own reference; every state is kept under its number, with the platform's words where it has any.
#[test]
fn every_state_is_an_event_of_a_certified_message() {
    let gateway = MensatekGateway::new(settings("http://127.0.0.1:9")).unwrap();
    let message = CertifiedId::from_bytes([7; 16]);
    let mut tried = 0;
    for row in rows("States") {
        let (first, last) = row[0].split_once('–').unwrap_or((&row[0], &row[0]));
        for state in first.parse::<i64>().unwrap()..=last.parse().unwrap() {
            let reference = message.reference();
            let body = format!(
                "{{\"Servicio\":\"SMSCONTRATO\",\"Resultado\":{state},\"Movil\":34600000001,\"Referencia\":\"{reference}\"}}"
            );
            let (found, _) = read_callback(&gateway, "application/json", body.as_bytes());
            let Callback::Certified(event, None) = found else {
                panic!("{state}: {found:?}");
            };
            assert_eq!(event.message, Some(message));
            let CertifiedNews::State { state: kept, .. } = event.news else {
                panic!("{state}: {event:?}");
            };
            assert_eq!(kept.number(), state);
            assert!(kept.meaning().is_some(), "{state}");
            let told = match kept.news() {
                News::Delivered => "delivered".to_owned(),
                News::Waiting => "waiting".to_owned(),
                News::Failed(reason) => format!("`{}`", reason.as_str()),
                News::Unknown => "nothing".to_owned(),
            };
            assert_eq!(told, row[3], "{state}");
            tried += 1;
        }
    }
    assert!(tried > 100, "{tried}");
}

#[test]
fn every_protection_of_an_attachment_is_told() {
    let gateway = MensatekGateway::new(settings("http://127.0.0.1:9")).unwrap();
    let reference = CertifiedId::from_bytes([7; 16]).reference();
    let known = [
        (1, Protection::Open),
        (100, Protection::OneTimePin),
        (101, Protection::Phone),
        (102, Protection::Document),
        (103, Protection::Certificate),
        (7, Protection::Unknown(7)),
    ];
    for (number, expected) in known {
        let body = format!(
            "Servicio=EVENTOSSMSCERTIFICADO&TipoEvento=1&TipoAdjunto={number}&Telefono=34600000001&Referencia={reference}"
        );
        let form = "application/x-www-form-urlencoded";
        let (found, _) = read_callback(&gateway, form, body.as_bytes());
        let Callback::Certified(event, None) = found else {
            panic!("{number}: {found:?}");
        };
        let CertifiedNews::Attachment(told) = event.news else {
            panic!("{number}: {event:?}");
        };
        assert_eq!(told.protection, expected);
    }
}

#[tokio::test]
async fn every_number_of_sending_becomes_what_its_row_says() {
    let mut tried = 0;
    for row in rows("Numbers in `Res`") {
        if !row[3].starts_with("`CreateDelivery`") {
            continue;
        }
        tried += 1;
        let number: i32 = row[1].parse().unwrap_or(1);
        let body = format!("[{{\"Res\":{number}}}]");
        for (function, service) in SENDING.into_iter().zip([Service::Sms, certified()]) {
            let mut server = Server::new_async().await;
            let mock = answering(&mut server, &format!("/v7/{function}"), 200, &body).await;
            let mut settings = settings(&server.url());
            settings.service = service;
            let gateway = MensatekGateway::new(settings).unwrap();
            let found = gateway
                .submit(&messages(1), &Duration::MAX.into())
                .await
                .remove(0);
            mock.assert_async().await;
            let told = match found {
                Outcome::Accepted(_) => "accepted".to_owned(),
                Outcome::Rejected {
                    reason,
                    verdict: Verdict::Message,
                    ..
                } => format!("`{}`", reason.as_str()),
                Outcome::Rejected { reason, .. } => {
                    format!("`{}`: the lane closes", reason.as_str())
                }
                other => panic!("{number}: {other:?}"),
            };
            let written = row[3].strip_prefix("`CreateDelivery`: ").unwrap();
            assert_eq!(told, written, "{function} {number}");
        }
    }
    assert_eq!(tried, 8);
}

/// The names of all fields that the adapter sends to this function, with everything that is optional.
async fn fields_sent(function: &str, service: Service) -> BTreeSet<String> {
    let sent = Arc::new(Mutex::new(BTreeSet::new()));
    let seen = Arc::clone(&sent);
    let mut server = Server::new_async().await;
    let mock = server
        .mock("POST", &*format!("/v7/{function}"))
        .match_request(move |request| {
            let fields = url::form_urlencoded::parse(request.body().unwrap());
            let names = fields.map(|(name, _)| name.into_owned());
            seen.lock().unwrap().extend(names);
            true
        })
        .with_body(r#"[{"Res":1}]"#)
        .create_async()
        .await;
    let mut settings = settings(&server.url());
    settings.service = service;
    let gateway = MensatekGateway::new(settings).unwrap();
    let needs_unicode = message("+34600000001", "α", "217812");
    gateway
        .submit(&[needs_unicode], &Duration::MAX.into())
        .await;
    mock.assert_async().await;
    let sent = sent.lock().unwrap();
    sent.clone()
}

#[tokio::test]
async fn what_is_sent_for_a_code_is_what_the_rows_say() {
    for (function, service) in SENDING.into_iter().zip([Service::Sms, certified()]) {
        let of_codes = |row: &Vec<String>| {
            quoted(&row[0]) == [function] && row[2].starts_with("`CreateDelivery`")
        };
        let (never, sent): (Vec<_>, Vec<_>) = rows("Parameters")
            .into_iter()
            .filter(of_codes)
            .partition(|row| row[2].contains("never sent"));
        let names = |rows: &[Vec<String>]| -> BTreeSet<String> {
            rows.iter().map(|row| quoted(&row[1]).remove(0)).collect()
        };
        assert_eq!(
            fields_sent(function, service).await,
            names(&sent),
            "{function}"
        );
        let all: BTreeSet<String> = openapi::parameters_of(function).into_iter().collect();
        let both: BTreeSet<String> = &names(&sent) | &names(&never);
        assert_eq!(both, all, "{function}: each is either sent or never sent");
    }
}

#[test]
fn every_story_that_is_named_exists() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let mut files: BTreeMap<PathBuf, String> = BTreeMap::new();
    let document = document();
    let mut named = 0;
    // `file.rs`: `name`
    for (before, after) in document
        .match_indices(".rs`: `")
        .map(|(at, sign)| (&document[..at], &document[at + sign.len()..]))
    {
        let file = format!("{}.rs", before.rsplit('`').next().unwrap());
        let name = after.split('`').next().unwrap();
        let path = folder.join(&file);
        let text = files
            .entry(path.clone())
            .or_insert_with(|| fs::read_to_string(&path).unwrap_or_default());
        let head = format!("fn {name}(");
        let at = text.find(&head);
        let at = at.unwrap_or_else(|| panic!("{file} has no {name}"));
        let line_above = text[..at].trim_end_matches("async ").trim_end().lines();
        let is_story = line_above
            .last()
            .is_some_and(|line| line.starts_with("#[test") || line.starts_with("#[tokio::test"));
        assert!(is_story, "{file}: {name} is no story");
        named += 1;
    }
    assert!(named > 100, "{named}");
    assert!(!document.contains('—'), "a row is left open");
}
