//! What the simulated platform does with reports whatever they are written in: each story is told over SOAP and over REST.

use std::{sync::Arc, time::Duration};

use clave_otp::simulator::{
    Action, Destination, Gate, Match, ReportAnswer, ReportEnding, ReportPolicy, ReportStep, Script,
    Simulator, WrittenAs,
};
use serde_json::Value;

use crate::{
    simulator::simulator,
    simulator_receiver::{ACKNOWLEDGED, Came, Receiver},
    simulator_reports::{quick, reporting},
    simulator_rest as rest,
    simulator_soap::{self as soap, Wishes, text_of},
};

/// The two protocols with reports to the address that a message names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    Soap,
    Rest,
}

const BOTH: [Over; 2] = [Over::Soap, Over::Rest];

/// A message as a client asks for it.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    phone: &'a str,
    report: &'a str,
    url: Option<&'a str>,
    expiry: Option<&'a str>,
}

/// One that asks for every report.
fn all(url: &str) -> Wanted<'_> {
    Wanted {
        phone: "600000001",
        report: "All",
        url: Some(url),
        expiry: None,
    }
}

impl Over {
    /// Submits it; the code of the answer and the message's id.
    async fn submit(self, simulator: &Simulator, wanted: Wanted<'_>) -> (i64, String) {
        match self {
            Self::Soap => {
                let wishes = Wishes {
                    expiry: wanted.expiry,
                    report: Some(wanted.report),
                    url: wanted.url,
                };
                let body = soap::submission(wanted.phone, "217812", &wishes);
                let (_, answer) = soap::post(simulator, body).await;
                let code = text_of(&answer, "StatusCode").unwrap();
                let id = text_of(&answer, "MessageId").unwrap_or_default();
                (code.parse().unwrap(), id)
            }
            Self::Rest => {
                let mut body = rest::with(rest::to(wanted.phone), "deliveryReport", wanted.report);
                if let Some(url) = wanted.url {
                    body = rest::with(body, "deliveryReportURL", url);
                }
                if let Some(expiry) = wanted.expiry {
                    body = rest::with(body, "expiryDate", expiry);
                }
                let (_, answer) = rest::post(simulator, body).await;
                let id = answer["messageId"].as_str().unwrap_or_default();
                (answer["statusCode"].as_i64().unwrap(), id.to_owned())
            }
        }
    }

    /// A field of a report, by its name in SOAP.
    fn told(self, came: &Came, name: &str) -> String {
        if self == Self::Soap {
            return came.field(name);
        }
        let told: Value = serde_json::from_str(&came.body).unwrap();
        let name = name[..1].to_ascii_lowercase() + &name[1..];
        told[&name].as_str().unwrap().to_owned()
    }

    fn statuses(self, receiver: &Receiver) -> Vec<String> {
        let came = receiver.came();
        came.iter()
            .map(|came| self.told(came, "MessageStatus"))
            .collect()
    }

    /// An answer to a report with this code in it.
    fn answer(self, code: i32) -> String {
        match self {
            Self::Soap => ACKNOWLEDGED.replace("1000", &code.to_string()),
            Self::Rest => format!("{{\"statusCode\":{code},\"statusText\":\"x\"}}"),
        }
    }
}

#[tokio::test]
async fn only_an_accepted_message_that_wants_it_is_reported() {
    for over in BOTH {
        let script = quick().on(Match::phone("600000005"), Action::Code(4004));
        let simulator = simulator(script).await;
        let (receiver, url) = Receiver::start().await;
        for (report, phone) in [
            ("None", "600000001"),
            ("Failure", "600000001"),
            ("All", "600000005"),
            ("All", "912345678"),
        ] {
            let wanted = Wanted {
                phone,
                report,
                ..all(&url)
            };
            over.submit(&simulator, wanted).await;
        }
        let nowhere = Wanted {
            url: None,
            ..all(&url)
        };
        over.submit(&simulator, nowhere).await;
        let success = Wanted {
            report: "Success",
            ..all(&url)
        };
        over.submit(&simulator, success).await;
        simulator.ledger().until_reports(1).await;
        let late = Wanted {
            expiry: Some("2026-11-22T11:59:59Z"),
            ..all(&url)
        };
        over.submit(&simulator, late).await;
        simulator.ledger().until_reports(2).await;
        assert_eq!(over.statuses(&receiver), ["Delivered", "Expired"]);
        simulator.stop().await;
        assert_eq!(receiver.came().len(), 2, "nothing else was under way");
    }
}

#[tokio::test]
async fn reports_come_in_the_order_of_the_script_late_repeated_and_in_other_forms() {
    for over in BOTH {
        let step = ReportStep::delivered;
        let simulator = reporting([
            ReportStep::of("Rejected").after(Duration::from_millis(20)),
            step()
                .times(2)
                .written_as(WrittenAs::Plus34)
                .text("todo bien"),
            step().written_as(WrittenAs::Zeros34),
            ReportStep::of("Buffered")
                .message_id("another")
                .recipient("600000099"),
        ])
        .await;
        let (receiver, url) = Receiver::start().await;
        let (_, id) = over.submit(&simulator, all(&url)).await;
        simulator.ledger().until_reports_acknowledged(5).await;
        let came = receiver.came();
        let told: Vec<_> = came
            .iter()
            .map(|came| {
                ["MessageStatus", "Recipient", "MessageId"].map(|name| over.told(came, name))
            })
            .collect();
        let expected = [
            ["Rejected", "600000001", &id],
            ["Delivered", "+34600000001", &id],
            ["Delivered", "+34600000001", &id],
            ["Delivered", "0034600000001", &id],
            ["Buffered", "600000099", "another"],
        ];
        assert_eq!(told, expected.map(|fields| fields.map(str::to_owned)));
        assert_eq!(over.told(&came[1], "StatusText"), "todo bien");
        assert_eq!(simulator.ledger().reports().len(), 5);
    }
}

#[tokio::test]
async fn a_late_report_is_not_sent_sooner() {
    for over in BOTH {
        let late = ReportStep::delivered().after(Duration::from_millis(60));
        let simulator = reporting([late]).await;
        let (_receiver, url) = Receiver::start().await;
        over.submit(&simulator, all(&url)).await;
        let soon = Duration::from_millis(30);
        let sooner = tokio::time::timeout(soon, simulator.ledger().until_reports(1)).await;
        assert!(sooner.is_err(), "{over:?}");
        simulator.ledger().until_reports_acknowledged(1).await;
    }
}

#[tokio::test]
async fn a_report_waits_at_a_gate_until_the_test_lets_it_go() {
    for over in BOTH {
        let gate = Gate::new();
        let simulator = reporting([ReportStep::delivered().held_at(gate.clone())]).await;
        let (receiver, url) = Receiver::start().await;
        let (code, _) = over.submit(&simulator, all(&url)).await;
        assert_eq!(code, 1000, "answered all the same");
        simulator.ledger().until_reports_held(1).await;
        assert!(receiver.came().is_empty());
        gate.release_one();
        simulator.ledger().until_reports_acknowledged(1).await;
    }
}

#[tokio::test]
async fn a_report_can_be_acknowledged_before_the_submission_is_answered() {
    for over in BOTH {
        let gate = Gate::new();
        let early = ReportStep::delivered()
            .before_answer()
            .held_at(gate.clone());
        let simulator = Arc::new(reporting([early]).await);
        let (receiver, url) = Receiver::start().await;
        let submitted = tokio::spawn({
            let simulator = Arc::clone(&simulator);
            async move { over.submit(&simulator, all(&url)).await.0 }
        });
        let ledger = simulator.ledger();
        ledger.until_reports_held(1).await;
        assert!(!submitted.is_finished(), "{over:?}");
        gate.open();
        assert_eq!(submitted.await.unwrap(), 1000);
        assert_eq!(receiver.came().len(), 1);
        assert_eq!(ledger.acknowledged_report_count(), 1, "before the answer");
    }
}

#[tokio::test]
async fn a_report_is_repeated_until_it_is_acknowledged() {
    for over in BOTH {
        let simulator = simulator(quick()).await;
        let (receiver, url) = Receiver::start().await;
        receiver.plan(500, &over.answer(1000));
        receiver.plan(200, &over.answer(2005));
        receiver.plan(404, "");
        receiver.plan(200, &over.answer(1000));
        over.submit(&simulator, all(&url)).await;
        simulator.ledger().until_reports_acknowledged(1).await;
        let reports = simulator.ledger().reports();
        assert_eq!(reports.len(), 1, "{over:?}: one report, four tries");
        let tries = reports[0].tries.iter();
        let answers: Vec<_> = tries.map(|attempt| attempt.answer).collect();
        let answered = |status, code| ReportAnswer::Answered { status, code };
        // Over REST an answer without a code leaves it to the status.
        let without_code = (over == Over::Rest).then_some(1000);
        assert_eq!(
            answers,
            [
                answered(500, Some(1000)),
                answered(200, Some(2005)),
                answered(404, without_code),
                answered(200, Some(1000)),
            ]
        );
        let came = receiver.came();
        assert!(came.iter().all(|one| one.body == came[0].body));
    }
}

#[tokio::test]
async fn an_answer_without_a_code_acknowledges_over_rest_alone() {
    for (over, tries, code) in [(Over::Soap, 2, None), (Over::Rest, 1, Some(1000))] {
        let simulator = simulator(quick()).await;
        let (receiver, url) = Receiver::start().await;
        receiver.plan(200, "OK");
        over.submit(&simulator, all(&url)).await;
        simulator.ledger().until_reports_acknowledged(1).await;
        assert_eq!(receiver.came().len(), tries, "{over:?}");
        let first = simulator.ledger().reports()[0].tries[0].answer;
        assert_eq!(first, ReportAnswer::Answered { status: 200, code });
    }
}

#[tokio::test]
async fn a_report_is_given_up_after_its_last_try() {
    for over in BOTH {
        let policy = ReportPolicy::default()
            .tries(3)
            .pause(Duration::from_millis(1));
        let simulator = simulator(Script::new().report_policy(policy)).await;
        let (receiver, url) = Receiver::start().await;
        for _ in 0..3 {
            receiver.plan(404, "");
        }
        over.submit(&simulator, all(&url)).await;
        simulator.ledger().until_reports(1).await;
        let report = simulator.ledger().reports().pop().unwrap();
        assert_eq!(report.ending, Some(ReportEnding::GivenUp), "{over:?}");
        assert_eq!((report.tries.len(), report.last_status()), (3, Some(404)));
        assert_eq!(simulator.ledger().acknowledged_report_count(), 0);
    }
}

#[tokio::test]
async fn a_report_can_go_to_a_dead_address_or_never_come() {
    for over in BOTH {
        let dead = Action::Reports(vec![ReportStep::delivered().to_closed_port()]);
        let script = quick()
            .on(Match::request(1), dead)
            .on(Match::request(2), Action::NoReport);
        let simulator = simulator(script).await;
        let (receiver, url) = Receiver::start().await;
        over.submit(&simulator, all(&url)).await;
        simulator.ledger().until_report_tries(5).await;
        over.submit(&simulator, all(&url)).await;
        over.submit(&simulator, all(&url)).await;
        simulator.ledger().until_reports_acknowledged(1).await;
        let reports = simulator.ledger().reports();
        assert_eq!(reports[0].destination, Destination::ClosedPort, "{over:?}");
        assert_eq!(reports[0].last_answer(), Some(ReportAnswer::NoConnection));
        assert_eq!((reports.len(), reports[1].message), (2, 3));
        assert_eq!(receiver.came().len(), 1);
    }
}
