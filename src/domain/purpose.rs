//! Why a code is sent, and in which language.

/// Why a code is sent; selects the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Purpose {
    /// To log in.
    Login,
    /// To sign a document.
    Signature,
    /// To activate the identity.
    Activation,
    /// To change a known password.
    PasswordChange,
    /// To replace a forgotten password.
    PasswordReset,
    /// To prove that a phone number is the citizen's.
    PhoneVerification,
    /// To try the installation.
    Test,
}

impl Purpose {
    /// Every purpose, in the order of the contract.
    pub const ALL: [Self; 7] = [
        Self::Login,
        Self::Signature,
        Self::Activation,
        Self::PasswordChange,
        Self::PasswordReset,
        Self::PhoneVerification,
        Self::Test,
    ];

    /// The name used in configuration files, tables and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Login => "LOGIN",
            Self::Signature => "SIGNATURE",
            Self::Activation => "ACTIVATION",
            Self::PasswordChange => "PASSWORD_CHANGE",
            Self::PasswordReset => "PASSWORD_RESET",
            Self::PhoneVerification => "PHONE_VERIFICATION",
            Self::Test => "TEST",
        }
    }

    /// The purpose of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|purpose| purpose.as_str() == name)
    }
}

/// A language with texts of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Language {
    /// Spanish.
    Es,
    /// Catalan.
    Ca,
    /// Valencian.
    CaValencia,
    /// Galician.
    Gl,
    /// Basque.
    Eu,
    /// Aranese.
    OcAranes,
    /// English.
    En,
}

impl Language {
    /// Every language, in the order of the contract.
    pub const ALL: [Self; 7] = [
        Self::Es,
        Self::Ca,
        Self::CaValencia,
        Self::Gl,
        Self::Eu,
        Self::OcAranes,
        Self::En,
    ];

    /// The BCP-47 tag.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::Es => "es",
            Self::Ca => "ca",
            Self::CaValencia => "ca-valencia",
            Self::Gl => "gl",
            Self::Eu => "eu",
            Self::OcAranes => "oc-aranes",
            Self::En => "en",
        }
    }

    /// The language of exactly this tag, without regard to case.
    pub fn from_tag(tag: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|language| language.tag().eq_ignore_ascii_case(tag))
    }

    /// The first language on the way from the tag to its parents (`ca-ES` → `ca`); rule 4.6. `oc` alone is taken as
    /// Aranese, the one variety of Occitan with a text here.
    pub fn nearest(tag: &str) -> Option<Self> {
        let mut rest = tag;
        loop {
            if let Some(language) = Self::from_tag(rest) {
                return Some(language);
            }
            match rest.rfind('-') {
                Some(end) => rest = &rest[..end],
                None => return rest.eq_ignore_ascii_case("oc").then_some(Self::OcAranes),
            }
        }
    }

    /// The language whose text serves where this one has none.
    pub const fn parent(self) -> Option<Self> {
        match self {
            Self::CaValencia => Some(Self::Ca),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_finds_its_language_or_its_parent() {
        for (tag, language) in [
            ("es", Some(Language::Es)),
            ("ES-es", Some(Language::Es)),
            ("ca-ES-valencia", Some(Language::Ca)),
            ("ca-valencia", Some(Language::CaValencia)),
            ("oc-aranes", Some(Language::OcAranes)),
            ("oc", Some(Language::OcAranes)),
            ("en-GB", Some(Language::En)),
            ("de", None),
            ("", None),
        ] {
            assert_eq!(Language::nearest(tag), language, "{tag}");
        }
    }
}
