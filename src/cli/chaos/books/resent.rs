//! What an account with `on_uncertain = "resend_once"` may do, and every other may not: put back what may have been sent.
//!
//! Must not know: what explains that a submission is of unknown outcome.

use super::{Kind, case::Case};
use crate::{
    domain::Reason,
    grpc::proto::{Delivery, DeliveryState},
};

/// Why a delivery waits that has surely not been sent: the reasons that the faults of a run lead to.
const UNSENT: [&str; 5] = [
    Reason::GATEWAY_UNREACHABLE,
    Reason::GATEWAY_CREDENTIALS_REJECTED,
    "GATEWAY_HTTP_429",
    "GATEWAY_HTTP_503",
    // "Not now" over SOAP.
    "GATEWAY_CODE_4006",
];

/// The changes by which a delivery waits again although it may have been sent.
pub(super) fn put_backs<'a>(course: &'a [&'a Delivery]) -> impl Iterator<Item = &'a Delivery> {
    course.windows(2).filter_map(|pair| {
        let waits_again =
            pair[0].state() == DeliveryState::Sending && pair[1].state() == DeliveryState::Accepted;
        let may_be_sent = waits_again && !UNSENT.contains(&pair[1].reason.as_str());
        may_be_sent.then_some(pair[1])
    })
}

/// Whether it waited right before this change of its course.
pub(super) fn waited_before(course: &[&Delivery], change: &Delivery) -> bool {
    let mut pairs = course.windows(2);
    pairs.any(|pair| std::ptr::eq(pair[1], change) && pair[0].state() == DeliveryState::Accepted)
}

/// At most one, and none where the account holds what is uncertain.
pub(super) fn judge(case: &Case<'_>) -> Vec<(Kind, String)> {
    let allowed = usize::from(case.asked.sample.resends);
    put_backs(case.course)
        .skip(allowed)
        .map(|change| {
            let what = format!("was put back once too often ({})", change.reason);
            (Kind::Twice, what)
        })
        .collect()
}
