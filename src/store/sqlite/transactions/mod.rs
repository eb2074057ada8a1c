//! What is written: each function is one named transaction, run by the writer within its group.

mod accepting;
mod attempts;
mod endings;
mod lanes;
mod touch;

pub(super) use accepting::{SealedDelivery, accept};
pub(super) use attempts::{SealedWork, lease, recover_interrupted, settle};
pub(super) use endings::{cancel, expire_overdue};
pub(super) use lanes::{close_lane, open_lane};
pub(super) use touch::touch;
