//! What comes to the reports' port and is no report: a citizen's answer, what cannot be read, what is too large without
//! saying so. The exact bytes of the golden files go in and come out of the real program, and the next report is taken.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::TcpStream,
    thread,
};

use clave_otp::grpc::proto::DeliveryState;
use url::Url;

use crate::{
    gateway_common::golden,
    golden_platform::{BOTH, MESSAGE_ID, Spoken, Story, address_of, kept_reports, post},
    support::{PATIENCE, store_bytes},
};

/// Where these words stand, with what is around them.
fn found(bytes: &[u8], words: &str) -> Option<String> {
    let mut windows = bytes.windows(words.len());
    let place = windows.position(|window| window == words.as_bytes())?;
    let around = &bytes[place.saturating_sub(300)..bytes.len().min(place + 300)];
    Some(String::from_utf8_lossy(around).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_citizens_answer_is_acknowledged_and_counted_and_nothing_of_it_is_kept() {
    for spoken in &BOTH {
        let story = Story::begin(spoken, |_| {}).await;
        let before = story.seen().await;
        let answer = story.tell(spoken.golden("callback-citizen-answer")).await;
        assert_eq!(answer, spoken.citizens_answer_taken());
        assert_eq!(story.reports("citizen_answer"), 1, "{}", spoken.protocol);
        assert_eq!(story.reports("settled"), 0);
        assert_eq!(story.seen().await, before);
        assert_eq!(kept_reports(&story.files), 0);

        let (_, metrics) = story.service.page("/metrics");
        let Story { service, files, .. } = story;
        service.signal("TERM");
        let (status, log) = service.ended().await;
        assert!(status.success(), "{log}");
        let kept = store_bytes(&files.path(""));
        // What may be seen is seen there: the searches find what is to be found.
        assert!(found(&kept, MESSAGE_ID).is_some());
        assert!(log.contains("\"level\":\"TRACE\""), "{log:.2000}");
        for (place, bytes) in [
            ("the store", kept.as_slice()),
            ("the log", log.as_bytes()),
            ("the metrics", metrics.as_bytes()),
        ] {
            // Not six digits alone: times and sums have them by chance.
            for words in ["BAJA", "canary 748291", "600000001"] {
                assert_eq!(found(bytes, words), None, "{words} in {place}");
            }
        }
    }
}

/// Each golden file that is no report, as what it comes, the status of the answer, and the word for what is wrong.
fn no_reports(spoken: &Spoken) -> Vec<(Vec<u8>, &'static str, u16, &'static str)> {
    let files: &[(&str, &str)] = match spoken.protocol {
        "soap" => &[
            ("soap/callback-entity-bomb.xml", "document_type"),
            ("soap/callback-external-entity.xml", "document_type"),
            ("soap/callback-wrong-namespace.xml", "namespace"),
            ("soap/callback-no-namespace.xml", "namespace"),
            ("soap/callback-without-status.xml", "element"),
            ("soap/callback-without-recipient.xml", "element"),
            ("soap/callback-status-twice.xml", "element"),
            ("soap/callback-another-message.xml", "unknown_message"),
            ("soap/callback-not-closed.xml", "not_soap"),
            ("rest/callback-delivered.json", "not_soap"),
        ],
        _ => &[
            ("rest/callback-not-closed.json", "not_json"),
            ("rest/callback-array.json", "not_json"),
            ("rest/callback-status-twice.json", "not_json"),
            ("rest/callback-wrong-type.json", "field"),
            ("rest/callback-without-status.json", "field"),
            ("rest/callback-without-recipient.json", "field"),
            ("rest/callback-xml.json", "not_json"),
            ("soap/callback-entity-bomb.xml", "not_json"),
        ],
    };
    let own = spoken.media_type;
    let read = files
        .iter()
        .map(|&(file, problem)| (golden(file), own, 400, problem));
    let report = spoken.golden("callback-delivered");
    let unread = [spoken.other_media_type, "text/plain", ""]
        .map(|media_type| (report.clone(), media_type, 415, "content_type"));
    read.chain(unread).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_report_is_refused_in_exact_words_and_counted_and_the_next_report_is_taken() {
    for spoken in &BOTH {
        let story = Story::begin(spoken, |_| {}).await;
        let before = story.seen().await;
        let of_delivery = address_of(&story.url, &story.name);
        let mut expected: BTreeMap<&str, u64> = BTreeMap::new();
        for (body, media_type, status, problem) in no_reports(spoken) {
            for url in [&story.url, &of_delivery] {
                let answer = post(url, media_type, body.clone()).await;
                let shown = String::from_utf8_lossy(&body);
                assert_eq!(answer, spoken.refused(status, problem), "{shown}");
                *expected.entry(problem).or_default() += 1;
            }
        }
        for (problem, count) in expected {
            let counted = story.refusals(problem);
            assert_eq!(counted, count, "{} {problem}", spoken.protocol);
        }
        assert_eq!(story.seen().await, before);
        assert_eq!(kept_reports(&story.files), 0);
        story.takes_the_next_report().await;
        story.service.stop().await;
    }
}

/// Longest body that the port of these stories reads.
const LIMIT: usize = 4096;
/// More than a connection can hold that nobody reads: whoever takes all of it has read on.
const HUGE: usize = 256 * 1024 * 1024;

/// The head of a request that does not say how long its body is.
fn unannounced(url: &Url, spoken: &Spoken) -> String {
    format!(
        "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {}\r\nTransfer-Encoding: chunked\r\n\r\n",
        url.path(),
        spoken.media_type
    )
}

fn chunk(piece: &[u8]) -> Vec<u8> {
    let length = format!("{:x}\r\n", piece.len());
    [length.as_bytes(), piece, b"\r\n"].concat()
}

fn connect(url: &Url) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", url.port().unwrap())).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// What comes until the other side has closed; a reset is one way to close.
fn until_closed(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let mut piece = [0; 1024];
    while let Ok(length @ 1..) = stream.read(&mut piece) {
        answer.extend_from_slice(&piece[..length]);
    }
    String::from_utf8(answer).unwrap()
}

/// Sends a body that does not end, until the other side hangs up: what that answered, and how much was sent.
fn endless(url: &Url, spoken: &Spoken) -> (String, usize) {
    let mut stream = connect(url);
    let reading = stream.try_clone().unwrap();
    let reading = thread::spawn(move || until_closed(reading));
    let head = unannounced(url, spoken);
    stream.write_all(head.as_bytes()).unwrap();
    let piece = chunk(&[b' '; 8 * 1024]);
    let mut sent = 0;
    while sent < HUGE && stream.write_all(&piece).is_ok() {
        sent += piece.len();
    }
    (reading.join().unwrap(), sent)
}

/// Sends this body in small chunks.
fn in_chunks(url: &Url, spoken: &Spoken, body: &[u8]) -> String {
    let mut stream = connect(url);
    let mut bytes = unannounced(url, spoken).into_bytes();
    bytes.extend(body.chunks(1000).flat_map(chunk));
    bytes.extend_from_slice(b"0\r\n\r\n");
    stream.write_all(&bytes).unwrap();
    until_closed(stream)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_huge_body_that_is_not_announced_is_cut_off_and_the_next_report_is_taken() {
    for spoken in &BOTH {
        let story = Story::begin(spoken, |files| {
            let keys = format!("[reports]\nmax_body_bytes = {LIMIT}\n");
            files.change("service.toml", "[reports]\n", &keys);
        })
        .await;
        let before = story.seen().await;
        let (answer, sent) = endless(&story.url, spoken);
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        assert!(sent < HUGE, "it was read to its end");
        assert_eq!(story.refusals("too_large"), 1);
        // One byte too many; the same report without it is taken.
        let mut body = spoken.golden("callback-delivered");
        body.resize(LIMIT + 1, b' ');
        let answer = in_chunks(&story.url, spoken, &body);
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        assert_eq!(story.refusals("too_large"), 2);
        assert_eq!(story.seen().await, before);
        let answer = in_chunks(&story.url, spoken, &body[..LIMIT]);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let acknowledgement = spoken.report_taken().body;
        assert!(answer.as_bytes().ends_with(&acknowledgement), "{answer}");
        let delivery = story.service.get(&story.name).await.unwrap();
        assert_eq!(delivery.state(), DeliveryState::Delivered);
        story.service.stop().await;
    }
}
