//! `clave-otp text`: what a text takes on the air.
//!
//! Must not know: templates, codes, accounts.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use unicode_normalization::UnicodeNormalization as _;

use super::json_lines;
use crate::text::{Replaced, measure, transliterate};

/// Shows encoding, units and segments of texts, one JSON object a line.
///
/// Keys: `text`, `encoding` (`GSM7` or `UCS2`), `units` (septets or UTF-16 units), `segments`, `replaced`,
/// `unrepresentable`. Without `--transliterate` the text is shown and measured as it is written (in NFC), and `unrepresentable` still lists
/// what GSM 03.38 could not carry even then.
#[derive(Debug, Args)]
pub struct TextArgs {
    /// Texts to measure; `-`, or none at all, reads them from standard input, one a line. Write `--` before a text
    /// that begins with a hyphen.
    #[arg(value_name = "TEXT")]
    texts: Vec<String>,

    /// Replaces what GSM 03.38 lacks, as the service does with its templates. A text with characters that cannot be
    /// replaced is shown as it would go out where UCS-2 is allowed: as written.
    #[arg(long)]
    transliterate: bool,
}

impl TextArgs {
    /// Writes the answers to standard output.
    pub fn run(self) -> ExitCode {
        json_lines::answer_all(&self.texts, |text| Answer::about(text, self.transliterate))
    }
}

#[derive(Serialize)]
struct Answer {
    text: String,
    encoding: &'static str,
    units: u32,
    segments: u32,
    replaced: Vec<Replacement>,
    unrepresentable: Vec<char>,
}

#[derive(Serialize)]
struct Replacement {
    original: char,
    replacement: String,
}

impl Answer {
    fn about(text: &str, as_the_service_would: bool) -> Self {
        let transliterated = transliterate(text);
        let (text, replaced) = if as_the_service_would && transliterated.unrepresentable.is_empty()
        {
            (transliterated.text, transliterated.replaced)
        } else {
            (text.nfc().collect(), Vec::new())
        };
        let measure = measure(&text);
        Self {
            text,
            encoding: measure.encoding.as_str(),
            units: measure.units,
            segments: measure.segments,
            replaced: replaced.into_iter().map(Replacement::from).collect(),
            unrepresentable: transliterated.unrepresentable,
        }
    }
}

impl From<Replaced> for Replacement {
    fn from(replaced: Replaced) -> Self {
        Self {
            original: replaced.original,
            replacement: replaced.replacement,
        }
    }
}
