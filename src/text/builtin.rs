//! The built-in texts of every purpose in every language, as data.
//!
//! Must not know: administrations and their overrides.
//!
//! The real texts of Cl@ve are not public, so these are this project's own. Each is a lead, which says all that is
//! needed, and an advice. The advice gives way where an origin-bound last line (rule 4.4), which protects the citizen
//! better than any advice, would not fit beside it into one segment: a lead has 67 septets besides code and minutes,
//! so that even the longest code and the longest host fit (rule 4.2).

use std::sync::LazyLock;

use super::{TextRules, templates::Template};
use crate::domain::{Language, Purpose};

/// The two forms of a built-in text.
#[derive(Debug)]
pub(super) struct Builtin {
    /// Lead and advice.
    pub(super) full: Template,
    /// The lead alone.
    pub(super) brief: Template,
}

/// The built-in text of a purpose in a language; there is one for every pair.
pub(super) fn text(purpose: Purpose, language: Language) -> &'static Builtin {
    static ALL: LazyLock<Vec<Builtin>> = LazyLock::new(|| {
        let pairs = Purpose::ALL
            .into_iter()
            .flat_map(|purpose| Language::ALL.map(|language| (purpose, language)));
        pairs
            .map(|(purpose, language)| parse(purpose, language))
            .collect()
    });
    // Both enums are listed in `ALL` in the order of their declaration; a test asks for every pair.
    &ALL[purpose as usize * Language::ALL.len() + language as usize]
}

fn parse(purpose: Purpose, language: Language) -> Builtin {
    let lead = lead(purpose, language);
    let parse = |text: &str| {
        // Cannot fail: the texts are constants, and a test parses every one of them.
        Template::parse_with(text, TextRules::default()).expect("built-in texts are well formed")
    };
    Builtin {
        full: parse(&format!("{lead} {}", advice(purpose, language))),
        brief: parse(lead),
    }
}

const fn lead(purpose: Purpose, language: Language) -> &'static str {
    match language {
        Language::Es => spanish(purpose),
        Language::Ca => catalan(purpose),
        Language::CaValencia => valencian(purpose),
        Language::Gl => galician(purpose),
        Language::Eu => basque(purpose),
        Language::OcAranes => aranese(purpose),
        Language::En => english(purpose),
    }
}

/// What the citizen should know besides: nothing is to be done about a test; any other code is for nobody else.
const fn advice(purpose: Purpose, language: Language) -> &'static str {
    match (purpose, language) {
        (Purpose::Test, Language::Es) => "No tiene que hacer nada.",
        (Purpose::Test, Language::Ca | Language::CaValencia) => "No heu de fer res.",
        (Purpose::Test, Language::Gl) => "Non ten que facer nada.",
        (Purpose::Test, Language::Eu) => "Ez duzu ezer egin behar.",
        (Purpose::Test, Language::OcAranes) => "Non vos cau hèr arren.",
        (Purpose::Test, Language::En) => "You do not need to do anything.",
        (_, Language::Es) => "No lo comparta con nadie.",
        (_, Language::Ca | Language::CaValencia) => "No el compartiu amb ningú.",
        (_, Language::Gl) => "Non o comparta con ninguén.",
        (_, Language::Eu) => "Ez partekatu inorekin.",
        (_, Language::OcAranes) => "Non lo compartisquetz damb arrés.",
        (_, Language::En) => "Do not share it with anyone.",
    }
}

const fn spanish(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Login => "Cl@ve: su código es {code}. Caduca en {minutes} minutos.",
        Purpose::Signature => "Cl@ve: su código de firma es {code}. Caduca en {minutes} minutos.",
        Purpose::Activation => {
            "Cl@ve: su código de activación es {code}. Caduca en {minutes} minutos."
        }
        Purpose::PasswordChange => {
            "Cl@ve: código para cambiar la contraseña: {code}. Caduca en {minutes} minutos."
        }
        Purpose::PasswordReset => {
            "Cl@ve: código para recuperar la contraseña: {code}. Caduca en {minutes} minutos."
        }
        Purpose::PhoneVerification => {
            "Cl@ve: código para verificar su teléfono: {code}. Caduca en {minutes} minutos."
        }
        Purpose::Test => "Cl@ve: mensaje de prueba, código {code}. Caduca en {minutes} minutos.",
    }
}

const fn catalan(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Login => "Cl@ve: el vostre codi és {code}. Caduca d'aquí a {minutes} minuts.",
        Purpose::Signature => {
            "Cl@ve: el vostre codi de signatura és {code}. Caduca d'aquí a {minutes} minuts."
        }
        Purpose::Activation => {
            "Cl@ve: el vostre codi d'activació és {code}. Caduca d'aquí a {minutes} minuts."
        }
        Purpose::PasswordChange => {
            "Cl@ve: codi per canviar la contrasenya: {code}. Caduca d'aquí a {minutes} minuts."
        }
        Purpose::PasswordReset => {
            "Cl@ve: codi per a una contrasenya nova: {code}. Caduca d'aquí a {minutes} minuts."
        }
        Purpose::PhoneVerification => {
            "Cl@ve: codi per verificar el telèfon: {code}. Caduca d'aquí a {minutes} minuts."
        }
        Purpose::Test => "Cl@ve: missatge de prova, codi {code}. Caduca d'aquí a {minutes} minuts.",
    }
}

const fn valencian(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Login => "Cl@ve: el vostre codi és {code}. Caduca d'ací a {minutes} minuts.",
        Purpose::Signature => {
            "Cl@ve: el vostre codi de signatura és {code}. Caduca d'ací a {minutes} minuts."
        }
        Purpose::Activation => {
            "Cl@ve: el vostre codi d'activació és {code}. Caduca d'ací a {minutes} minuts."
        }
        Purpose::PasswordChange => {
            "Cl@ve: codi per a canviar la contrasenya: {code}. Caduca d'ací a {minutes} minuts."
        }
        Purpose::PasswordReset => {
            "Cl@ve: codi per a una contrasenya nova: {code}. Caduca d'ací a {minutes} minuts."
        }
        Purpose::PhoneVerification => {
            "Cl@ve: codi per a verificar el telèfon: {code}. Caduca d'ací a {minutes} minuts."
        }
        Purpose::Test => "Cl@ve: missatge de prova, codi {code}. Caduca d'ací a {minutes} minuts.",
    }
}

const fn galician(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Login => "Cl@ve: o seu código é {code}. Caduca en {minutes} minutos.",
        Purpose::Signature => {
            "Cl@ve: o seu código de sinatura é {code}. Caduca en {minutes} minutos."
        }
        Purpose::Activation => {
            "Cl@ve: o seu código de activación é {code}. Caduca en {minutes} minutos."
        }
        Purpose::PasswordChange => {
            "Cl@ve: código para cambiar o contrasinal: {code}. Caduca en {minutes} minutos."
        }
        Purpose::PasswordReset => {
            "Cl@ve: código para recuperar o contrasinal: {code}. Caduca en {minutes} minutos."
        }
        Purpose::PhoneVerification => {
            "Cl@ve: código para verificar o seu teléfono: {code}. Caduca en {minutes} minutos."
        }
        Purpose::Test => "Cl@ve: mensaxe de proba, código {code}. Caduca en {minutes} minutos.",
    }
}

const fn basque(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Login => "Cl@ve: zure kodea {code} da. {minutes} minututan iraungiko da.",
        Purpose::Signature => {
            "Cl@ve: zure sinadura-kodea {code} da. {minutes} minututan iraungiko da."
        }
        Purpose::Activation => {
            "Cl@ve: zure aktibazio-kodea {code} da. {minutes} minututan iraungiko da."
        }
        Purpose::PasswordChange => {
            "Cl@ve: pasahitza aldatzeko kodea: {code}. {minutes} minututan iraungiko da."
        }
        Purpose::PasswordReset => {
            "Cl@ve: pasahitza berreskuratzeko kodea: {code}. {minutes} minututan iraungiko da."
        }
        Purpose::PhoneVerification => {
            "Cl@ve: telefonoa egiaztatzeko kodea: {code}. {minutes} minututan iraungiko da."
        }
        Purpose::Test => "Cl@ve: probako mezua, kodea: {code}. {minutes} minututan iraungiko da.",
    }
}

const fn aranese(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Login => "Cl@ve: eth vòste còdi ei {code}. Caduque en {minutes} menutes.",
        Purpose::Signature => {
            "Cl@ve: eth vòste còdi de signatura ei {code}. Caduque en {minutes} menutes."
        }
        Purpose::Activation => {
            "Cl@ve: eth vòste còdi d'activacion ei {code}. Caduque en {minutes} menutes."
        }
        Purpose::PasswordChange => {
            "Cl@ve: còdi entà cambiar era contrasenha: {code}. Caduque en {minutes} menutes."
        }
        Purpose::PasswordReset => {
            "Cl@ve: còdi entà recuperar era contrasenha: {code}. Caduque en {minutes} menutes."
        }
        Purpose::PhoneVerification => {
            "Cl@ve: còdi entà verificar eth telefòn: {code}. Caduque en {minutes} menutes."
        }
        Purpose::Test => "Cl@ve: messatge de pròva, còdi {code}. Caduque en {minutes} menutes.",
    }
}

const fn english(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Login => "Cl@ve: your code is {code}. It expires in {minutes} minutes.",
        Purpose::Signature => {
            "Cl@ve: your signature code is {code}. It expires in {minutes} minutes."
        }
        Purpose::Activation => {
            "Cl@ve: your activation code is {code}. It expires in {minutes} minutes."
        }
        Purpose::PasswordChange => {
            "Cl@ve: code to change your password: {code}. It expires in {minutes} minutes."
        }
        Purpose::PasswordReset => {
            "Cl@ve: code to reset your password: {code}. It expires in {minutes} minutes."
        }
        Purpose::PhoneVerification => {
            "Cl@ve: code to verify your phone: {code}. It expires in {minutes} minutes."
        }
        Purpose::Test => "Cl@ve: test message, code {code}. It expires in {minutes} minutes.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Encoding, OneTimeCode, OriginHost};
    use crate::text::gsm::{Measure, measure};

    /// The longest host that the domain accepts.
    fn longest_host() -> OriginHost {
        let host = format!("{}.es", "a".repeat(60));
        assert!(OriginHost::parse(&format!("a{host}")).is_err());
        OriginHost::parse(&host).unwrap()
    }

    fn is_one_segment(text: &str) {
        let Measure {
            encoding,
            units,
            segments,
        } = measure(text);
        assert_eq!(
            (encoding, segments),
            (Encoding::Gsm7, 1),
            "{units} units: {text}"
        );
    }

    #[test]
    fn every_text_is_one_segment_for_the_longest_code_and_host() {
        let code = "9".repeat(OneTimeCode::MAX_CHARACTERS);
        for purpose in Purpose::ALL {
            for language in Language::ALL {
                let builtin = text(purpose, language);
                for minutes in [1, 10, 30] {
                    is_one_segment(&builtin.full.render(&code, minutes, None));
                    is_one_segment(&builtin.brief.render(&code, minutes, Some(&longest_host())));
                }
            }
        }
    }

    #[test]
    fn every_text_names_cl_ve_the_code_and_the_minutes() {
        for purpose in Purpose::ALL {
            for language in Language::ALL {
                let builtin = text(purpose, language);
                for template in [&builtin.full, &builtin.brief] {
                    let text = template.render("748291", 10, None);
                    assert!(text.starts_with("Cl@ve: "), "{text}");
                    assert_eq!(text.matches("748291").count(), 1, "{text}");
                    assert_eq!(text.matches("10").count(), 1, "{text}");
                }
            }
        }
    }

    #[test]
    fn each_pair_finds_its_own_text() {
        for purpose in Purpose::ALL {
            for language in Language::ALL {
                let expected = parse(purpose, language).full;
                assert_eq!(text(purpose, language).full, expected);
            }
        }
    }
}
