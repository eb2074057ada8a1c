//! Puts files into a ZIP archive.
//!
//! Must not know: what is in the files.

use std::io::{Cursor, Write as _};

use zip::{CompressionMethod, ZipWriter, result::ZipResult, write::SimpleFileOptions};

/// An archive of these files, by name and content. Fails where two have the same name.
pub(super) fn archive(files: &[(String, Vec<u8>)]) -> ZipResult<Vec<u8>> {
    // Stored, so that the size of an answer is the one that a script asks for.
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        archive.start_file(name.as_str(), options)?;
        archive.write_all(content)?;
    }
    Ok(archive.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use zip::ZipArchive;

    use super::*;

    #[test]
    fn what_is_put_in_comes_out_by_its_name() {
        let files = [
            ("uno.pdf".to_owned(), b"first".to_vec()),
            ("año.csv".to_owned(), b"second".to_vec()),
        ];
        let mut archive = ZipArchive::new(Cursor::new(archive(&files).unwrap())).unwrap();
        assert_eq!(archive.len(), 2);
        for (name, content) in &files {
            let mut read = Vec::new();
            let mut file = archive.by_name(name).unwrap();
            file.read_to_end(&mut read).unwrap();
            assert_eq!((&read, file.compressed_size()), (content, file.size()));
        }
    }

    #[test]
    fn two_files_of_one_name_are_refused() {
        let file = ("a.txt".to_owned(), b"hi".to_vec());
        assert!(archive(&[file.clone(), file]).is_err());
    }
}
