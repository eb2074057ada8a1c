//! How many SMS a text is, in the alphabet of GSM 03.38 or in Unicode.
//!
//! Must not know: tags, credits. Written apart from the product's own count, so that both cannot share a mistake.

/// The basic table, without the two that no text holds (escape, and the Greek ones that are letters of the Latin alphabet).
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿\
    abcdefghijklmnopqrstuvwxyzäöñüà";

/// Each takes two places (official text, appendix 2).
const EXTENDED: &str = "^{}\\[~]|€\u{c}";

/// How a text is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alphabet {
    /// What it lacks is replaced by the most similar character, of one place.
    Gsm,
    Unicode,
}

/// Number of SMS; 0 for an empty text.
pub(super) fn segments(text: &str, alphabet: Alphabet) -> usize {
    let (places, alone, joined) = match alphabet {
        Alphabet::Gsm => {
            let places = |letter: char| 1 + usize::from(EXTENDED.contains(letter));
            (text.chars().map(places).sum::<usize>(), 160, 153)
        }
        // 70 characters, then 67 for each (official text, appendix 2).
        Alphabet::Unicode => (text.encode_utf16().count(), 70, 67),
    };
    match places {
        0 => 0,
        _ if places <= alone => 1,
        _ => places.div_ceil(joined),
    }
}

/// The text as the handset shows it in the alphabet of GSM, where accents are lost.
pub(super) fn as_gsm(text: &str) -> String {
    let similar = |letter| match letter {
        'á' | 'â' | 'ã' => 'a',
        'Á' | 'À' | 'Â' | 'Ã' => 'A',
        'ê' | 'ë' => 'e',
        'È' | 'Ê' | 'Ë' => 'E',
        'í' | 'î' | 'ï' => 'i',
        'Í' | 'Ì' | 'Î' | 'Ï' => 'I',
        'ó' | 'ô' | 'õ' => 'o',
        'Ó' | 'Ò' | 'Ô' | 'Õ' => 'O',
        'ú' | 'û' => 'u',
        'Ú' | 'Ù' | 'Û' => 'U',
        'ç' => 'Ç',
        known if BASIC.contains(known) || EXTENDED.contains(known) => known,
        _ => '?',
    };
    text.chars().map(similar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_counted_by_its_alphabet() {
        for (text, alphabet, count) in [
            (String::new(), Alphabet::Gsm, 0),
            ("a".repeat(160), Alphabet::Gsm, 1),
            ("a".repeat(161), Alphabet::Gsm, 2),
            ("€".repeat(80), Alphabet::Gsm, 1),
            ("€".repeat(81), Alphabet::Gsm, 2),
            ("á".repeat(70), Alphabet::Unicode, 1),
            ("á".repeat(71), Alphabet::Unicode, 2),
            ("😀".repeat(36), Alphabet::Unicode, 2),
        ] {
            assert_eq!(segments(&text, alphabet), count, "{text}");
        }
        assert_eq!(as_gsm("su código é€ñ 😀"), "su codigo é€ñ ?");
        assert_eq!(as_gsm(BASIC), BASIC);
    }
}
