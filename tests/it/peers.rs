//! Programs that nobody here wrote, on both sides of the service: a client made with grpcio, a gateway made with the
//! XML-RPC server of Python's standard library, one made with the SOAP stack zeep (`tests/peers`), and one that Prism makes of
//! a description.
//!
//! `./test` makes their environment. Without it a story prints that it is skipped; under `./test` and with `CI=true` that is
//! a failure.

mod prism;
mod prism_simulator;
mod soap;
mod soap_schema;
mod soap_service;
mod soap_simulator;

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tempfile::TempDir;

const ADMINISTRATION: &str = "L01280796";
const API_USER: &str = "00000000-example01";
const PASSWORD: &str = "not-a-real-password";
const CODES: usize = 400;
/// How long a program may take to say where it listens.
const START_LIMIT: Duration = Duration::from_secs(30);

/// Names the environment that `./test` made; where it is set, nothing may be left out.
const ENVIRONMENT: &str = "CLAVE_OTP_TEST_ENV";

/// Whether a story may not be left out because a program is missing.
fn must_run() -> bool {
    std::env::var_os(ENVIRONMENT).is_some() || std::env::var_os("CI").is_some_and(|ci| ci == "true")
}

/// A program of the environment; `None` where it is missing and nobody insists on it.
fn environment(program: &str) -> Option<PathBuf> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let environment = std::env::var_os(ENVIRONMENT).map(PathBuf::from);
    let environment = environment.unwrap_or_else(|| repository.join(".test-env"));
    let program = environment.join(program);
    if program.is_file() {
        return Some(program);
    }
    let missing = format!(
        "{} is missing: run ./test, which installs it",
        program.display()
    );
    assert!(!must_run(), "{missing}");
    eprintln!("skipped: {missing}");
    None
}

/// A program that runs until it is told to stop; killed when a test fails.
struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (told, lines) = mpsc::channel();
        thread::spawn(move || {
            // Reading goes on to the end even when nobody listens any more: a full pipe would stop the program.
            for line in output.lines().map_while(Result::ok) {
                let _ = told.send(line);
            }
        });
        Self { child, lines }
    }

    /// What follows `beginning` on the first line.
    fn announced(&self, beginning: &str) -> String {
        let line = self.lines.recv_timeout(START_LIMIT);
        let line = line.expect("the program says where it listens; see its standard error above");
        let rest = line.strip_prefix(beginning);
        rest.unwrap_or_else(|| panic!("{beginning:?} in {line:?}"))
            .to_owned()
    }

    /// What follows `words` on the first line that has them, which is among the first hundred.
    fn announced_somewhere(&self, words: &str) -> String {
        let mut lines = (0..100).map_while(|_| self.lines.recv_timeout(START_LIMIT).ok());
        let found = lines.find_map(|line| Some(line.split_once(words)?.1.to_owned()));
        found.unwrap_or_else(|| panic!("no line says {words:?}; see its standard error above"))
    }

    /// Asks it to end and waits until it has.
    fn terminate(mut self) -> ExitStatus {
        let process = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &process]).status();
        assert!(asked.unwrap().success());
        self.child.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The Python programs.
struct Peers {
    python: PathBuf,
}

impl Peers {
    /// `None` where their environment is missing and nobody insists on it.
    fn ready() -> Option<Self> {
        environment("venv/bin/python").map(|python| Self { python })
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(&self.python);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers");
        // -B: no bytecode files in the work tree.
        command.arg("-B").arg(script.join(name));
        command
    }

    /// Runs a program to its end; the JSON that it prints.
    fn json_of(&self, name: &str, arguments: &[&str]) -> Value {
        let mut command = self.program(name);
        let output = command.args(arguments).output().unwrap();
        let problem = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {problem}");
        serde_json::from_slice(&output.stdout).expect("one JSON object")
    }

    fn gateway(&self, folder: &Path, delay_ms: u32) -> Gateway {
        let mut command = self.program("gateway.py");
        command.args(["--delay-ms", &delay_ms.to_string()]);
        Self::platform(command, folder)
    }

    /// Starts a program that plays the platform, and keeps its book in the folder.
    fn platform(mut command: Command, folder: &Path) -> Gateway {
        let record = folder.join("received.json");
        command.arg("--record").arg(&record);
        command.args(["--login", API_USER]);
        let running = Running::start(command.env("PEER_PASSWORD", PASSWORD));
        let address = running.announced("listening on ");
        Gateway {
            running,
            address,
            record,
        }
    }
}

/// The gateway, running.
struct Gateway {
    running: Running,
    address: String,
    record: PathBuf,
}

impl Gateway {
    /// Stops it; what it received.
    fn stop<T: DeserializeOwned>(self) -> T {
        assert!(self.running.terminate().success(), "the gateway ends well");
        serde_json::from_slice(&fs::read(self.record).unwrap()).unwrap()
    }
}

/// The gateway's book.
#[derive(Debug, Deserialize)]
struct Received {
    messages: Vec<Message>,
    requests: usize,
    most_in_flight: usize,
    largest_batch: usize,
    wrong_credentials: usize,
    malformed: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Message {
    number: String,
    text: String,
    sender: String,
}

/// The real program `clave-otp serve`, with one administration whose account is at `gateway`.
struct Service {
    running: Running,
    grpc: String,
    // Removed last, when nothing writes there any more.
    _folder: TempDir,
}

impl Service {
    fn start(gateway: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let service_file = folder.path().join("service.toml");
        write_configuration(folder.path(), gateway);
        let mut command = Command::new(env!("CARGO_BIN_EXE_clave-otp"));
        command.args(["serve", "--config"]).arg(&service_file);
        let running = Running::start(&mut command);
        let addresses = running.announced("clave-otp is listening: grpc ");
        let (grpc, _) = addresses.split_once(", admin ").expect("two addresses");
        Self {
            grpc: grpc.to_owned(),
            running,
            _folder: folder,
        }
    }
}

fn write_configuration(folder: &Path, gateway: &str) {
    let service = r#"
        [grpc]
        listen = "127.0.0.1:0"
        [admin]
        listen = "127.0.0.1:0"
        [store]
        url = "sqlite://clave-otp.db"
        sealing_key_file = "sealing.key"
        [administrations]
        directory = "administrations"
        [[callers]]
        name = "peer"
        loopback = true
        administrations = ["*"]
        roles = ["sender"]
    "#;
    let administration = format!(
        r#"
        [administration]
        dir3 = "{ADMINISTRATION}"
        name = "Ayuntamiento de Madrid"
        nif = "P2807900B"
        default_language = "es"
        [[accounts]]
        id = "madrid-mn"
        gateway = "mensajeria-negocios"
        protocol = "xml-rpc"
        endpoint = "http://{gateway}/SrvConexion"
        api_user = "{API_USER}"
        password_file = "../madrid-mn.password"
        senders = ["ClaveMadrid", "217812"]
        default_sender = "ClaveMadrid"
        [[aliases]]
        alias = "ClaveMadrid"
        status = "inscribed"
        inscribed_on = 2026-08-03
        enabled_gateways = ["mensajeria-negocios"]
        "#
    );
    let administrations = folder.join("administrations");
    fs::create_dir(&administrations).unwrap();
    fs::write(folder.join("service.toml"), service).unwrap();
    let file = administrations.join(format!("{ADMINISTRATION}.toml"));
    fs::write(file, administration).unwrap();
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let secret = options.open(folder.join("madrid-mn.password"));
    secret.unwrap().write_all(PASSWORD.as_bytes()).unwrap();
}

/// The messages that must arrive, as the client wrote them down, in the gateway's form: nine digits.
fn expected(file: &Path) -> Vec<Message> {
    let text = fs::read(file).unwrap();
    let mut messages: Vec<Message> = serde_json::from_slice(&text).unwrap();
    for message in &mut messages {
        message.number = message.number.replacen("+34", "", 1);
    }
    messages.sort();
    messages
}

#[test]
fn four_hundred_codes_of_a_grpcio_client_reach_a_python_gateway_exactly_once() {
    let Some(peers) = Peers::ready() else { return };
    let folder = tempfile::tempdir().unwrap();
    let gateway = peers.gateway(folder.path(), 100);
    let service = Service::start(&gateway.address);

    let plan = folder.path().join("expected.json");
    let mut arguments = vec!["--target", &service.grpc];
    arguments.extend(["--administration", ADMINISTRATION]);
    arguments.extend(["--expected", plan.to_str().unwrap()]);
    let summary = peers.json_of("client.py", &arguments);
    assert!(
        service.running.terminate().success(),
        "status 0 after SIGTERM"
    );
    let mut received: Received = gateway.stop();

    assert_eq!(summary["accepted"], CODES, "{summary}");
    // Each tenth request is made twice at once, and the first twenty again later.
    assert_eq!(summary["replayed"], CODES / 10 + 20, "{summary}");
    assert_eq!(summary["deliveries"], CODES, "{summary}");
    let alone = "requests_with_one_delivery_and_one_first";
    assert_eq!(summary[alone], CODES, "{summary}");
    let sent = serde_json::json!({ "DELIVERY_STATE_SENT": CODES });
    assert_eq!(summary["states"], sent, "{summary}");

    let planned = expected(&plan);
    received.messages.sort();
    assert_eq!(received.messages.len(), CODES, "each exactly once");
    assert_eq!(planned.len(), CODES);
    for (got, wanted) in received.messages.iter().zip(&planned) {
        assert_eq!(got, wanted);
    }
    assert_eq!((received.wrong_credentials, received.malformed), (0, 0));
    assert_eq!(received.most_in_flight, 1, "one request at a time");
    assert!(
        received.largest_batch > 50,
        "the lane gathers while a request is under way: {} requests, the largest with {}",
        received.requests,
        received.largest_batch
    );
}

#[test]
fn a_stranger_learns_the_services_by_reflection_and_finds_them_serving() {
    let Some(peers) = Peers::ready() else { return };
    // Nothing is sent in this story, so no gateway needs to be there: port 9 discards.
    let service = Service::start("127.0.0.1:9");
    let delivery_service = "clave.otp.v1.DeliveryService";
    let mut arguments = vec!["--target", &service.grpc];
    arguments.extend(["--health", "", "--health", delivery_service]);
    let found = peers.json_of("explorer.py", &arguments);

    let services: BTreeMap<String, Vec<String>> =
        serde_json::from_value(found["services"].clone()).unwrap();
    assert_eq!(
        services[delivery_service],
        [
            "CancelDelivery",
            "CreateDelivery",
            "GetDelivery",
            "ListDeliveries",
            "PreviewDelivery",
            "WatchDeliveries",
            "WatchDelivery"
        ]
    );
    assert!(services.contains_key("grpc.health.v1.Health"), "{found}");
    let reflection = "grpc.reflection.v1.ServerReflection";
    assert!(services.contains_key(reflection), "{found}");
    let serving = serde_json::json!({ "": "SERVING", delivery_service: "SERVING" });
    assert_eq!(found["health"], serving);
    assert!(service.running.terminate().success());
}

/// The first story rests on this: a gateway that could not see two requests at once would prove nothing.
#[test]
fn the_python_gateway_sees_two_requests_at_once_and_reads_the_declared_encoding() {
    let Some(peers) = Peers::ready() else { return };
    let folder = tempfile::tempdir().unwrap();
    // Long enough for the second request to begin, however busy the machine is.
    let gateway = peers.gateway(folder.path(), 1000);
    let connections = ["600000001", "600000002"].map(|number| {
        let mut connection = TcpStream::connect(&gateway.address).unwrap();
        connection.write_all(&request(number)).unwrap();
        connection
    });
    for mut connection in connections {
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("<value><int>0</int></value>"), "{answer}");
    }
    let mut received: Received = gateway.stop();
    received.messages.sort();
    assert_eq!(received.most_in_flight, 2);
    assert_eq!(received.messages.len(), 2);
    assert_eq!(received.messages[0].number, "600000001");
    assert_eq!(received.messages[0].text, "ñ €");
    assert_eq!(received.messages[0].sender, "217812");
}

/// One request with one message, in ISO-8859-15.
fn request(number: &str) -> Vec<u8> {
    let before = format!(
        "<?xml version=\"1.0\" encoding=\"ISO-8859-15\"?><methodCall>\
         <methodName>MensajeriaNegocios.enviarSMS</methodName><params>\
         <param><value><string>{API_USER}</string></value></param>\
         <param><value><string>{PASSWORD}</string></value></param>\
         <param><value><array><data><value><array><data>\
         <value><string>{number}</string></value><value><string>"
    );
    let after = "</string></value><value><string>217812</string></value>\
         </data></array></value></data></array></value></param></params></methodCall>";
    // "ñ €": in this encoding one byte each.
    let body = [before.as_bytes(), &[0xf1, b' ', 0xa4], after.as_bytes()].concat();
    let head = format!(
        "POST /SrvConexion HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), &body].concat()
}
