//! The ledger's pages on the reports that were sent.
//!
//! Must not know: HTTP, how reports are written.

use super::{Event, Ledger};
use crate::simulator::reports::{ReportEnding, ReportTry, SentReport};

impl Ledger {
    /// The reports that are kept, in the order in which they were begun.
    pub fn reports(&self) -> Vec<SentReport> {
        self.entries().reports.iter().cloned().collect()
    }

    /// Reports that have ended so far: acknowledged, given up or not sent; kept or not.
    pub fn report_count(&self) -> u64 {
        self.0.progress.borrow().reports_ended
    }

    /// Reports acknowledged so far, kept or not.
    pub fn acknowledged_report_count(&self) -> u64 {
        self.0.progress.borrow().reports_acknowledged
    }

    /// Returns when at least `n` reports have ended: acknowledged, given up or not sent.
    pub async fn until_reports(&self, n: u64) {
        self.until(|progress| progress.reports_ended >= n).await;
    }

    /// Returns when at least `n` reports have been acknowledged.
    pub async fn until_reports_acknowledged(&self, n: u64) {
        self.until(|progress| progress.reports_acknowledged >= n)
            .await;
    }

    /// Returns when reports have been tried at least `n` times in all.
    pub async fn until_report_tries(&self, n: u64) {
        self.until(|progress| progress.report_tries >= n).await;
    }

    /// Returns when at least `n` reports wait at gates at one time.
    pub async fn until_reports_held(&self, n: usize) {
        self.until(|progress| progress.reports_held >= n).await;
    }
}

/// What the simulator writes into its ledger.
impl Ledger {
    /// Keeps a report that begins; tells its place.
    pub(in crate::simulator) fn report_begins(&self, report: SentReport) -> u64 {
        let mut entries = self.entries();
        let place = entries.forgotten_reports + entries.reports.len() as u64;
        entries.reports.push_back(report);
        let surplus = entries.reports.len().saturating_sub(self.0.keep);
        entries.reports.drain(..surplus);
        entries.forgotten_reports += surplus as u64;
        place
    }

    /// Writes one more try beside a report.
    pub(in crate::simulator) fn report_tried(&self, place: u64, attempt: ReportTry) {
        self.change_report(place, |report| report.tries.push(attempt));
        self.progress(|progress| progress.report_tries += 1);
    }

    /// Writes how a report ended, and tells the observer.
    pub(in crate::simulator) fn report_ends(&self, place: u64, ending: ReportEnding) {
        let report = self.change_report(place, |report| report.ending = Some(ending));
        self.progress(|progress| {
            progress.reports_ended += 1;
            progress.reports_acknowledged += u64::from(ending == ReportEnding::Acknowledged);
        });
        if let Some(report) = report {
            self.observe(&Event::Reported(&report));
        }
    }

    /// Counts a report as held until the guard is dropped.
    pub(in crate::simulator) fn hold_report(&self) -> HeldReport {
        self.progress(|progress| progress.reports_held += 1);
        HeldReport(self.clone())
    }

    /// The report after the change; `None` when it has been forgotten.
    fn change_report(
        &self,
        place: u64,
        change: impl FnOnce(&mut SentReport),
    ) -> Option<SentReport> {
        let mut entries = self.entries();
        let index = place.checked_sub(entries.forgotten_reports)?;
        let report = entries.reports.get_mut(usize::try_from(index).ok()?)?;
        change(report);
        Some(report.clone())
    }
}

/// A report that waits at a gate.
pub(in crate::simulator) struct HeldReport(Ledger);

impl Drop for HeldReport {
    fn drop(&mut self) {
        self.0.progress(|progress| progress.reports_held -= 1);
    }
}
