//! `clave-otp certified`: what people and programs see of certified messages.

use std::{
    io::Write as _,
    process::{Command, Output, Stdio},
};

use clave_otp::simulator::Script;
use serde_json::Value;

use crate::{
    certified::Story,
    certified_simulated::start,
    support::{MADRID, process::BINARY, soon},
};

/// Runs `clave-otp certified` with these arguments, for programs.
pub(crate) async fn run(story: &Story, arguments: &[&str], input: &str) -> Output {
    run_for("json", story, arguments, input).await
}

/// The same in either format; beside the reactor.
pub(crate) async fn run_for(
    format: &str,
    story: &Story,
    arguments: &[&str],
    input: &str,
) -> Output {
    let mut command = Command::new(BINARY);
    command
        .args([
            "certified",
            "--server",
            &format!("http://{}", story.app.grpc),
        ])
        .args(["--format", format])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let input = input.to_owned();
    let ended = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        child.wait_with_output().unwrap()
    });
    ended.await.unwrap()
}

pub(crate) async fn json(story: &Story, arguments: &[&str]) -> Value {
    let output = run(story, arguments, "").await;
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {words}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_sends_asks_moves_and_cancels() {
    let story = start(Script::new(), |_| {}).await;
    let send = [
        "send",
        "--administration",
        MADRID,
        "--to",
        "+34600000001,Ana",
        "--at",
        "2099-01-01T10:00:00Z",
    ];
    let output = run(&story, &send, "Hola {1}\n").await;
    assert!(output.status.success(), "{output:?}");
    let message: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(message["state"], "SENT");
    assert_eq!(message["replayed"], false);
    let name = message["name"].as_str().unwrap();
    let id = name.strip_prefix("certifiedMessages/").unwrap();
    assert_eq!(json(&story, &["get", id]).await["name"], name);
    let moved = json(
        &story,
        &["reschedule", name, "--at", "2099-01-02T10:00:00Z"],
    )
    .await;
    assert_eq!(
        (moved["moved_messages"].as_i64(), &moved["send_time"]),
        (Some(1), &Value::from("2099-01-02T10:00:00Z"))
    );
    let reported = json(&story, &["report", name]).await;
    assert_eq!(reported["recipients"][0]["status"]["number"], 1);
    let cancelled = json(&story, &["cancel", name]).await;
    assert_eq!(
        (
            cancelled["state"].as_str(),
            cancelled["cancelled_recipients"].as_i64()
        ),
        (Some("CANCELLED"), Some(1))
    );
    let again = run(&story, &["cancel", name], "").await;
    assert_eq!(again.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&again.stderr).contains("ALREADY_CANCELLED"),
        "{again:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_keeps_a_library_and_downloads_certificates() {
    let story = start(Script::new(), |_| {}).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notifica.pdf");
    std::fs::write(&file, b"%PDF-1.7\n%EOF").unwrap();
    let file = file.to_str().unwrap();
    let uploaded = json(&story, &["upload", file, "--administration", MADRID]).await;
    assert_eq!(uploaded["file_name"], "notifica.pdf");
    let listed = json(
        &story,
        &[
            "files",
            "--administration",
            MADRID,
            "--account",
            "madrid-mn",
        ],
    )
    .await;
    assert_eq!(listed["file_name"], "notifica.pdf");
    let send = [
        "send",
        "--administration",
        MADRID,
        "--to",
        "+34600000001",
        "--text",
        "Vea",
        "--library-file",
        "notifica.pdf",
        "--pdf",
        file,
    ];
    let message = json(&story, &send).await;
    let name = message["name"].as_str().unwrap();
    soon(async {
        let certified =
            |message: &Value| message["recipients"][0]["status"]["certificate_available"] == true;
        while !certified(&json(&story, &["get", name]).await) {}
    })
    .await;
    let zip = folder.path().join("certificados.zip");
    let output = zip.to_str().unwrap();
    let download = run(
        &story,
        &[
            "download",
            name,
            "--recipient-index",
            "0",
            "--output",
            output,
        ],
        "",
    )
    .await;
    assert!(download.status.success(), "{download:?}");
    assert!(std::fs::read(&zip).unwrap().starts_with(b"PK\x03\x04"));
    // What is there is not overwritten.
    let again = run(&story, &["download", name, "--output", output], "").await;
    assert_eq!(again.status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_deletes_a_file_and_asks_for_the_balance() {
    let story = start(Script::new(), |_| {}).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dos.pdf");
    std::fs::write(&file, b"%PDF-1.7\n%EOF").unwrap();
    let file = file.to_str().unwrap();
    let upload = [
        "upload",
        file,
        "--name",
        "notifica.pdf",
        "--base64",
        "--administration",
        MADRID,
    ];
    assert_eq!(json(&story, &upload).await["file_name"], "notifica.pdf");
    let balance = json(&story, &["balance", "--administration", MADRID]).await;
    assert!(balance["credits"].as_f64().unwrap() > 0.0);
    let deleted = run(
        &story,
        &["delete-file", "notifica.pdf", "--administration", MADRID],
        "",
    )
    .await;
    assert!(deleted.status.success(), "{deleted:?}");
    let listed = run(&story, &["files", "--administration", MADRID], "").await;
    assert!(
        listed.status.success() && listed.stdout.is_empty(),
        "{listed:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_ends_with_its_reason() {
    let story = start(Script::new(), |_| {}).await;
    for (arguments, reason) in [
        (
            vec![
                "send",
                "--administration",
                MADRID,
                "--to",
                "+34600000001",
                "--text",
                "(LINK:x)",
            ],
            "INVALID_FIELD",
        ),
        (
            vec!["balance", "--administration", "L01080193"],
            "CERTIFIED_NOT_AVAILABLE",
        ),
        (
            vec!["get", "6f1ed002-ab5c-4d3e-8a0e-1e2d3c4b5a69"],
            "NOT_FOUND",
        ),
        (vec!["watch", "--resume-token", "x"], "INVALID_FIELD"),
    ] {
        let output = run(&story, &arguments, "").await;
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains(reason),
            "{output:?}"
        );
    }
}
