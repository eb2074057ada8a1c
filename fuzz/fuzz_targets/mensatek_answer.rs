//! libFuzzer's entrance to `checks::mensatek_answer::check`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::mensatek_answer::check(input));
