//! The use case: a code is taken, or refused with a reason.
//!
//! Must not know: tonic, HTTP, which store it is. Everything is decided here, from top to bottom, before the one commit
//! that makes the answer OK.

mod refusal;

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::Timestamp;

use crate::{
    clock::Clock,
    domain::{
        AccountId, Caller, Delivery, DeliveryId, Dir3, Encoding, OneTimeCode, OriginHost, Purpose,
        Recipient, Reference, RequestId, Role, Sender, day_in_spain,
    },
    routing::{self, Administration, Ask, Directory, Route},
    store::{
        Acceptance, Cancellation, Content, ContentParts, LaneClosure, NewDelivery, Receipt,
        RequestKey, Store, Way,
    },
    text::{Composed, TextRequest, TextRules, Texts},
};

pub use refusal::Refusal;

/// What a caller asks for, parsed.
#[derive(Debug, Clone)]
pub struct Request {
    /// Who pays.
    pub administration: Dir3,
    /// Who gets it.
    pub recipient: Recipient,
    /// The code.
    pub code: OneTimeCode,
    /// Why it is sent.
    pub purpose: Purpose,
    /// BCP-47 tag of the wanted language, as asked; may be empty.
    pub language: Box<str>,
    /// When the code stops being worth anything.
    pub expire_time: Timestamp,
    /// Host for the origin-bound last line.
    pub origin: Option<OriginHost>,
    /// The sender as asked.
    pub sender: Option<Sender>,
    /// The caller's own id.
    pub reference: Option<Reference>,
}

/// A delivery, and whether this request had been taken before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The delivery, on the disk.
    pub delivery: Delivery,
    /// True when this call stored nothing.
    pub replayed: bool,
}

/// What would be sent.
#[derive(Debug)]
pub struct Preview<'a> {
    /// The way it would take.
    pub route: Route<'a>,
    /// The other ways that it could take, in order.
    pub other_routes: Vec<Route<'a>>,
    /// The text it would have.
    pub composed: Composed,
}

/// Takes codes.
#[derive(Debug, Clone)]
pub struct Intake {
    directory: Directory,
    texts: Arc<HashMap<Dir3, Texts>>,
    builtin: Texts,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    max_life: Duration,
}

impl Intake {
    /// Takes codes for the administrations of this directory; one without texts of its own uses the built-in ones. No code
    /// may live longer than `max_life` from now.
    pub fn new(
        directory: Directory,
        texts: HashMap<Dir3, Texts>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        max_life: Duration,
    ) -> Self {
        Self {
            directory,
            texts: Arc::new(texts),
            builtin: Texts::builtin(),
            store,
            clock,
            max_life,
        }
    }

    /// Takes one code. OK means: it is on the disk.
    ///
    /// A request that was taken before is answered with its delivery, even where it would be refused today: its code may be
    /// on its way. The store itself settles races, so nothing needs to be looked up for a request that is acceptable.
    pub async fn accept(
        &self,
        caller: &Caller,
        id: RequestId,
        request: &Request,
    ) -> Result<Accepted, Refusal> {
        let administration = self.authorize(caller, request)?;
        let key = RequestKey {
            caller: caller.name.clone(),
            request_id: id,
        };
        let now = self.clock.now();
        let delivery = DeliveryId::new(now);
        match self.prepare(administration, request, now, Draw::of(delivery)) {
            Ok(preview) => {
                let new = new_delivery(delivery, key, request, &preview, now);
                self.store.accept(new).await?.try_into()
            }
            Err(refusal) => match self.store.receipt_of(&key, &content(request)).await? {
                Some(receipt) => receipt.try_into(),
                None => Err(refusal),
            },
        }
    }

    /// Answers what [`Self::accept`] would do, without storing or sending anything.
    pub fn preview(&self, caller: &Caller, request: &Request) -> Result<Preview<'_>, Refusal> {
        let administration = self.authorize(caller, request)?;
        self.prepare(administration, request, self.clock.now(), Draw::Preview)
    }

    /// Withdraws a delivery that has not been submitted.
    pub async fn cancel(&self, caller: &Caller, id: DeliveryId) -> Result<Delivery, Refusal> {
        let delivery = self.store.delivery(id).await?;
        delivery
            .filter(|delivery| caller.may(Role::Sender, &delivery.administration))
            .ok_or(Refusal::NotFound)?;
        match self.store.cancel(id, self.clock.now()).await? {
            Cancellation::Cancelled(delivery) => Ok(delivery),
            Cancellation::TooLate(state) => Err(Refusal::TooLateToCancel(state)),
            Cancellation::NotFound => Err(Refusal::NotFound),
        }
    }

    /// An administration that does not exist cannot be told from one that is not listed for the caller.
    fn authorize(&self, caller: &Caller, request: &Request) -> Result<&Administration, Refusal> {
        self.directory
            .find(&request.administration)
            .filter(|administration| caller.may(Role::Sender, &administration.dir3))
            .ok_or(Refusal::AdministrationNotAvailable)
    }

    fn prepare<'a>(
        &self,
        administration: &'a Administration,
        request: &Request,
        now: Timestamp,
        draw: Draw,
    ) -> Result<Preview<'a>, Refusal> {
        let left = self.time_left(request.expire_time, now)?;
        let mut ways = routing::ways(
            administration,
            &Ask {
                recipient: &request.recipient,
                sender: request.sender.as_ref(),
                origin: request.origin.as_ref(),
                today: day_in_spain(now),
            },
        )?;
        let share = |account: &AccountId| self.share_of(account, now);
        let lanes = self.store.lanes();
        match draw {
            // The lot of a code that goes by the book.
            Draw::Preview => routing::draw(&mut ways, share, |_| false, 0),
            Draw::Lot(lot) => {
                routing::draw(
                    &mut ways,
                    share,
                    |account| lanes.takes_a_probe(account),
                    lot,
                );
            }
        }
        let mut ways = ways.into_iter();
        // One at least, or there would have been a refusal.
        let route = ways.next().ok_or(Refusal::SenderNotAllowed)?;
        let texts = self
            .texts
            .get(&administration.dir3)
            .unwrap_or(&self.builtin);
        let composed = texts.compose(&TextRequest {
            purpose: request.purpose,
            language: Some(&request.language),
            default_language: administration.default_language,
            code: &request.code,
            minutes: minutes(left),
            origin: request.origin.as_ref(),
            rules: TextRules {
                max_segments: route.account.max_segments,
                allow_ucs2: route.account.allow_ucs2,
            },
        })?;
        // Another account may allow less than this one.
        let carries = |route: &Route<'_>| {
            composed.segments <= route.account.max_segments
                && (composed.encoding == Encoding::Gsm7 || route.account.allow_ucs2)
        };
        let other_routes = ways.filter(carries).collect();
        Ok(Preview {
            route,
            other_routes,
            composed,
        })
    }

    /// What part of new codes an account is to be offered where another could take them, in hundredths.
    fn share_of(&self, account: &AccountId, now: Timestamp) -> u8 {
        let report = self.store.lanes().report(account);
        report.map_or(100, |report| report.share_at(now))
    }

    fn time_left(&self, expire_time: Timestamp, now: Timestamp) -> Result<Duration, Refusal> {
        let left = Duration::try_from(expire_time.duration_since(now)).unwrap_or_default();
        if left.is_zero() {
            Err(Refusal::AlreadyExpired)
        } else if left > self.max_life {
            Err(Refusal::ExpiryTooFar)
        } else {
            Ok(left)
        }
    }
}

impl TryFrom<Acceptance> for Accepted {
    type Error = Refusal;

    fn try_from(acceptance: Acceptance) -> Result<Self, Refusal> {
        let accepted = |delivery, replayed| Ok(Self { delivery, replayed });
        match acceptance {
            Acceptance::Stored(delivery) => accepted(delivery, false),
            Acceptance::Replayed(delivery) => accepted(delivery, true),
            Acceptance::Reused => Err(Refusal::RequestIdReused),
            Acceptance::QueueFull => Err(Refusal::QueueFull),
            Acceptance::LaneClosed(LaneClosure::Paused) => Err(Refusal::AccountPaused),
            Acceptance::LaneClosed(LaneClosure::CredentialsRejected) => {
                Err(Refusal::AccountCredentialsRejected)
            }
            Acceptance::LaneClosed(LaneClosure::NoCredit) => Err(Refusal::AccountNoCredit),
            Acceptance::CannotArriveInTime => Err(Refusal::CannotArriveInTime),
        }
    }
}

impl TryFrom<Receipt> for Accepted {
    type Error = Refusal;

    fn try_from(receipt: Receipt) -> Result<Self, Refusal> {
        match receipt {
            Receipt::Same(delivery) => Ok(Self {
                delivery,
                replayed: true,
            }),
            Receipt::Reused => Err(Refusal::RequestIdReused),
        }
    }
}

fn content(request: &Request) -> Content {
    Content::of(&ContentParts {
        administration: &request.administration,
        recipient: &request.recipient,
        code: &request.code,
        purpose: request.purpose,
        language: &request.language,
        expire_time: request.expire_time,
        origin: request.origin.as_ref(),
        sender: request.sender.as_ref(),
        reference: request.reference.as_ref(),
    })
}

/// How the first of several ways is found.
#[derive(Debug, Clone, Copy)]
enum Draw {
    /// For a code that will come: by a number below [`routing::LOTS`].
    Lot(u32),
    /// For one that will not: it can try no platform.
    Preview,
}

impl Draw {
    /// By a number that nobody can foresee: of the delivery's random bits.
    fn of(delivery: DeliveryId) -> Self {
        // The last bits of an id are random (RFC 9562, 5.7).
        let [.., a, b, c, d] = *delivery.as_bytes();
        Self::Lot(u32::from_be_bytes([a, b, c, d]) % routing::LOTS)
    }
}

fn way_of(route: &Route<'_>) -> Way {
    Way {
        account: route.account.id.clone(),
        queue_limit: route.account.queue_limit,
        sender: route.sender.clone(),
        effective_sender: route.effective_sender.clone(),
    }
}

fn new_delivery(
    id: DeliveryId,
    key: RequestKey,
    request: &Request,
    preview: &Preview<'_>,
    now: Timestamp,
) -> NewDelivery {
    let Preview {
        route,
        other_routes,
        composed,
    } = preview;
    NewDelivery {
        id,
        key,
        content: content(request),
        administration: request.administration.clone(),
        way: way_of(route),
        other_ways: other_routes.iter().map(way_of).collect(),
        recipient: request.recipient.clone(),
        text: composed.text.clone(),
        purpose: request.purpose,
        language: composed.language,
        encoding: composed.encoding,
        segments: composed.segments,
        reference: request.reference.clone(),
        create_time: now,
        expire_time: request.expire_time,
    }
}

/// Whole minutes to tell the citizen: to the nearest, because a code of ten minutes has a little less left when it comes
/// here, and at least one.
fn minutes(left: Duration) -> u32 {
    let nearest = left.as_secs().saturating_add(30) / 60;
    u32::try_from(nearest).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_citizen_is_told_the_nearest_minute_and_at_least_one() {
        for (seconds, told) in [
            (1, 1),
            (59, 1),
            (89, 1),
            (90, 2),
            (599, 10),
            (600, 10),
            (1800, 30),
        ] {
            assert_eq!(minutes(Duration::from_secs(seconds)), told, "{seconds} s");
        }
    }
}
