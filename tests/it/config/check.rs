//! `clave-otp check` as people and programs see it.

use std::process::Command;

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
    assert_eq!(
        check(&good, &[]),
        (
            Some(0),
            "ok: 2 administrations, 2 accounts\n".into(),
            String::new()
        )
    );
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
