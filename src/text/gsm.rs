//! The GSM 03.38 alphabet, and how many segments a text takes on the air.
//!
//! Must not know: templates, codes, accounts.

use unicode_normalization::{UnicodeNormalization as _, is_nfc};

use crate::domain::Encoding;

/// Units that fit into the only segment of a text, and into each segment of a longer one, which gives up six bytes to
/// the header that joins the parts. Source: 3GPP TS 23.038 and TS 23.040 (140 bytes of user data).
const GSM7_ALONE: usize = 160;
const GSM7_JOINED: usize = 153;
const UCS2_ALONE: usize = 70;
const UCS2_JOINED: usize = 67;

/// What a text takes on the air.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Measure {
    /// GSM 7 if the alphabet holds every character, UCS-2 otherwise.
    pub encoding: Encoding,
    /// Septets, or UTF-16 units.
    pub units: u32,
    /// Billed SMS parts; 1 for an empty text.
    pub segments: u32,
}

/// Septets that a character takes in GSM 03.38: 1 in the default alphabet, 2 in the extension table (escape and
/// character), `None` in neither. Source: 3GPP TS 23.038, tables 6.2.1 and 6.2.1.1, without the national tables.
const fn septets(character: char) -> Option<usize> {
    match character {
        // The default alphabet, in the order of its table. Of the cedillas it holds only the capital.
        '@'
        | '£'
        | '$'
        | '¥'
        | 'è'
        | 'é'
        | 'ù'
        | 'ì'
        | 'ò'
        | 'Ç'
        | '\n'
        | 'Ø'
        | 'ø'
        | '\r'
        | 'Å'
        | 'å'
        | 'Δ'
        | '_'
        | 'Φ'
        | 'Γ'
        | 'Λ'
        | 'Ω'
        | 'Π'
        | 'Ψ'
        | 'Σ'
        | 'Θ'
        | 'Ξ'
        | 'Æ'
        | 'æ'
        | 'ß'
        | 'É'
        | ' '..='#'
        | '¤'
        | '%'..='?'
        | '¡'
        | 'A'..='Z'
        | 'Ä'
        | 'Ö'
        | 'Ñ'
        | 'Ü'
        | '§'
        | '¿'
        | 'a'..='z'
        | 'ä'
        | 'ö'
        | 'ñ'
        | 'ü'
        | 'à' => Some(1),
        // The extension table; U+000C is its page break.
        '\u{c}' | '^' | '{' | '}' | '\\' | '[' | '~' | ']' | '|' | '€' => Some(2),
        _ => None,
    }
}

/// Whether GSM 03.38 holds the character, be it in the extension table.
pub const fn holds(character: char) -> bool {
    septets(character).is_some()
}

/// Encoding, size and segments of a text that goes out in NFC and otherwise as it is written (rule 4.1).
pub fn measure(text: &str) -> Measure {
    // Every character of the alphabet is its own NFC, so such a text needs no second look.
    if let Some(measure) = measure_gsm7(text) {
        return measure;
    }
    if is_nfc(text) {
        return measure_ucs2(text);
    }
    let text: String = text.nfc().collect();
    measure_gsm7(&text).unwrap_or_else(|| measure_ucs2(&text))
}

fn measure_gsm7(text: &str) -> Option<Measure> {
    let add = |units, character| Some(units + septets(character)?);
    let units = text.chars().try_fold(0, add)?;
    let sizes = text.chars().filter_map(septets);
    Some(Measure {
        encoding: Encoding::Gsm7,
        units: count(units),
        segments: count(segments(units, sizes, GSM7_ALONE, GSM7_JOINED)),
    })
}

fn measure_ucs2(text: &str) -> Measure {
    let sizes = text.chars().map(char::len_utf16);
    let units = sizes.clone().sum();
    Measure {
        encoding: Encoding::Ucs2,
        units: count(units),
        segments: count(segments(units, sizes, UCS2_ALONE, UCS2_JOINED)),
    }
}

/// Fills segment after segment. A character that takes two units goes whole into the next segment where only one unit
/// is left, so an escape or a surrogate pair is never cut; hence a division would not do.
fn segments(
    units: usize,
    sizes: impl Iterator<Item = usize>,
    alone: usize,
    joined: usize,
) -> usize {
    if units <= alone {
        return 1;
    }
    let mut segments = 1;
    let mut used = 0;
    for size in sizes {
        if used + size > joined {
            segments += 1;
            used = 0;
        }
        used += size;
    }
    segments
}

/// No text that anyone sends comes near the limit; a longer one must not wrap around to a small figure.
fn count(units: usize) -> u32 {
    u32::try_from(units).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> (Encoding, u32, u32) {
        let measure = measure(text);
        (measure.encoding, measure.units, measure.segments)
    }

    #[test]
    fn the_alphabet_has_127_characters_and_the_extension_ten() {
        let sizes = ('\0'..=char::MAX).filter_map(septets);
        let (one, two): (Vec<_>, Vec<_>) = sizes.partition(|size| *size == 1);
        // The 128th place of the default alphabet is the escape itself.
        assert_eq!((one.len(), two.len()), (127, 10));
    }

    #[test]
    fn an_escape_pair_is_never_cut() {
        // 152 septets, then a pair: one septet of the first segment stays empty, and the rest no longer fits into two.
        let text = format!("{}€{}", "a".repeat(152), "a".repeat(152));
        assert_eq!(of(&text), (Encoding::Gsm7, 306, 3));
        let text = format!("{}€{}", "a".repeat(151), "a".repeat(153));
        assert_eq!(of(&text), (Encoding::Gsm7, 306, 2));
    }

    #[test]
    fn a_surrogate_pair_is_never_cut() {
        let text = format!("{}😀{}", "á".repeat(66), "á".repeat(66));
        assert_eq!(of(&text), (Encoding::Ucs2, 134, 3));
        let text = format!("{}😀{}", "á".repeat(65), "á".repeat(67));
        assert_eq!(of(&text), (Encoding::Ucs2, 134, 2));
    }

    #[test]
    fn one_character_outside_the_alphabet_turns_the_text_into_ucs2() {
        assert_eq!(of(&"a".repeat(160)), (Encoding::Gsm7, 160, 1));
        let text = format!("{}ç", "a".repeat(159));
        assert_eq!(of(&text), (Encoding::Ucs2, 160, 3));
    }

    #[test]
    fn a_letter_and_its_accent_are_measured_as_one_character() {
        assert_eq!(of("e\u{301}"), (Encoding::Gsm7, 1, 1));
        assert_eq!(of("a\u{301}"), (Encoding::Ucs2, 1, 1));
    }

    proptest! {
        #[test]
        fn the_segments_hold_the_units_and_none_is_for_nothing(text in "[a-z€😀á]{0,400}") {
            let Measure { encoding, units, segments } = measure(&text);
            let (alone, joined) = match encoding {
                Encoding::Gsm7 => (GSM7_ALONE, GSM7_JOINED),
                Encoding::Ucs2 => (UCS2_ALONE, UCS2_JOINED),
            };
            let (units, segments) = (units as usize, segments as usize);
            if segments == 1 {
                prop_assert!(units <= alone);
            } else {
                prop_assert!(units > alone);
                prop_assert!(segments * joined >= units);
                // Every segment but the last is full, or one unit short.
                prop_assert!((segments - 1) * (joined - 1) < units);
            }
        }
    }
}
