//! Writes a PDF of one page with a few lines of text.
//!
//! Must not know: what the lines say.

use pdf_writer::{Content, Finish as _, Name, Pdf, Rect, Ref, Str};

const FONT: Name<'_> = Name(b"F1");

/// A document with these lines, filled up with comments to at least this many bytes.
pub(super) fn document(lines: &[String], at_least: usize) -> Vec<u8> {
    let [catalog, pages, page_id, text, font] = [1, 2, 3, 4, 5].map(Ref::new);
    let mut pdf = Pdf::new();
    pdf.catalog(catalog).pages(pages);
    pdf.pages(pages).kids([page_id]).count(1);
    let mut page = pdf.page(page_id);
    page.parent(pages)
        .media_box(Rect::new(0.0, 0.0, 595.0, 842.0))
        .contents(text);
    page.resources().fonts().pair(FONT, font);
    page.finish();
    pdf.type1_font(font).base_font(Name(b"Helvetica"));
    pdf.stream(text, &content(lines, at_least));
    pdf.finish()
}

fn content(lines: &[String], at_least: usize) -> Vec<u8> {
    let mut content = Content::new();
    content
        .begin_text()
        .set_font(FONT, 12.0)
        .set_leading(14.0)
        .next_line(72.0, 770.0);
    for line in lines {
        content.show(Str(plain(line).as_bytes()));
        content.next_line_using_leading();
    }
    content.end_text();
    let mut content = content.finish().into_vec();
    if let Some(missing) = at_least.checked_sub(content.len()) {
        let line = format!("\n%{}", "=".repeat(78));
        content.extend_from_slice(line.repeat(missing.div_ceil(line.len())).as_bytes());
    }
    content
}

/// ASCII, which the font shows without a table of its own.
fn plain(line: &str) -> String {
    let shown = |letter: &char| letter.is_ascii_graphic() || *letter == ' ';
    line.chars()
        .map(|letter| Some(letter).filter(shown).unwrap_or('?'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_says_its_lines_and_is_as_large_as_asked() {
        for at_least in [0, 5_000] {
            let document = document(&["Certificado (1) de año".to_owned()], at_least);
            let text = String::from_utf8_lossy(&document);
            assert!(text.starts_with("%PDF-") && text.ends_with("%%EOF"));
            assert!((at_least..at_least + 1_500).contains(&text.len()));
            assert!(text.contains("Certificado (1) de a?o"), "{text}");
        }
    }
}
