//! The SOAP messages are what their schema says (`tests/golden/soap/interfaz-simplificada.xsd`), by the word of `xmllint`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use clave_otp::gateway::{
    CodeMap, ExpiryForm, Gateway as _, InternationalFormat, Now,
    http::HttpSettings,
    soap::{SoapGateway, SoapSettings},
};
use mockito::Server;
use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};

use super::must_run;
use crate::gateway_common::{messages, special_messages};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/soap")
}

/// Whether `xmllint` is there; a failure where nobody may do without it.
pub(super) fn ready() -> bool {
    let mut asked = Command::new("xmllint");
    let asked = asked.arg("--version").stderr(Stdio::null());
    let found = asked.status().is_ok();
    assert!(
        found || !must_run(),
        "xmllint is missing: install libxml2-utils"
    );
    if !found {
        eprintln!("skipped: xmllint is missing; install libxml2-utils");
    }
    found
}

/// What `xmllint` has against a file; nothing where it is valid.
pub(super) fn objections(file: &Path) -> Option<String> {
    let output = Command::new("xmllint")
        .args(["--noout", "--nonet", "--schema"])
        .args([&folder().join("envelope.xsd"), file])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (!output.status.success()).then_some(said)
}

/// The golden files whose name begins so.
fn golden(beginning: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder()).unwrap();
    let files = entries.map(|entry| entry.unwrap().path());
    files
        .filter(|file| {
            let name = file.file_name().unwrap().to_str().unwrap();
            name.starts_with(beginning)
        })
        .collect()
}

#[test]
fn every_kept_request_and_acknowledgement_is_valid() {
    if !ready() {
        return;
    }
    let (requests, acknowledgements) = (golden("request-"), golden("acknowledgement-"));
    assert!(requests.len() >= 4 && acknowledgements.len() >= 8);
    for file in requests.iter().chain(&acknowledgements) {
        assert_eq!(objections(file), None, "{}", file.display());
    }
}

/// Answers and reports that the adapter takes although they are not as the schema has them, each for a reason.
const TAKEN_ALL_THE_SAME: [&str; 4] = [
    "answer-other-order.xml",
    "answer-qualified-children.xml",
    "callback-qualified-children.xml",
    "callback-unknown-word.xml",
];
/// Parts of the names of answers and reports that are bad on purpose. That a sound message is not the one that is waited for
/// (`another-message`) no schema can see.
const BAD: [&str; 9] = [
    "bomb",
    "entity",
    "namespace",
    "envelope",
    "-no-",
    "two-",
    "twice",
    "-not-",
    "callback-without-",
];

/// The schema can say no, and says it of what is bad on purpose.
#[test]
fn the_schema_tells_good_answers_and_reports_from_bad_ones() {
    if !ready() {
        return;
    }
    for file in golden("answer-").iter().chain(&golden("callback-")) {
        let name = file.file_name().unwrap().to_str().unwrap();
        let is_bad = BAD.iter().any(|part| name.contains(part));
        let found = objections(file);
        assert_eq!(
            found.is_some(),
            is_bad || TAKEN_ALL_THE_SAME.contains(&name),
            "{name}: {found:?}"
        );
    }
}

/// What the adapter writes today, with any text that XML can carry.
#[tokio::test]
async fn what_the_adapter_writes_is_valid() {
    if !ready() {
        return;
    }
    let mut runner = TestRunner::deterministic();
    let texts = "[ -~\\r\\n\\t\u{a0}-\u{2fff}\u{1f600}]{0,200}";
    let mut texts = std::iter::from_fn(|| {
        let tree = texts.new_tree(&mut runner).unwrap();
        Some(tree.current())
    });
    let [national, abroad] = special_messages("\r\n");
    let mut batch = vec![national, abroad];
    batch.extend(messages(8));
    for message in &mut batch[2..] {
        message.text = clave_otp::domain::SecretText::new(texts.next().unwrap());
    }
    let now = "2026-11-24T10:00:00.999Z".parse().unwrap();
    for (expiry, report_url) in [
        (ExpiryForm::Omitted, None),
        (ExpiryForm::Duration, Some("https://otp.test/r/x?a=1&b='<")),
        (
            ExpiryForm::DateTime(Now::new(move || now)),
            Some("http://127.0.0.1:1/ñ"),
        ),
    ] {
        for body in written(&batch, &expiry, report_url).await {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("request.xml");
            fs::write(&file, &body).unwrap();
            let shown = String::from_utf8_lossy(&body);
            assert_eq!(objections(&file), None, "{shown}");
        }
    }
}

/// The bodies of the requests for these messages.
async fn written(
    batch: &[clave_otp::gateway::Message],
    expiry: &ExpiryForm,
    report_url: Option<&str>,
) -> Vec<Vec<u8>> {
    let mut server = Server::new_async().await;
    let (told, bodies) = std::sync::mpsc::channel();
    let mock = server.mock("POST", "/").match_request(move |request| {
        told.send(request.body().unwrap().clone()).unwrap();
        true
    });
    let _mock = mock.create_async().await;
    let gateway = SoapGateway::new(SoapSettings {
        http: HttpSettings::new(server.url().parse().unwrap()),
        api_user: "user <&>".into(),
        password: "password".into(),
        report_url: report_url.map(|url| url.parse().unwrap()),
        international_format: InternationalFormat::Plus,
        expiry: expiry.clone(),
        codes: CodeMap::default(),
    })
    .unwrap();
    for message in batch {
        let one = std::slice::from_ref(message);
        gateway.submit(one, &Duration::MAX.into()).await;
    }
    // The channel's other end lives in the mock.
    let bodies: Vec<Vec<u8>> = bodies.try_iter().collect();
    assert_eq!(bodies.len(), batch.len());
    bodies
}
