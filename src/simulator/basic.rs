//! `user:password` in base64, as SOAP carries it in an element and REST in a header.
//!
//! Must not know: who may log in. Written by hand, apart from whatever the adapters use.

use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Log-in and password; `None` for what is not strict base64 (RFC 4648, padded) of UTF-8 with a colon in it.
pub(super) fn read(text: &str) -> Option<(String, SecretString)> {
    let pair = Zeroizing::new(decode(text.as_bytes())?);
    let (login, password) = std::str::from_utf8(&pair).ok()?.split_once(':')?;
    Some((login.to_owned(), password.into()))
}

/// The credentials as they stand after `Basic `.
pub(super) fn write(user: &str, password: &SecretString) -> Zeroizing<String> {
    let pair = Zeroizing::new(format!("{user}:{}", password.expose_secret()));
    let mut text = Zeroizing::new(String::new());
    for three in pair.as_bytes().chunks(3) {
        let byte = |place: usize| u32::from(three.get(place).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4_usize {
            let letter = ALPHABET[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place > three.len() {
                '='
            } else {
                letter.into()
            });
        }
    }
    text
}

pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    if text.is_empty() || !text.len().is_multiple_of(4) {
        return None;
    }
    let padding = text
        .iter()
        .rev()
        .take_while(|letter| **letter == b'=')
        .count();
    if padding > 2 {
        return None;
    }
    let letters = &text[..text.len() - padding];
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for four in letters.chunks(4) {
        let mut bits = 0;
        for letter in four {
            let value = ALPHABET.iter().position(|known| known == letter)?;
            bits = bits << 6 | u32::try_from(value).ok()?;
        }
        bits <<= 6 * (4 - four.len());
        bytes.extend_from_slice(&bits.to_be_bytes()[1..four.len()]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_of_every_length_are_read_as_they_were_written() {
        // The example of RFC 7617.
        let known = write("Aladdin", &"open sesame".into());
        assert_eq!(known.as_str(), "QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        for password in ["", "a", "ab", "abc", "ñ:€"] {
            let (login, read) = read(&write("madrid", &password.into())).unwrap();
            assert_eq!((login.as_str(), read.expose_secret()), ("madrid", password));
        }
    }

    #[test]
    fn what_is_no_base64_or_no_pair_is_not_read() {
        for wrong in [
            "", "QQ", "QQ=", "QQ==", "====", "Q===", "QTpC\n", "Q-_C", "/zo=", "QT=C",
        ] {
            assert!(read(wrong).is_none(), "{wrong:?}");
        }
        assert!(read("QTpC").is_some());
    }
}
