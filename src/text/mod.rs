//! Template and code become the exact text that goes out, with its encoding and segments.
//!
//! Must not know: clocks, files, gateways. Nothing here does I/O.

mod builtin;
mod gsm;
mod plural;
mod suspicious;
mod templates;
mod transliteration;

use std::{collections::HashMap, mem, sync::Arc};

use thiserror::Error;
use zeroize::Zeroizing;

pub use gsm::{Measure, measure};
pub use templates::{Template, TemplateProblem};
pub use transliteration::{Replaced, Transliterated, transliterate};

use crate::domain::{Encoding, Language, OneTimeCode, OriginHost, Purpose, SecretText};

/// What an account allows its texts to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TextRules {
    /// Most segments of one text; each is billed.
    pub max_segments: u8,
    /// Whether a text that GSM 03.38 cannot carry may go out in UCS-2.
    pub allow_ucs2: bool,
}

impl Default for TextRules {
    /// One segment of GSM 03.38.
    fn default() -> Self {
        Self {
            max_segments: 1,
            allow_ucs2: false,
        }
    }
}

/// What a text is wanted for.
#[derive(Debug, Clone, Copy)]
pub struct TextRequest<'a> {
    /// Selects the text.
    pub purpose: Purpose,
    /// The BCP-47 tag that the caller asked for, as it came; an unknown one counts as none.
    pub language: Option<&'a str>,
    /// The administration's own.
    pub default_language: Language,
    /// Goes into the text unchanged (rule 4.3).
    pub code: &'a OneTimeCode,
    /// Whole minutes that the code has left; 0 is said as 1.
    pub minutes: u32,
    /// Adds the origin-bound last line for this host (rule 4.4).
    pub origin: Option<&'a OriginHost>,
    /// The account's.
    pub rules: TextRules,
}

/// A text that is ready to go out.
#[derive(Debug, Clone)]
pub struct Composed {
    /// The exact text.
    pub text: SecretText,
    /// The same with each character of the code as `•`.
    pub masked_text: String,
    /// The language that was found for it.
    pub language: Language,
    /// How it goes on the air.
    pub encoding: Encoding,
    /// Septets or UTF-16 units.
    pub units: u32,
    /// Billed SMS parts.
    pub segments: u8,
    /// What was replaced in the template, in order of appearance; empty in UCS-2.
    pub replaced: Vec<Replaced>,
}

/// Why no text can go out under the account's rules. Sending the same again would not help.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TextRefusal {
    /// `TEXT_TOO_LONG`.
    #[error(
        "the text takes {units} units in {segments} segments and the account allows {limit}: shorten the template or \
         leave out the origin"
    )]
    TooLong {
        /// Septets or UTF-16 units.
        units: u32,
        /// Segments that those take.
        segments: u32,
        /// Most segments that the account allows.
        limit: u8,
    },
    /// `TEXT_UNREPRESENTABLE`.
    #[error(
        "the template has characters outside GSM 03.38 and the account does not allow UCS-2: change the template or \
         allow UCS-2"
    )]
    Unrepresentable {
        /// Those of the template, in order of appearance.
        characters: Vec<char>,
    },
}

/// The texts of one administration: its own, and the built-in ones for the rest. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Texts {
    overrides: Option<Arc<HashMap<(Purpose, Language), Template>>>,
}

impl Texts {
    /// The built-in texts alone.
    pub fn builtin() -> Self {
        Self::default()
    }

    /// The built-in texts, but for those given; of two for the same purpose and language the last holds.
    pub fn with_overrides(
        overrides: impl IntoIterator<Item = (Purpose, Language, Template)>,
    ) -> Self {
        let overrides: HashMap<_, _> = overrides
            .into_iter()
            .map(|(purpose, language, template)| ((purpose, language), template))
            .collect();
        Self {
            overrides: (!overrides.is_empty()).then(|| Arc::new(overrides)),
        }
    }

    /// Composes the exact text of a delivery.
    pub fn compose(&self, ask: &TextRequest<'_>) -> Result<Composed, TextRefusal> {
        let language = language_for(ask);
        let own = self
            .overrides
            .as_ref()
            .and_then(|overrides| overrides.get(&(ask.purpose, language)));
        if let Some(template) = own {
            return fill(template, language, ask);
        }
        let builtin = builtin::text(ask.purpose, language);
        match fill(&builtin.full, language, ask) {
            Err(TextRefusal::TooLong { .. }) if ask.origin.is_some() => {
                fill(&builtin.brief, language, ask)
            }
            other => other,
        }
    }
}

/// Asked tag, else its parents, else the administration's default (rule 4.6). Every language has a built-in text, so
/// the first that is known serves, and the last resort of the rule (`es`) is never needed.
fn language_for(ask: &TextRequest<'_>) -> Language {
    ask.language
        .and_then(Language::nearest)
        .unwrap_or(ask.default_language)
}

fn fill(
    template: &Template,
    language: Language,
    ask: &TextRequest<'_>,
) -> Result<Composed, TextRefusal> {
    let TextRules {
        max_segments: limit,
        allow_ucs2,
    } = ask.rules;
    if !allow_ucs2 && !template.unrepresentable().is_empty() {
        return Err(TextRefusal::Unrepresentable {
            characters: template.unrepresentable().to_vec(),
        });
    }
    let minutes = ask.minutes.max(1);
    let code = ask.code.expose();
    // Wiped if the text is refused; handed over, not copied, if it is not.
    let mut text = Zeroizing::new(template.render(code, minutes, ask.origin));
    let Measure {
        encoding,
        units,
        segments,
    } = measure(&text);
    let Some(allowed_segments) = u8::try_from(segments).ok().filter(|count| *count <= limit) else {
        return Err(TextRefusal::TooLong {
            units,
            segments,
            limit,
        });
    };
    Ok(Composed {
        text: SecretText::new(mem::take(&mut *text)),
        masked_text: template.render(&"•".repeat(code.len()), minutes, ask.origin),
        language,
        encoding,
        units,
        segments: allowed_segments,
        replaced: template.replaced().to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code(text: &str) -> OneTimeCode {
        OneTimeCode::parse(text.into()).unwrap()
    }

    fn ask(code: &OneTimeCode) -> TextRequest<'_> {
        TextRequest {
            purpose: Purpose::Login,
            language: None,
            default_language: Language::Es,
            code,
            minutes: 10,
            origin: None,
            rules: TextRules::default(),
        }
    }

    fn composed(texts: &Texts, ask: &TextRequest<'_>) -> String {
        texts.compose(ask).unwrap().text.expose().to_owned()
    }

    fn overriding(language: Language, template: &str) -> Texts {
        let template = Template::parse(template).unwrap();
        Texts::with_overrides([(Purpose::Login, language, template)])
    }

    #[test]
    fn a_text_comes_with_all_that_its_bill_and_its_preview_need() {
        let code = code("748291");
        let composed = Texts::builtin().compose(&ask(&code)).unwrap();
        assert_eq!(
            composed.text.expose(),
            "Cl@ve: su codigo es 748291. Caduca en 10 minutos. No lo comparta con nadie."
        );
        assert_eq!(
            composed.masked_text,
            "Cl@ve: su codigo es ••••••. Caduca en 10 minutos. No lo comparta con nadie."
        );
        assert_eq!(
            (composed.encoding, composed.units, composed.segments),
            (Encoding::Gsm7, 75, 1)
        );
        let replaced = Replaced {
            original: 'ó',
            replacement: "o".to_owned(),
        };
        assert_eq!(composed.replaced, [replaced]);
        assert!(!format!("{composed:?} {:?}", ask(&code)).contains("748291"));
    }

    #[test]
    fn the_language_is_the_asked_one_or_its_parent_or_the_default() {
        let code = code("748291");
        for (asked, default, language) in [
            (Some("eu"), Language::Es, Language::Eu),
            (Some("ca-ES"), Language::Es, Language::Ca),
            (Some("ca-valencia"), Language::Es, Language::CaValencia),
            (Some("de-AT"), Language::Gl, Language::Gl),
            (Some(""), Language::Gl, Language::Gl),
            (None, Language::OcAranes, Language::OcAranes),
        ] {
            let request = TextRequest {
                language: asked,
                default_language: default,
                ..ask(&code)
            };
            let composed = Texts::builtin().compose(&request).unwrap();
            assert_eq!(composed.language, language, "{asked:?}");
        }
    }

    #[test]
    fn an_override_replaces_the_text_of_its_own_purpose_and_language_only() {
        let code = code("748291");
        let texts = overriding(Language::Ca, "Cl@ve: codi {code}");
        let in_language = |language| TextRequest {
            language: Some(language),
            ..ask(&code)
        };
        assert_eq!(composed(&texts, &in_language("ca")), "Cl@ve: codi 748291");
        // Valencian has a text of its own, which is nearer than an override of its parent.
        assert!(composed(&texts, &in_language("ca-valencia")).contains("d'aci a 10"));
        assert!(composed(&texts, &in_language("es")).contains("su codigo es"));
        let signature = TextRequest {
            purpose: Purpose::Signature,
            ..in_language("ca")
        };
        assert!(composed(&texts, &signature).contains("signatura"));
    }

    #[test]
    fn the_last_line_binds_the_code_to_its_origin() {
        let code = code("748291");
        let host = OriginHost::parse("clave.gob.es").unwrap();
        let request = TextRequest {
            origin: Some(&host),
            ..ask(&code)
        };
        let composed = Texts::builtin().compose(&request).unwrap();
        let last_line = composed.text.expose().lines().last().unwrap();
        assert_eq!(last_line, "@clave.gob.es #748291");
        assert!(composed.masked_text.ends_with("\n@clave.gob.es #••••••"));
        assert!(composed.text.expose().contains("No lo comparta"));
    }

    #[test]
    fn the_advice_gives_way_to_an_origin_that_needs_its_room() {
        let code = code("748291748291");
        let host = OriginHost::parse(&format!("{}.es", "a".repeat(60))).unwrap();
        for purpose in Purpose::ALL {
            for language in Language::ALL {
                let request = TextRequest {
                    purpose,
                    language: Some(language.tag()),
                    origin: Some(&host),
                    minutes: 30,
                    ..ask(&code)
                };
                let composed = Texts::builtin().compose(&request).unwrap();
                assert_eq!(composed.segments, 1, "{purpose:?} {language:?}");
                assert!(composed.text.expose().ends_with(" #748291748291"));
            }
        }
    }

    #[test]
    fn an_override_too_long_for_the_origin_is_refused_by_size() {
        let code = code("748291");
        let host = OriginHost::parse("sede.example.gob.es").unwrap();
        let texts = overriding(Language::Es, &format!("{} {{code}}", "a".repeat(140)));
        let with_origin = TextRequest {
            origin: Some(&host),
            ..ask(&code)
        };
        assert_eq!(
            texts.compose(&with_origin).unwrap_err(),
            TextRefusal::TooLong {
                units: 176,
                segments: 2,
                limit: 1
            }
        );
        let two_segments = TextRequest {
            rules: TextRules {
                max_segments: 2,
                allow_ucs2: false,
            },
            ..with_origin
        };
        assert_eq!(texts.compose(&two_segments).unwrap().segments, 2);
        assert!(texts.compose(&ask(&code)).is_ok());
    }

    #[test]
    fn ucs2_goes_out_only_where_the_account_allows_it() {
        let code = code("748291");
        let rules = TextRules {
            max_segments: 1,
            allow_ucs2: true,
        };
        let template = Template::parse_with("Código 日 {code}", rules).unwrap();
        let texts = Texts::with_overrides([(Purpose::Login, Language::Es, template)]);
        let refusal = texts.compose(&ask(&code)).unwrap_err();
        assert_eq!(
            refusal,
            TextRefusal::Unrepresentable {
                characters: vec!['日']
            }
        );
        let allowed = TextRequest {
            rules,
            ..ask(&code)
        };
        let composed = texts.compose(&allowed).unwrap();
        assert_eq!(composed.text.expose(), "Código 日 748291");
        assert_eq!((composed.encoding, composed.units), (Encoding::Ucs2, 15));
        assert!(composed.replaced.is_empty());
        // What GSM 03.38 can carry stays there.
        let usual = Texts::builtin().compose(&allowed).unwrap();
        assert_eq!(usual.encoding, Encoding::Gsm7);
    }

    #[test]
    fn the_last_minute_is_said_in_the_singular() {
        let code = code("748291");
        let texts = Texts::builtin();
        for minutes in [0, 1] {
            let request = TextRequest {
                minutes,
                ..ask(&code)
            };
            assert!(composed(&texts, &request).contains("en 1 minuto."));
        }
    }

    proptest! {
        #[test]
        fn the_code_stands_unchanged_in_its_one_place(
            code_text in "[A-Za-z0-9]{3,12}",
            before in "[a-záñ·€ ]{0,30}",
            after in "[a-záñ·€ ]{0,30}",
            with_origin in any::<bool>(),
        ) {
            let code = code(&code_text);
            let host = OriginHost::parse("clave.gob.es").unwrap();
            let texts = overriding(Language::Es, &format!("{before}{{code}}{after}"));
            let request = TextRequest {
                origin: with_origin.then_some(&host),
                rules: TextRules { max_segments: 2, allow_ucs2: false },
                ..ask(&code)
            };
            let composed = texts.compose(&request).unwrap();
            let last_line = if with_origin { format!("\n@clave.gob.es #{code_text}") } else { String::new() };
            let (before, after) = (transliterate(&before).text, transliterate(&after).text);
            let expected = format!("{before}{code_text}{after}{last_line}");
            prop_assert_eq!(composed.text.expose(), &expected);
            let dots = "•".repeat(code_text.len());
            prop_assert_eq!(composed.masked_text.matches(&dots).count(), 1 + usize::from(with_origin));
            prop_assert_eq!(composed.masked_text.replace(&dots, &code_text), expected);
        }
    }
}
