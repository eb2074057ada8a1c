//! Finds what a text with a code must never carry: links, what a telephone takes for one, and control characters.
//!
//! Must not know: what the text is for.

use super::transliteration::transliterate;

/// Whether the character breaks lines, controls a terminal or turns the direction of writing.
pub(super) fn is_control(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether the text carries a web address, as written or after transliteration.
pub(super) fn has_link(text: &str) -> bool {
    [text, &transliterate(text).text].into_iter().any(|text| {
        let text = text.to_lowercase();
        text.contains("://") || text.contains("www.")
    })
}

/// Whether the text carries something that telephones turn into a link: a name, a dot, and at least two letters
/// without a space between. `minutos.No` is one too (`.no` is Norway); a sentence needs its space.
///
/// The text is looked at after transliteration, where invisible characters are gone. The Catalan middle dot becomes a
/// dot by rule 4.1 and is let pass: `col·laboració` is a word.
pub(super) fn has_bare_domain(text: &str) -> bool {
    let without_middle_dots = text.replace(['·', '\u{140}', '\u{13f}'], "-");
    let text = transliterate(&without_middle_dots).text;
    text.match_indices('.').any(|(dot, _)| {
        let ends_name = |before: char| before.is_alphanumeric() || matches!(before, '-' | '}');
        let after = &text[dot + 1..];
        let two_letters = after.chars().take_while(|next| next.is_alphabetic()).nth(1);
        text[..dot].ends_with(ends_name) && (two_letters.is_some() || after.starts_with('{'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_links_however_they_are_written() {
        for link in [
            "http://x",
            "HTTPS://x.es",
            "vea WWW.clave.gob.es",
            "app://a",
        ] {
            assert!(has_link(link), "{link}");
        }
        assert!(!has_link("Cl@ve: su código"));
    }

    #[test]
    fn finds_what_a_telephone_takes_for_a_link() {
        for domain in [
            "ejemplo.es",
            "vea bit.ly/x",
            "a@ejemplo.es",
            "minutos.No",
            "{code}.es",
            "es.{code}",
            "niño.españa",
            "ejem\u{200b}plo\u{ad}.\u{200b}es",
            "xn--a.xn--b",
        ] {
            assert!(has_bare_domain(domain), "{domain}");
        }
        for sentence in [
            "Caduca en 10 minutos. No lo comparta.",
            "Fin.",
            "n.º 1",
            "a las 10.30 h",
            "espere...ya",
            "col·laboració",
            "paraŀlel",
            "3.5",
        ] {
            assert!(!has_bare_domain(sentence), "{sentence}");
        }
    }

    #[test]
    fn line_breaks_and_direction_marks_are_control_characters() {
        for control in ['\n', '\r', '\t', '\0', '\u{1b}', '\u{2028}', '\u{202e}'] {
            assert!(is_control(control), "{control:?}");
        }
        assert!(!is_control('ñ') && !is_control('\u{a0}'));
    }
}
