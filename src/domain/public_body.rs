//! The official identifiers of a public body: DIR3 code and NIF, with their control digits.

use std::fmt;

use thiserror::Error;

/// Why a text is not the identifier of a public body; names the rule, never the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PublicBodyError {
    /// Wrong shape of a DIR3 code.
    #[error(
        "must be a DIR3 code: one of E A L U I J O and 8 digits, or one of GE EC EA LA and 7 digits"
    )]
    Dir3Shape,
    /// A municipality's DIR3 code whose control digit does not fit.
    #[error("the last digit of this DIR3 code does not fit the others: look for a typing error")]
    Dir3Control,
    /// Wrong shape of a NIF.
    #[error("must be a NIF of an organisation: a letter, 7 digits and a control character")]
    NifShape,
    /// A NIF whose control character does not fit.
    #[error("the last character of this NIF does not fit the others: look for a typing error")]
    NifControl,
}

/// DIR3 code of an administration: `L01280796`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Dir3(Box<str>);

impl Dir3 {
    /// Parses a DIR3 code; for municipalities (`L01…`) the control digit is checked too (rule 3.2).
    pub fn parse(text: &str) -> Result<Self, PublicBodyError> {
        if !has_dir3_shape(text) {
            return Err(PublicBodyError::Dir3Shape);
        }
        if let Some(municipality) = text.strip_prefix("L01")
            && !municipality_control_fits(municipality)
        {
            return Err(PublicBodyError::Dir3Control);
        }
        Ok(Self(text.into()))
    }

    /// The code as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Dir3 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn has_dir3_shape(text: &str) -> bool {
    let all_digits = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
    let one_letter = text.len() == 9
        && text.starts_with(['E', 'A', 'L', 'U', 'I', 'J', 'O'])
        && all_digits(&text[1..]);
    let two_letters = text.len() == 9
        && ["GE", "EC", "EA", "LA"]
            .iter()
            .any(|prefix| text.strip_prefix(prefix).is_some_and(all_digits));
    one_letter || two_letters
}

/// The control digit of a municipality: tables A, B and C over its five INE digits, in the order C B A C B
/// (rule 3.2; checked with the rows of `tests/vectors/dir3.csv`).
fn municipality_control_fits(ine_and_control: &str) -> bool {
    const A: [u8; 10] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
    const B: [u8; 10] = [0, 3, 8, 2, 7, 4, 1, 5, 9, 6];
    const C: [u8; 10] = [0, 2, 4, 6, 8, 1, 3, 5, 7, 9];
    let digits: Vec<u8> = ine_and_control.bytes().map(|byte| byte - b'0').collect();
    let [ine @ .., control] = digits.as_slice() else {
        return false;
    };
    let sum: u8 = [C, B, A, C, B]
        .iter()
        .zip(ine)
        .map(|(table, digit)| table[usize::from(*digit)])
        .sum();
    (10 - sum % 10) % 10 == *control
}

/// NIF of an organisation: `P2807900B`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Nif(Box<str>);

impl Nif {
    /// Parses the NIF of an organisation with its control character.
    pub fn parse(text: &str) -> Result<Self, PublicBodyError> {
        let bytes = text.as_bytes();
        let [kind, digits @ .., control] = bytes else {
            return Err(PublicBodyError::NifShape);
        };
        let shape = digits.len() == 7
            && b"ABCDEFGHJNPQRSUVW".contains(kind)
            && digits.iter().all(u8::is_ascii_digit)
            && control.is_ascii_alphanumeric();
        if !shape {
            return Err(PublicBodyError::NifShape);
        }
        let expected = nif_control(digits);
        let as_digit = b'0' + expected;
        let as_letter = b"JABCDEFGHI"[usize::from(expected)];
        let fits = match kind {
            b'N' | b'P' | b'Q' | b'R' | b'S' | b'W' => *control == as_letter,
            b'A' | b'B' | b'E' | b'H' => *control == as_digit,
            _ => *control == as_letter || *control == as_digit,
        };
        if fits {
            Ok(Self(text.into()))
        } else {
            Err(PublicBodyError::NifControl)
        }
    }

    /// Whether the letter says public body (P, Q or S).
    pub fn is_public_body(&self) -> bool {
        self.0.starts_with(['P', 'Q', 'S'])
    }

    /// The NIF as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Control value 0 to 9 of the seven digits: those at even places count as they are, the others doubled with their
/// digits added up.
fn nif_control(digits: &[u8]) -> u8 {
    let sum: u8 = digits
        .iter()
        .enumerate()
        .map(|(place, byte)| {
            let digit = byte - b'0';
            if place % 2 == 1 {
                digit
            } else {
                let doubled = digit * 2;
                doubled / 10 + doubled % 10
            }
        })
        .sum();
    (10 - sum % 10) % 10
}
