//! Two reports of one delivery at the same moment, whole but for their last byte when they are let go: over SOAP and over REST
//! one of them settles it, and both are acknowledged.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::Barrier,
    thread,
};

use clave_otp::{
    grpc::proto::DeliveryState,
    simulator::{Action, Match, Script},
};
use url::Url;

use crate::{
    golden_platform::{BOTH, Change, Spoken, address_of, changes, reports},
    reported::speak,
    support::{Files, PATIENCE, platform, process::Process, request_to},
};

/// Two are sometimes a little apart; in so many pairs both orders are seen.
const DELIVERIES: u32 = 25;

/// A request that waits for its last byte.
struct Held {
    stream: TcpStream,
    last: u8,
}

impl Held {
    fn at(url: &Url, spoken: &Spoken, body: &[u8]) -> Self {
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n",
            url.path(),
            spoken.media_type,
            body.len()
        );
        let mut stream = TcpStream::connect(("127.0.0.1", url.port().unwrap())).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let (last, start) = body.split_last().unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(start).unwrap();
        Self {
            stream,
            last: *last,
        }
    }

    /// Ends it together with the others at the barrier; the whole answer.
    fn end(mut self, together: &Barrier) -> String {
        together.wait();
        self.stream.write_all(&[self.last]).unwrap();
        let mut answer = String::new();
        self.stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

/// Ends both at once.
fn at_once(reports: [Held; 2]) -> Vec<String> {
    let together = &Barrier::new(reports.len());
    thread::scope(|scope| {
        let ends = reports.map(|report| scope.spawn(move || report.end(together)));
        ends.map(|end| end.join().unwrap()).into()
    })
}

/// Sends codes of which each gets these two reports at once; their final states.
async fn settled_by(
    spoken: &Spoken,
    words: [&str; 2],
    effect_of_second: &str,
) -> Vec<DeliveryState> {
    let simulator = platform(Script::new().on(Match::always(), Action::NoReport)).await;
    let files = Files::write(&simulator.endpoint());
    speak(&files, spoken.protocol);
    let service = Process::start(&files).await;
    let url = service.report_url("madrid-mn").await;
    let mut states = Vec::new();
    for citizen in 1..=DELIVERIES {
        let name = service.create(request_to(citizen)).await.unwrap().name;
        service.until(&name, DeliveryState::Sent).await;
        let messages = simulator.ledger().messages();
        let message = messages.last().unwrap();
        // One says whose it is by its address, the other by the message's id.
        let [one, other] = words.map(|word| spoken.report(message, word));
        let held = [
            Held::at(&address_of(&url, &name), spoken, &one),
            Held::at(&url, spoken, &other),
        ];
        let acknowledgement = spoken.report_taken().body;
        for answer in at_once(held) {
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            assert!(answer.as_bytes().ends_with(&acknowledgement), "{answer}");
        }
        let delivery = service.get(&name).await.unwrap();
        assert_settled_once(&changes(&files, &name), delivery.state(), &delivery.reason);
        states.push(delivery.state());
    }
    let count = |effect: &str| reports(&service, "madrid-mn", effect);
    let all = u64::from(DELIVERIES);
    assert_eq!((count("settled"), count(effect_of_second)), (all, all));
    service.stop().await;
    states
}

/// The log tells one end, which is the delivery's own.
fn assert_settled_once(log: &[Change], state: DeliveryState, reason: &str) {
    use DeliveryState::{Accepted, Sending, Sent};
    let states: Vec<DeliveryState> = log.iter().map(|(state, ..)| *state).collect();
    assert_eq!(states, [Accepted, Sending, Sent, state]);
    let told = log[3].1.as_deref().unwrap_or_default();
    assert_eq!(told, reason);
    let expected = match state {
        DeliveryState::Delivered => "",
        DeliveryState::Failed => "REPORTED_REJECTED",
        other => panic!("{other:?}"),
    };
    assert_eq!(reason, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_report_twice_at_once_settles_a_delivery_once_and_both_are_acknowledged() {
    for spoken in &BOTH {
        let states = settled_by(spoken, ["Delivered"; 2], "repeated").await;
        assert!(
            states
                .iter()
                .all(|state| *state == DeliveryState::Delivered)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_reports_at_once_that_contradict_each_other_one_settles_and_both_are_acknowledged() {
    for spoken in &BOTH {
        for words in [["Delivered", "Rejected"], ["Rejected", "Delivered"]] {
            settled_by(spoken, words, "noted").await;
        }
    }
}
