//! Tags in the text of a message: `(WORD:…)` and `(Variable_n)`.
//!
//! Must not know: the library, recipients. Which words the platform knows stands in an appendix that is not public: every word
//! in capitals counts.

use std::fmt::Write as _;

use super::answer::Wrong;
use crate::simulator::basic;

/// How long a tag is on the handset, where it becomes a short link. **Assumed**.
const LINK_CHARACTERS: usize = 25;

/// Something that a text attaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Attachment {
    /// From the library, by name.
    File(String),
    /// Within the text; tells whether it is a PDF, and its length.
    Inline { is_pdf: bool, bytes: usize },
}

/// A text for one recipient.
#[derive(Debug, Default)]
pub(super) struct Rendered {
    /// With its tags, but without the content of those in base64.
    pub kept: String,
    /// As long as the handset shows it.
    pub shown: String,
    /// The words of its tags.
    pub tags: Vec<Box<str>>,
    pub attachments: Vec<Attachment>,
}

/// Puts the variables in, then reads the tags: a variable can form a tag, as far as anybody knows.
pub(super) fn render(text: &str, variables: &[(u8, String)]) -> Result<Rendered, Wrong> {
    let mut text = text.to_owned();
    for (number, value) in variables {
        text = text.replace(&format!("(Variable_{number})"), value);
    }
    for number in 1..=10 {
        text = text.replace(&format!("(Variable_{number})"), "");
    }
    let mut rendered = Rendered::default();
    let mut rest = text.as_str();
    while let Some(start) = rest.find('(') {
        let (before, from) = rest.split_at(start);
        rendered.plain(before);
        if let Some((word, content, after)) = tag(from) {
            rendered.take(word, content)?;
            rest = after;
        } else {
            rendered.plain("(");
            rest = &from[1..];
        }
    }
    rendered.plain(rest);
    Ok(rendered)
}

/// Word, content and what follows, where a text begins with a tag.
fn tag(text: &str) -> Option<(&str, &str, &str)> {
    let (inside, after) = text.strip_prefix('(')?.split_once(')')?;
    let (word, content) = inside.split_once(':')?;
    let capitals = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    (word.len() > 1 && word.bytes().all(capitals)).then_some((word, content, after))
}

impl Rendered {
    fn plain(&mut self, text: &str) {
        self.kept.push_str(text);
        self.shown.push_str(text);
    }

    fn take(&mut self, word: &str, content: &str) -> Result<(), Wrong> {
        self.tags.push(word.into());
        self.shown.push_str(&"x".repeat(LINK_CHARACTERS));
        let mut kept = content;
        if matches!(word, "FILE" | "BASE64") {
            let of_kind_2 = content.strip_prefix("2:");
            let what = of_kind_2
                .ok_or_else(|| Wrong::call(format!("Etiqueta incorrecta: ({word}:2:...)")))?;
            self.attachments.push(if word == "FILE" {
                Attachment::File(what.to_owned())
            } else {
                kept = "2:…";
                let content = basic::decode(what.as_bytes()).unwrap_or_default();
                Attachment::Inline {
                    is_pdf: content.starts_with(b"%PDF"),
                    bytes: content.len(),
                }
            });
        }
        // Nothing fails to be written into a string.
        let _ = write!(self.kept, "({word}:{kept})");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_variables_are_found_wherever_they_come_from() {
        let variables = [(1, "Ana".to_owned()), (2, "(LINK:x)".to_owned())];
        let text = "A (Variable_1) (Variable_2)(Variable_3) (a) (hora: 12) (FILE:2:a.pdf)(BASE64:2:JVBERi0=)";
        let rendered = render(text, &variables).unwrap();
        let kept = "A Ana (LINK:x) (a) (hora: 12) (FILE:2:a.pdf)(BASE64:2:…)";
        assert_eq!(rendered.kept, kept);
        assert_eq!(
            rendered.tags,
            ["LINK".into(), "FILE".into(), "BASE64".into()]
        );
        assert_eq!(
            rendered.attachments,
            [
                Attachment::File("a.pdf".to_owned()),
                Attachment::Inline {
                    is_pdf: true,
                    bytes: 5
                }
            ]
        );
        assert_eq!(rendered.shown.len(), "A Ana  (a) (hora: 12) ".len() + 75);
        assert_eq!(render("(FILE:1:a.pdf)", &[]).unwrap_err().code, -3);
    }
}
