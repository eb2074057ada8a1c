//! `clave-otp check` as people and programs see it.

use std::process::Command;

use clave_otp::{
    clock::{Clock as _, SystemClock},
    domain::day_in_spain,
};
use jiff::ToSpan as _;

use super::{A, B, S, Set};

fn check(set: &Set, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_clave-otp"))
        .args(["check", "--config"])
        .arg(set.path("service.toml"))
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn check_prints_every_problem_and_ends_with_78() {
    let good = Set::new();
    let draft = "warning: administrations/b.toml: aliases[0]: ALIAS_NOT_USABLE: ";
    let (status, output, warnings) = check(&good, &[]);
    assert_eq!(status, Some(0));
    assert_eq!(output, "ok: 2 administrations, 2 accounts\n");
    assert!(warnings.starts_with(draft), "{warnings}");
    assert_eq!(warnings.lines().count(), 1, "{warnings}");
    let bad = Set::new()
        .change(S, "127.0.0.1:50051", "127.0.0.1")
        .change(A, "P2807900B", "P2807900A")
        .change(B, "P4109100J", "A28015865");
    let lines = "administrations/a.toml: administration.nif: the last character of this NIF does not fit the others: look for a typing error\n\
                 service.toml: grpc.listen: must be an IP address and a port, such as 127.0.0.1:50051 or [::1]:50051\n\
                 warning: administrations/b.toml: administration.nif: does not begin with P, Q or S, as the NIF of a public body does\n";
    assert_eq!(check(&bad, &[]), (Some(78), String::new(), lines.into()));
    let (status, json, errors) = check(&bad, &["--format", "json"]);
    assert_eq!((status, errors.as_str()), (Some(78), ""));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["problems"].as_array().map(Vec::len), Some(2));
    assert_eq!(json["problems"][1]["file"], "service.toml");
    assert_eq!(json["problems"][1]["key"], "grpc.listen");
    assert_eq!(json["warnings"][0]["key"], "administration.nif");
}

#[test]
fn check_tells_today_what_will_soon_keep_an_alias_from_use() {
    let today = day_in_spain(SystemClock::new().now());
    let record = |keys: &str| {
        let record = format!("\"preinscribed\"\npreinscribed_on = {today}\n{keys}");
        let set = Set::new().change(B, "\"draft\"", &record);
        let (status, json, _) = check(&set, &["--format", "json"]);
        assert_eq!(status, Some(0), "{json}");
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        let warnings = json["warnings"].as_array().unwrap().iter();
        warnings
            .map(|warning| warning["warning"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let lapsing = record(&format!("lapses_on = {}", today + 30.days()));
    assert!(lapsing[0].starts_with("ALIAS_LAPSES_SOON: "), "{lapsing:?}");
    // A day more, in case midnight comes between.
    let later = record(&format!("lapses_on = {}", today + 32.days()));
    assert_eq!(later, [""; 0]);
}

#[test]
fn check_of_a_missing_file_ends_with_78() {
    let output = Command::new(env!("CARGO_BIN_EXE_clave-otp"))
        .args(["check", "--config", "/nonexistent/service.toml"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "service.toml: (file): cannot be read (no such file)\n"
    );
}
