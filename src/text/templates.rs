//! A template: a text with places for the code and the minutes, checked and transliterated once, when it is loaded.
//!
//! Must not know: administrations, languages, files.

use thiserror::Error;
use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

use super::{
    TextRules,
    gsm::{self, Measure},
    plural, suspicious,
    transliteration::{Replaced, transliterate},
};
use crate::domain::{OneTimeCode, OriginHost};

/// A code lives at most 30 minutes (contract, `expire_time`), so no text ever names more.
const MOST_MINUTES: u32 = 30;

/// A text with places for the code and the minutes, ready to be filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pieces: Box<[Piece]>,
    /// Another wording for one minute, where the usual one would be wrong.
    pieces_for_one_minute: Option<Box<[Piece]>>,
    replaced: Vec<Replaced>,
    unrepresentable: Vec<char>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(Box<str>),
    Code,
    Minutes,
}

/// Why a text is not a usable template; says what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TemplateProblem {
    /// No place for the code.
    #[error("has no {{code}}: write it where the code belongs")]
    MissingCode,
    /// More than one place for the code.
    #[error("has {{code}} more than once: keep one")]
    RepeatedCode,
    /// Braces around something else, or a brace without its fellow.
    #[error("has a brace that is not part of {{code}} or {{minutes}}: remove it")]
    UnknownPlaceholder,
    /// `://` or `www.`: rule 4.5.
    #[error("has a link: remove it, texts with codes never carry links")]
    Link,
    /// Something that a telephone would take for a link: rule 4.5.
    #[error("has a domain name, or a dot without a space after it: remove it, or put the space")]
    BareDomain,
    /// A line break, another control character, or one that turns the direction of writing.
    #[error("has a line break or a control character: remove it")]
    ControlCharacter,
    /// A combining accent that would sit on the code or the minutes.
    #[error("has a combining accent right after a placeholder: put a letter or a space before it")]
    AccentOnPlaceholder,
    /// GSM 03.38 can neither hold nor imitate these, and UCS-2 is not allowed.
    #[error("has characters that GSM 03.38 cannot carry: replace {}", listed(.characters))]
    Unrepresentable {
        /// Each of them once.
        characters: Vec<char>,
    },
    /// Too long once the longest code is in it: rule 4.2.
    #[error(
        "takes {units} units in {segments} segments with the longest code, and {limit} may be used: shorten it"
    )]
    TooLong {
        /// Septets or UTF-16 units with the longest code.
        units: u32,
        /// Segments that those take.
        segments: u32,
        /// Most segments that the rules allow.
        limit: u8,
    },
}

impl Template {
    /// Parses and checks a template under the default rules: one segment of GSM 03.38.
    pub fn parse(text: &str) -> Result<Self, TemplateProblem> {
        Self::parse_with(text, TextRules::default())
    }

    /// Parses and checks a template under an account's own rules. With UCS-2 allowed, a text that GSM 03.38 can carry
    /// after transliteration still goes out in GSM 03.38; only another one goes out as it is written.
    pub fn parse_with(text: &str, rules: TextRules) -> Result<Self, TemplateProblem> {
        if text.chars().any(suspicious::is_control) {
            return Err(TemplateProblem::ControlCharacter);
        }
        let pieces = split(text)?;
        if suspicious::has_link(text) {
            return Err(TemplateProblem::Link);
        }
        if suspicious::has_bare_domain(text) {
            return Err(TemplateProblem::BareDomain);
        }
        let mut template = Self::transliterated(pieces);
        if !template.unrepresentable.is_empty() {
            if !rules.allow_ucs2 {
                let mut characters = template.unrepresentable;
                characters.sort_unstable();
                characters.dedup();
                return Err(TemplateProblem::Unrepresentable { characters });
            }
            template.pieces = split(&text.nfc().collect::<String>())?.into();
            template.replaced.clear();
        }
        if let Some(text_for_one) = plural::for_one_minute(text) {
            let pieces = split(&text_for_one)?;
            template.pieces_for_one_minute = Some(if template.unrepresentable.is_empty() {
                Self::transliterated(pieces).pieces
            } else {
                pieces.into()
            });
        }
        template.check_size(None, rules)?;
        Ok(template)
    }

    /// Tells whether the origin-bound last line for this host still fits, with the longest code (rules 4.2 and 4.4).
    pub fn check_origin(
        &self,
        origin: &OriginHost,
        rules: TextRules,
    ) -> Result<(), TemplateProblem> {
        self.check_size(Some(origin), rules)
    }

    /// Characters that force this text into UCS-2; empty for a text in GSM 03.38.
    pub fn unrepresentable(&self) -> &[char] {
        &self.unrepresentable
    }

    /// What was replaced when the template was loaded, in order of appearance.
    pub fn replaced(&self) -> &[Replaced] {
        &self.replaced
    }

    /// Fills in code and minutes and adds the origin-bound last line. The text is written once into memory of exactly
    /// its size, so that no copy of the code stays behind.
    pub(super) fn render(&self, code: &str, minutes: u32, origin: Option<&OriginHost>) -> String {
        let pieces = match &self.pieces_for_one_minute {
            Some(pieces) if minutes == 1 => pieces,
            _ => &self.pieces,
        };
        let minutes = minutes.to_string();
        let filled = pieces.iter().map(|piece| match piece {
            Piece::Literal(literal) => literal,
            Piece::Code => code,
            Piece::Minutes => minutes.as_str(),
        });
        // The form that telephones and browsers know: exactly one space, nothing before the `@` (rule 4.4).
        let last_line = origin.map(|origin| ["\n@", origin.as_str(), " #", code]);
        let parts = filled.chain(last_line.into_iter().flatten());
        let mut text = String::with_capacity(parts.clone().map(str::len).sum());
        text.extend(parts);
        text
    }

    fn transliterated(pieces: Vec<Piece>) -> Self {
        let mut replaced = Vec::new();
        let mut unrepresentable = Vec::new();
        let pieces = pieces.into_iter().map(|piece| match piece {
            Piece::Literal(literal) => {
                let result = transliterate(&literal);
                replaced.extend(result.replaced);
                unrepresentable.extend(result.unrepresentable);
                Piece::Literal(result.text.into())
            }
            other => other,
        });
        Self {
            pieces: pieces.collect(),
            pieces_for_one_minute: None,
            replaced,
            unrepresentable,
        }
    }

    fn check_size(
        &self,
        origin: Option<&OriginHost>,
        rules: TextRules,
    ) -> Result<(), TemplateProblem> {
        let longest_code = "0".repeat(OneTimeCode::MAX_CHARACTERS);
        for minutes in [1, MOST_MINUTES] {
            let text = self.render(&longest_code, minutes, origin);
            let Measure {
                units, segments, ..
            } = gsm::measure(&text);
            if segments > u32::from(rules.max_segments) {
                return Err(TemplateProblem::TooLong {
                    units,
                    segments,
                    limit: rules.max_segments,
                });
            }
        }
        Ok(())
    }
}

/// Cuts a text at its placeholders.
fn split(text: &str) -> Result<Vec<Piece>, TemplateProblem> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(brace) = rest.find(['{', '}']) {
        let (literal, from_brace) = rest.split_at(brace);
        push_literal(&mut pieces, literal)?;
        rest = if let Some(after) = from_brace.strip_prefix("{code}") {
            pieces.push(Piece::Code);
            after
        } else if let Some(after) = from_brace.strip_prefix("{minutes}") {
            pieces.push(Piece::Minutes);
            after
        } else {
            return Err(TemplateProblem::UnknownPlaceholder);
        };
    }
    push_literal(&mut pieces, rest)?;
    match pieces.iter().filter(|piece| **piece == Piece::Code).count() {
        0 => Err(TemplateProblem::MissingCode),
        1 => Ok(pieces),
        _ => Err(TemplateProblem::RepeatedCode),
    }
}

fn push_literal(pieces: &mut Vec<Piece>, literal: &str) -> Result<(), TemplateProblem> {
    if !pieces.is_empty() && literal.starts_with(is_combining_mark) {
        return Err(TemplateProblem::AccentOnPlaceholder);
    }
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal.into()));
    }
    Ok(())
}

/// Each character with its number, since many of them do not show.
fn listed(characters: &[char]) -> String {
    let each = characters
        .iter()
        .map(|character| format!("{character} (U+{:04X})", u32::from(*character)));
    each.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn problem(text: &str) -> TemplateProblem {
        Template::parse(text).expect_err(text)
    }

    #[test]
    fn code_and_minutes_go_where_the_template_says() {
        let template = Template::parse("Código {code}, {minutes} min").unwrap();
        assert_eq!(template.render("AbC", 7, None), "Codigo AbC, 7 min");
        assert_eq!(template.render("AbC", 1, None), "Codigo AbC, 1 min");
        let template = Template::parse("{code}").unwrap();
        assert_eq!(template.render("123", 7, None), "123");
    }

    #[test]
    fn the_code_is_wanted_exactly_once() {
        assert_eq!(problem(""), TemplateProblem::MissingCode);
        assert_eq!(problem("{minutes} min"), TemplateProblem::MissingCode);
        assert_eq!(problem("{code} {code}"), TemplateProblem::RepeatedCode);
    }

    #[test]
    fn nothing_else_stands_in_braces() {
        for text in [
            "{code} {name}",
            "{code} {Code}",
            "{code} { minutes }",
            "{code} {",
            "}{code}",
            "{{code}}",
            "{co\u{ad}de}",
        ] {
            assert_eq!(problem(text), TemplateProblem::UnknownPlaceholder, "{text}");
        }
    }

    #[test]
    fn links_and_domains_are_refused() {
        assert_eq!(problem("{code} https://x"), TemplateProblem::Link);
        assert_eq!(problem("{code} www.gob"), TemplateProblem::Link);
        assert_eq!(problem("{code} en bit.ly/x"), TemplateProblem::BareDomain);
        assert_eq!(problem("{code}.es"), TemplateProblem::BareDomain);
    }

    #[test]
    fn only_plain_characters_are_taken() {
        assert_eq!(problem("{code}\nx"), TemplateProblem::ControlCharacter);
        assert_eq!(
            problem("{code}\u{202e}x"),
            TemplateProblem::ControlCharacter
        );
        assert_eq!(
            problem("{code}\u{301}"),
            TemplateProblem::AccentOnPlaceholder
        );
        let unrepresentable = problem("日本 {code} 日");
        assert_eq!(
            unrepresentable,
            TemplateProblem::Unrepresentable {
                characters: vec!['日', '本']
            }
        );
        assert_eq!(
            unrepresentable.to_string(),
            "has characters that GSM 03.38 cannot carry: replace 日 (U+65E5), 本 (U+672C)"
        );
    }

    #[test]
    fn the_longest_code_must_fit() {
        let fits = format!("{}{{code}}", "a".repeat(148));
        assert!(Template::parse(&fits).is_ok());
        let too_long = format!("a{fits}");
        let expected = TemplateProblem::TooLong {
            units: 161,
            segments: 2,
            limit: 1,
        };
        assert_eq!(problem(&too_long), expected);
        let rules = TextRules {
            max_segments: 2,
            ..TextRules::default()
        };
        assert!(Template::parse_with(&too_long, rules).is_ok());
        // An extension character takes two septets.
        assert!(Template::parse(&fits.replacen("aa", "€", 1)).is_ok());
        assert!(Template::parse(&fits.replacen('a', "€", 1)).is_err());
    }

    #[test]
    fn both_wordings_of_the_minutes_must_fit() {
        // Basque takes one character more for one minute than for thirty.
        let usual = format!("{}{{code}} da {{minutes}} minututan", "a".repeat(132));
        let expected = TemplateProblem::TooLong {
            units: 161,
            segments: 2,
            limit: 1,
        };
        assert_eq!(problem(&usual), expected);
    }

    #[test]
    fn a_host_that_leaves_no_room_is_told_before_any_text_goes_out() {
        let template = Template::parse(&format!("{} {{code}}", "a".repeat(100))).unwrap();
        let rules = TextRules::default();
        let host =
            |length: usize| OriginHost::parse(&format!("{}.es", "a".repeat(length))).unwrap();
        assert_eq!(template.check_origin(&host(28), rules), Ok(()));
        assert!(template.check_origin(&host(29), rules).is_err());
    }

    #[test]
    fn every_problem_is_one_line_that_says_what_to_do() {
        for text in [
            "",
            "{code}{code}",
            "{code}{",
            "{code}://",
            "{code}.es",
            "{code}\n",
            "{code}\u{301}",
            "{code}日",
        ] {
            let message = problem(text).to_string();
            assert_eq!(message.lines().count(), 1, "{message}");
            assert!(message.contains(": "), "{message}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic_and_a_good_one_fits(text in "[a-z{}.:/á日\u{301} ]{0,20}(\\{code\\})?(\\{minutes\\} minutos)?[a-z. ]{0,160}") {
            if let Ok(template) = Template::parse(&text) {
                let filled = template.render("999999999999", 30, None);
                prop_assert_eq!(gsm::measure(&filled).segments, 1);
            }
        }
    }
}
