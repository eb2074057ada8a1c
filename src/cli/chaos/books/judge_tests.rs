//! Every way to break a promise, in made-up books: the judge must see it.

use std::{collections::BTreeSet, time::Duration};

use super::*;
use crate::{
    cli::chaos::{
        callers::{Asked, CancelTold, Code},
        installation::{Contract, SAMPLES},
        received::{Heard, Receipt, Received, Said, Visit},
    },
    domain::SecretText,
};

const CODE: &str = "748291";

/// The account over XML-RPC.
fn first() -> &'static Contract {
    &SAMPLES[0].accounts[0]
}

/// The account over SOAP.
fn second() -> &'static Contract {
    &SAMPLES[0].accounts[1]
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000 + second).unwrap()
}

/// A request that was answered OK and expires at second 100.
fn asked() -> Asked {
    Asked {
        number: 7,
        sample: &SAMPLES[0],
        code: Code(CODE.into()),
        expire_time: at(100),
        told: Told::Ok,
        names: BTreeSet::from(["deliveries/a".to_owned()]),
        cancelled: CancelTold::NotAsked,
        reuse_was_taken: false,
    }
}

fn stored(state: DeliveryState) -> Delivery {
    Delivery {
        name: "deliveries/a".into(),
        reference: reference(7),
        account: "accounts/madrid-mn".into(),
        sender: first().sender.into(),
        attempts: 1,
        state: state.into(),
        update_time: Some(prost_types::Timestamp {
            seconds: at(90).as_second(),
            nanos: 0,
        }),
        ..Delivery::default()
    }
}

fn interrupted() -> Delivery {
    Delivery {
        reason: Reason::ATTEMPT_INTERRUPTED.into(),
        ..stored(DeliveryState::Uncertain)
    }
}

fn receipt(request: u64, reply: Reply) -> Receipt {
    Receipt {
        wire: Wire::XmlRpc,
        request,
        time: at(i64::try_from(request).unwrap()),
        login: first().login.into(),
        sender: first().sender.into(),
        text: SecretText::new(format!("Cl@ve: {CODE}")),
        reply,
        said: Vec::new(),
    }
}

/// The same at the other platform.
fn soap(request: u64, reply: Reply) -> Receipt {
    Receipt {
        wire: Wire::Soap,
        login: second().login.into(),
        sender: second().sender.into(),
        ..receipt(request, reply)
    }
}

/// A delivery on the account over SOAP.
fn on_soap(state: DeliveryState) -> Delivery {
    Delivery {
        account: "accounts/madrid-soap".into(),
        sender: second().sender.into(),
        ..stored(state)
    }
}

fn said(status: &str, heard: Heard) -> Said {
    Said {
        status: status.into(),
        // After the outcome, which is at second 90.
        time: Some(at(91)),
        is_of_this_phone: true,
        heard,
    }
}

/// The way of a delivery to its end as it should be.
fn way_to(stored: &Delivery) -> Vec<Delivery> {
    let before: &[DeliveryState] = match stored.state() {
        Accepted => &[],
        Sending | Expired | Cancelled | Superseded => &[Accepted],
        Delivered | Failed if stored.sender == second().sender => &[Accepted, Sending, Sent],
        Delivered => &[Accepted, Sending, Sent],
        _ => &[Accepted, Sending],
    };
    let mut way: Vec<_> = before
        .iter()
        .map(|state| Delivery {
            state: (*state).into(),
            ..stored.clone()
        })
        .collect();
    way.push(stored.clone());
    way
}

fn received(receipts: &[Receipt]) -> Received {
    Received {
        messages: BTreeMap::from([(7, receipts.to_vec())]),
        ..Received::default()
    }
}

/// The kinds of what is found; a kill was at second 89.
fn kinds(asked: &[Asked], received: &Received, stored: &[Delivery]) -> Vec<Kind> {
    let changes: Vec<_> = stored.iter().flat_map(way_to).collect();
    found(asked, received, stored, &changes)
}

fn found(
    asked: &[Asked],
    received: &Received,
    stored: &[Delivery],
    changes: &[Delivery],
) -> Vec<Kind> {
    let verdict = judge(&Books {
        asked,
        received,
        stored,
        changes,
        recoveries: &[(at(89), at(91))],
    });
    verdict.findings.iter().map(|found| found.kind).collect()
}

/// What is found of one delivery on the account over SOAP.
fn of_soap(receipt: Receipt, delivery: Delivery) -> Vec<Kind> {
    kinds(&[asked()], &received(&[receipt]), &[delivery])
}

fn of(asked: Asked, receipts: &[Receipt], state: DeliveryState) -> Vec<Kind> {
    kinds(&[asked], &received(receipts), &[stored(state)])
}

use DeliveryState::{
    Accepted, Cancelled, Delivered, Expired, Failed, Sending, Sent, Superseded, Uncertain,
};

#[test]
fn what_went_as_it_should_is_not_found() {
    let reply = |reply| [receipt(1, reply)];
    let retried = [receipt(1, Reply::NotNow), receipt(2, Reply::Accepted)];
    for (receipts, state) in [
        (&reply(Reply::Accepted)[..], Sent),
        (&retried[..], Sent),
        (&reply(Reply::Refused)[..], Failed),
        (&reply(Reply::Unclear)[..], Uncertain),
        (&reply(Reply::NotNow)[..], Expired),
        (&[][..], Expired),
    ] {
        assert_eq!(of(asked(), receipts, state), [], "{receipts:?} {state:?}");
    }
    let unasked = kinds(&[], &Received::default(), &[]);
    assert_eq!(unasked, []);
    let refused = Asked {
        told: Told::Refused("QUEUE_FULL".into()),
        names: BTreeSet::new(),
        ..asked()
    };
    assert_eq!(kinds(&[refused], &received(&[]), &[]), []);
}

#[test]
fn a_delivery_without_an_end_or_with_one_that_the_platform_contradicts_is_lost() {
    let reply = |reply| [receipt(1, reply)];
    for (receipts, state) in [
        (&[][..], Accepted),
        (&[][..], Sending),
        (&[][..], Sent),
        (&reply(Reply::NotNow)[..], Sent),
        (&reply(Reply::Refused)[..], Sent),
        (&reply(Reply::Accepted)[..], Expired),
        (&reply(Reply::Unclear)[..], Expired),
        (&reply(Reply::Accepted)[..], Failed),
        (&reply(Reply::Accepted)[..], Superseded),
    ] {
        let found = of(asked(), receipts, state);
        assert_eq!(found, [Kind::Lost], "{receipts:?} {state:?}");
    }
    assert_eq!(kinds(&[asked()], &received(&[]), &[]), [Kind::Lost]);
    let renamed = Delivery {
        name: "deliveries/b".into(),
        ..stored(Sent)
    };
    let receipts = received(&reply(Reply::Accepted));
    assert_eq!(kinds(&[asked()], &receipts, &[renamed]), [Kind::Lost]);
}

#[test]
fn a_message_that_comes_again_after_it_may_have_been_taken_is_twice() {
    for first in [Reply::Accepted, Reply::Unclear, Reply::Refused] {
        let receipts = [receipt(1, first), receipt(2, Reply::Accepted)];
        assert_eq!(of(asked(), &receipts, Sent), [Kind::Twice], "{first:?}");
    }
    let two_names = Asked {
        names: BTreeSet::from(["deliveries/a".to_owned(), "deliveries/b".to_owned()]),
        ..asked()
    };
    let once = [receipt(1, Reply::Accepted)];
    assert_eq!(of(two_names, &once, Sent), [Kind::Twice]);
    let other = Delivery {
        name: "deliveries/b".into(),
        ..stored(Sent)
    };
    let doubled = [stored(Sent), other];
    let found = kinds(&[asked()], &received(&once), &doubled);
    assert_eq!(found, [Kind::Twice]);
}

#[test]
fn a_message_at_its_expire_time_is_late() {
    assert_eq!(of(asked(), &[receipt(99, Reply::Accepted)], Sent), []);
    let late = of(asked(), &[receipt(100, Reply::Accepted)], Sent);
    assert_eq!(late, [Kind::Late]);
}

#[test]
fn an_uncertain_delivery_needs_a_kill_or_a_fault_in_the_middle_of_its_submission() {
    let books = |receipts: &[Receipt], stored| kinds(&[asked()], &received(receipts), &[stored]);
    let answered = [receipt(1, Reply::Accepted)];
    assert_eq!(books(&answered, interrupted()), []);
    assert_eq!(books(&[], interrupted()), []);
    let no_kill = Delivery {
        update_time: Some(prost_types::Timestamp {
            seconds: at(95).as_second(),
            nanos: 0,
        }),
        ..interrupted()
    };
    assert_eq!(books(&answered, no_kill), [Kind::Unexplained]);
    assert_eq!(books(&answered, stored(Uncertain)), [Kind::Unexplained]);
    // Nobody received it: the script must have closed a request before reading it.
    assert_eq!(books(&[], stored(Uncertain)), [Kind::Unexplained]);
    let closed = Received {
        faults: BTreeMap::from([(Wire::XmlRpc, BTreeMap::from([("closed before reading", 1)]))]),
        ..received(&[])
    };
    assert_eq!(kinds(&[asked()], &closed, &[stored(Uncertain)]), []);
    // At the other platform.
    let elsewhere = kinds(&[asked()], &closed, &[on_soap(Uncertain)]);
    assert_eq!(elsewhere, [Kind::Unexplained]);
}

#[test]
fn one_kill_interrupts_one_request_of_an_account_and_that_its_last() {
    let both = |other: Receipt, state: Delivery| {
        let second = Asked {
            number: 8,
            names: BTreeSet::from(["deliveries/b".to_owned()]),
            ..asked()
        };
        let mut received = received(&[receipt(1, Reply::Accepted)]);
        received.messages.insert(8, vec![other]);
        let other = Delivery {
            name: "deliveries/b".into(),
            reference: reference(8),
            ..state
        };
        kinds(&[asked(), second], &received, &[interrupted(), other])
    };
    assert_eq!(both(receipt(1, Reply::Accepted), interrupted()), []);
    let not_the_last = both(receipt(2, Reply::Accepted), stored(Sent));
    assert_eq!(not_the_last, [Kind::Unexplained]);
    let several = both(receipt(2, Reply::Accepted), interrupted());
    assert!(several.contains(&Kind::Unexplained));
}

#[test]
fn contradictions_of_any_other_kind_are_unexplained() {
    let once = [receipt(1, Reply::Accepted)];
    let turned_away = Asked {
        told: Told::Refused("QUEUE_FULL".into()),
        ..asked()
    };
    assert_eq!(of(turned_away, &once, Sent), [Kind::Unexplained]);
    let nothing = Asked {
        told: Told::Nothing,
        names: BTreeSet::new(),
        ..asked()
    };
    let unstored = kinds(&[nothing], &received(&once), &[]);
    assert_eq!(unstored, [Kind::Unexplained]);
    let cancelled = |cancelled| Asked {
        cancelled,
        ..asked()
    };
    let granted = of(cancelled(CancelTold::Ok), &once, Sent);
    assert_eq!(granted, [Kind::Unexplained]);
    assert_eq!(of(cancelled(CancelTold::Nothing), &[], Cancelled), []);
    assert_eq!(of(asked(), &[], Cancelled), [Kind::Unexplained]);
    assert_eq!(of(asked(), &[], Failed), [Kind::Unexplained]);
    let other_content = Asked {
        reuse_was_taken: true,
        ..asked()
    };
    assert_eq!(of(other_content, &once, Sent), [Kind::Unexplained]);
    let long_lived = Asked {
        expire_time: at(200),
        ..asked()
    };
    assert_eq!(of(long_lived, &[], Expired), [Kind::Unexplained]);
    let unasked = kinds(&[], &received(&[]), &[stored(Sent)]);
    assert_eq!(unasked, [Kind::Unexplained]);
}

#[test]
fn what_came_or_is_stored_on_a_wrong_account_sender_or_code_is_mixed_up() {
    let mix_ups = [
        Receipt {
            login: SAMPLES[1].accounts[1].login.into(),
            ..receipt(1, Reply::Accepted)
        },
        Receipt {
            sender: second().sender.into(),
            ..receipt(1, Reply::Accepted)
        },
        Receipt {
            wire: Wire::Soap,
            ..receipt(1, Reply::Accepted)
        },
        Receipt {
            text: SecretText::new("Cl@ve: 000000".into()),
            ..receipt(1, Reply::Accepted)
        },
    ];
    for mixed_up in mix_ups {
        let found = of(asked(), &[mixed_up], Sent);
        assert!(found.contains(&Kind::MixedUp), "{found:?}");
    }
    let once = received(&[receipt(1, Reply::Accepted)]);
    for wrong in [
        Delivery {
            account: "accounts/barcelona-mn".into(),
            ..stored(Sent)
        },
        Delivery {
            sender: "217812".into(),
            ..stored(Sent)
        },
        // Another account of its own than the one that took it.
        on_soap(Sent),
    ] {
        assert_eq!(kinds(&[asked()], &once, &[wrong]), [Kind::MixedUp]);
    }
    let stranger = Received {
        strangers: 1,
        ..Received::default()
    };
    assert_eq!(kinds(&[], &stranger, &[]), [Kind::Unexplained]);
}

#[test]
fn a_hand_over_is_right_only_after_a_clear_no_for_now() {
    let handed = |first: Reply, stored: Delivery| {
        let receipts = [receipt(1, first), soap(2, Reply::Accepted)];
        kinds(&[asked()], &received(&receipts), &[stored])
    };
    assert_eq!(handed(Reply::NotNow, on_soap(Sent)), []);
    for first in [Reply::Accepted, Reply::Unclear, Reply::Refused] {
        assert_eq!(handed(first, on_soap(Sent)), [Kind::Twice], "{first:?}");
    }
    // It was closed before it was read on the other account: nobody received it twice, and it should not have been tried.
    let closed = Received {
        faults: BTreeMap::from([(Wire::Soap, BTreeMap::from([("closed before reading", 1)]))]),
        ..received(&[receipt(1, Reply::Unclear)])
    };
    let found = kinds(&[asked()], &closed, &[on_soap(Uncertain)]);
    assert!(found.contains(&Kind::Twice), "{found:?}");
}

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
        let changes: Vec<_> = states.iter().map(|state| on_soap(*state)).collect();
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
        let asked: Vec<_> = (0..count)
            .map(|number| Asked {
                number,
                names: BTreeSet::from([format!("deliveries/{number}")]),
                ..asked()
            })
            .collect();
        let stored: Vec<_> = (0..count)
            .map(|number| Delivery {
                name: format!("deliveries/{number}"),
                reference: reference(number),
                reason: Reason::ATTEMPT_INTERRUPTED.into(),
                ..on_soap(Uncertain)
            })
            .collect();
        let messages = (0..count).map(|number| (number, vec![soap(number + 1, Reply::Accepted)]));
        let received = Received {
            messages: messages.collect(),
            ..Received::default()
        };
        kinds(&asked, &received, &stored)
    };
    assert_eq!(interrupted_at_once(4), []);
    assert_eq!(interrupted_at_once(5), [Kind::Unexplained]);
}
