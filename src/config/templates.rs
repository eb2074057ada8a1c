//! `[templates.PURPOSE]` of an administration: its own texts.
//!
//! Must not know: what a good text is; the caller of `Settings::load` brings that knowledge.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::findings::{At, did_you_mean};
use crate::domain::{Language, Purpose, certified::forms_a_tag};

/// The texts as written: purpose, then language tag.
#[derive(Default, Deserialize)]
#[serde(transparent)]
pub(super) struct RawTemplates(BTreeMap<String, Option<BTreeMap<String, Option<String>>>>);

/// A text of an administration in place of a built-in one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateOverride {
    /// Why the code is sent.
    pub purpose: Purpose,
    /// In which language.
    pub language: Language,
    /// The template as written.
    pub source: String,
}

/// What a text must fit: the narrowest of the administration's accounts, for fail-over may take any of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextLimits {
    /// Most billed segments.
    pub max_segments: u8,
    /// Whether UCS-2 is allowed.
    pub allow_ucs2: bool,
}

/// Judges a template; the error says in one line what to do.
pub type TemplateCheck = fn(&str, TextLimits) -> Result<(), String>;

impl RawTemplates {
    pub(super) fn validate(
        self,
        limits: TextLimits,
        check: TemplateCheck,
        reads_tags: bool,
        at: &At,
    ) -> Vec<TemplateOverride> {
        let mut templates = Vec::new();
        for (purpose_name, texts) in self.0 {
            let at = at.key(&purpose_name);
            let purpose = Purpose::parse(&purpose_name);
            if purpose.is_none() {
                let words = Purpose::ALL.map(Purpose::as_str);
                at.problem(format_args!(
                    "is not a purpose; the purposes are {}{}",
                    words.join(", "),
                    did_you_mean(&purpose_name, words)
                ));
            }
            for (tag, source) in texts.unwrap_or_default() {
                let at = at.key(&tag);
                let language = Language::from_tag(&tag);
                if language.is_none() {
                    at.problem(unknown_language(&tag));
                }
                let Some(source) = source else {
                    continue; // reported as wrong already
                };
                if let Err(reason) = check(&source, limits) {
                    at.problem(reason);
                } else if reads_tags && forms_a_tag(&filled(&source)) {
                    at.problem(
                        "a \"mensatek\" account reads tags such as (FILE:…) in its texts, and this one has or leaves open such a tag: write no \"(\" before a colon, {code} or the end without closing it",
                    );
                }
                if let (Some(purpose), Some(language)) = (purpose, language) {
                    templates.push(TemplateOverride {
                        purpose,
                        language,
                        source,
                    });
                }
            }
        }
        templates
    }
}

/// The text with something in its places, so that only what the template itself says is judged.
fn filled(source: &str) -> String {
    source.replace("{code}", "0").replace("{minutes}", "0")
}

/// Says which languages there are.
pub(super) fn unknown_language(tag: &str) -> String {
    let tags = Language::ALL.map(Language::tag);
    format!(
        "is not a language with texts; the languages are {}{}",
        tags.join(", "),
        did_you_mean(tag, tags)
    )
}
