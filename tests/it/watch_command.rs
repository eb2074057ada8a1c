//! `clave-otp watch`: what people and programs see of all deliveries.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, ChildStdout, Command, Stdio},
    thread,
};

use clave_otp::simulator::Script;
use serde_json::Value;

use crate::support::{BARCELONA, Files, MADRID, TestApp, process::BINARY, request_to, soon};

/// A running `watch`; killed when it is dropped.
pub(crate) struct Watch {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Watch {
    fn start(app: &TestApp, arguments: &[&str]) -> Self {
        Self::of(app, &["watch"], arguments)
    }

    /// Of a command that watches, with these arguments.
    pub(crate) fn of(app: &TestApp, command: &[&str], arguments: &[&str]) -> Self {
        let mut child = Command::new(BINARY)
            .args(command)
            .args(["--server", &format!("http://{}", app.grpc)])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// The next line; read beside the reactor.
    pub(crate) async fn line(mut self) -> (Self, String) {
        let (tell, told) = tokio::sync::oneshot::channel();
        thread::spawn(move || {
            let mut line = String::new();
            self.lines.read_line(&mut line).unwrap();
            let _ = tell.send((self, line));
        });
        soon(told).await.unwrap()
    }

    pub(crate) async fn json(self) -> (Self, Value) {
        let (watch, line) = self.line().await;
        (watch, serde_json::from_str(&line).unwrap())
    }

    /// How it ended, and its last words.
    pub(crate) async fn ended(mut self) -> (Option<i32>, String) {
        let (tell, told) = tokio::sync::oneshot::channel();
        thread::spawn(move || {
            let mut words = String::new();
            let errors = self.child.stderr.as_mut().unwrap();
            errors.read_to_string(&mut words).unwrap();
            let _ = tell.send((self.child.wait().unwrap().code(), words));
        });
        soon(told).await.unwrap()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Only where it has not ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_reads_one_object_a_line_and_goes_on_with_the_last_token() {
    let mut app = TestApp::start(Script::new()).await;
    let json = ["--format", "json", "--administration", MADRID];
    let (watch, first) = Watch::start(&app, &json).json().await;
    let keys: Vec<&String> = first.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["resume_token"]);
    let delivery = app.ends(request_to(1)).await;
    let (watch, accepted) = watch.json().await;
    assert_eq!(accepted["name"], delivery.name);
    assert_eq!(accepted["state"], "ACCEPTED");
    drop(watch);
    let token = accepted["resume_token"].as_str().unwrap();
    let resumed = Watch::start(&app, &[&json[..], &["--resume-token", token]].concat());
    let (resumed, _) = resumed.json().await;
    let (resumed, sending) = resumed.json().await;
    let (_resumed, sent) = resumed.json().await;
    assert_eq!(
        (&sending["state"], &sent["state"]),
        (&"SENDING".into(), &"SENT".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn people_see_a_line_for_each_change_and_how_to_go_on_when_the_service_stops() {
    let mut app = TestApp::start(Script::new()).await;
    // So that the watch has begun when the code is sent: programs are told, people are not.
    let (begun, first) = Watch::start(&app, &["--format", "json"]).json().await;
    drop(begun);
    let token = first["resume_token"].as_str().unwrap();
    let watch = Watch::start(&app, &["--resume-token", token]);
    let name = app.ends(request_to(1)).await.name;
    let mut watch = watch;
    for state in ["ACCEPTED", "SENDING", "SENT"] {
        let (next, line) = watch.line().await;
        assert!(line.starts_with(&format!("{name}  {state}")), "{line}");
        watch = next;
    }
    let (files, simulator): (Files, _) = app.stop().await;
    let (code, words) = watch.ended().await;
    assert_eq!(code, Some(1));
    assert!(
        words.contains("SHUTTING_DOWN") && words.contains("--resume-token 1-"),
        "{words}"
    );

    let listed = format!("administrations = [\"{MADRID}\"]");
    files.change("service.toml", "administrations = [\"*\"]", &listed);
    let clock = std::sync::Arc::new(clave_otp::clock::SystemClock::new());
    let app = TestApp::start_on(files, simulator, clock).await;
    let (code, words) = Watch::start(&app, &["--administration", BARCELONA])
        .ended()
        .await;
    assert_eq!(code, Some(1));
    assert!(words.contains("ADMINISTRATION_NOT_AVAILABLE"), "{words}");
}
