//! Whatever is in the files, it is judged and nothing breaks.

use proptest::prelude::*;

use super::{A, B, MADRID, S, SERVICE, Set};

#[test]
fn what_is_read_is_bounded() {
    let set = Set::new();
    set.write(B, "#".repeat(1024 * 1024 + 1));
    assert_eq!(
        set.problems(),
        ["administrations/b.toml: (file): is longer than 1048576 bytes: is it the right file?"]
    );
    let set = Set::new();
    let keys: Vec<String> = (0..1000).map(|n| format!("unknown_{n} = 1")).collect();
    set.write(B, keys.join("\n"));
    let problems = set.problems();
    assert_eq!(problems.len(), 101);
    assert_eq!(
        problems[100],
        "administrations/b.toml: (file): has more mistakes than are shown: mend these first, then check again"
    );
}

#[test]
fn tables_in_tables_without_end_are_refused() {
    for text in [
        format!("a = {}", "[".repeat(100_000)),
        format!("a = {}", "{a=".repeat(100_000)),
        format!("{}a = 1", "a.".repeat(100_000)),
        format!("[{}a]", "a.".repeat(100_000)),
        format!("[administration.{}a]", "a.".repeat(100_000)),
        format!("[templates.{}a]", "a.".repeat(100_000)),
    ] {
        let set = Set::new();
        set.write(B, &text);
        assert_eq!(set.problems().len(), 1, "{}", &text[..40]);
        let set = Set::new();
        set.write(S, &text);
        assert!(!set.problems().is_empty(), "{}", &text[..40]);
    }
}

/// One line of a good file replaced by something like TOML.
fn mutated(original: &'static str) -> impl Strategy<Value = String> {
    let value = prop_oneof![
        Just("[]".to_owned()),
        Just("{}".to_owned()),
        Just("[[[1], {a = nan}]]".to_owned()),
        Just("1979-05-27T07:32:00Z".to_owned()),
        Just("-9223372036854775808".to_owned()),
        "\"[ -~ñ€\\n]{0,20}\"",
        "[0-9.e_+-]{1,12}",
        "\\PC{0,20}",
    ];
    let lines = original.lines().count();
    (0..lines, value, any::<bool>()).prop_map(move |(at, value, whole)| {
        let replaced = original.lines().enumerate().map(|(place, line)| {
            let key = line.split('=').next().unwrap_or_default();
            match (place == at, whole) {
                (false, _) => line.to_owned(),
                (true, true) => value.clone(),
                (true, false) => format!("{key} = {value}"),
            }
        });
        replaced.collect::<Vec<_>>().join("\n")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_text_makes_it_panic(service in mutated(SERVICE), file in mutated(MADRID), noise in "\\PC{0,200}", variable in "[A-Z_.\\[\\]0-9]{0,12}") {
        let set = Set::new().variable(&format!("CLAVE_OTP__{variable}"), &noise);
        set.write(S, &service);
        set.write(A, &file);
        set.write(B, &noise);
        let _ = set.load();
    }
}
