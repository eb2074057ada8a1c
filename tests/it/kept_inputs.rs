//! What strangers and people write: every kept input of the fuzz targets, and others near them, keeps the rules that the
//! targets check. `docs/FUZZING.md` tells how inputs are found and kept.

#[path = "../../fuzz/src/lib.rs"]
mod checks;

use std::{fs, panic, path::Path};

use proptest::{
    prelude::*,
    sample::Index,
    test_runner::{TestCaseError, TestRunner},
};

use checks::{
    callback, certificate, configuration, mensatek_answer, mensatek_callback, request, rest_answer,
    soap_answer, xml_rpc_answer,
};

/// The kept inputs of one target, with their names.
fn kept(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let inputs: Vec<(String, Vec<u8>)> = fs::read_dir(folder.join(target))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read(path).unwrap())
        })
        .collect();
    assert!(inputs.len() >= 20, "the inputs of {target} are not there");
    inputs
}

/// Some bytes taken out of an input, and some of another put in.
#[derive(Debug, Clone)]
struct Edit {
    at: Index,
    remove: usize,
    from: Index,
    piece: Index,
    insert: usize,
}

fn edit() -> impl Strategy<Value = Edit> {
    (
        any::<Index>(),
        0..9_usize,
        any::<Index>(),
        any::<Index>(),
        0..25_usize,
    )
        .prop_map(|(at, remove, from, piece, insert)| Edit {
            at,
            remove,
            from,
            piece,
            insert,
        })
}

fn edited(inputs: &[(String, Vec<u8>)], which: Index, edits: &[Edit]) -> Vec<u8> {
    let mut bytes = which.get(inputs).1.clone();
    for edit in edits {
        let other = &edit.from.get(inputs).1;
        let begin = edit.piece.index(other.len() + 1);
        let end = other.len().min(begin + edit.insert);
        let at = edit.at.index(bytes.len() + 1);
        let removed = bytes.len().min(at + edit.remove);
        bytes.splice(at..removed, other[begin..end].iter().copied());
    }
    bytes
}

/// Shows the input that fails, so that it can be kept.
fn assert_holds(check: fn(&[u8]), input: &[u8]) -> Result<(), TestCaseError> {
    let shown = || format!("see above; the input is\n{}", input.escape_ascii());
    panic::catch_unwind(|| check(input)).map_err(|_| TestCaseError::fail(shown()))
}

fn assert_all(target: &str, near: u32, check: fn(&[u8])) {
    let inputs = kept(target);
    for (name, input) in &inputs {
        let checked = assert_holds(check, input);
        assert!(checked.is_ok(), "fuzz/corpus/{target}/{name}: see above");
    }
    let edits = (any::<Index>(), prop::collection::vec(edit(), 1..5));
    let mut runner = TestRunner::new(ProptestConfig {
        cases: near,
        // An edit says nothing once another input is kept.
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let checked = runner.run(&edits, |(which, edits)| {
        assert_holds(check, &edited(&inputs, which, &edits))
    });
    checked.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn no_answer_of_a_gateway_says_more_than_stands_in_it() {
    assert_all("xml_rpc_answer", 3000, xml_rpc_answer::check);
    assert_all("soap_answer", 3000, soap_answer::check);
    assert_all("rest_answer", 3000, rest_answer::check);
    assert_all("mensatek_answer", 3000, mensatek_answer::check);
}

#[test]
fn no_request_of_a_gateway_is_taken_for_more_than_it_says() {
    assert_all("soap_callback", 3000, callback::check_soap);
    assert_all("rest_callback", 3000, callback::check_rest);
    assert_all("mensatek_callback", 3000, mensatek_callback::check);
}

#[test]
fn no_configuration_breaks_the_loader_or_gets_past_it() {
    assert_all("configuration", 500, configuration::check);
}

#[test]
fn no_certificate_names_whom_it_does_not_name() {
    assert_all("certificate", 3000, certificate::check);
}

#[test]
fn no_request_is_taken_for_another() {
    assert_all("request", 3000, request::check);
}
