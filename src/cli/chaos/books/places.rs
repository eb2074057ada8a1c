//! The rule of each account: never more requests at a time than it has places.
//!
//! Must not know: what the requests carried.

use std::time::Duration;

use crate::cli::chaos::{
    received::Visit,
    samples::{Contract, SAMPLES},
};

/// How long a platform may take to notice that a client has gone, on a busy machine.
const FAREWELL: Duration = Duration::from_secs(1);

/// How many requests the account has at a time; none where there is no such account.
pub(super) fn of_account(account: &str) -> usize {
    let mut contracts = contracts();
    let contract = contracts.find(|contract| contract.is(account));
    contract.map_or(0, |contract| contract.wire.places())
}

fn contracts() -> impl Iterator<Item = &'static Contract> {
    SAMPLES.iter().flat_map(|sample| &sample.accounts)
}

/// What is wrong, for each account once.
pub(super) fn judge(visits: &[Visit]) -> Vec<String> {
    let mut found = Vec::new();
    for contract in contracts() {
        let of_account: Vec<_> = visits
            .iter()
            .filter(|visit| visit.login == contract.login)
            .collect();
        let places = contract.wire.places();
        let crowd = of_account.iter().find_map(|visit| {
            let others = of_account.iter().filter(|other| is_beside(other, visit));
            let at_once = others.count() + 1;
            (at_once > places).then_some((visit.request, at_once))
        });
        if let Some((request, at_once)) = crowd {
            found.push(format!(
                "{} had {at_once} requests at a time when request {request} came, and has {places} places",
                contract.account
            ));
        }
    }
    found
}

/// Whether another request was there when this one came.
fn is_beside(other: &Visit, visit: &Visit) -> bool {
    let began_before = (other.begin, other.request) < (visit.begin, visit.request);
    let grace = if other.may_outlast_its_client {
        FAREWELL
    } else {
        Duration::ZERO
    };
    began_before && other.end.is_none_or(|end| end > visit.begin + grace)
}
