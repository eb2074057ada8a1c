//! Who is sent what: one code, or two of which the newer takes the older one's place.
//!
//! Must not know: how it is asked for, what is answered.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;

use super::{
    asked::{Asked, CancelTold, Told},
    chance::{Chance, Purpose},
    samples::{SAMPLES, Sample},
};
use crate::{
    domain::SecretText,
    grpc::proto::{self, CreateDeliveryRequest},
};

/// Life of an ordinary code: longer than any run, so that it never expires.
const LONG_LIFE: Duration = Duration::from_secs(29 * 60);
/// First of the numbers, one for each citizen (none of them is asked for anything: no SMS is sent).
const FIRST_PHONE: u64 = 600_000_000;
/// How many codes there are.
const CODES: u64 = 1_000_000;

/// One citizen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Citizen {
    pub(super) index: u64,
    sample: &'static Sample,
    /// What else they are sent.
    pub(super) second: Option<Second>,
}

/// A second code for the same citizen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Second {
    /// How long after the first it is asked for: often while that one waits, or is being sent.
    pub(super) after: Duration,
    purpose: proto::Purpose,
}

impl Citizen {
    pub(super) fn of(seed: u64, index: u64) -> Self {
        let mut chance = Chance::of(seed, Purpose::Citizen, index);
        let sample = match chance.among(0..=99) {
            0..=44 => &SAMPLES[0],
            45..=74 => &SAMPLES[1],
            _ => &SAMPLES[2],
        };
        let second = chance.percent(20).then(|| Second {
            after: chance.milliseconds(0..=120),
            // A code for another purpose takes nobody's place.
            purpose: if chance.percent(20) {
                proto::Purpose::Signature
            } else {
                proto::Purpose::Login
            },
        });
        Self {
            index,
            sample,
            second,
        }
    }

    /// The number in the run of their first or second delivery.
    pub(super) fn number(&self, second: bool) -> u64 {
        self.index * 2 + u64::from(second)
    }

    fn phone(&self) -> String {
        format!("+34{}", FIRST_PHONE + self.index)
    }
}

/// Which citizen a delivery is for, by its number.
pub(super) fn of_delivery(number: u64) -> u64 {
    number / 2
}

/// Which citizen has this phone, as it is written for a Spanish platform.
pub(super) fn of_phone(phone: &str) -> Option<u64> {
    phone.parse::<u64>().ok()?.checked_sub(FIRST_PHONE)
}

/// The caller's own id of a request.
pub(super) fn reference(number: u64) -> String {
    format!("chaos-{number}")
}

/// What is asked for, and the page on which it is written down.
pub(super) fn request(
    seed: u64,
    citizen: &Citizen,
    second: bool,
    chance: &mut Chance,
    now: Timestamp,
) -> (CreateDeliveryRequest, Asked) {
    let number = citizen.number(second);
    let sample = citizen.sample;
    let life = if chance.percent(20) {
        chance.milliseconds(30..=2500)
    } else {
        LONG_LIFE
    };
    // Kept to the microsecond, as the store keeps it.
    let expire_time = i64::try_from(life.as_micros())
        .ok()
        .and_then(|life| Timestamp::from_microsecond(now.as_microsecond() + life).ok())
        .unwrap_or(Timestamp::MAX);
    let purpose = match citizen.second {
        Some(other) if second => other.purpose,
        _ => proto::Purpose::Login,
    };
    let code = code(seed, citizen, second);
    let high = u128::from(chance.next()) << 64;
    let id = uuid::Builder::from_random_bytes((high | u128::from(chance.next())).to_be_bytes());
    let request = CreateDeliveryRequest {
        request_id: id.into_uuid().to_string(),
        administration: sample.dir3.into(),
        recipient: citizen.phone(),
        code: code.clone(),
        purpose: purpose.into(),
        language: chance.pick(&["es", "ca", "gl", "eu", "en"]).into(),
        expire_time: Some(prost_types::Timestamp {
            seconds: expire_time.as_second(),
            nanos: expire_time.subsec_nanosecond(),
        }),
        reference: reference(number),
        ..CreateDeliveryRequest::default()
    };
    let asked = Asked {
        number,
        purpose,
        sample,
        code: SecretText::new(code),
        expire_time,
        told: Told::Nothing,
        answered: None,
        names: BTreeSet::new(),
        cancelled: CancelTold::NotAsked,
        reuse_was_taken: false,
    };
    (request, asked)
}

/// The two of one citizen differ: they tell which message is which.
fn code(seed: u64, citizen: &Citizen, second: bool) -> String {
    let of = |second| Chance::of(seed, Purpose::Code, citizen.number(second)).among(0..=CODES - 1);
    let code = of(second);
    let same = second && code == of(false);
    format!("{:06}", (code + u64::from(same)) % CODES)
}
