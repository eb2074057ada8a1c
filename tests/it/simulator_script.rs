//! Every action of a script does to the connection what it says; what a panel would change changes at once.

use std::{path::Path, time::Duration};

use clave_otp::simulator::{Action, Gate, Match, Script, Simulator};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::simulator::{
    LOGIN, PASSWORD, answer, call_to, client, codes_of, good_call, post, raw_post, simulator,
};

const TWO: [(&str, &str, &str); 2] = [
    ("600000001", "uno", "217812"),
    ("600000002", "dos", "217812"),
];

async fn always(action: Action) -> Simulator {
    simulator(Script::new().on(Match::always(), action)).await
}

fn told(simulator: &Simulator) -> Vec<Option<i32>> {
    let messages = simulator.ledger().messages();
    messages.iter().map(|message| message.code).collect()
}

/// Sends two messages over a bare socket and reads until the simulator closes the connection.
async fn raw_exchange(simulator: &Simulator) -> Vec<u8> {
    let mut socket = TcpStream::connect(simulator.address()).await.unwrap();
    let request = raw_post(&good_call(&TWO));
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    // Closed either way: with an end or with a reset.
    let _ = socket.read_to_end(&mut bytes).await;
    bytes
}

#[tokio::test]
async fn codes_are_told_to_the_messages_that_a_rule_names() {
    let script = Script::new()
        .on(Match::phone("600000001").times(1), Action::Code(-42))
        .on(Match::request(2), Action::Code(7))
        .on(Match::phone("123"), Action::Code(-43));
    let simulator = simulator(script).await;
    let messages = [TWO[0], TWO[1], ("123", "tres", "217812")];
    let first = answer(&simulator, good_call(&messages)).await;
    assert_eq!(
        codes_of(&first),
        Some(vec![-42, 0, -5]),
        "checks come first"
    );
    let second = answer(&simulator, good_call(&messages)).await;
    assert_eq!(codes_of(&second), Some(vec![7, 7, -5]));
    let third = answer(&simulator, good_call(&messages)).await;
    assert_eq!(codes_of(&third), Some(vec![0, 0, -5]));
}

#[tokio::test]
async fn every_nth_request_of_a_login_can_fail() {
    let script = Script::new().on(Match::every(3), Action::BareInt(-7));
    let simulator = simulator(script).await;
    let mut failed = Vec::new();
    for number in 1..=7 {
        let told = answer(&simulator, good_call(&TWO)).await;
        if codes_of(&told).is_none() {
            assert!(told.contains("<param><value><int>-7</int></value></param>"));
            failed.push(number);
        }
    }
    assert_eq!(failed, [3, 6]);
}

#[tokio::test]
async fn a_drop_after_reading_receives_the_messages_and_writes_not_one_byte() {
    let simulator = always(Action::DropAfterReading).await;
    assert_eq!(raw_exchange(&simulator).await, b"");
    assert_eq!(told(&simulator), [None, None]);
    assert!(post(&simulator, good_call(&TWO)).await.is_err());
    assert_eq!(simulator.ledger().max_in_flight_of_all(), 1);
}

#[tokio::test]
async fn a_drop_before_reading_receives_nothing_and_writes_not_one_byte() {
    let simulator = always(Action::DropBeforeReading).await;
    assert_eq!(raw_exchange(&simulator).await, b"");
    let ledger = simulator.ledger();
    assert_eq!((ledger.request_count(), ledger.message_count()), (1, 0));
    let script = Script::new().on(Match::phone("600000001"), Action::DropBeforeReading);
    assert!(
        simulator.play(script).is_err(),
        "the phone stands in the body"
    );
}

#[tokio::test]
async fn a_partial_answer_breaks_off_after_its_head_and_half_its_body() {
    let simulator = always(Action::PartialAnswer).await;
    let bytes = String::from_utf8(raw_exchange(&simulator).await).unwrap();
    let (head, body) = bytes.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"));
    let announced = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .unwrap();
    assert_eq!(body.len(), announced.parse::<usize>().unwrap() / 2);
    assert_eq!(told(&simulator), [None, None]);
    let response = post(&simulator, good_call(&TWO)).await.unwrap();
    assert!(response.text().await.is_err());
}

#[tokio::test]
async fn an_array_can_be_too_short_or_too_long() {
    let short = always(Action::TooShort).await;
    let codes = codes_of(&answer(&short, good_call(&TWO)).await);
    assert_eq!(codes, Some(vec![0]));
    assert_eq!(told(&short), [Some(0), None]);
    let long = always(Action::TooLong).await;
    let codes = codes_of(&answer(&long, good_call(&TWO)).await);
    assert_eq!(codes, Some(vec![0, 0, 0]));
}

#[tokio::test]
async fn an_array_can_hold_a_value_of_the_wrong_type() {
    let simulator = always(Action::WrongType).await;
    let written = answer(&simulator, good_call(&TWO)).await;
    assert!(written.contains("<value><string>0</string></value><value><int>0</int></value>"));
    assert_eq!(told(&simulator), [None, Some(0)]);
}

#[tokio::test]
async fn a_fault_carries_its_code_and_text() {
    let text = "año & <fin>".to_owned();
    let simulator = always(Action::Fault { code: 4, text }).await;
    let written = answer(&simulator, good_call(&TWO)).await;
    assert!(written.contains("<name>faultCode</name><value><int>4</int>"));
    assert!(written.contains("<string>a&#241;o &amp; &lt;fin&gt;</string>"));
    assert_eq!(told(&simulator), [None, None]);
}

#[tokio::test]
async fn an_answer_can_be_malformed_or_a_page_for_people() {
    let malformed = always(Action::MalformedXml).await;
    let written = answer(&malformed, good_call(&TWO)).await;
    assert!(roxmltree::Document::parse(&written).is_err());
    let page = always(Action::HtmlPage).await;
    let response = post(&page, good_call(&TWO)).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(
        response.headers()["content-type"],
        "text/html; charset=utf-8"
    );
    assert!(response.text().await.unwrap().contains("<html>"));
}

#[tokio::test]
async fn any_error_status_can_be_answered_with_or_without_retry_after() {
    for (status, retry_after) in [
        (500, None),
        (401, None),
        (503, Some(Duration::from_secs(7))),
    ] {
        let simulator = always(Action::HttpStatus {
            status,
            retry_after,
        })
        .await;
        let response = post(&simulator, good_call(&TWO)).await.unwrap();
        assert_eq!(response.status(), status);
        let pause = response.headers().get("retry-after");
        assert_eq!(
            pause.map(|value| value.to_str().unwrap()),
            retry_after.map(|_| "7")
        );
        assert_eq!(told(&simulator), [None, None]);
    }
}

#[tokio::test]
async fn a_flood_is_as_long_as_it_says() {
    let simulator = always(Action::Flood { megabytes: 10 }).await;
    let mut response = post(&simulator, good_call(&TWO)).await.unwrap();
    let mut length = 0;
    while let Some(piece) = response.chunk().await.unwrap() {
        length += piece.len();
    }
    assert!((10_000_000..10_100_000).contains(&length), "{length}");
    simulator.ledger().until_ended(1).await;
}

#[tokio::test]
async fn a_slow_answer_comes_whole_and_its_request_is_in_flight_all_the_while() {
    let pause = Duration::from_millis(5);
    let simulator = always(Action::SlowDrip { pause }).await;
    let mut response = post(&simulator, good_call(&TWO)).await.unwrap();
    let mut body = response.chunk().await.unwrap().unwrap().to_vec();
    assert_eq!(
        told(&simulator),
        [None, None],
        "not ended at its first bytes"
    );
    while let Some(piece) = response.chunk().await.unwrap() {
        body.extend_from_slice(&piece);
    }
    let body = String::from_utf8(body).unwrap();
    assert_eq!(codes_of(&body), Some(vec![0, 0]));
    assert_eq!(told(&simulator), [Some(0), Some(0)]);
}

#[tokio::test]
async fn latency_and_delays_add_up() {
    let script = Script::new().latency(Duration::from_millis(40)).on(
        Match::phone("600000002"),
        Action::Delay(Duration::from_millis(40)),
    );
    let simulator = simulator(script).await;
    let patient = client();
    let within = |milliseconds: u64, phone: &'static str| {
        let request = patient
            .post(simulator.endpoint())
            .header("Content-Type", "text/xml")
            .body(call_to(phone));
        tokio::time::timeout(Duration::from_millis(milliseconds), request.send())
    };
    assert!(
        within(35, "600000001").await.is_err(),
        "sooner than the latency"
    );
    assert!(within(75, "600000002").await.is_err(), "sooner than both");
    let whole = within(10_000, "600000002").await.unwrap().unwrap();
    assert_eq!(whole.status(), 200);
}

#[tokio::test]
async fn another_script_can_be_played_while_it_runs() {
    let simulator = always(Action::BareInt(-7)).await;
    assert_eq!(codes_of(&answer(&simulator, good_call(&TWO)).await), None);
    simulator.play(Script::new()).unwrap();
    let codes = codes_of(&answer(&simulator, good_call(&TWO)).await);
    assert_eq!(codes, Some(vec![0, 0]));
}

#[tokio::test]
async fn a_gate_lets_through_as_many_as_it_is_told() {
    let gate = Gate::new();
    let simulator = always(Action::Hold(gate.clone())).await;
    gate.release_one();
    answer(&simulator, good_call(&TWO)).await;
    let held = post(&simulator, good_call(&TWO));
    let (response, ()) = tokio::join!(held, async {
        simulator.ledger().until_held(1).await;
        gate.open();
    });
    assert_eq!(response.unwrap().status(), 200);
}

#[tokio::test]
async fn the_sample_script_is_read_and_does_what_it_says() {
    let sample = "docs/samples/simulator-script.toml";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(sample);
    let simulator = simulator(Script::from_file(&path).unwrap()).await;
    let messages = [
        ("600000005", "uno", "217812"),
        ("600000007", "dos", "217812"),
    ];
    let told = answer(&simulator, good_call(&messages)).await;
    assert_eq!(codes_of(&told), Some(vec![-5, 0]));
    let told = answer(&simulator, call_to("600000012")).await;
    assert!(told.contains("int&#233;ntelo"), "{told}");
    assert_eq!(raw_exchange(&simulator).await, b"", "the third request");
    let told = answer(&simulator, call_to("600000014")).await;
    assert_eq!(codes_of(&told), Some(vec![]));
}

#[test]
fn the_sample_script_shows_every_action_and_every_key() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/samples/simulator-script.toml");
    let sample = std::fs::read_to_string(path).unwrap();
    // serde names what it expected in place of a word that it does not know.
    for unknown in [
        "[[rules]]\nunknown = 1",
        "[[rules]]\naction = { report = { unknown = 1 } }",
        "unknown = 1",
        "[codes]\nunknown = 1",
        "[submit_codes]\nunknown = 1",
        "[reports]\nunknown = 1",
        "[mensatek]\nunknown = 1",
        "[callback]\nunknown = 1",
    ] {
        let told = Script::from_toml(unknown).unwrap_err().to_string();
        let (_, expected) = told.split_once("expected").expect(&told);
        let expected = expected.split(" for key ").next().unwrap();
        let names: Vec<_> = expected.split('`').skip(1).step_by(2).collect();
        assert!(names.len() > 2, "{told}");
        for name in names {
            assert!(sample.contains(name), "{name} of {told}");
        }
    }
    // The reader of files does not name the words of a choice.
    for action in [
        "accept",
        "code",
        "delay",
        "bare_int",
        "fault",
        "drop_before_reading",
        "drop_after_reading",
        "partial_answer",
        "too_short",
        "too_long",
        "wrong_type",
        "malformed_xml",
        "html_page",
        "http_status",
        "flood",
        "slow_drip",
        "no_message_id",
        "report",
        "reports",
        "no_report",
        "report_before_answer",
        "report_to_dead_url",
        "shapes",
    ] {
        let word = [
            format!("action = \"{action}\""),
            format!("action = {{ {action} = "),
        ];
        assert!(word.iter().any(|word| sample.contains(word)), "{action}");
    }
    for shape in [
        "bare_object",
        "text_around",
        "quoted_numbers",
        "spanish_numbers",
        "capitals",
        "small_letters",
        "synonyms",
    ] {
        assert!(sample.contains(&format!("\"{shape}\"")), "{shape}");
    }
    for form in ["as_sent", "national", "+34", "0034"] {
        assert!(
            sample.contains(&format!("recipient_form = \"{form}\"")),
            "{form}"
        );
    }
}

#[tokio::test]
async fn a_password_that_is_changed_is_wrong_until_it_is_changed_back() {
    let simulator = simulator(Script::new()).await;
    let body = || good_call(&[("600000001", "texto", "217812")]);
    simulator.set_password(LOGIN, "another".into());
    let refused = answer(&simulator, body()).await;
    assert_eq!(codes_of(&refused), None);
    simulator.set_password(LOGIN, PASSWORD.into());
    let taken = answer(&simulator, body()).await;
    assert_eq!(codes_of(&taken), Some(vec![0]));
    let ledger = simulator.ledger();
    assert_eq!((ledger.wrong_logins(LOGIN), ledger.message_count()), (1, 1));
}
