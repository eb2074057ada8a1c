//! Two codes for one citizen, in made-up books: the judge must see where the older one goes on.

use super::{Evidence, Kind, made_up::*};
use crate::{
    cli::chaos::{asked::Asked, citizens::reference, faults::Reply, received::Receipt},
    domain::{Reason, SecretText},
    grpc::proto::{
        Delivery,
        DeliveryState::{self, Accepted, Failed, Sending, Sent, Superseded},
        Purpose,
    },
};

const NEWER_CODE: &str = "193755";

/// The older one is delivery 6, the newer one 7; the newer one is stored at second 20, answered at 21 and sent at 30. `way` is that
/// of the older one: what comes before the newer one and what after.
fn both(
    receipts: &[Receipt],
    before: &[(DeliveryState, i64)],
    after: &[(DeliveryState, i64)],
) -> Evidence {
    let older = Delivery {
        name: "deliveries/older".into(),
        reference: reference(6),
        ..stored(Accepted)
    };
    let newer = stored(Accepted);
    // Each time that it is sent is an attempt more, but for a report in between.
    let mut course: Vec<Delivery> = Vec::new();
    for (state, second) in before.iter().chain(after) {
        let last = course.last();
        let begins = *state == Sending && last.is_none_or(|last| last.state() != Sending);
        let attempts = last.map_or(0, |last| last.attempts) + i32::from(begins);
        let step = change(&older, *state, "", *second);
        course.push(Delivery { attempts, ..step });
    }
    let after = course.split_off(before.len());
    let mut changes = course;
    changes.push(change(&newer, Accepted, "", 20));
    changes.extend(after);
    let end = changes.iter().rfind(|change| change.name == older.name);
    let end = end.unwrap().clone();
    for (state, second) in [(Sending, 29), (Sent, 31)] {
        changes.push(change(&newer, state, "", second));
    }
    let stored = [end, changes.last().unwrap().clone()];
    let asked = [
        Asked {
            number: 6,
            names: [older.name.clone()].into(),
            answered: Some(at(1)),
            ..asked()
        },
        Asked {
            code: SecretText::new(NEWER_CODE.into()),
            answered: Some(at(21)),
            ..asked()
        },
    ];
    let mut receipts = receipts.to_vec();
    receipts.push(Receipt {
        text: SecretText::new(format!("Cl@ve: {NEWER_CODE}")),
        ..receipt(30, Reply::Accepted)
    });
    evidence(&asked, &received(&receipts), &stored, &changes)
}

fn older(request: u64) -> Receipt {
    receipt(request, Reply::Accepted)
}

#[test]
fn a_newer_code_takes_the_place_of_one_that_waits_and_lets_go_what_is_being_sent() {
    let gave_way = both(&[], &[(Accepted, 0)], &[(Superseded, 20)]);
    assert_eq!(kinds_of(&gave_way), []);
    let sent_before = [(Accepted, 0), (Sending, 1), (Sent, 5)];
    assert_eq!(kinds_of(&both(&[older(2)], &sent_before, &[])), []);
    // The attempt had begun; its message may come after the answer to the newer one.
    let under_way = [(Accepted, 0), (Sending, 19)];
    for request in [19, 22] {
        let raced = both(&[older(request)], &under_way, &[(Sent, 25)]);
        assert_eq!(kinds_of(&raced), [], "{request}");
    }
    let reported_early = both(&[older(19)], &under_way, &[(Sending, 21), (Sent, 25)]);
    assert_eq!(kinds_of(&reported_early), []);
    let not_taken = Receipt {
        reply: Reply::NotNow,
        ..older(22)
    };
    let let_go = both(&[not_taken], &under_way, &[(Superseded, 25)]);
    assert_eq!(kinds_of(&let_go), []);
}

#[test]
fn a_superseded_code_that_is_sent_as_well_is_found() {
    let found = |receipts: &[Receipt], before: &[_], after: &[_]| {
        let found = kinds_of(&both(receipts, before, after));
        assert!(found.contains(&Kind::Superseded), "{found:?}");
    };
    let waits = [(Accepted, 0)];
    // Both were sent, and the log of changes says so.
    found(&[older(25)], &waits, &[(Sending, 24), (Sent, 26)]);
    // It says that the older one gave way, and yet it came.
    found(&[older(25)], &waits, &[(Superseded, 20)]);
    // It was tried again behind the newer one.
    let under_way = [(Accepted, 0), (Sending, 19)];
    let again = [(Accepted, 22), (Sending, 23), (Sent, 26)];
    found(&[older(25)], &under_way, &again);
    found(&[older(22), older(25)], &under_way, &[(Sent, 26)]);
    // It did not give way, whatever became of it.
    found(&[], &waits, &[(Failed, 40)]);
}

#[test]
fn what_nobody_superseded_is_not_superseded() {
    let alone = of(asked(), &[], Superseded);
    assert_eq!(alone, [Kind::Unexplained]);
    let mut evidence = both(&[], &[(Accepted, 0)], &[(Superseded, 20)]);
    evidence.asked[1].purpose = Purpose::Signature;
    assert_eq!(kinds_of(&evidence), [Kind::Unexplained]);
    // The newer one was the first to be stored.
    let mut evidence = both(&[], &[(Accepted, 0)], &[(Superseded, 20)]);
    evidence.changes.rotate_left(1);
    assert!(kinds_of(&evidence).contains(&Kind::Unexplained));
}

#[test]
fn a_message_with_nobodys_code_is_mixed_up() {
    let nobodys = Receipt {
        text: SecretText::new("Cl@ve: 000000".into()),
        ..older(3)
    };
    let sent = [(Accepted, 0), (Sending, 1), (Sent, 5)];
    let found = kinds_of(&both(&[nobodys], &sent, &[]));
    assert_eq!(found, [Kind::MixedUp], "{}", Reason::TIME_RAN_OUT);
}
