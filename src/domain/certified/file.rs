//! Files of an account's library at its platform.

use std::fmt;

use thiserror::Error;
use zeroize::Zeroizing;

/// Name of a file in the library: letters and digits, a dot, an extension; at most 15 characters in all (API 7.0, `CargarFichero`;
/// confidence A).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LibraryFileName(Box<str>);

/// Why a text is not the name of a library file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("must be letters and digits, a dot and an extension, at most 15 characters: notifica.pdf")]
pub struct LibraryFileNameError;

impl LibraryFileName {
    /// Most characters, extension and dot included.
    pub const MAX_CHARACTERS: usize = 15;

    /// Parses a name.
    pub fn parse(text: &str) -> Result<Self, LibraryFileNameError> {
        let is_word =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let (stem, extension) = text.split_once('.').ok_or(LibraryFileNameError)?;
        if text.len() <= Self::MAX_CHARACTERS && is_word(stem) && is_word(extension) {
            Ok(Self(text.into()))
        } else {
            Err(LibraryFileNameError)
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it says that it is a PDF.
    pub fn is_pdf(&self) -> bool {
        let extension = self.0.rsplit('.').next().unwrap_or_default();
        extension.eq_ignore_ascii_case("pdf")
    }
}

impl fmt::Display for LibraryFileName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What a file holds; wiped when it is dropped, and never printed.
#[derive(Clone)]
pub struct FileContent(Zeroizing<Vec<u8>>);

impl FileContent {
    /// Takes the bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes: only for the platform.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Whether it begins as a PDF does.
    pub fn is_pdf(&self) -> bool {
        self.0.starts_with(b"%PDF-")
    }
}

impl fmt::Debug for FileContent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "FileContent({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_plain() {
        for good in ["a.pdf", "notifica.pdf", "A1234567890.doc", "x.PDF"] {
            assert!(LibraryFileName::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a",
            ".pdf",
            "a.",
            "a.b.pdf",
            "a b.pdf",
            "ñ.pdf",
            "a_b.pdf",
            "../a.pdf",
            "a).pdf",
            "A12345678901.doc",
        ] {
            assert!(LibraryFileName::parse(bad).is_err(), "{bad}");
        }
        assert!(LibraryFileName::parse("x.PDF").unwrap().is_pdf());
        assert!(!LibraryFileName::parse("x.doc").unwrap().is_pdf());
    }

    #[test]
    fn a_file_prints_its_size_alone() {
        let file = FileContent::new(b"%PDF-1.7 secret".to_vec());
        assert!(file.is_pdf());
        assert_eq!(format!("{file:?}"), "FileContent(15 bytes)");
    }
}
