//! The files of the administrations.

use std::{fs, os::unix::fs::symlink};

use clave_otp::domain::{Language, Purpose};

use super::{A, B, Row, S, Set, assert_each};

/// Mistakes in the tables of an administration, accounts apart.
#[rustfmt::skip] // one row, one line
const ADMINISTRATION: &[Row] = &[
    (A, "name = \"Madrid\"", "", "administrations/a.toml: administration.name: is required: give the administration's name"),
    (A, "L01280796", "L01280797", "administrations/a.toml: administration.dir3: the last digit of this DIR3 code does not fit the others: look for a typing error"),
    (A, "P2807900B", "P2807900B\"\ndefault_language = \"fr", "administrations/a.toml: administration.default_language: is not a language with texts; the languages are es, ca, ca-valencia, gl, eu, oc-aranes, en"),
    (A, "P2807900B", "P2807900B\"\nalias_policy = \"numerik", "administrations/a.toml: administration.alias_policy: must be one of: refuse, numeric; did you mean \"numeric\"?"),
    (A, "name =", "origins = [\"https://clave.gob.es\"]\nname =", "administrations/a.toml: administration.origins[0]: must be a host name in lower case, at most 63 characters"),
    (A, "inscribed_on = 2026-08-03", "", "administrations/a.toml: aliases[0].inscribed_on: is required: an inscribed alias is usable from the day after it"),
    (A, "2026-08-03", "\"2026-02-30\"", "administrations/a.toml: aliases[0].inscribed_on: must be a day such as 2026-08-03"),
    (B, "\"draft\"", "\"preinscribed\"", "administrations/b.toml: aliases[0].lapses_on: is required: a pre-inscribed alias lapses in at most three months: give its last day"),
    (B, "\"draft\"", "\"preinscribed\"\npreinscribed_on = 2026-08-31\nlapses_on = 2026-12-01", "administrations/b.toml: aliases[0].lapses_on: must be from preinscribed_on to three months later (2026-11-30), which is as long as a pre-inscription lasts"),
    (B, "\"draft\"", "\"preinscribed\"\npreinscribed_on = 2026-09-01\nlapses_on = 2026-08-31", "administrations/b.toml: aliases[0].lapses_on: must be from preinscribed_on to three months later (2026-12-01), which is as long as a pre-inscription lasts"),
    (B, "\"draft\"", "\"draft\"\nlast_used_on = 2026", "administrations/b.toml: aliases[0].last_used_on: must be a text in quotes, not a number"),
    (A, "inscribed_on = 2026-08-03", "inscribed_on = 2026-08-03\nends_on = 2026-08-03", "administrations/a.toml: aliases[0].ends_on: must come after inscribed_on: it is the last day of the inscription"),
    (B, "\"draft\"", "\"inscribd\"", "administrations/b.toml: aliases[0].status: must be one of: draft, requested, preinscribed, inscribed, suspended, cancelled; did you mean \"inscribed\"?"),
    (B, "\"draft\"", "\"draft\"\nenabled_gateways = [\"movistar\"]", "administrations/b.toml: aliases[0].enabled_gateways[0]: must be one of: mensajeria-negocios, mensatek"),
    (B, "\"draft\"", "\"draft\"\n[[aliases]]\nalias = \"ClaveSevi\"\nstatus = \"draft\"", "administrations/b.toml: aliases[1].alias: has a record already (aliases[0]): keep one"),
    (B, "\"draft\"", "\"draft\"\n[templates.LOGIN]\nes = \"nothing\"", "administrations/b.toml: templates.LOGIN.es: has no {code}; 1"),
    (B, "\"draft\"", "\"draft\"\n[templates.LOGON]\nes = \"{code}\"", "administrations/b.toml: templates.LOGON: is not a purpose; the purposes are LOGIN, SIGNATURE, ACTIVATION, PASSWORD_CHANGE, PASSWORD_RESET, PHONE_VERIFICATION, TEST; did you mean \"LOGIN\"?"),
    (B, "\"draft\"", "\"draft\"\n[templates.LOGIN]\nfr = \"{code}\"", "administrations/b.toml: templates.LOGIN.fr: is not a language with texts; the languages are es, ca, ca-valencia, gl, eu, oc-aranes, en"),
];

#[test]
fn an_administration_is_judged() {
    assert_each(ADMINISTRATION);
}

#[test]
fn what_works_but_should_be_known_is_a_warning() {
    for (file, from, to, line) in [
        (
            A,
            "P2807900B",
            "A28015865",
            "administrations/a.toml: administration.nif: does not begin with P, Q or S, as the NIF of a public body does",
        ),
        (
            A,
            "\"217812\"",
            "\"Otro\"",
            "administrations/a.toml: accounts[0].senders[1]: has no [[aliases]] record, so it counts as not inscribed and is not used for Spanish numbers",
        ),
        (
            B,
            "[\"ClaveSevi\"]",
            "[\"217812\"]",
            "administrations/b.toml: aliases[0].alias: no account of this administration lists this alias as a sender",
        ),
        (
            B,
            "\"draft\"",
            "\"preinscribed\"\nlapses_on = 2026-12-31",
            "administrations/b.toml: aliases[0].preinscribed_on: is not given, so nobody can tell whether lapses_on is within the three months that a pre-inscription lasts at most",
        ),
        (
            S,
            "loopback = true",
            "certificate_san = \"a.example\"",
            "service.toml: callers[0].certificate_san: recognises nobody without [grpc.tls]",
        ),
        (
            S,
            "[store]",
            "[admin]\nlisten = \"0.0.0.0:9090\"\n[store]",
            "service.toml: admin.listen: these pages ask for no log-in: let only the operators' network reach this address",
        ),
    ] {
        let set = Set::new().change(file, from, to);
        assert_eq!(set.problems(), [""; 0], "{to}");
        assert_eq!(set.warnings(), [line], "{to}");
    }
}

#[test]
fn administration_files_are_those_that_end_in_toml() {
    let set = Set::new();
    set.write("administrations/.hidden.toml", "not TOML");
    set.write("administrations/README.md", "not TOML");
    fs::create_dir(set.path("administrations/folder.toml")).unwrap();
    fs::rename(set.path(B), set.path("elsewhere.toml")).unwrap();
    symlink(set.path("elsewhere.toml"), set.path(B)).unwrap();
    assert_eq!(set.settings().administrations.len(), 2);
    symlink("nowhere", set.path("administrations/c.toml")).unwrap();
    assert_eq!(
        set.problems(),
        ["administrations/c.toml: (file): cannot be read (no such file)"]
    );

    let empty = Set::new().change(
        S,
        "directory = \"administrations\"",
        "directory = \"secrets\"",
    );
    assert_eq!(
        empty.problems(),
        [
            "service.toml: administrations.directory: the directory holds no *.toml file: write one for each administration"
        ]
    );
    let missing = Set::new().change(S, "directory = \"administrations\"", "directory = \"none\"");
    assert_eq!(
        missing.problems(),
        [
            "service.toml: administrations.directory: cannot be read (no such file): name the directory of the administration files"
        ]
    );
}

#[test]
fn templates_are_kept_as_written() {
    let set = Set::new().change(
        B,
        "\"draft\"",
        "\"draft\"\n[templates.LOGIN]\nca-valencia = \"{code}\"",
    );
    let settings = set.settings();
    let template = &settings.administrations[1].templates[0];
    assert_eq!(template.purpose, Purpose::Login);
    assert_eq!(template.language, Language::CaValencia);
    assert_eq!(template.source, "{code}");
}
