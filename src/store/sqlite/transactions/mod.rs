//! What is written: each function is one named transaction, run by the writer within its group.

mod accepting;
mod attempts;
mod early_reports;
mod endings;
mod handing_over;
mod lanes;
mod lawful;
mod recovery;
mod reporting;
mod touch;

pub(super) use accepting::{SealedDelivery, accept};
pub(super) use attempts::{SealedWork, lease, settle};
pub(super) use early_reports::forget_early_reports;
pub(super) use endings::{cancel, expire_overdue};
pub(super) use handing_over::hand_over;
pub(super) use lanes::{close_lane, closure_of, open_lane, pause_lane, resume_lane};
pub(super) use recovery::recover;
pub(super) use reporting::{SealedReport, apply_report};
pub(super) use touch::touch;
