//! Replaces what GSM 03.38 lacks by what it has, so that a text keeps 160 characters to a segment.
//!
//! Must not know: templates, codes, accounts.

use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

use super::gsm;

/// One character that the alphabet lacks and what goes out instead.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Replaced {
    /// The character as written (NFC).
    pub original: char,
    /// What goes out; empty where the character is left out.
    pub replacement: String,
}

/// A text after transliteration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transliterated {
    /// The text; characters that cannot be represented still stand in it.
    pub text: String,
    /// Each replacement, in order of appearance, repeats included.
    pub replaced: Vec<Replaced>,
    /// Each character that GSM 03.38 can neither hold nor imitate, in order of appearance, repeats included.
    pub unrepresentable: Vec<char>,
}

/// Replaces each character outside GSM 03.38 by its nearest likeness in it (rule 4.1). The text is brought into NFC
/// first; what the alphabet holds is never touched.
pub fn transliterate(text: &str) -> Transliterated {
    let mut result = Transliterated {
        text: String::with_capacity(text.len()),
        replaced: Vec::new(),
        unrepresentable: Vec::new(),
    };
    // Every character of the alphabet is its own NFC, so such a text needs no second look.
    if text.chars().all(gsm::holds) {
        result.text.push_str(text);
        return result;
    }
    // Whether a mark that follows would stand on a letter that goes out; only then may it be left out.
    let mut stands_on_letter = false;
    for character in text.nfc() {
        if gsm::holds(character) {
            result.text.push(character);
            stands_on_letter = true;
        } else if let Some(replacement) = likeness(character, stands_on_letter) {
            stands_on_letter |= !replacement.is_empty();
            result.text.push_str(&replacement);
            result.replaced.push(Replaced {
                original: character,
                replacement,
            });
        } else {
            result.text.push(character);
            result.unrepresentable.push(character);
            stands_on_letter = false;
        }
    }
    if !result.unrepresentable.is_empty() {
        // A character that was left out may have kept two others apart.
        result.text = result.text.nfc().collect();
    }
    result
}

fn likeness(character: char, stands_on_letter: bool) -> Option<String> {
    if let Some(replacement) = look_alike(character) {
        return Some(replacement.to_owned());
    }
    if is_combining_mark(character) && stands_on_letter {
        return Some(String::new());
    }
    // The letter under the accents. Only letters: `≠` without its stroke would say the opposite.
    let base = std::iter::once(character).nfd().next()?;
    (base != character && base.is_alphabetic() && gsm::holds(base)).then(|| base.to_string())
}

/// What stands for a character that has no base letter in the alphabet. Accented letters are not listed: the letter
/// under the accent stands for them. Covers Latin-1, Latin Extended-A and typographic punctuation.
fn look_alike(character: char) -> Option<&'static str> {
    let replacement = match character {
        '\t' | '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => " ",
        '\u{2028}' | '\u{2029}' => "\n",
        // Invisible: soft hyphen, zero-width characters, direction marks, word joiner, byte order mark.
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' => "",
        // Quotes, primes and accents that stand alone.
        '`' | '´' | 'ʹ' | 'ʻ' | 'ʼ' | 'ʽ' | 'ˈ' | '‘' | '’' | '‚' | '‛' | '′' | '‵' | '‹' | '›' => {
            "'"
        }
        '¨' | '«' | '»' | '“' | '”' | '„' | '‟' | '″' | '‶' | '‴' => "\"",
        '¸' => ",",
        '‐' | '‑' | '‒' | '–' | '—' | '―' | '−' | '⁃' | '¬' | '¯' => "-",
        // The Catalan middle dot and its likenesses.
        '·' | '‧' | '∙' | '⋅' => ".",
        '…' => "...",
        '‥' => "..",
        '•' | '‣' | '◦' => "*",
        '‼' => "!!",
        '⁇' => "??",
        '⁈' => "?!",
        '⁉' => "!?",
        '¦' => "|",
        '⁄' | '∕' | '÷' => "/",
        '×' => "x",
        '±' => "+/-",
        '‰' => "o/oo",
        '¢' => "c",
        'ƒ' => "f",
        'µ' => "u",
        '¶' => "P",
        '©' => "(c)",
        '®' => "(R)",
        '™' => "TM",
        '№' => "No",
        '←' => "<-",
        '→' => "->",
        'ª' => "a",
        'º' | '°' => "o",
        '⁰' | '₀' => "0",
        '¹' | '₁' => "1",
        '²' | '₂' => "2",
        '³' | '₃' => "3",
        '⁴' | '₄' => "4",
        '⁵' | '₅' => "5",
        '⁶' | '₆' => "6",
        '⁷' | '₇' => "7",
        '⁸' | '₈' => "8",
        '⁹' | '₉' => "9",
        '¼' => "1/4",
        '½' => "1/2",
        '¾' => "3/4",
        _ => return letter_look_alike(character),
    };
    Some(replacement)
}

/// Letters whose stroke, hook or ligature is no accent in the eyes of Unicode.
fn letter_look_alike(character: char) -> Option<&'static str> {
    let replacement = match character {
        'Ð' | 'Đ' => "D",
        'ð' | 'đ' => "d",
        'Þ' => "Th",
        'þ' => "th",
        'ẞ' => "SS",
        'Ħ' => "H",
        'ħ' => "h",
        'ı' => "i",
        'Ĳ' => "IJ",
        'ĳ' => "ij",
        'ĸ' => "k",
        'Ŀ' => "L.",
        'ŀ' => "l.",
        'Ł' => "L",
        'ł' => "l",
        'ŉ' => "'n",
        'Ŋ' => "N",
        'ŋ' => "n",
        'Œ' => "OE",
        'œ' => "oe",
        'Ŧ' => "T",
        'ŧ' => "t",
        'ſ' => "s",
        'ﬀ' => "ff",
        'ﬁ' => "fi",
        'ﬂ' => "fl",
        'ﬃ' => "ffi",
        'ﬄ' => "ffl",
        'ﬅ' | 'ﬆ' => "st",
        _ => return None,
    };
    Some(replacement)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::Encoding;

    fn becomes(text: &str, expected: &str) {
        let result = transliterate(text);
        assert_eq!(result.text, expected, "{text}");
        assert!(result.unrepresentable.is_empty(), "{text}");
    }

    #[test]
    fn each_character_of_latin_1_and_latin_extended_a_finds_its_likeness() {
        for character in ('\u{a0}'..='\u{17f}').chain(['`', '\t']) {
            let result = transliterate(&character.to_string());
            assert!(result.unrepresentable.is_empty(), "{character:?}");
            assert!(result.text.chars().all(gsm::holds), "{character:?}");
        }
    }

    #[test]
    fn what_the_alphabet_holds_stays() {
        for text in ["Cl@ve: àèéùìò ñÑüÜ Ç", "ΔΦΓΛΩΠΨΣΘΞ", "[€] {x} ~ ^ \\ |\n"]
        {
            let result = transliterate(text);
            assert_eq!((result.text.as_str(), result.replaced.len()), (text, 0));
        }
    }

    #[test]
    fn accents_quotes_dashes_and_ligatures_become_plain() {
        becomes("aquí a ningú", "aqui a ningu");
        becomes("«l’œuvre» — n.º 1…", "\"l'oeuvre\" - n.o 1...");
        becomes("instal·lació", "instal.lacio");
        becomes("10\u{a0}€ a\u{ad}b", "10 € ab");
    }

    #[test]
    fn a_letter_and_its_accent_are_one_character() {
        becomes("e\u{301}", "é");
        becomes("a\u{301}", "a");
        // No composed form exists: the letter stays, the accent goes.
        becomes("x\u{301}", "x");
    }

    #[test]
    fn nothing_is_turned_into_its_opposite() {
        assert_eq!(transliterate("a ≠ b").unrepresentable, ['≠']);
    }

    #[test]
    fn what_has_no_likeness_is_listed_each_time_and_kept() {
        let result = transliterate("日á本日");
        assert_eq!(result.text, "日a本日");
        assert_eq!(result.unrepresentable, ['日', '本', '日']);
        assert_eq!(result.replaced.len(), 1);
        // A mark alone, or on such a character, is not dropped in silence.
        assert_eq!(transliterate("\u{301}").unrepresentable, ['\u{301}']);
        assert_eq!(transliterate("日\u{323}").unrepresentable.len(), 2);
    }

    proptest! {
        #[test]
        fn a_second_time_changes_nothing(text in any::<String>()) {
            let once = transliterate(&text);
            let twice = transliterate(&once.text);
            prop_assert_eq!(&twice.text, &once.text);
            prop_assert!(twice.replaced.is_empty());
        }

        #[test]
        fn marks_and_letters_of_any_script_settle_at_once(
            text in "[a-zàçñи日\u{1100}\u{1161}\u{11a8}\u{200b}\u{300}-\u{345}]{0,24}"
        ) {
            let once = transliterate(&text);
            let twice = transliterate(&once.text);
            prop_assert_eq!(&twice.text, &once.text);
        }

        #[test]
        fn a_text_without_leftovers_measures_as_gsm_7(text in "[\u{a0}-\u{17f} a-z‘-„€·]{0,200}") {
            let result = transliterate(&text);
            prop_assert_eq!(&result.unrepresentable, &[] as &[char]);
            prop_assert_eq!(gsm::measure(&result.text).encoding, Encoding::Gsm7);
        }
    }
}
