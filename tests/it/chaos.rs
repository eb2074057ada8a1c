//! The promises under SIGKILL and SIGSTOP: `clave-otp chaos` with fixed seeds, more than two hundred kills in all. Many more are a matter
//! of one command (`docs/CHAOS.md`).

use std::process::Command;

/// Kills of one run, a few more than the fifty for which it owes each kind of kill and of fault; there are four runs, which share
/// the machine's processors.
const KILLS: &str = "55";

/// In how many ways the books of a clean run are falsified: the judge must see each.
const LIES: usize = 9;

/// A run in which every promise must hold, and in which there was something to hold. That each kind of kill and of fault came often
/// enough is the driver's own condition.
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
        "sent_though_superseded",
        "presented_again",
        "taken_back",
        "unexplained",
    ] {
        assert_eq!(run[promise], 0, "{promise}: {told}");
    }
    // A run that had nothing to lose would prove nothing.
    for (what, much) in [
        ("kills", 55),
        ("accepted", 200),
        ("sent", 30),
        ("delivered", 30),
        ("uncertain", 50),
        ("superseded", 10),
        ("resent", 10),
        ("on_the_second_account", 5),
        ("reports", 50),
    ] {
        assert!(run[what].as_u64().unwrap() >= much, "{what}: {told}");
    }
    let count = |of: &serde_json::Value| of.as_array().map(Vec::len);
    assert_eq!(count(&run["missing"]), Some(0), "{told}");
    assert_eq!(count(&run["falsified_and_not_seen"]), Some(0), "{told}");
    assert_eq!(count(&run["falsified_and_seen"]), Some(LIES), "{told}");
    each_kind_came(&run, &told);
}

/// The kinds of kill and of fault without which a run shows little.
#[track_caller]
fn each_kind_came(run: &serde_json::Value, told: &str) {
    for kill in [
        "before-commit",
        "after-commit",
        "after-attempt-record",
        "during a request",
        "after-gateway-answer",
        "at some moment",
        "after standing still",
    ] {
        assert!(
            run["kills_by_kind"][kill].as_u64().is_some(),
            "no kill {kill}: {told}"
        );
    }
    for (platform, faults) in [
        ("xml-rpc", &["flood", "connection refused"][..]),
        (
            "soap",
            &[
                "flood",
                "connection refused",
                "not TLS",
                "wrong certificate",
                "unknown host name",
                "wrong credentials",
            ],
        ),
    ] {
        let met = run["faults_by_platform"][platform].as_object().unwrap();
        assert!(met.len() >= 4, "{platform}: {told}");
        for fault in faults {
            let met = run["faults_by_platform"][platform][fault].as_u64();
            assert!(met.is_some_and(|met| met > 0), "{platform} {fault}: {told}");
        }
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
