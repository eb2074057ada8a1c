//! Writes a ZIP archive whose files are stored, not compressed (APPNOTE 6.3, the smallest form that every reader takes).
//!
//! Must not know: what is in the files.

/// An archive of these files, by name and content. At most 65,535 files and 4 GiB, far beyond what is simulated.
pub(super) fn archive(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut archive = Vec::new();
    let mut directory = Vec::new();
    for (name, content) in files {
        let offset = number(archive.len());
        let common = common(name, content);
        archive.extend_from_slice(b"PK\x03\x04");
        archive.extend_from_slice(&common);
        archive.extend_from_slice(name.as_bytes());
        archive.extend_from_slice(content);
        directory.extend_from_slice(b"PK\x01\x02\x14\x00");
        directory.extend_from_slice(&common);
        // No comment, first disk, no attributes.
        directory.extend_from_slice(&[0; 10]);
        directory.extend_from_slice(&offset);
        directory.extend_from_slice(name.as_bytes());
    }
    let (count, start) = (number(files.len()), number(archive.len()));
    archive.extend_from_slice(&directory);
    archive.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    archive.extend_from_slice(&count[..2]);
    archive.extend_from_slice(&count[..2]);
    archive.extend_from_slice(&number(directory.len()));
    archive.extend_from_slice(&start);
    archive.extend_from_slice(&[0, 0]);
    archive
}

/// What the local head and the directory say alike: version, names in UTF-8, stored, a fixed day, check, sizes.
fn common(name: &str, content: &[u8]) -> Vec<u8> {
    let mut head = vec![0x14, 0, 0, 0x08, 0, 0];
    // 2026-01-01 00:00 as MS-DOS writes it.
    head.extend_from_slice(&[0, 0, 0x21, 0x5c]);
    head.extend_from_slice(&crc32(content).to_le_bytes());
    head.extend_from_slice(&number(content.len()));
    head.extend_from_slice(&number(content.len()));
    head.extend_from_slice(&number(name.len())[..2]);
    head.extend_from_slice(&[0, 0]);
    head
}

/// Four bytes, little end first.
fn number(size: usize) -> [u8; 4] {
    u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes()
}

/// The check of ZIP (ISO 3309, reflected 0xEDB88320).
fn crc32(content: &[u8]) -> u32 {
    let mut check = u32::MAX;
    for byte in content {
        check ^= u32::from(*byte);
        for _ in 0..8 {
            let carry = check & 1;
            check >>= 1;
            check ^= 0xedb8_8320 * carry;
        }
    }
    !check
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_is_the_one_of_the_standard() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn an_archive_of_nothing_is_its_end_alone() {
        assert_eq!(archive(&[]).len(), 22);
        let one = archive(&[("a.txt".to_owned(), b"hi".to_vec())]);
        assert!(one.starts_with(b"PK\x03\x04"));
        assert_eq!(one.len(), 30 + 5 + 2 + 46 + 5 + 22);
    }
}
