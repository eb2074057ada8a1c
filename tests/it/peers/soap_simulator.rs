//! What the simulated platform writes over SOAP is what the schema says, by the word of `xmllint`: every form of answer, fault and
//! report, but for those that a script spoils on purpose.

use std::{fs, time::Duration};

use clave_otp::simulator::{Action, Gate, Match, ReportStep, Script, WrittenAs, codes};
use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};

use super::soap_schema::{objections, ready};
use crate::{
    simulator::simulator,
    simulator_receiver::Receiver,
    simulator_soap::{AUTHORIZATION, NO_WISHES, Wishes, post, submission, to},
};

/// What the schema has against a document.
fn against(body: &str) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("written.xml");
    fs::write(&file, body).unwrap();
    objections(&file)
}

#[track_caller]
fn assert_valid(body: &str) {
    assert_eq!(against(body), None, "{body}");
}

/// Any texts, and those that are hard to write in XML.
fn texts() -> Vec<String> {
    let mut runner = TestRunner::deterministic();
    let mut any = |_| any::<String>().new_tree(&mut runner).unwrap().current();
    let hard =
        "\0\u{b}\u{1f}\u{7f}\u{85}\u{2028}\u{fffe}\u{ffff}\u{10ffff} \r\n\t<&>\"' ]]> &amp; año";
    let mut texts: Vec<String> = (0..20).map(&mut any).collect();
    texts.extend([hard.to_owned(), String::new(), " ".to_owned()]);
    texts
}

/// The status and the body of the answer to a submission, by a platform that does this.
async fn answer_of(action: Action) -> (u16, String) {
    let simulator = simulator(Script::new().on(Match::always(), action)).await;
    post(&simulator, to("600000001")).await
}

#[tokio::test]
async fn every_answer_is_valid() {
    if !ready() {
        return;
    }
    let known = (1000..=1100)
        .step_by(100)
        .chain(2000..=2010)
        .chain(3000..=3004);
    let known = known.chain(4000..=4010);
    for code in known.chain([i32::MIN, -42, 0, 999, 4999, 5000, i32::MAX]) {
        let (status, answer) = answer_of(Action::Code(code)).await;
        assert_eq!(status, 200);
        assert!(answer.contains(&format!("<StatusCode>{code}</StatusCode>")));
        assert_valid(&answer);
    }
    let slowly = Action::SlowDrip {
        pause: Duration::from_millis(1),
    };
    // What is of another protocol gives the right answer.
    for action in [
        Action::NoMessageId,
        Action::Accept,
        Action::TooShort,
        slowly,
    ] {
        assert_valid(&answer_of(action).await.1);
    }
    let simulator = simulator(Script::new()).await;
    let several = to("600000001").replace("<To>", "<To>912345678</To><To>");
    let (_, answer) = post(&simulator, several).await;
    assert!(answer.contains("<StatusCode>1100<"), "{answer}");
    assert_valid(&answer);
    // It can say no: what is spoilt on purpose is not valid.
    for action in [Action::MalformedXml, Action::HtmlPage] {
        assert_ne!(against(&answer_of(action).await.1), None);
    }
}

#[tokio::test]
async fn every_refusal_of_a_submission_is_valid() {
    if !ready() {
        return;
    }
    let gate = Gate::new();
    let script = Script::new()
        .most_parallel_requests(1)
        .on(Match::phone("600000009"), Action::Hold(gate.clone()));
    let simulator = std::sync::Arc::new(simulator(script).await);
    let wishes = |expiry| Wishes {
        expiry: Some(expiry),
        ..NO_WISHES
    };
    let good = to("600000001");
    let recipients = "<To>600000001</To>".repeat(501);
    for (body, code) in [
        (good.replace(AUTHORIZATION, "bm9ib2R5"), 4001),
        (good.replace(AUTHORIZATION, "bm9ib2R5Onk="), 4001),
        (good.replace(">1.0<", ">1.1<"), codes::UNSUPPORTED_VERSION),
        (good.replace("<Sender>217812</Sender>", ""), 4004),
        (submission("600000001", "217812", &wishes("soon")), 4004),
        (good.replace("<To>600000001</To>", &recipients), 4004),
        (submission("600000001", "<Colour/>", &NO_WISHES), 4004),
        (submission("600000001", "Clave&#128169;", &NO_WISHES), 2001),
        (to("912345678"), 2002),
        (good.replace("su c&#243;digo", &"a".repeat(460)), 4004),
    ] {
        let (status, answer) = post(&simulator, body).await;
        assert_eq!(status, 200, "{answer}");
        assert!(
            answer.contains(&format!("<StatusCode>{code}</StatusCode>")),
            "{answer}"
        );
        assert_valid(&answer);
    }
    let other = std::sync::Arc::clone(&simulator);
    let held = tokio::spawn(async move { post(&other, to("600000009")).await });
    simulator.ledger().until_held(1).await;
    let (_, answer) = post(&simulator, good).await;
    assert!(answer.contains("<StatusCode>4006<"), "{answer}");
    assert_valid(&answer);
    gate.open();
    assert_valid(&held.await.unwrap().1);
}

#[tokio::test]
async fn every_fault_is_valid() {
    if !ready() {
        return;
    }
    let simulator = simulator(Script::new()).await;
    let good = to("600000001");
    for body in [
        String::new(),
        good.replace("</s:Body>", ""),
        format!("<!DOCTYPE x [<!ENTITY a \"b\">]>{good}"),
        format!("<?xml version=\"1.0\" encoding=\"utf-16\"?>{good}"),
        good.replace("soap/envelope", "soap/other"),
        good.replace("InterfazSimplificado", "Otro"),
        good.replace("smsTextSubmitReq", "smsDeliverReq"),
    ] {
        let (status, answer) = post(&simulator, body).await;
        assert_eq!(status, 500, "{answer}");
        assert_valid(&answer);
    }
    for code in [i32::MIN, -4, 0, 4, 4006, i32::MAX] {
        let text = "Server error".to_owned();
        assert_valid(&answer_of(Action::Fault { code, text }).await.1);
    }
    for text in texts() {
        let (status, answer) = answer_of(Action::Fault { code: 4, text }).await;
        assert_eq!(status, 500);
        assert_valid(&answer);
    }
}

#[tokio::test]
async fn every_report_is_valid() {
    if !ready() {
        return;
    }
    let mut steps = Vec::new();
    for status in ["Delivered", "Expired", "Rejected"] {
        for form in [
            WrittenAs::AsSent,
            WrittenAs::National,
            WrittenAs::Plus34,
            WrittenAs::Zeros34,
        ] {
            steps.push(ReportStep::of(status).written_as(form));
        }
    }
    for text in texts() {
        let step = ReportStep::delivered().message_id(&text);
        steps.push(step.recipient(&text).text(&text));
    }
    let valid = steps.len();
    // A word that the interface does not know, for which the script asks.
    steps.push(ReportStep::of("Buffered"));
    let script = Script::new().on(Match::always(), Action::Reports(steps));
    let simulator = simulator(script).await;
    let (receiver, url) = Receiver::start().await;
    let wishes = Wishes {
        expiry: None,
        report: Some("All"),
        url: Some(&url),
    };
    post(&simulator, submission("600000001", "ClaveMadrid", &wishes)).await;
    let all = u64::try_from(valid).unwrap() + 1;
    simulator.ledger().until_reports_acknowledged(all).await;
    let came = receiver.came();
    for report in &came[..valid] {
        assert_valid(&report.body);
    }
    let [unknown_word] = &came[valid..] else {
        panic!("{}", came.len());
    };
    assert_ne!(against(&unknown_word.body), None, "{}", unknown_word.body);
}
