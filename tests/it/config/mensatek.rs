//! Accounts of Mensatek.

use clave_otp::{
    config::{AccountSettings, MensatekService, Protocol},
    domain::GatewayName,
};

use super::{A, CANARY, S, Set};

const GATEWAY: &str = "gateway = \"mensajeria-negocios\"";
const SENDERS: &str = "[\"ClaveMadrid\", \"217812\"]";
const REPORTS: &str = "[reports]\npublic_url = \"https://otp.example.gob.es/reports\"\n[store]";

/// Madrid's account is one of Mensatek, with more keys.
fn mensatek(keys: &str) -> Set {
    Set::new()
        .change(A, GATEWAY, &format!("gateway = \"mensatek\"\n{keys}"))
        .change(A, SENDERS, "[\"ClaveMadrid\"]")
        .change(S, "[store]", REPORTS)
}

fn madrid(set: &Set) -> AccountSettings {
    set.settings().administrations.remove(0).accounts.remove(0)
}

#[test]
fn a_plain_account_needs_nothing_more() {
    let account = madrid(&mensatek(""));
    assert_eq!(account.gateway, GatewayName::Mensatek);
    assert_eq!(account.protocol, Protocol::Mensatek);
    assert_eq!(account.endpoint.as_str(), "https://api.mensatek.com/v7");
    assert_eq!(account.max_in_flight.get(), 4);
    assert_eq!(account.limits.max_batch.get(), 1);
    assert!(account.reports.is_some(), "its platform reports");
    let settings = account.mensatek.unwrap();
    assert_eq!(settings.service, MensatekService::Sms);
    assert!(!settings.validity);
}

#[test]
fn a_certified_account_names_who_sends_and_another_may() {
    let contact = "validity = true\ncontact_name = \"Ayuntamiento\"\n\
                   contact_phone = \"900000000\"\ncontact_nif = \"P2807900B\"";
    for (service, expected) in [
        ("service = \"certified\"", MensatekService::Certified),
        ("service = \"sms\"", MensatekService::Sms),
    ] {
        let keys = format!("{service}\n{contact}");
        let settings = madrid(&mensatek(&keys)).mensatek.unwrap();
        assert!(settings.validity);
        assert_eq!(settings.service, expected);
        let contact = settings.contact.unwrap();
        assert_eq!(
            (&*contact.name, &*contact.phone),
            ("Ayuntamiento", "900000000")
        );
        assert_eq!(contact.nif.as_str(), "P2807900B");
    }
}

#[test]
fn each_mistake_has_its_line() {
    for (keys, told) in [
        (
            "protocol = \"soap\"",
            "protocol: is a key of \"mensajeria-negocios\" accounts: remove it",
        ),
        (
            "service = \"certified\"\ncontact_name = \"x\"\ncontact_phone = \"900\"",
            "contact_nif: is required: certified SMS name who sends: give the administration's tax number",
        ),
        (
            "service = \"certified\"\ncontact_name = \"x\"\ncontact_phone = \"90a\"\ncontact_nif = \"P2807900B\"",
            "contact_phone: must be 3 to 15 digits",
        ),
        (
            "contact_name = \"x\"\ncontact_phone = \"900\"",
            "contact_nif: is required: certified SMS name who sends: give the administration's tax number",
        ),
        (
            "service = \"sns\"",
            "service: must be one of: sms, certified; did you mean \"sms\"?",
        ),
        (
            "international_format = \"+\"",
            "international_format: is a key of \"xml-rpc\" and \"soap\" and \"rest\" accounts and does nothing in a \"mensatek\" one: remove it",
        ),
        (
            "encoding = \"utf-8\"",
            "encoding: is a key of \"xml-rpc\" accounts and does nothing in a \"mensatek\" one: remove it",
        ),
        (
            "international = { enabled = true, allowed_regions = [\"PT\"] }",
            "international.enabled: what recipients abroad see of a \"mensatek\" account is not known: set it to false",
        ),
        (
            "codes = { \"2\" = { reason = \"GOOD\" } }",
            "codes.2: must be a code of the platform in quotes, such as \"-7\"; 2 always means accepted",
        ),
        (
            "service = \"certified\"\ncontact_name = \" \"\ncontact_phone = \"900\"\ncontact_nif = \"P2807900B\"",
            "contact_name: must be 1 to 100 characters without control characters",
        ),
        (
            "codes = { \"1\" = { reason = \"GOOD\" } }",
            "codes.1: must be a code of the platform in quotes, such as \"-7\"; 1 always means accepted",
        ),
    ] {
        let problems = mensatek(keys).problems();
        let expected = format!("administrations/a.toml: accounts[0].{told}");
        assert_eq!(problems, [expected], "{keys}");
        assert!(!format!("{problems:?}").contains(CANARY));
    }
    let with_common = Set::new().change(A, GATEWAY, "gateway = \"mensatek\"");
    let told = "administrations/a.toml: accounts[0].senders[1]: must be letters, digits, & and _ alone, at most 11, for \"mensatek\"";
    assert_eq!(with_common.problems(), [told]);
}

/// What the platform would read as a tag, or what follows could complete.
#[test]
fn a_template_that_forms_or_leaves_open_a_tag_is_refused_for_mensatek_alone() {
    let with_template = |is_mensatek: bool, text: &str| {
        let set = if is_mensatek {
            mensatek("")
        } else {
            Set::new()
        };
        let template = format!("[templates.PASSWORD_RESET]\nes = \"{text}\"\n\n[[accounts]]");
        set.change(A, "[[accounts]]", &template).problems()
    };
    for text in [
        "Cl@ve: {code} (",
        "Cl@ve: {code} (FILE",
        "Cl@ve (FILE:2:a.pdf): {code}",
        "Cl@ve (A{code}:x)",
        "Cl@ve ({code}",
    ] {
        let problems = with_template(true, text);
        assert_eq!(problems.len(), 1, "{text}: {problems:?}");
        assert!(
            problems[0].contains("templates.PASSWORD_RESET.es: a \"mensatek\" account reads tags"),
            "{problems:?}"
        );
        assert!(with_template(false, text).is_empty(), "{text}");
    }
    for text in [
        "Cl@ve ({code})",
        "Cl@ve (Madrid): {code}",
        "{code} (hola) fin",
    ] {
        assert!(with_template(true, text).is_empty(), "{text}");
    }
}
