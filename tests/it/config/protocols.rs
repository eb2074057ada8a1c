//! Accounts over SOAP and REST, their reports, and what an administration with several accounts gets.

use std::time::Duration;

use clave_otp::config::{
    AccountSettings, ExpiryFormat, InternationalFormat, NumberFormat, Protocol, SenderOnWire,
};
use secrecy::ExposeSecret as _;

use super::{A, B, CANARY, S, Set};

const USER: &str = "api_user = \"user-madrid\"";
const REPORTS: &str = "[reports]\npublic_url = \"https://otp.example.gob.es/reports\"\n[store]";

/// Madrid's account over this protocol, with more keys; the installation listens for reports.
fn over(protocol: &str, keys: &str) -> Set {
    let endpoint = "https://mensajeria.example.es/interfaz";
    let lines = format!("protocol = \"{protocol}\"\nendpoint = \"{endpoint}\"\n{keys}\n{USER}");
    Set::new()
        .change(A, USER, &lines)
        .change(S, "[store]", REPORTS)
}

fn madrid(set: &Set) -> AccountSettings {
    set.settings().administrations.remove(0).accounts.remove(0)
}

#[test]
fn soap_and_rest_accounts_have_defaults_of_their_own() {
    for (word, protocol) in [("soap", Protocol::Soap), ("rest", Protocol::Rest)] {
        let set = over(word, "");
        assert_eq!(set.warnings(), [""; 0]);
        let account = madrid(&set);
        assert_eq!(account.protocol, protocol);
        assert_eq!(account.endpoint.path(), "/interfaz");
        assert_eq!(account.max_in_flight.get(), 4);
        assert_eq!(account.limits.max_batch.get(), 1);
        assert_eq!(account.limits.max_rest, Duration::from_secs(10));
        assert_eq!(account.number_format, NumberFormat::National);
        assert_eq!(account.expiry_format, ExpiryFormat::Duration);
        assert_eq!(
            account.international.sender_on_wire,
            SenderOnWire::Requested
        );
        let reports = account.reports.unwrap();
        assert_eq!(reports.window, Duration::from_secs(24 * 3600));
        assert!(reports.login.is_none() && reports.allowed_sources.is_empty());
        assert_eq!(reports.path_version, 1);
    }
    assert!(madrid(&Set::new()).reports.is_none(), "XML-RPC has none");
}

#[test]
fn what_soap_and_rest_accounts_write_is_taken() {
    let set = over(
        "rest",
        "number_format = \"e164\"\nexpiry_format = \"date-time\"\nmax_in_flight = 64\n\
         international = { sender_on_wire = \"fallback\" }\nlimits = { max_rest_seconds = 5 }\n\
         reports = { window_minutes = 90, user = \"platform\", password_file = \"../secrets/callbacks\", allowed_sources = [\"192.0.2.0/24\", \"::1\"], path_version = 7 }",
    );
    set.write_secret("secrets/callbacks", &format!("{CANARY}\n"));
    let account = madrid(&set);
    assert_eq!(account.number_format, NumberFormat::E164);
    assert_eq!(account.international_format, InternationalFormat::Plus);
    assert_eq!(account.expiry_format, ExpiryFormat::DateTime);
    assert_eq!(account.max_in_flight.get(), 64);
    assert_eq!(account.limits.max_rest, Duration::from_secs(5));
    assert_eq!(account.international.sender_on_wire, SenderOnWire::Fallback);
    assert!(!format!("{account:?}").contains("hunter2"));
    let reports = account.reports.unwrap();
    assert_eq!(reports.window, Duration::from_secs(90 * 60));
    let networks: Vec<String> = reports
        .allowed_sources
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(networks, ["192.0.2.0/24", "::1/128"]);
    assert_eq!(reports.path_version, 7);
    let login = reports.login.unwrap();
    assert_eq!(login.user.as_str(), "platform");
    assert_eq!(login.password.expose_secret(), CANARY);
}

/// Protocol, keys, and the rest of the one line that follows.
#[rustfmt::skip] // one row, one line
const KEYS: &[(&str, &str, &str)] = &[
    ("soap", "max_in_flight = 65", "max_in_flight: must be from 1 to 64"),
    ("soap", "max_in_flight = 0", "max_in_flight: must be from 1 to 64"),
    ("rest", "limits = { max_batch = 2 }", "limits.max_batch: must be 1: a request carries one text, and each code has its own"),
    ("soap", "encoding = \"utf-8\"", "encoding: is a key of \"xml-rpc\" accounts and does nothing in a \"soap\" one: remove it"),
    ("soap", "number_format = \"e164\"", "number_format: is a key of \"rest\" accounts and does nothing in a \"soap\" one: remove it"),
    ("rest", "number_format = \"e165\"", "number_format: must be one of: national, e164; did you mean \"e164\"?"),
    ("rest", "number_format = \"e164\"\ninternational_format = \"00\"", "international_format: number_format = \"e164\" writes every number with +: remove this key, or write \"+\""),
    ("rest", "expiry_format = \"datetime\"", "expiry_format: must be one of: duration, date-time; did you mean \"date-time\"?"),
    ("rest", "codes = { \"1000\" = { reason = \"GOOD\" } }", "codes.1000: must be a code of the platform in quotes, such as \"2004\"; 1000 always means accepted"),
    ("soap", "reports = { window_minutes = 0 }", "reports.window_minutes: must be from 1 to 10080"),
    ("soap", "reports = { window_minutes = 10081 }", "reports.window_minutes: must be from 1 to 10080"),
    ("soap", "reports = { path_version = 0 }", "reports.path_version: must be from 1 to 1000000"),
    ("soap", "reports = { allowed_sources = [] }", "reports.allowed_sources: must list at least one address or network; without this key reports may come from anywhere"),
    ("soap", "reports = { allowed_sources = [\"host.example.es\"] }", "reports.allowed_sources[0]: must be an IP address or a network, such as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32"),
    ("soap", "reports = { allowed_sources = [\"192.0.2.1\", \"192.0.2.1/24\"] }", "reports.allowed_sources[1]: the address goes on behind its prefix: write the first address of the network"),
    ("soap", "reports = { allowed_sources = [\"0.0.0.0/0\"] }", "reports.allowed_sources[0]: /0 is every address: leave the key out instead"),
    ("soap", "reports = { user = \"platform\" }", "reports.password_file: is required: name a file of mode 0600 that holds the password of the callbacks (or use password_env, or a credential <account id>@reports.password)"),
    ("soap", "reports = { password_env = \"CALLBACKS\" }", "reports.user: is required: give the user that callbacks log in as, or remove the password"),
    ("soap", "reports = { user = \"a:b\", password_env = \"CALLBACKS\" }", "reports.user: must not hold ':', which ends the user in HTTP Basic"),
    ("soap", "reports = { user = \"platform\", password_env = \"SHORT\" }", "reports.password_env: the password has fewer than 8 characters: set a longer one there and here"),
    ("soap", "reports = { user = \"platform\", password_env = \"CALLBACKS\", password_file = \"x\" }", "reports.password_file: the password has several sources: keep one of password_file, password_env and the credential in $CREDENTIALS_DIRECTORY"),
    ("soap", "reports = { user = \"platform\", password = \"hunter2\", password_env = \"CALLBACKS\" }", "reports.password: a secret is never written here: put it in a file of mode 0600 and name that file in password_file"),
];

#[test]
fn an_account_over_soap_or_rest_is_judged() {
    for (protocol, keys, line) in KEYS {
        let set = over(protocol, keys)
            .variable("CALLBACKS", "hunter2-callbacks")
            .variable("SHORT", "hunter2");
        assert_eq!(
            set.problems(),
            [format!("{A}: accounts[0].{line}")],
            "{keys}"
        );
    }
    let user = over("soap", "").change(A, "user-madrid", "user:madrid");
    assert_eq!(
        user.problems(),
        [format!(
            "{A}: accounts[0].api_user: must not hold ':', which ends the user in HTTP Basic"
        )]
    );
}

#[test]
fn the_password_of_the_callbacks_is_guarded_like_the_account_s() {
    let set = over(
        "soap",
        "reports = { user = \"platform\", password_file = \"../secrets/callbacks\" }",
    );
    set.write_secret("secrets/callbacks", CANARY);
    set.mode("secrets/callbacks", 0o640);
    let path = set.path("administrations/../secrets/callbacks");
    assert_eq!(
        set.problems(),
        [format!(
            "{A}: accounts[0].reports.password_file: can be read or changed by others (mode 0640): chmod 600 {}",
            path.display()
        )]
    );
    let credential = over("soap", "reports = { user = \"platform\" }");
    credential.write_secret(
        "credentials/madrid@reports.password",
        "hunter2-of-the-credential",
    );
    let directory = credential.path("credentials").display().to_string();
    let credential = credential.variable("CREDENTIALS_DIRECTORY", &directory);
    let login = madrid(&credential).reports.unwrap().login.unwrap();
    assert_eq!(login.password.expose_secret(), "hunter2-of-the-credential");
}

#[test]
fn reports_need_a_listener() {
    let silent = |keys: &str| over("soap", keys).change(S, REPORTS, "[store]");
    let warned = silent("");
    assert_eq!(warned.problems(), [""; 0]);
    assert_eq!(
        warned.warnings(),
        [format!(
            "{A}: accounts[0].reports: nothing listens for reports, so SENT is all that is known of this account's deliveries: add [reports] to the service file, or set enabled = false here"
        )]
    );
    assert!(madrid(&warned).reports.is_none());
    let off = silent("reports = { enabled = false }");
    assert_eq!(off.warnings(), [""; 0]);
    assert!(madrid(&off).reports.is_none());
    assert_eq!(
        silent("reports = { enabled = true }").problems(),
        [format!(
            "{A}: accounts[0].reports.enabled: nothing listens for reports: add [reports] to the service file, or set enabled = false"
        )]
    );
    let off = over("soap", "reports = { enabled = false }");
    assert!(madrid(&off).reports.is_none());
}

#[test]
fn several_accounts_fail_over_unless_told_otherwise() {
    let second = "[[accounts]]\nid = \"madrid-2\"\ngateway = \"mensajeria-negocios\"\napi_user = \"user-other\"\npassword_file = \"../secrets/madrid.password\"\nsenders = [\"217812\"]\n[[aliases]]";
    let set = Set::new().change(A, "[[aliases]]", second);
    let settings = set.settings();
    let (madrid, sevilla) = (&settings.administrations[0], &settings.administrations[1]);
    assert!(madrid.fail_over && !sevilla.fail_over);
    for account in &madrid.accounts {
        assert_eq!(account.limits.max_rest, Duration::from_secs(60));
    }
    let told = set.change(A, "name =", "fail_over = false\nname =");
    assert!(!told.settings().administrations[0].fail_over);
    let alone = Set::new().change(B, "name =", "fail_over = true\nname =");
    assert_eq!(
        alone.warnings(),
        [format!(
            "{B}: administration.fail_over: does nothing with one account: add another, or remove this key"
        )]
    );
}

#[test]
fn the_limits_of_the_report_listener_are_judged() {
    let with = |key: &str| {
        Set::new().change(
            S,
            "[store]",
            &REPORTS.replace("[store]", &format!("{key}\n[store]")),
        )
    };
    for (key, limits) in [
        ("max_connections = 0", "1 to 10000"),
        ("max_header_bytes = 8191", "8192 to 1048576"),
        ("max_body_bytes = 1023", "1024 to 1048576"),
        ("timeout_ms = 99", "100 to 120000"),
        ("early_kept_minutes = 1441", "1 to 1440"),
        ("max_connections_per_source = 0", "1 to 10000"),
        ("max_per_delivery = 10001", "1 to 10000"),
    ] {
        let name = key.split(' ').next().unwrap();
        assert_eq!(
            with(key).problems(),
            [format!("{S}: reports.{name}: must be from {limits}")]
        );
    }
    let reports = with("").settings().reports.unwrap();
    assert_eq!(reports.max_connections, 256);
    assert_eq!(reports.max_connections_per_source, 128);
    assert_eq!(reports.max_body_bytes, 65_536);
    assert_eq!(reports.max_per_delivery, 32);
    assert_eq!(reports.timeout, Duration::from_secs(10));
    assert_eq!(reports.early_kept, Duration::from_secs(15 * 60));
}
