//! `clave-otp number`: whether a code may go to a number.
//!
//! Must not know: accounts and their policies, but for the allowed regions.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::json_lines;
use crate::domain::{Recipient, RecipientError, Region};

/// Shows whether codes may go to numbers, one JSON object a line.
///
/// Keys: `recipient` (as given), `outcome` (`ACCEPT`, `MALFORMED`, `NOT_MOBILE`, `PREMIUM_OR_SPECIAL`, `NON_GEOGRAPHIC`
/// or `COUNTRY_NOT_ALLOWED`), `destination` (`NATIONAL` or `INTERNATIONAL`, of an accepted number), `region` (of a mobile
/// number, two letters); null where there is none. A refused number is an answer, not a failure: the status is 0.
#[derive(Debug, Args)]
pub struct NumberArgs {
    /// Numbers in the form +34600000000; `-`, or none at all, reads them from standard input, one a line.
    #[arg(value_name = "NUMBER")]
    numbers: Vec<String>,

    /// Regions that codes may go to, as two capital letters each, separated by commas.
    #[arg(long, value_name = "REGIONS", value_delimiter = ',', default_value = "ES", value_parser = region)]
    allow: Vec<Region>,
}

impl NumberArgs {
    /// Writes the answers to standard output.
    pub fn run(self) -> ExitCode {
        json_lines::answer_all(&self.numbers, |number| Answer::about(number, &self.allow))
    }
}

fn region(text: &str) -> Result<Region, &'static str> {
    Region::parse(text).ok_or("must be two capital letters, like ES")
}

#[derive(Serialize)]
struct Answer {
    recipient: String,
    outcome: &'static str,
    destination: Option<&'static str>,
    region: Option<String>,
}

impl Answer {
    fn about(text: &str, allowed: &[Region]) -> Self {
        let (outcome, destination, region) = match Recipient::parse(text) {
            Ok(number) if allowed.contains(&number.region()) => (
                "ACCEPT",
                Some(number.destination().as_str()),
                Some(number.region()),
            ),
            Ok(number) => ("COUNTRY_NOT_ALLOWED", None, Some(number.region())),
            Err(RecipientError::Malformed) => ("MALFORMED", None, None),
            Err(RecipientError::NotMobile) => ("NOT_MOBILE", None, None),
            Err(RecipientError::PremiumOrSpecial) => ("PREMIUM_OR_SPECIAL", None, None),
            Err(RecipientError::NonGeographic) => ("NON_GEOGRAPHIC", None, None),
        };
        Self {
            recipient: text.to_owned(),
            outcome,
            destination,
            region: region.map(|region| region.as_str().to_owned()),
        }
    }
}
