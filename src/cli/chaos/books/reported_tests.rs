//! What reports oblige to, the way of a delivery and the places of an account, in made-up books: the judge must see what is wrong.

use std::{collections::BTreeSet, time::Duration};

use super::{Kind, made_up::*};
use crate::{
    cli::chaos::{
        asked::Asked,
        citizens::{self, reference},
        faults::Reply,
        received::{Heard, Receipt, Received, Said, Visit},
        samples::Contract,
    },
    domain::Reason,
    grpc::proto::{
        Delivery,
        DeliveryState::{self, Accepted, Delivered, Expired, Failed, Sending, Sent, Uncertain},
    },
};

#[test]
fn a_delivery_ends_as_the_first_report_says_that_was_heard() {
    let told = |said: &[Said], state| {
        let receipt = Receipt {
            said: said.to_vec(),
            ..soap(1, Reply::Unclear)
        };
        of_soap(receipt, on_soap(state))
    };
    let (surely, perhaps, never) = (Heard::Surely, Heard::Perhaps, Heard::Never);
    for (status, right, wrong) in [
        ("Delivered", Delivered, Failed),
        ("Rejected", Failed, Delivered),
        ("Expired", Failed, Delivered),
    ] {
        assert_eq!(told(&[said(status, surely)], right), [], "{status}");
        assert_eq!(told(&[said(status, perhaps)], right), [], "{status}");
        assert_eq!(told(&[said(status, perhaps)], Uncertain), [], "{status}");
        // The news was acknowledged and is lost.
        let lost = told(&[said(status, surely)], Uncertain);
        assert_eq!(lost, [Kind::Lost], "{status}");
        assert_ne!(told(&[said(status, surely)], wrong), [], "{status}");
        // Nobody said so.
        assert_ne!(told(&[said(status, never)], right), [], "{status}");
        let of_another = Said {
            is_of_this_phone: false,
            ..said(status, surely)
        };
        assert_ne!(told(&[of_another], right), [], "{status}");
    }
    let contradicting = [said("Rejected", surely), said("Delivered", surely)];
    assert_eq!(told(&contradicting, Failed), []);
    assert_ne!(told(&contradicting, Delivered), []);
    // Both waited for the outcome: then it counts that it has arrived.
    let early = |said: Said| Said {
        time: Some(at(89)),
        ..said
    };
    let waiting = contradicting.clone().map(early);
    assert_eq!(told(&waiting, Delivered), []);
    let one_waiting = [early(said("Rejected", surely)), said("Delivered", surely)];
    assert_ne!(told(&one_waiting, Delivered), []);
    let unsure = [said("Rejected", perhaps), said("Delivered", surely)];
    for state in [Failed, Delivered] {
        assert_eq!(told(&unsure, state), [], "{state:?}");
    }
    assert_eq!(told(&unsure, Uncertain), [Kind::Lost]);
    assert_eq!(told(&[said("Retrieved", surely)], Uncertain), []);
}

#[test]
fn what_was_sent_does_not_stay_so_when_a_report_was_heard() {
    let told = |attempts, id: &str| {
        let receipt = Receipt {
            said: vec![said("Rejected", Heard::Surely)],
            ..soap(1, Reply::Accepted)
        };
        let delivery = Delivery {
            attempts,
            gateway_message_id: id.into(),
            ..on_soap(Sent)
        };
        of_soap(receipt, delivery)
    };
    assert_eq!(told(1, ""), [Kind::Lost]);
    assert_eq!(told(2, "m-1"), [Kind::Lost]);
    // It may be about an earlier attempt.
    assert_eq!(told(2, ""), []);
    // That it has arrived is believed, and tells the id.
    let contradicting = Receipt {
        said: vec![
            said("Rejected", Heard::Surely),
            said("Delivered", Heard::Surely),
        ],
        ..soap(1, Reply::Accepted)
    };
    let delivery = Delivery {
        attempts: 2,
        ..on_soap(Delivered)
    };
    let mut way = way_to(&delivery);
    let last = way.last_mut().unwrap();
    last.gateway_message_id = "m-1".into();
    let end = last.clone();
    assert_eq!(
        found(&[asked()], &received(&[contradicting]), &[end], &way),
        []
    );
    let unsaid = of_soap(soap(1, Reply::Accepted), on_soap(Delivered));
    assert_eq!(unsaid, [Kind::Unexplained], "nobody said so");
    let never_came = kinds(&[asked()], &received(&[]), &[on_soap(Delivered)]);
    assert_eq!(never_came, [Kind::Lost]);
}

#[test]
fn reports_must_be_welcome() {
    let received = Received {
        unwelcome_reports: vec![404],
        ..Received::default()
    };
    assert_eq!(kinds(&[], &received, &[]), [Kind::Unexplained]);
}

#[test]
fn a_state_that_is_left_backwards_or_told_otherwise_is_taken_back() {
    let once = received(&[Receipt {
        said: vec![said("Delivered", Heard::Surely)],
        ..soap(1, Reply::Accepted)
    }]);
    let course = |states: &[DeliveryState]| {
        // What waits, waits because it was surely not sent.
        let reason = |state: DeliveryState| match state {
            Accepted => Reason::GATEWAY_UNREACHABLE,
            _ => "",
        };
        let changes: Vec<_> = states
            .iter()
            .map(|state| change(&on_soap(*state), *state, reason(*state), 90))
            .collect();
        found(&[asked()], &once, &[on_soap(Delivered)], &changes)
    };
    assert_eq!(course(&[Accepted, Sending, Sent, Delivered]), []);
    let with_retry = [
        Accepted, Accepted, Sending, Accepted, Sending, Sending, Sent, Sent, Delivered,
    ];
    assert_eq!(course(&with_retry), []);
    for wrong in [
        &[Sending, Sent, Delivered][..],
        &[Accepted, Sent, Delivered],
        &[Accepted, Sending, Sent, Accepted, Sending, Sent, Delivered],
        &[Accepted, Sending, Sent, Sending, Sent, Delivered],
        &[Accepted, Sending, Sent, Failed, Delivered],
        &[Accepted, Sending, Sent, Delivered, Delivered],
        &[Accepted, Expired, Delivered],
        &[Accepted, Sending, Sent],
    ] {
        assert!(course(wrong).contains(&Kind::Back), "{wrong:?}");
    }
    assert_eq!(course(&[]), [Kind::Lost], "never told");
}

#[test]
fn an_account_has_no_more_requests_at_a_time_than_places() {
    let crowd = |contract: &Contract, count: i64, later: bool, outlasts: bool| {
        let visits = (0..count).map(|number| Visit {
            login: contract.login.into(),
            request: u64::try_from(number).unwrap(),
            begin: at(number * 10),
            // The last comes just before, or just after, the first ends.
            end: Some(at((count - 1) * 10) + Duration::from_millis(500 * u64::from(later))),
            may_outlast_its_client: outlasts,
        });
        let received = Received {
            visits: visits.collect(),
            ..Received::default()
        };
        kinds(&[], &received, &[])
    };
    for (contract, places) in [(first(), 1), (second(), 4)] {
        assert_eq!(crowd(contract, places, true, false), []);
        assert_eq!(crowd(contract, places + 1, false, false), []);
        let too_many = crowd(contract, places + 1, true, false);
        assert_eq!(too_many, [Kind::Unexplained]);
        // Its client had gone, and the platform noticed a little later.
        assert_eq!(crowd(contract, places + 1, true, true), []);
    }
}

#[test]
fn one_kill_interrupts_no_more_requests_than_there_are_places() {
    let interrupted_at_once = |count: u64| {
        // One for each citizen.
        let numbers = || (0..count).map(|citizen| citizen * 2);
        let asked: Vec<_> = numbers()
            .map(|number| Asked {
                number,
                names: BTreeSet::from([format!("deliveries/{number}")]),
                ..asked()
            })
            .collect();
        let stored: Vec<_> = numbers()
            .map(|number| Delivery {
                name: format!("deliveries/{number}"),
                reference: reference(number),
                reason: Reason::ATTEMPT_INTERRUPTED.into(),
                ..on_soap(Uncertain)
            })
            .collect();
        let messages = numbers().map(|number| {
            let citizen = citizens::of_delivery(number);
            (citizen, vec![soap(number + 1, Reply::Accepted)])
        });
        let received = Received {
            messages: messages.collect(),
            ..Received::default()
        };
        kinds(&asked, &received, &stored)
    };
    assert_eq!(interrupted_at_once(4), []);
    assert_eq!(interrupted_at_once(5), [Kind::Unexplained]);
}
