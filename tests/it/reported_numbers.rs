//! Whom a report names: a number is understood however it is written, and one that nobody can read is no proof by itself.

use clave_otp::{
    grpc::proto::DeliveryState,
    simulator::{Action, Match, ReportStep, ReportUrl, Script},
};

use crate::{
    reported::{report_url, start, until},
    support::request,
};

/// As platforms hide numbers.
const UNREADABLE: [&str; 3] = ["oculto", "+34600***001", "+34 ••• ••• 001"];

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_cannot_be_read_proves_nothing_of_a_message_that_the_id_alone_names() {
    for protocol in ["soap", "rest"] {
        let script = Script::new().on(Match::always(), Action::NoReport);
        let mut app = start(protocol, script).await;
        let accepted = app.accepted(request()).await;
        until(&mut app, &accepted.name, DeliveryState::Sent).await;
        let message = app.simulator.ledger().messages()[0].clone();
        // The account's address, as a platform knows it that was told one for all messages.
        let of_account = ReportUrl::parse(&report_url(&mut app).await).unwrap();
        let step = |number: &str| {
            ReportStep::delivered()
                .recipient(number)
                .to(of_account.clone())
        };
        for number in UNREADABLE {
            let sent = app.simulator.send_report(&message, step(number)).await;
            // Acknowledged, else it would come for ever.
            assert!(sent.unwrap().acknowledges(), "{protocol} {number}");
            let state = app.get(&accepted.name).await.state();
            assert_eq!(state, DeliveryState::Sent, "{protocol} {number}");
        }
        // In groups it can be read.
        let sent = app.simulator.send_report(&message, step("+34 600 000 001"));
        assert!(sent.await.unwrap().acknowledges());
        until(&mut app, &accepted.name, DeliveryState::Delivered).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_of_a_message_says_whose_report_it_is_though_the_number_is_hidden() {
    for protocol in ["soap", "rest"] {
        for number in UNREADABLE {
            let steps = vec![ReportStep::delivered().recipient(number)];
            let script = Script::new().on(Match::always(), Action::Reports(steps));
            let mut app = start(protocol, script).await;
            let delivery = app.ends(request()).await;
            assert_eq!(
                delivery.state(),
                DeliveryState::Delivered,
                "{protocol} {number}"
            );
        }
    }
}
