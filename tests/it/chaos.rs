//! The promises under SIGKILL and SIGSTOP: `clave-otp chaos` with fixed seeds, more than two hundred kills in all. Many more are a matter
//! of one command (`docs/CHAOS.md`).

use std::process::Command;

/// Kills of one run; there are four runs, which share the machine's processors.
const KILLS: &str = "55";

/// A run in which every promise must hold, and in which there was something to hold.
#[track_caller]
fn every_promise_holds(seed: &str) {
    let output = Command::new(env!("CARGO_BIN_EXE_clave-otp"))
        .args(["chaos", "--seed", seed, "--kills", KILLS])
        .args(["--format", "json"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    println!("{told}");
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}{problem}");
    let run: serde_json::Value = serde_json::from_str(&told).unwrap();
    for promise in [
        "lost",
        "twice",
        "late",
        "mixed_up",
        "taken_back",
        "unexplained",
    ] {
        assert_eq!(run[promise], 0, "{promise}: {told}");
    }
    // A run that had nothing to lose would prove nothing.
    for (what, much) in [
        ("accepted", 200),
        ("sent", 30),
        ("delivered", 30),
        ("uncertain", 50),
        ("on_the_second_account", 5),
        ("reports", 50),
    ] {
        assert!(run[what].as_u64().unwrap() >= much, "{what}: {told}");
    }
    for platform in ["xml-rpc", "soap"] {
        let faults = run["faults_by_platform"][platform].as_object().unwrap();
        assert!(faults.len() >= 4, "{platform}: {told}");
    }
    for point in [
        "before-commit",
        "after-commit",
        "after-attempt-record",
        "during a request",
        "after-gateway-answer",
        "at some moment",
        "after standing still",
    ] {
        let kills = &run["kills_by_kind"][point];
        assert!(kills.as_u64().is_some(), "no kill {point}: {told}");
    }
}

#[test]
fn nothing_is_lost_or_sent_twice_under_the_kills_of_seed_1() {
    every_promise_holds("1");
}

#[test]
fn nothing_is_lost_or_sent_twice_under_the_kills_of_seed_2() {
    every_promise_holds("2");
}

#[test]
fn nothing_is_lost_or_sent_twice_under_the_kills_of_seed_3() {
    every_promise_holds("3");
}

#[test]
fn nothing_is_lost_or_sent_twice_under_the_kills_of_seed_4() {
    every_promise_holds("4");
}
