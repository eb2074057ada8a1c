//! Writes a PDF of one page with a few lines of text, as small as a reader takes.
//!
//! Must not know: what the lines say.

use std::fmt::Write as _;

/// A document with these lines, filled up with a comment to at least this many bytes.
pub(super) fn document(lines: &[String], at_least: usize) -> Vec<u8> {
    let mut content = String::from("BT /F1 12 Tf 14 TL 72 770 Td\n");
    for line in lines {
        // Nothing fails to be written into a string.
        let _ = writeln!(content, "({}) Tj T*", plain(line));
    }
    content.push_str("ET");
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R \
         /Resources << /Font << /F1 5 0 R >> >> >>"
            .to_owned(),
        format!(
            "<< /Length {} >>\nstream\n{content}\nendstream",
            content.len()
        ),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_owned(),
    ];
    let mut document = String::from("%PDF-1.4\n");
    if let Some(missing) = at_least.checked_sub(document.len()) {
        let line = format!("%{}\n", "=".repeat(78));
        document.push_str(&line.repeat(missing.div_ceil(line.len())));
    }
    let mut places = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        places.push(document.len());
        let _ = writeln!(document, "{} 0 obj\n{object}\nendobj", index + 1);
    }
    let table = document.len();
    let count = objects.len() + 1;
    let _ = write!(document, "xref\n0 {count}\n0000000000 65535 f \n");
    for place in places {
        let _ = writeln!(document, "{place:010} 00000 n ");
    }
    let _ = write!(
        document,
        "trailer\n<< /Size {count} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n"
    );
    document.into_bytes()
}

/// Text that stands between brackets: ASCII, without what has a meaning there.
fn plain(line: &str) -> String {
    let harmless = |letter: char| letter.is_ascii_graphic() || letter == ' ';
    line.chars()
        .map(|letter| match letter {
            '(' | ')' | '\\' => ' ',
            letter if harmless(letter) => letter,
            _ => '?',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_points_to_its_own_table() {
        for at_least in [0, 5_000] {
            let document = document(&["Certificado (1)".to_owned()], at_least);
            let text = String::from_utf8(document).unwrap();
            assert!(text.starts_with("%PDF-1.4") && text.ends_with("%%EOF\n"));
            assert!(text.len() >= at_least);
            let told = text.split_once("startxref\n").unwrap().1;
            let place: usize = told.lines().next().unwrap().parse().unwrap();
            assert!(text[place..].starts_with("xref\n0 6"));
            let fourth = text[place..].lines().nth(6).unwrap();
            let object: usize = fourth.split(' ').next().unwrap().parse().unwrap();
            assert!(text[object..].starts_with("4 0 obj"), "{fourth}");
        }
    }
}
