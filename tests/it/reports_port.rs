//! The port for reports under strain: its places are taken, one source holds them, the service stops while it is busy.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
};

use clave_otp::{
    grpc::proto::DeliveryState,
    simulator::{Action, Match, ReceivedMessage, Script, Simulator},
};
use tokio::net::TcpSocket;
use url::Url;

use crate::{
    reported::{deliver_by, speak},
    simulator::client,
    support::{Files, PATIENCE, platform, process::Process, request, soon},
};

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// Another source on the same machine.
pub(crate) const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A service over SOAP with these keys of its reports' port, its platform, which reports nothing by itself, and the account's
/// address.
struct Story {
    service: Process,
    simulator: Simulator,
    files: Files,
    url: Url,
}

impl Story {
    async fn begin(keys: &str) -> Self {
        let script = Script::new().on(Match::always(), Action::NoReport);
        let simulator = platform(script).await;
        let files = Files::write(&simulator.endpoint());
        speak(&files, "soap");
        files.change(
            "service.toml",
            "[reports]\n",
            &format!("[reports]\n{keys}\n"),
        );
        // Longer than the patience of any story: whoever waits for it fails.
        files.change(
            "service.toml",
            "[grpc]",
            "[grpc]\nshutdown_grace_seconds = 600",
        );
        let service = Process::start(&files).await;
        let url = service.report_url("madrid-mn").await;
        Self {
            service,
            simulator,
            files,
            url,
        }
    }

    fn port(&self) -> SocketAddr {
        SocketAddr::from((HERE, self.url.port().unwrap()))
    }

    /// A connection to the port from this address; it says nothing yet.
    async fn connect(&self, source: Ipv4Addr) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((IpAddr::from(source), 0).into()).unwrap();
        let stream = soon(socket.connect(self.port())).await.unwrap();
        let stream = stream.into_std().unwrap();
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends one code to its end at the platform; its name and what the platform received.
    async fn sends_one(&self) -> (String, ReceivedMessage) {
        let count = self.simulator.ledger().message_count();
        let name = self.service.create(request()).await.unwrap().name;
        self.service.until(&name, DeliveryState::Sent).await;
        let messages = self.simulator.ledger().messages();
        assert_eq!(messages.len() as u64, count + 1);
        (name, messages.last().unwrap().clone())
    }

    /// A whole report of that message as the bytes of one request.
    fn report_bytes(&self, message: &ReceivedMessage) -> Vec<u8> {
        let body = deliver_by(message);
        format!(
            "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n{body}",
            self.url.path(),
            body.len()
        )
        .into_bytes()
    }

    async fn is_delivered(&self, name: &str) {
        let state = self.service.get(name).await.unwrap().state();
        assert_eq!(state, DeliveryState::Delivered);
    }
}

/// Waits until the other side has closed; a reset is one way to close.
fn until_closed(mut stream: TcpStream) {
    let closed = stream.read_to_end(&mut Vec::new());
    let kind = closed.map_err(|error| error.kind());
    assert_ne!(kind, Err(ErrorKind::WouldBlock), "never closed");
}

fn answer(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_when_all_places_are_taken_is_turned_away_and_codes_go_on() {
    let keys = "max_connections = 3\nmax_connections_per_source = 3\ntimeout_ms = 120000";
    let story = Story::begin(keys).await;
    let mut holding = Vec::new();
    for _ in 0..3 {
        holding.push(story.connect(HERE).await);
    }
    for source in [HERE, ELSEWHERE] {
        until_closed(story.connect(source).await);
    }
    // One source has all its places and the port has none: either is a true answer to it.
    let all = story
        .service
        .metric("clave_otp_reports_connections_refused_total");
    let one = story
        .service
        .metric("clave_otp_reports_source_connections_refused_total");
    assert_eq!((all, one), (1, 1));
    // Codes go out as ever; only the report has to be repeated, as platforms do.
    let (name, message) = story.sends_one().await;
    let refused = story.simulator.send_report(&message, "Delivered").await;
    assert_eq!(refused.unwrap().status(), None);
    drop(holding);
    soon(async {
        loop {
            let report = story.simulator.send_report(&message, "Delivered").await;
            if report.unwrap().status() == Some(200) {
                break;
            }
        }
    })
    .await;
    story.is_delivered(&name).await;
    story.service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_holds_its_places_does_not_keep_the_reports_of_another_out() {
    let keys = "max_connections = 4\nmax_connections_per_source = 2\ntimeout_ms = 120000";
    let story = Story::begin(keys).await;
    let (name, message) = story.sends_one().await;
    let bytes = story.report_bytes(&message);
    // One never ends its head, one never ends its body; it knows the address, or it does not: nobody has looked yet.
    let mut slow_head = story.connect(ELSEWHERE).await;
    slow_head
        .write_all(b"POST /reports HTTP/1.1\r\nX: ")
        .unwrap();
    let mut slow_body = story.connect(ELSEWHERE).await;
    slow_body.write_all(&bytes[..bytes.len() - 1]).unwrap();
    for _ in 0..6 {
        until_closed(story.connect(ELSEWHERE).await);
    }
    let report = story.simulator.send_report(&message, "Delivered").await;
    assert_eq!(report.unwrap().status(), Some(200));
    story.is_delivered(&name).await;
    let refused = story
        .service
        .metric("clave_otp_reports_source_connections_refused_total");
    assert_eq!(refused, 6);
    assert_eq!(
        story
            .service
            .metric("clave_otp_reports_connections_refused_total"),
        0
    );
    // Who goes gives the place back.
    drop((slow_head, slow_body));
    let again = reqwest_from(ELSEWHERE);
    soon(async {
        while !matches!(again.get(story.url.clone()).send().await, Ok(answer) if answer.status() == 200)
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
    story.service.stop().await;
}

/// A client on another address of the machine.
pub(crate) fn reqwest_from(source: Ipv4Addr) -> reqwest::Client {
    // Installs what TLS needs, as the client of all stories does.
    let _ = client();
    let builder = reqwest::ClientBuilder::new().no_proxy();
    builder.local_address(IpAddr::from(source)).build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_is_arriving_when_the_service_stops_is_kept_and_answered() {
    let story = Story::begin("timeout_ms = 120000").await;
    let (name, message) = story.sends_one().await;
    let bytes = story.report_bytes(&message);
    let (start, rest) = bytes.split_at(bytes.len() - 20);
    let mut arriving = story.connect(HERE).await;
    arriving.write_all(start).unwrap();
    // Answered after it: the one that is arriving has a place.
    let looked = client().get(story.url.clone()).send().await.unwrap();
    assert_eq!(looked.status(), 200);
    story.service.signal("TERM");
    // Nobody else is let in any more.
    soon(async {
        while TcpStream::connect(story.port()).is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    arriving.write_all(rest).unwrap();
    let told = answer(arriving);
    assert!(told.starts_with("HTTP/1.1 200"), "{told}");
    let (status, log) = story.service.ended().await;
    assert!(status.success(), "{log}");
    let service = Process::start(&story.files).await;
    let found = service.get(&name).await.unwrap();
    assert_eq!(found.state(), DeliveryState::Delivered);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_may_be_as_large_as_its_key_says_and_no_larger() {
    let story = Story::begin("max_body_bytes = 200000").await;
    let (name, message) = story.sends_one().await;
    for (length, status) in [(200_001, 413), (200_000, 200)] {
        let mut body = deliver_by(&message);
        body.extend(std::iter::repeat_n(' ', length - body.len()));
        let request = client().post(story.url.clone());
        let sent = request.header("content-type", "text/xml").body(body);
        assert_eq!(sent.send().await.unwrap().status(), status, "{length}");
    }
    story.is_delivered(&name).await;
    story.service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_on_the_reports_port_keeps_the_service_no_longer_than_its_time_out() {
    let story = Story::begin("timeout_ms = 1000").await;
    let (_, message) = story.sends_one().await;
    let bytes = story.report_bytes(&message);
    let mut silent = Vec::new();
    for length in [0, 10, bytes.len() - 1] {
        let mut stream = story.connect(HERE).await;
        stream.write_all(&bytes[..length]).unwrap();
        silent.push(stream);
    }
    story.service.signal("TERM");
    let (status, log) = story.service.ended().await;
    assert!(status.success(), "{log}");
    assert!(!log.contains("the grace time is over"), "{log}");
    for stream in silent {
        until_closed(stream);
    }
}
