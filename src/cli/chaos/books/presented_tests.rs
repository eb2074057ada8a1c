//! Wrong credentials in made-up books: the judge must see each presentation too many.

use std::time::Duration;

use super::{Evidence, Kind, made_up::*};
use crate::{
    cli::chaos::{
        received::{Presented, Received, Visit},
        spells::Spell,
    },
    domain::Reason,
    grpc::proto::DeliveryState::{Accepted, Sending, Superseded},
};

/// A spell from second 10 to 60 at the account over XML-RPC, which is resumed at 65, with presentations at these seconds. The lives
/// begin at 9, 30 and 50.
fn spell(presented: &[i64]) -> Evidence {
    let received = Received {
        presented: presented
            .iter()
            .map(|second| Presented {
                login: first().login.into(),
                time: at(*second),
            })
            .collect(),
        ..Received::default()
    };
    let mut evidence = evidence(&[], &received, &[], &[]);
    evidence.recoveries = [9, 30, 50].map(|start| (at(start), at(start + 1))).into();
    evidence.spells = vec![Spell {
        contract: first(),
        from: at(10),
        until: Some(at(60)),
        kept: true,
        resumed: Some(at(65)),
    }];
    evidence
}

/// The rejection is kept at this second, with a delivery that a newer one supersedes then.
fn kept(mut evidence: Evidence, second: i64) -> Evidence {
    let delivery = stored(Superseded);
    let rejected = Reason::GATEWAY_CREDENTIALS_REJECTED;
    evidence.changes = vec![
        change(&delivery, Sending, "", second - 1),
        change(&delivery, Accepted, rejected, second),
    ];
    evidence
}

fn visit(begin: i64) -> Visit {
    Visit {
        login: first().login.into(),
        request: 4,
        begin: at(begin),
        end: Some(at(begin) + Duration::from_millis(1)),
        may_outlast_its_client: false,
    }
}

#[test]
fn one_presentation_in_each_closure_is_right_and_more_only_after_kills_that_kept_none() {
    assert_eq!(kinds_of(&spell(&[])), []);
    assert_eq!(kinds_of(&spell(&[12])), []);
    assert_eq!(kinds_of(&kept(spell(&[12]), 13)), []);
    // Two lives were killed before the rejection was kept.
    assert_eq!(kinds_of(&kept(spell(&[12, 32, 52]), 53)), []);
}

#[test]
fn a_wrong_password_that_is_presented_twice_is_found() {
    let twice_in_one_life = spell(&[12, 14]);
    assert_eq!(kinds_of(&twice_in_one_life), [Kind::Presented]);
    let after_it_was_kept = kept(spell(&[12, 32]), 13);
    assert_eq!(kinds_of(&after_it_was_kept), [Kind::Presented]);
    let both = kept(spell(&[12, 15]), 13);
    assert_eq!(kinds_of(&both), [Kind::Presented; 2]);
}

#[test]
fn an_account_that_sends_while_it_is_closed_is_found() {
    for (begin, expected) in [
        (11, &[][..]),
        (40, &[Kind::Presented]),
        (64, &[Kind::Presented]),
        (66, &[]),
    ] {
        let mut evidence = kept(spell(&[12]), 13);
        evidence.received.visits = vec![visit(begin)];
        assert_eq!(kinds_of(&evidence), expected, "{begin}");
    }
}

#[test]
fn a_wrong_password_of_the_services_own_is_unexplained() {
    assert_eq!(kinds_of(&spell(&[5])), [Kind::Unexplained]);
    assert_eq!(kinds_of(&spell(&[62])), [Kind::Unexplained]);
    let never_presented = kept(spell(&[]), 13);
    assert_eq!(kinds_of(&never_presented), [Kind::Unexplained]);
}
