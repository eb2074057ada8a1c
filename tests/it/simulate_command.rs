//! `clave-otp simulate` as a person runs it.

use std::{
    io::{BufRead as _, BufReader, Lines},
    process::{Child, ChildStdout, Command, Stdio},
};

use crate::{
    simulator::{call, client},
    simulator_receiver::Receiver,
    simulator_reports::asking_of,
};

const TEXT: &str = "su código es 748291";
const PHONE: &str = "600000078";

/// A running command; killed when a test fails.
struct Running {
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut child = command(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, output }
    }

    fn line(&mut self) -> String {
        self.output.next().expect("one more line").unwrap()
    }

    /// Asks it to end; tells what it still printed and whether it ended well.
    fn end(mut self) -> (Vec<String>, bool) {
        let process = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &process]).status();
        assert!(asked.unwrap().success());
        let rest = self.output.by_ref().map(Result::unwrap).collect();
        (rest, self.child.wait().unwrap().success())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clave-otp"));
    command.arg("simulate").args(arguments);
    command.env_remove("CLAVE_OTP_SIMULATOR_PASSWORD");
    command
}

/// The addresses that are printed first, for XML-RPC, SOAP, REST and Mensatek.
fn endpoints(running: &mut Running) -> [String; 4] {
    [
        "endpoint ",
        "soap-endpoint ",
        "rest-endpoint ",
        "mensatek-base ",
    ]
    .map(|name| {
        let line = running.line();
        line.strip_prefix(name).expect(&line).to_owned()
    })
}

async fn send(running: &mut Running, sender: &str) -> String {
    let [endpoint, ..] = endpoints(running);
    let request = client().post(endpoint).header("Content-Type", "text/xml");
    let body = call("madrid", "any", &[(PHONE, TEXT, sender)]);
    assert_eq!(request.body(body).send().await.unwrap().status(), 200);
    running.line()
}

#[tokio::test]
async fn prints_a_line_for_each_message_without_text_or_number_and_a_summary() {
    let mut running = Running::start(&["--listen", "127.0.0.1:0"]);
    let line = send(&mut running, "ClaveMadrid").await;
    for told in [
        "madrid",
        "ClaveMadrid",
        "+34•••••078",
        "19 characters",
        "answer: 0",
    ] {
        assert!(line.contains(told), "{told} in {line}");
    }
    assert!(!line.contains("748291") && !line.contains(PHONE), "{line}");
    let (rest, ended_well) = running.end();
    let summary = "requests 1, refused 0, messages 1, largest batch 1, most in flight 1, reports 0, acknowledged 0";
    assert_eq!(rest, [summary]);
    assert!(ended_well);
}

// Reading a line blocks its thread; the receiver answers on another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prints_a_line_for_each_report_without_number_or_address() {
    let mut running = Running::start(&["--listen", "127.0.0.1:0"]);
    let [_, soap, ..] = endpoints(&mut running);
    let (_receiver, url) = Receiver::start().await;
    let request = client()
        .post(soap)
        .header("Content-Type", "text/xml")
        .header("SOAPAction", "smsTextSubmit");
    let body = asking_of(PHONE, &url);
    assert_eq!(request.body(body).send().await.unwrap().status(), 200);
    let message = running.line();
    assert!(
        message.contains("soap") && message.contains("answer: 1000"),
        "{message}"
    );
    let report = running.line();
    let told = "+34•••••078  Delivered  tries 1, status 200, code 1000  acknowledged";
    assert!(
        report.starts_with("report on message 1  soap") && report.ends_with(told),
        "{report}"
    );
    assert!(
        !report.contains(PHONE) && !report.contains("token"),
        "{report}"
    );
    let (rest, ended_well) = running.end();
    assert!(rest[0].ends_with("reports 1, acknowledged 1") && ended_well);
}

#[tokio::test]
async fn prints_a_line_for_each_call_of_mensatek_without_number() {
    let mut running = Running::start(&["--listen", "127.0.0.1:0"]);
    let [.., base] = endpoints(&mut running);
    for (function, fields) in [
        (
            "EnviarSMS",
            "Remitente=ClaveMadrid&Mensaje=hola&Destinatarios=[{\"Movil\":\"34600000078\"}]&",
        ),
        ("GetCreditos", ""),
    ] {
        let request = client()
            .post(format!("{base}/{function}"))
            .basic_auth("madrid", Some("any"))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(format!("{fields}Resp=JSON"));
        assert_eq!(request.send().await.unwrap().status(), 200);
    }
    let line = running.line();
    assert!(
        line.contains("mensatek  madrid  ClaveMadrid → +34•••••078  4 characters  answer: 1"),
        "{line}"
    );
    assert_eq!(
        running.line(),
        "request 2  mensatek  madrid  GetCreditos  answer: 1"
    );
    assert!(running.end().1);
}

#[tokio::test]
async fn shows_texts_only_when_asked_and_never_lets_them_steer_the_terminal() {
    let mut running = Running::start(&["--listen", "127.0.0.1:0", "--show-texts"]);
    let line = send(&mut running, "&#10;&#133;x").await;
    assert!(line.contains(TEXT) && line.contains(PHONE), "{line}");
    assert!(line.contains("\\n\\u{85}x"), "{line}");
    assert!(line.contains("answer: -11"), "{line}");
    assert!(running.end().1);
}

#[test]
fn bad_options_are_told_with_status_78() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script.toml");
    std::fs::write(&script, "[[rules]]\naction = \"explode\"\n").unwrap();
    let script = script.to_str().unwrap();
    for (arguments, told) in [
        (&["--listen", "0.0.0.0:0"][..], "loopback"),
        (&["--script", script], "script.toml: rules"),
        (&["--script", "/nowhere/script.toml"], "cannot be read"),
        (&["--account", "madrid"], "--password-file"),
    ] {
        let output = command(arguments).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78), "{arguments:?}: {error}");
        assert!(error.contains(told), "{told} in {error}");
    }
}
