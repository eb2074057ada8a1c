//! `clave-otp serve` and `demo` as processes: what an operator sees when something is wrong, and when all is well.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    process::{Child, Command, Output, Stdio},
};

use clave_otp::simulator::Script;

use crate::support::{Files, platform, process::Process};

const BINARY: &str = env!("CARGO_BIN_EXE_clave-otp");

/// An endpoint where nobody listens: these stories send nothing.
const NOWHERE: &str = "http://127.0.0.1:9/SrvConexion";

fn serve(files: &Files) -> Command {
    let mut command = Command::new(BINARY);
    command
        .arg("serve")
        .arg("--config")
        .arg(files.path("service.toml"));
    command
}

fn ends(files: &Files) -> Output {
    serve(files).output().unwrap()
}

#[track_caller]
fn assert_ends(output: &Output, status: i32, says: &[&str]) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{told}");
    for words in says {
        assert!(told.contains(words), "expected {words:?} in:\n{told}");
    }
}

#[test]
fn unknown_keys_are_named_with_their_file_and_all_at_once() {
    let files = Files::write(NOWHERE);
    files.change("service.toml", "[admin]", "[admin]\nlissten = 1");
    files.change(
        "administrations/madrid.toml",
        "default_language",
        "default_lenguage",
    );
    assert_ends(
        &ends(&files),
        78,
        &[
            "service.toml: admin.lissten: ",
            "administrations/madrid.toml: administration.default_lenguage: ",
        ],
    );
}

#[test]
fn a_secret_that_is_missing_or_that_others_can_read_is_refused() {
    let files = Files::write(NOWHERE);
    std::fs::remove_file(files.path("madrid.password")).unwrap();
    let readable = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(files.path("barcelona.password"), readable).unwrap();
    assert_ends(
        &ends(&files),
        78,
        &[
            "administrations/madrid.toml: accounts[0].password_file: ",
            "administrations/barcelona.toml: accounts[0].password_file: ",
            "chmod 600",
        ],
    );
}

#[test]
fn two_files_with_one_principal_alias_are_refused() {
    let files = Files::write(NOWHERE);
    files.change("administrations/barcelona.toml", "ClaveBCN", "ClaveMadrid");
    assert_ends(
        &ends(&files),
        78,
        &[
            "administrations/madrid.toml: accounts[0].senders[0]: is the principal alias of accounts[0] of administrations/barcelona.toml",
        ],
    );
}

#[test]
fn a_database_that_cannot_be_written_is_named() {
    let files = Files::write(NOWHERE);
    // A directory in its place: also root cannot write that.
    std::fs::create_dir_all(files.path("data/clave-otp.db")).unwrap();
    assert_ends(
        &ends(&files),
        1,
        &["store.url: ", "clave-otp.db: cannot be made or written"],
    );
}

#[test]
fn a_database_of_another_key_is_refused_before_anything_is_lost() {
    let files = Files::write(NOWHERE);
    let mut first = Service::start(&files);
    first.stop();
    std::fs::remove_file(files.path("data/sealing.key")).unwrap();
    assert_ends(
        &ends(&files),
        1,
        &["was sealed with another key", "store.sealing_key_file"],
    );
}

#[test]
fn a_sealing_key_that_others_can_read_is_refused() {
    let files = Files::write(NOWHERE);
    Service::start(&files).stop();
    let readable = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(files.path("data/sealing.key"), readable).unwrap();
    assert_ends(&ends(&files), 1, &["store.sealing_key_file: ", "chmod 600"]);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let files = Files::write(NOWHERE);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    files.change(
        "service.toml",
        "[grpc]\nlisten = \"127.0.0.1:0\"",
        &format!("[grpc]\nlisten = \"{address}\""),
    );
    assert_ends(
        &ends(&files),
        1,
        &["grpc.listen: cannot listen on", &address.to_string()],
    );
    assert!(!files.path("data").exists(), "the store is not touched");
}

#[test]
fn a_second_process_on_one_database_is_refused() {
    let files = Files::write(NOWHERE);
    let mut first = Service::start(&files);
    assert_ends(
        &ends(&files),
        1,
        &["another clave-otp process works on this database"],
    );
    first.stop();
    // The lock goes with the process.
    Service::start(&files).stop();
}

#[test]
fn without_tls_only_loopback_is_allowed() {
    let files = Files::write(NOWHERE);
    files.change(
        "service.toml",
        "[grpc]\nlisten = \"127.0.0.1:0\"",
        "[grpc]\nlisten = \"0.0.0.0:0\"",
    );
    assert_ends(
        &ends(&files),
        78,
        &["service.toml: grpc.listen: without [grpc.tls] only loopback is allowed"],
    );
}

#[test]
fn check_prints_the_same_problems_without_starting() {
    let files = Files::write(NOWHERE);
    let check = |files: &Files| {
        let mut command = Command::new(BINARY);
        command
            .arg("check")
            .arg("--config")
            .arg(files.path("service.toml"));
        command.output().unwrap()
    };
    assert_ends(&check(&files), 0, &[]);
    files.change("service.toml", "[admin]", "[admin]\nlissten = 1");
    assert_ends(&check(&files), 78, &["service.toml: admin.lissten: "]);
    assert!(!files.path("data").exists());
}

/// A running service.
struct Service {
    process: Child,
    grpc: String,
}

impl Service {
    fn start(files: &Files) -> Self {
        let mut process = serve(files)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let Some(grpc) = line
            .split("grpc ")
            .nth(1)
            .and_then(|rest| rest.split(',').next())
        else {
            let mut told = String::new();
            process
                .stderr
                .take()
                .unwrap()
                .read_to_string(&mut told)
                .unwrap();
            panic!("it did not start: {line}{told}");
        };
        let grpc = format!("http://{grpc}");
        Self { process, grpc }
    }

    /// Stops it as an operator does; it must end well.
    fn stop(&mut self) {
        let id = self.process.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Only where a test failed before it stopped the service.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn client(service: &Service, arguments: &[&str]) -> Output {
    Command::new(BINARY)
        .args(arguments)
        .args(["--server", &service.grpc])
        .output()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_sends_a_code_looks_at_it_and_watches_it() {
    let simulator = platform(Script::new()).await;
    let files = Files::write(&simulator.endpoint());
    let mut service = Service::start(&files);
    let to_madrid = [
        "send",
        "--administration",
        "L01280796",
        "--format",
        "json",
        "--to",
    ];
    let sent = client(&service, &[&to_madrid[..], &["+34600000001"]].concat());
    assert!(
        sent.status.success(),
        "{}",
        String::from_utf8_lossy(&sent.stderr)
    );
    let last = String::from_utf8(sent.stdout)
        .unwrap()
        .lines()
        .last()
        .unwrap()
        .to_owned();
    let delivery: serde_json::Value = serde_json::from_str(&last).unwrap();
    assert_eq!(delivery["state"], "SENT");
    assert_eq!(delivery["sender"], "ClaveMadrid");

    let name = delivery["name"].as_str().unwrap();
    let got = client(&service, &["get", name]);
    assert!(String::from_utf8(got.stdout).unwrap().contains("SENT"));
    let watched = client(&service, &["watch", name, "--format", "json"]);
    assert!(watched.status.success());

    let refused = client(&service, &[&to_madrid[..], &["+34912345678"]].concat());
    assert!(!refused.status.success());
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(told.contains("RECIPIENT_NOT_MOBILE"), "{told}");
    service.stop();
}

#[test]
fn a_client_without_a_service_is_told_how_to_start_one() {
    let output = Command::new(BINARY)
        .args(["get", "deliveries/x", "--server", "http://127.0.0.1:9"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains("clave-otp serve") && told.contains("demo"),
        "{told}"
    );
}

#[test]
fn the_demo_ends_with_success_when_all_went_as_it_should() {
    let output = Command::new(BINARY)
        .args(["demo", "--once"])
        .output()
        .unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{told}");
    for words in [
        "638444812",
        "217812",
        "ClaveMadrid",
        "RECIPIENT_NOT_MOBILE",
        "GATEWAY_REJECTED_NUMBER",
        "replayed = true",
    ] {
        assert!(told.contains(words), "expected {words} in:\n{told}");
    }
    assert!(!told.contains("NOT as it should be"));
    // A blank line follows each scene.
    let scene = |words: &[&str]| {
        let mut scenes = told.split("\n\n");
        scenes.any(|scene| words.iter().all(|word| scene.contains(word)))
    };
    for words in [
        // A report says that the handset has it, over each kind of platform that has reports.
        &["by accounts/sevilla-soap\n", "→ DELIVERED", "“ClaveSevill”"][..],
        &[
            "by accounts/avisos-mensatek\n",
            "→ DELIVERED",
            "“ClaveAvisos”",
        ],
        // One account cannot send it, so another one does, under its own sender; it is delivered there.
        &[
            "by accounts/organismo-soap\n",
            " (on accounts/organismo-rest)",
            "→ DELIVERED",
            "“217812”",
        ],
    ] {
        assert!(scene(words), "no scene with {words:?} in:\n{told}");
    }
}

/// What a command leaves behind in its folder when it is made to crash where images of crashed processes are wanted.
async fn left_by_a_crash(run: impl AsyncFn(Command)) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command.current_dir(folder.path());
    command.args(["-c", "ulimit -c unlimited && exec \"$@\"", "sh"]);
    run(command).await;
    std::fs::read_dir(folder.path()).unwrap().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_writes_no_image_of_the_memory() {
    let control = left_by_a_crash(async |mut command| {
        command.args(["sh", "-c", "kill -ABRT $$"]);
        command.status().unwrap();
    });
    // Elsewhere images go to a program, or the limit is fixed: then the limit of the process alone shows something.
    let are_written = control.await > 0;
    let platform = platform(Script::new()).await;
    let files = Files::write(&platform.endpoint());
    let left = left_by_a_crash(async |mut command| {
        command.arg(BINARY).arg("serve").arg("--config");
        command.arg(files.path("service.toml"));
        let process = Process::run(command).await;
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", process.id())).unwrap();
        let mut lines = limits.lines();
        let limit = lines.find_map(|line| line.strip_prefix("Max core file size"));
        let words: Vec<&str> = limit.unwrap().split_whitespace().collect();
        assert_eq!(words[..2], ["0", "0"]);
        process.signal("ABRT");
        let (status, _) = process.ended().await;
        assert_eq!(status.code(), None, "ended by the signal");
    });
    assert!(left.await == 0 || !are_written);
}
