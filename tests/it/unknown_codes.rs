//! Codes that no table has, each in a golden answer of its own, through the real program: a code means what its class means.

use clave_otp::grpc::proto::DeliveryState;
use mockito::{Matcher, Mock, Server, ServerGuard};

use crate::{
    golden_platform::{BOTH, Change, Spoken, changes},
    reported::speak,
    support::{Files, process::Process, request_to},
};

/// What is said of a message to this citizen, once.
async fn answers_once(
    platform: &mut ServerGuard,
    spoken: &Spoken,
    citizen: u32,
    answer: &str,
) -> Mock {
    let mock = platform
        .mock("POST", Matcher::Any)
        .match_body(Matcher::Regex(format!("600000{citizen:03}")))
        .with_body(spoken.golden(answer))
        .expect(1);
    mock.create_async().await
}

fn told(state: DeliveryState) -> Change {
    (state, None, None)
}

fn because(state: DeliveryState, reason: &str, code: Option<i64>) -> Change {
    (state, Some(reason.into()), code)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_without_a_row_has_the_outcome_of_its_class() {
    use DeliveryState::{Accepted, Failed, Sending, Sent, Uncertain};
    for spoken in &BOTH {
        let mut platform = Server::new_async().await;
        let mut asked = Vec::new();
        for (citizen, answer) in [
            (1, "answer-1999"),
            (2, "answer-2999"),
            (3, "answer-3999"),
            (4, "answer-4999"),
            (4, "answer-1000"),
        ] {
            asked.push(answers_once(&mut platform, spoken, citizen, answer).await);
        }
        let files = Files::write(&format!("{}/SrvConexion", platform.url()));
        speak(&files, spoken.protocol);
        let service = Process::start(&files).await;
        // What came of the last attempt stays with the delivery until the next one has ended.
        let after = |state| because(state, "GATEWAY_CODE_4999", Some(4999));
        for (citizen, end, ways) in [
            // It may have been taken: it is not sent again.
            (
                1,
                Uncertain,
                vec![because(Uncertain, "GATEWAY_CODE_1999", None)],
            ),
            (
                2,
                Failed,
                vec![because(Failed, "GATEWAY_CODE_2999", Some(2999))],
            ),
            (
                3,
                Uncertain,
                vec![because(Uncertain, "GATEWAY_CODE_3999", None)],
            ),
            // The platform says itself that it did not do it: it is asked again.
            (4, Sent, vec![after(Accepted), after(Sending), told(Sent)]),
        ] {
            let name = service.create(request_to(citizen)).await.unwrap().name;
            service.until(&name, end).await;
            let mut expected = vec![told(Accepted), told(Sending)];
            expected.extend(ways);
            let log = changes(&files, &name);
            assert_eq!(log, expected, "{} {citizen}", spoken.protocol);
        }
        service.stop().await;
        for asked in asked {
            asked.assert_async().await;
        }
    }
}
