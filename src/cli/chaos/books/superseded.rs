//! Of two codes for the same administration, citizen and purpose the older goes nowhere once the newer one is stored.
//!
//! Must not know: how the platforms answered. Which is the newer one, the log of changes tells: it is in the order of commits.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::{Evidence, Finding, Kind, case::word};
use crate::{
    cli::chaos::{
        asked::Asked,
        citizens::{self, reference},
    },
    grpc::proto::{Delivery, DeliveryState},
};

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Superseding {
    /// Numbers of deliveries that a newer one may have superseded.
    pub(super) has_newer: HashSet<u64>,
    pub(super) findings: Vec<Finding>,
}

/// A delivery in the log: its changes with their places.
type Course<'a> = Vec<(usize, &'a Delivery)>;

/// Judges every pair.
pub(super) fn judge(books: &Evidence) -> Superseding {
    let mut courses: HashMap<&str, Course<'_>> = HashMap::new();
    for (place, change) in books.changes.iter().enumerate() {
        courses
            .entry(&change.reference)
            .or_default()
            .push((place, change));
    }
    let mut pairs: HashMap<(u64, i32), Vec<&Asked>> = HashMap::new();
    for asked in &books.asked {
        let key = (citizens::of_delivery(asked.number), asked.purpose.into());
        pairs.entry(key).or_default().push(asked);
    }
    let mut superseding = Superseding::default();
    for pair in pairs.into_values() {
        let mut stored: Vec<_> = pair
            .into_iter()
            .filter_map(|asked| {
                let course = courses.get(reference(asked.number).as_str())?;
                Some((course.first()?.0, asked, course))
            })
            .collect();
        stored.sort_by_key(|(place, ..)| *place);
        for older_and_newer in stored.windows(2) {
            let [(_, older, course), (since, newer, _)] = older_and_newer else {
                continue;
            };
            superseding.has_newer.insert(older.number);
            let found = judge_pair(books, older, course, *since, newer.answered);
            superseding.findings.extend(found);
        }
    }
    superseding.findings.sort_by_key(|finding| finding.delivery);
    superseding
}

fn judge_pair(
    books: &Evidence,
    older: &Asked,
    course: &Course<'_>,
    since: usize,
    answered: Option<Timestamp>,
) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut find = |what: String| {
        found.push(Finding {
            kind: Kind::Superseded,
            delivery: Some(older.number),
            what,
        });
    };
    let (before, after): (Course<'_>, Course<'_>) =
        course.iter().partition(|(place, _)| *place < since);
    let state = before.last().map(|(_, change)| change.state());
    let next = after.first().map(|(_, change)| *change);
    // What waited is superseded with the newer one's own commit; what may have been sent can only be given up.
    let gave_way = next.is_some_and(|next| {
        matches!(
            next.state(),
            DeliveryState::Superseded | DeliveryState::Uncertain
        )
    });
    if state == Some(DeliveryState::Accepted) && !gave_way {
        let is = next.map_or("ACCEPTED", word);
        find(format!("waited when a newer code came, and then was {is}"));
    }
    // A report that comes while it is being sent is a change too, of the same attempt.
    let attempts = before.last().map_or(0, |(_, change)| change.attempts);
    let again = |change: &Delivery| match change.state() {
        DeliveryState::Accepted => true,
        DeliveryState::Sending => change.attempts > attempts,
        _ => false,
    };
    if let Some((_, change)) = after.iter().find(|(_, change)| again(change)) {
        find(format!("was {} after a newer code had come", word(change)));
    }
    // The one attempt that had begun may still arrive.
    let allowed = usize::from(state == Some(DeliveryState::Sending));
    let citizen = citizens::of_delivery(older.number);
    let messages = books.received.messages.get(&citizen).into_iter().flatten();
    let late = messages.filter(|receipt| {
        answered.is_some_and(|answered| receipt.time > answered)
            && receipt.text.expose().contains(older.code.expose())
    });
    let late: Vec<_> = late.map(|receipt| receipt.request).collect();
    if late.len() > allowed {
        find(format!(
            "came in requests {late:?} after the newer code had been answered OK"
        ));
    }
    found
}
