//! Random choices made concrete: what they mean for the deliveries and leases that there are.

use std::num::NonZeroU32;

use clave_otp::{
    domain::{AccountId, AttemptToken, DeliveryId, Recipient, Report, ReportedStatus},
    store::{ClosingCause, HandOver, LaneClosing, LeaseRequest, Neighbour, NewReport, Which},
};

use super::{
    calls::{
        Accepting, Call, Entry, Handing, Other, Saying, Step, account, credentials, key,
        message_id, other_than, queue_limit,
    },
    expected::Model,
};

/// Few, so that newer codes for the same citizen are common.
const RECIPIENTS: u16 = 8;

fn neighbour(of: &AccountId, other: Other) -> Neighbour {
    Neighbour {
        account: other_than(of),
        queue_limit: queue_limit(),
        lawful: other.allows.lawful(),
        is_well: other.is_well,
    }
}

impl Model {
    /// What a random choice means just now.
    pub fn plan(&self, step: &Step) -> Call {
        let now = self.now;
        match step {
            Step::Accept {
                request,
                other_content,
                account: number,
                life_seconds,
            } => Call::Accept(self.request(
                u16::from(*request),
                *other_content,
                account(*number),
                *life_seconds,
            )),
            Step::Cancel { which } => Call::Cancel {
                id: self.any(*which),
                now,
            },
            Step::Lease {
                account: number,
                limit,
                margin_seconds,
                allows,
                other,
            } => Call::Lease(LeaseRequest {
                lawful: allows.lawful(),
                neighbours: other
                    .iter()
                    .map(|other| neighbour(&account(*number), *other))
                    .collect(),
                account: account(*number),
                limit: NonZeroU32::new(*limit).unwrap(),
                now,
                must_outlive: now + jiff::SignedDuration::from_secs((*margin_seconds).into()),
                // The first account's protocol tells the end, the others' do not.
                report_deadline: (account(*number) == account(0))
                    .then(|| now + jiff::SignedDuration::from_hours(1)),
            }),
            Step::Settle {
                lease,
                wrong_token,
                entries,
                rejected_credentials,
            } => self.plan_settlement(*lease, *wrong_token, entries, *rejected_credentials),
            Step::Report {
                which,
                account: number,
                message,
                saying,
            } => Call::Report(self.plan_report(*which, account(*number), *message, *saying)),
            Step::HandOver(handing) => Call::HandOver(self.plan_hand_over(handing)),
            Step::OpenLane {
                account: number,
                credentials: version,
            } => Call::OpenLane {
                account: account(*number),
                credentials: credentials(*version),
            },
            Step::PauseLane { account: number } => Call::PauseLane {
                account: account(*number),
                now,
            },
            Step::ResumeLane { account: number } => Call::ResumeLane(account(*number)),
            Step::ExpireOverdue => Call::ExpireOverdue { now },
        }
    }

    fn plan_report(&self, which: u8, account: AccountId, message: u8, saying: Saying) -> NewReport {
        NewReport {
            account,
            report: Report {
                delivery: Some(self.any(which)),
                // Some platforms name no message.
                message_id: (message != 0).then(|| message_id(message)),
                recipient: None,
                status: ReportedStatus::of(&format!("{saying:?}")),
                news: saying.news(),
            },
            receive_time: self.now,
            early_limit: NonZeroU32::MIN,
            max_per_delivery: NonZeroU32::MAX,
        }
    }

    fn plan_hand_over(&self, handing: &Handing) -> HandOver {
        let from = account(handing.from);
        let margin = jiff::SignedDuration::from_secs(handing.margin_seconds.into());
        HandOver {
            to: vec![neighbour(&from, handing.other)],
            from,
            which: if handing.what_was_tried {
                Which::WhatWasTried
            } else {
                Which::AllThatWait
            },
            now: self.now,
            must_outlive: self.now + margin,
        }
    }

    /// A request that no schedule chooses: the one under way when the power goes.
    pub fn interrupted_request(&mut self) -> Accepting {
        self.interruptions += 1;
        self.request(1000 + self.interruptions, false, account(0), 60)
    }

    fn request(
        &self,
        request: u16,
        other_content: bool,
        account: AccountId,
        life_seconds: u16,
    ) -> Accepting {
        let recipient = request % RECIPIENTS;
        Accepting {
            id: DeliveryId::new(self.now),
            key: key(request),
            other_content,
            account,
            has_other_way: !request.is_multiple_of(3),
            recipient: Recipient::parse(&format!("+3460000{recipient:04}")).unwrap(),
            create_time: self.now,
            expire_time: self.now + jiff::SignedDuration::from_secs(life_seconds.into()),
        }
    }

    fn plan_settlement(
        &self,
        lease: u8,
        wrong_token: bool,
        entries: &[Entry],
        rejected_credentials: Option<u8>,
    ) -> Call {
        let stranger = (AttemptToken::random(), Vec::new());
        let newest_first = self.leases.len().saturating_sub(1 + usize::from(lease));
        let (token, ids) = self.leases.get(newest_first).unwrap_or(&stranger);
        let settlements = entries.iter().map(|entry| {
            let id = match ids.len() {
                0 => self.any(entry.which),
                _ if entry.stray => self.any(entry.which),
                many => ids[usize::from(entry.which) % many],
            };
            (id, entry.kind.at(self.now))
        });
        Call::Settle {
            token: if wrong_token { stranger.0 } else { *token },
            settlements: settlements.collect(),
            closing: rejected_credentials.map(|version| LaneClosing {
                account: account(version),
                cause: ClosingCause::Credentials(credentials(version)),
            }),
            now: self.now,
        }
    }

    /// One of the deliveries; one that does not exist while there is none.
    fn any(&self, which: u8) -> DeliveryId {
        match self.kept.len() {
            0 => DeliveryId::new(self.now),
            many => self.kept[usize::from(which) % many].delivery.id,
        }
    }
}
