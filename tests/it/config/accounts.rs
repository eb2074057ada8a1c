//! Accounts, one by one and together.

use clave_otp::config::CodeEffect;

use super::{A, B, Row, Set, assert_each};

/// A key of an account and the rest of the line that follows.
#[rustfmt::skip] // one row, one line
const KEYS: &[(&str, &str)] = &[
    ("endpoint = \"http://example.es/\"", "endpoint: must begin with https:// (plain http:// is for loopback alone)"),
    ("endpoint = \"https://u:hunter2@example.es/\"", "endpoint: must not hold a log-in: user and password have keys of their own"),
    ("endpoint = \"example\"", "endpoint: must be a URL, such as https://host.example.es/path"),
    ("protocol = \"soap\"", "endpoint: is required: give the address of the SOAP interface from the contract"),
    ("protocol = \"rest\"", "endpoint: is required: give the base address of the REST interface from the contract, without /restadpt_generico1/smsTextSubmit"),
    ("protocol = \"xmlrpc\"", "protocol: must be one of: xml-rpc, soap, rest; did you mean \"xml-rpc\"?"),
    ("number_format = \"e164\"", "number_format: is a key of \"rest\" accounts and does nothing in a \"xml-rpc\" one: remove it"),
    ("expiry_format = \"duration\"", "expiry_format: is a key of \"soap\" and \"rest\" accounts and does nothing in a \"xml-rpc\" one: remove it"),
    ("reports = {}", "reports: XML-RPC brings no reports: remove this table, or use \"soap\" or \"rest\""),
    ("limits = { max_rest_seconds = 0 }", "limits.max_rest_seconds: must be from 1 to 3600"),
    ("international = { sender_on_wire = \"asked\" }", "international.sender_on_wire: must be one of: requested, fallback"),
    ("service = \"sms\"", "service: is a key of \"mensatek\" accounts: remove it"),
    ("on_uncertain = \"resend\"", "on_uncertain: must be one of: hold, resend_once"),
    ("max_in_flight = 2", "max_in_flight: must be 1: the platform takes one XML-RPC request at a time from an account"),
    ("connect_timeout_ms = 20000", "connect_timeout_ms: must not be longer than request_timeout_ms, which includes it"),
    ("answer_limit_bytes = 10", "answer_limit_bytes: must be from 65536 to 16777216"),
    ("encoding = \"latin1\"", "encoding: must be one of: iso-8859-15, utf-8"),
    ("international_format = \"0\"", "international_format: must be one of: 00, +"),
    ("extra_ca_file = \"none.pem\"", "extra_ca_file: cannot be read (no such file): name a PEM file; relative paths start at the folder of this file"),
    ("default_sender = \"clavemadrid\"", "default_sender: must be one of senders, letter for letter"),
    ("limits = { max_segments = 4 }", "limits.max_segments: must be from 1 to 3"),
    ("limits = { max_batch = 501 }", "limits.max_batch: must be from 1 to 500"),
    ("limits = []", "limits: must be a table, not a list"),
    ("international = { enabled = true }", "international.allowed_regions: is required: list the regions that codes may go to, or set enabled = false"),
    ("international = { allowed_regions = [\"pt\"] }", "international.allowed_regions[0]: must be a region of two capital letters (ISO 3166-1), such as \"PT\""),
    ("international = { allowed_regions = [\"ES\"] }", "international.allowed_regions[0]: Spain is not abroad and always allowed: remove it"),
    ("international = { sender = \"Clave\" }", "international.sender: must be the number that recipients abroad see: 3 to 15 digits"),
    ("codes = { \"0\" = { reason = \"GOOD\" } }", "codes.0: must be a code of the platform in quotes, such as \"-7\"; 0 always means accepted"),
    ("codes = { \"-7\" = { reason = \"no\" } }", "codes.-7.reason: must be 3 to 64 of A-Z, 0-9 and _, beginning with a letter"),
    ("codes = { \"-7\" = { reason = \"NO_CREDIT\", effect = \"quotas\" } }", "codes.-7.effect: must be one of: credentials, quota, retry, rejected; did you mean \"quota\"?"),
];

/// Other mistakes of an account.
#[rustfmt::skip] // one row, one line
const ACCOUNT: &[Row] = &[
    (A, "id = \"madrid\"", "id = \"Madrid\"", "administrations/a.toml: accounts[0].id: must be 1 to 63 of a-z, 0-9, '-', '_' and '.', beginning with a letter or digit"),
    (A, "gateway = \"mensajeria-negocios\"", "gateway = \"mensatec\"", "administrations/a.toml: accounts[0].gateway: must be one of: mensajeria-negocios, mensatek; did you mean \"mensatek\"?"),
    (A, "[\"ClaveMadrid\", \"217812\"]", "[]", "administrations/a.toml: accounts[0].senders: must list at least one sender: the principal alias, or \"217812\""),
    (A, "[\"ClaveMadrid\", \"217812\"]", "[\"Alias1\", \"Alias2\", \"Alias3\", \"Alias4\", \"Alias5\", \"Alias6\", \"217812\", \"Alias7\"]", "administrations/a.toml: accounts[0].senders[7]: an account has at most 6 aliases: remove some"),
    (A, "\"217812\"", "\"638444812\"", "administrations/a.toml: accounts[0].senders[1]: 217812 is the only numeric sender: use it, or an alias"),
    (A, "\"217812\"", "\"Clave  M\"", "administrations/a.toml: accounts[0].senders[1]: an alias has no space at its ends and no two in a row"),
    (A, "\"217812\"", "\"ClaveMadrid\"", "administrations/a.toml: accounts[0].senders[1]: is accounts[0].senders[0] again: list each sender once"),
    (A, "user-madrid", "", "administrations/a.toml: accounts[0].api_user: must be 1 to 128 characters without control characters or spaces at the ends"),
];

#[test]
fn an_account_is_judged() {
    let user = "api_user = \"user-madrid\"";
    for (key, line) in KEYS {
        let set = Set::new().change(A, user, &format!("{user}\n{key}"));
        assert_eq!(
            set.problems(),
            [format!("{A}: accounts[0].{line}")],
            "{key}"
        );
    }
    assert_each(ACCOUNT);
}

#[test]
fn what_the_platforms_codes_mean_can_be_told() {
    let set = Set::new().change(
        A,
        "api_user",
        "codes = { \"-7\" = { reason = \"NO_CREDIT\", effect = \"quota\" } }\napi_user",
    );
    let settings = set.settings();
    let meaning = &settings.administrations[0].accounts[0].codes[&-7];
    assert_eq!(meaning.reason.as_str(), "NO_CREDIT");
    assert_eq!(meaning.effect, CodeEffect::Quota);
}

#[test]
fn the_rules_between_accounts_hold() {
    let second_account = |id: &str, user: &str, alias: &str| {
        format!(
            "[[accounts]]\nid = \"{id}\"\ngateway = \"mensajeria-negocios\"\napi_user = \"{user}\"\npassword_file = \"../secrets/madrid.password\"\nsenders = [\"{alias}\", \"217812\"]\n[[aliases]]"
        )
    };
    let twin_user = second_account("madrid-2", "user-madrid", "OtroAlias");
    let twin_alias = second_account("madrid-2", "user-other", "ClaveMadrid");
    assert_each(&[
        (
            B,
            "L01410917",
            "L01280796",
            "administrations/b.toml: administration.dir3: administrations/a.toml is the file of this administration already: put all of it into one",
        ),
        (
            B,
            "id = \"sevilla\"",
            "id = \"madrid\"",
            "administrations/b.toml: accounts[0].id: is the id of accounts[0] of administrations/a.toml too: give each account its own",
        ),
        (
            B,
            "user-sevilla",
            "user-madrid",
            "administrations/b.toml: accounts[0].api_user: is the API user of accounts[0] of administrations/a.toml too: each administration has an account and a bill of its own",
        ),
        (
            A,
            "[[aliases]]",
            &twin_user,
            "administrations/a.toml: accounts[1].api_user: is the API user of accounts[0] of administrations/a.toml too: the platform takes one request at a time from an API user, so two accounts cannot share it",
        ),
        (
            A,
            "[[aliases]]",
            &twin_alias,
            "administrations/a.toml: accounts[1].senders[0]: is the principal alias of accounts[0] of administrations/a.toml, which no other account may list: remove it here, or put another alias first there",
        ),
        // Two principals, a secondary beside a principal, and the same where the principal comes later in the set.
        (
            B,
            "[\"ClaveSevi\"]",
            "[\"ClaveMadrid\"]",
            "administrations/b.toml: accounts[0].senders[0]: is the principal alias of accounts[0] of administrations/a.toml, which no other account may list: remove it here, or put another alias first there",
        ),
        (
            B,
            "[\"ClaveSevi\"]",
            "[\"ClaveSevi\", \"ClaveMadrid\"]",
            "administrations/b.toml: accounts[0].senders[1]: is the principal alias of accounts[0] of administrations/a.toml, which no other account may list: remove it here, or put another alias first there",
        ),
        (
            A,
            "\"217812\"",
            "\"ClaveSevi\"",
            "administrations/a.toml: accounts[0].senders[1]: is the principal alias of accounts[0] of administrations/b.toml, which no other account may list: remove it here, or put another alias first there",
        ),
    ]);
    let shared_secondary = Set::new().change(A, "\"217812\"", "\"Comun\"").change(
        B,
        "\"ClaveSevi\"",
        "\"ClaveSevi\", \"Comun\"",
    );
    assert_eq!(shared_secondary.problems(), [""; 0]);
}
