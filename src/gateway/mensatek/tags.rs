//! Tags that the platform reads in a message, such as `(FILE:2:x.pdf)`, `(LINK:…)` or `(Variable_1)`.
//!
//! Must not know: what the text is for.

/// Whether a text forms, or could form with what the platform sets beside it, a tag: `(WORD:` in any case, or `(Variable_`.
pub(super) fn forms_a_tag(text: &str) -> bool {
    text.match_indices('(').any(|(at, _)| {
        let behind = text[at + 1..].trim_start();
        let word: usize = behind
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .map(char::len_utf8)
            .sum();
        let beyond = behind[word..].trim_start();
        let is_tag = word > 0 && beyond.starts_with(':');
        let is_variable = behind
            .get(..9)
            .is_some_and(|begin| begin.eq_ignore_ascii_case("variable_"));
        // What follows at the end, or where a variable goes, is not known here.
        let is_open = beyond.is_empty() || beyond.starts_with('{');
        is_tag || is_variable || is_open
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert!(forms_a_tag(tag), "{tag}");
        }
        for harmless in ["(hola)", "a (b c) d", "(1) uno: dos", "(a, b: c)"] {
            assert!(!forms_a_tag(harmless), "{harmless}");
        }
    }
}
