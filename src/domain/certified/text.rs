//! The text of a certified message: the caller's own words, in which no tag of the platform can be formed.

use std::fmt;

use thiserror::Error;
use zeroize::Zeroizing;

/// A text with places for variables, `{1}` to `{10}`.
///
/// The platform reads tags such as `(FILE:2:x.pdf)`, `(LINK:…)` or `(Variable_1)` in a message. Only our own fields may become
/// tags, so a text in which something looks like one is refused.
#[derive(Clone, PartialEq, Eq)]
pub struct CertifiedText(Zeroizing<String>);

/// Why a text is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CertifiedTextError {
    /// Nothing to say.
    #[error("must not be empty")]
    Empty,
    /// More than [`CertifiedText::MAX_CHARACTERS`].
    #[error("is longer than 1000 characters")]
    TooLong,
    /// It holds something that the platform would take for a tag.
    #[error(
        "holds a tag of the platform, such as (FILE: or (Variable_1): use the fields for files and {{1}} to {{10}} for variables"
    )]
    Tag,
    /// A control character other than a line break.
    #[error("holds a control character")]
    Control,
    /// A brace that is no place for a variable.
    #[error("holds {{…}} other than {{1}} to {{10}}")]
    Placeholder,
}

/// A piece of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextPart<'a> {
    /// Words.
    Words(&'a str),
    /// The place of a variable, 1 to 10.
    Variable(u8),
}

impl CertifiedText {
    /// Most characters. The text names no limit; the longest SMS has 10 parts or so.
    pub const MAX_CHARACTERS: usize = 1000;

    /// Parses a text.
    pub fn parse(text: &str) -> Result<Self, CertifiedTextError> {
        if text.trim().is_empty() {
            return Err(CertifiedTextError::Empty);
        }
        if text.chars().count() > Self::MAX_CHARACTERS {
            return Err(CertifiedTextError::TooLong);
        }
        if text.chars().any(|c| c.is_control() && c != '\n') {
            return Err(CertifiedTextError::Control);
        }
        if forms_a_tag(text) {
            return Err(CertifiedTextError::Tag);
        }
        let parsed = Self(Zeroizing::new(text.to_owned()));
        let braces = |text: &str| text.contains(['{', '}']);
        let strays = |part: TextPart<'_>| matches!(part, TextPart::Words(words) if braces(words));
        if parsed.parts().any(strays) {
            return Err(CertifiedTextError::Placeholder);
        }
        Ok(parsed)
    }

    /// As it was written, with its places: only for comparing it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The highest place of a variable; 0 where there is none.
    pub fn highest_place(&self) -> u8 {
        let places = self.parts().map(|part| match part {
            TextPart::Variable(number) => number,
            TextPart::Words(_) => 0,
        });
        places.max().unwrap_or(0)
    }

    /// Its pieces, in order.
    pub fn parts(&self) -> impl Iterator<Item = TextPart<'_>> {
        let mut rest: &str = &self.0;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            if let Some((number, behind)) = leading_place(rest) {
                rest = behind;
                return Some(TextPart::Variable(number));
            }
            let next = rest
                .char_indices()
                .skip(1)
                .find(|(at, c)| *c == '{' && leading_place(&rest[*at..]).is_some())
                .map_or(rest.len(), |(at, _)| at);
            let (words, behind) = rest.split_at(next);
            rest = behind;
            Some(TextPart::Words(words))
        })
    }
}

/// `{7}…` → 7 and what follows.
fn leading_place(text: &str) -> Option<(u8, &str)> {
    let (inside, behind) = text.strip_prefix('{')?.split_once('}')?;
    let number: u8 = inside.parse().ok()?;
    let is_plain = inside.len() == number.to_string().len();
    ((1..=10).contains(&number) && is_plain).then_some((number, behind))
}

/// Whether a text of a caller forms, or could form with what stands beside it, a tag of the platform: `(WORD:` in any case, or
/// `(Variable_`.
pub fn forms_a_tag(text: &str) -> bool {
    text.match_indices('(').any(|(at, _)| {
        let behind = text[at + 1..].trim_start();
        let word: usize = behind
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .map(char::len_utf8)
            .sum();
        let is_tag = word > 0 && behind[word..].trim_start().starts_with(':');
        let is_variable = behind
            .get(..9)
            .is_some_and(|begin| begin.eq_ignore_ascii_case("variable_"));
        // What follows at the end, or where a variable goes, is not known here.
        let beyond = behind[word..].trim_start();
        let is_open = beyond.is_empty() || beyond.starts_with('{');
        is_tag || is_variable || is_open
    })
}

impl fmt::Debug for CertifiedText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "CertifiedText({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_is_words_and_places() {
        let text = CertifiedText::parse("Hola {1}: (ver) {10}{2}.").unwrap();
        assert_eq!(
            text.parts().collect::<Vec<_>>(),
            [
                TextPart::Words("Hola "),
                TextPart::Variable(1),
                TextPart::Words(": (ver) "),
                TextPart::Variable(10),
                TextPart::Variable(2),
                TextPart::Words("."),
            ]
        );
    }

    #[test]
    fn nothing_that_looks_like_a_tag_comes_through() {
        for tag in [
            "(FILE:2:a.pdf)",
            "(file:2:a.pdf)",
            "( FILE : 2:a.pdf)",
            "x (LINK:http://a.es)",
            "(QRCODE:x)",
            "(BASE64:2:AAAA)",
            "(Variable_1)",
            "(VARIABLE_",
            "ends open (",
            "ends open (FILE",
            "(FILE{1})",
            "({1})",
            "( {2}",
            "((LINK:a)",
        ] {
            let refused = CertifiedText::parse(tag);
            assert_eq!(refused, Err(CertifiedTextError::Tag), "{tag}");
        }
        for harmless in ["(hola)", "a (b c) d", "(1) uno: dos", "(a, b: c)"] {
            assert!(CertifiedText::parse(harmless).is_ok(), "{harmless}");
        }
    }

    #[test]
    fn what_else_is_refused() {
        for (text, why) in [
            (" ", CertifiedTextError::Empty),
            ("a\u{7}", CertifiedTextError::Control),
            ("{0}", CertifiedTextError::Placeholder),
            ("{11}", CertifiedTextError::Placeholder),
            ("{01}", CertifiedTextError::Placeholder),
            ("}", CertifiedTextError::Placeholder),
        ] {
            assert_eq!(CertifiedText::parse(text), Err(why), "{text:?}");
        }
        let long = "a".repeat(1001);
        assert_eq!(
            CertifiedText::parse(&long),
            Err(CertifiedTextError::TooLong)
        );
    }

    proptest! {
        #[test]
        fn the_pieces_are_the_text(text in "[a-z{}0-9 ():]{1,40}") {
            if let Ok(parsed) = CertifiedText::parse(&text) {
                let again: String = parsed
                    .parts()
                    .map(|part| match part {
                        TextPart::Words(words) => words.to_owned(),
                        TextPart::Variable(number) => format!("{{{number}}}"),
                    })
                    .collect();
                prop_assert_eq!(again, text);
            }
        }
    }
}
