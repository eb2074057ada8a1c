//! How a recipient's number is written for a platform.
//!
//! Must not know: protocols, accounts, whether the number may be written to at all.

use crate::domain::Recipient;

/// How a number outside Spain is written. The platform's documents do not say, hence a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InternationalFormat {
    /// `00351912345678`.
    #[default]
    DoubleZero,
    /// `+351912345678`.
    Plus,
}

/// How numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberForm {
    /// Nine digits in Spain, with a prefix elsewhere.
    National {
        /// The prefix elsewhere.
        abroad: InternationalFormat,
    },
    /// `+34600000001`: E.164 for all.
    E164,
}

impl Default for NumberForm {
    fn default() -> Self {
        let abroad = InternationalFormat::default();
        Self::National { abroad }
    }
}

/// The number in the chosen form.
pub(super) fn phone(recipient: &Recipient, form: NumberForm) -> String {
    let e164 = recipient.expose_e164();
    let NumberForm::National { abroad } = form else {
        return e164.to_owned();
    };
    match (recipient.expose_national_digits(), abroad) {
        (Some(national), _) => national.to_owned(),
        (None, InternationalFormat::Plus) => e164.to_owned(),
        (None, InternationalFormat::DoubleZero) => e164.replacen('+', "00", 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_written_as_configured() {
        let abroad = Recipient::parse("+351912345678").unwrap();
        let national = Recipient::parse("+34600000001").unwrap();
        let prefixed = |abroad| NumberForm::National { abroad };
        for (form, here, elsewhere) in [
            (NumberForm::default(), "600000001", "00351912345678"),
            (
                prefixed(InternationalFormat::DoubleZero),
                "600000001",
                "00351912345678",
            ),
            (
                prefixed(InternationalFormat::Plus),
                "600000001",
                "+351912345678",
            ),
            (NumberForm::E164, "+34600000001", "+351912345678"),
        ] {
            assert_eq!(phone(&national, form), here);
            assert_eq!(phone(&abroad, form), elsewhere);
        }
    }
}
