//! Every row of the test data that was made with independent libraries (`tests/vectors`).

use clave_otp::{
    domain::{
        Alias, Destination, Dir3, Language, Nif, OneTimeCode, Purpose, Recipient, RecipientError,
    },
    text::{TextRequest, TextRules, Texts, measure, transliterate},
};
use serde_json::json;

fn rows(file: &str) -> Vec<Vec<String>> {
    let path = format!("{}/tests/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect("the vectors are part of the repository");
    text.lines()
        .skip(1)
        .map(|line| line.split(',').map(str::to_owned).collect())
        .collect()
}

#[test]
fn every_alias_of_the_vectors_is_judged_as_the_registry_does() {
    for row in rows("alias.csv") {
        assert_eq!(Alias::parse(&row[0]).is_ok(), row[1] == "True", "{row:?}");
    }
}

#[test]
fn every_dir3_of_the_vectors_is_judged_by_its_control_digit() {
    for row in rows("dir3.csv") {
        assert_eq!(Dir3::parse(&row[0]).is_ok(), row[1] == "True", "{row:?}");
    }
}

#[test]
fn every_nif_of_the_vectors_is_judged_by_its_control_character() {
    for row in rows("nif.csv") {
        let nif = Nif::parse(&row[0]);
        assert_eq!(nif.is_ok(), row[1] == "True", "{row:?}");
        if let Ok(nif) = nif {
            assert_eq!(nif.is_public_body(), row[2] == "True", "{row:?}");
        }
    }
}

#[test]
fn every_number_of_the_vectors_is_judged_as_the_reference_does() {
    for row in rows("phone.csv") {
        let [recipient, allowed, outcome, destination] = row.as_slice() else {
            panic!("four columns: {row:?}");
        };
        let (found, to) = match Recipient::parse(recipient) {
            Ok(number)
                if allowed
                    .split(' ')
                    .any(|region| region == number.region().as_str()) =>
            {
                ("ACCEPT", number.destination().as_str())
            }
            Ok(_) => ("COUNTRY_NOT_ALLOWED", ""),
            Err(RecipientError::Malformed) => ("MALFORMED", ""),
            Err(RecipientError::NotMobile) => ("NOT_MOBILE", ""),
            Err(RecipientError::PremiumOrSpecial) => ("PREMIUM_OR_SPECIAL", ""),
            Err(RecipientError::NonGeographic) => ("NON_GEOGRAPHIC", ""),
        };
        assert_eq!(
            (found, to),
            (outcome.as_str(), destination.as_str()),
            "{row:?}"
        );
    }
}

#[test]
fn a_national_destination_is_spain_alone() {
    assert_eq!(
        Recipient::parse("+34600000001").unwrap().destination(),
        Destination::National
    );
    assert_eq!(
        Recipient::parse("+351912345678").unwrap().destination(),
        Destination::International
    );
}

fn texts() -> Vec<serde_json::Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/text.jsonl");
    let rows = std::fs::read_to_string(path).expect("the vectors are part of the repository");
    let rows = rows.lines().map(serde_json::from_str);
    rows.map(|row| row.expect("each row is a JSON object"))
        .collect()
}

fn measured(text: &str) -> serde_json::Value {
    let measure = measure(text);
    json!({
        "encoding": measure.encoding.as_str(),
        "units": measure.units,
        "segments": measure.segments,
    })
}

#[test]
fn every_text_of_the_vectors_is_measured_as_the_reference_does() {
    for row in texts() {
        let text = row["text"].as_str().expect("a text");
        assert_eq!(measured(text), row["as_written"], "{row}");
    }
}

#[test]
fn every_text_of_the_vectors_is_transliterated_as_the_reference_does() {
    for row in texts() {
        let text = row["text"].as_str().expect("a text");
        let result = transliterate(text);
        if let Some(transliterated) = row["transliterated"].as_str() {
            assert_eq!(result.text, transliterated, "{row}");
            assert_eq!(measured(&result.text), row["sent"], "{row}");
            assert!(result.unrepresentable.is_empty(), "{row}");
        } else {
            assert_eq!(json!(result.unrepresentable), row["unrepresentable"]);
        }
    }
}

#[test]
fn the_built_in_login_texts_are_those_of_the_vectors() {
    let code = OneTimeCode::parse("748291".into()).unwrap();
    let languages = [
        Language::Es,
        Language::Ca,
        Language::Gl,
        Language::Eu,
        Language::OcAranes,
    ];
    for (row, language) in texts().iter().zip(languages) {
        let composed = Texts::builtin().compose(&TextRequest {
            purpose: Purpose::Login,
            language: Some(language.tag()),
            default_language: Language::Es,
            code: &code,
            minutes: 10,
            origin: None,
            rules: TextRules::default(),
        });
        let composed = composed.expect("built-in texts fit");
        assert_eq!(
            composed.text.expose(),
            row["transliterated"],
            "{language:?}"
        );
    }
}
