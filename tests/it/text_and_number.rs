//! The commands `text` and `number`, run as a user runs them.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    process::{Child, Command, Output, Stdio},
    thread,
};

use serde_json::{Value, json};
use unicode_normalization::UnicodeNormalization as _;

fn start(arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_clave-otp"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

/// Runs the program with this standard input.
fn run(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = start(arguments);
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_vec();
    // A program that does not read its input closes the pipe: that is no failure of the test.
    let writer = thread::spawn(move || stdin.write_all(&input).ok());
    let output = child.wait_with_output().expect("the program ends");
    writer.join().expect("the writer ends");
    output
}

fn answers(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).expect("answers are UTF-8");
    let rows = text.lines().map(serde_json::from_str);
    rows.map(|row| row.expect("each line is one JSON object"))
        .collect()
}

/// The answers to an input that is in order.
fn ask(arguments: &[&str], input: &str) -> Vec<Value> {
    let output = run(arguments, input.as_bytes());
    assert!(output.status.success() && output.stderr.is_empty());
    answers(&output)
}

fn vectors(file: &str) -> Vec<String> {
    let path = format!("{}/tests/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the vectors are part of the repository");
    text.lines().map(str::to_owned).collect()
}

fn text_rows() -> (Vec<Value>, String) {
    let rows: Vec<Value> = vectors("text.jsonl")
        .iter()
        .map(|row| serde_json::from_str(row).expect("each row is a JSON object"))
        .collect();
    let lines = rows
        .iter()
        .map(|row| format!("{}\n", row["text"].as_str().expect("a text")));
    let input = lines.collect();
    (rows, input)
}

/// What goes out of a text as it is written: the vectors hold one that is not in NFC.
fn as_written(row: &Value) -> String {
    row["text"].as_str().expect("a text").nfc().collect()
}

fn size(answer: &Value) -> Value {
    json!({
        "encoding": answer["encoding"],
        "units": answer["units"],
        "segments": answer["segments"],
    })
}

fn unrepresentable(row: &Value) -> Value {
    row.get("unrepresentable").cloned().unwrap_or(json!([]))
}

#[test]
fn text_measures_every_row_of_the_vectors_as_written() {
    let (rows, input) = text_rows();
    let answers = ask(&["text", "-"], &input);
    assert_eq!(answers.len(), rows.len());
    for (answer, row) in answers.iter().zip(&rows) {
        assert_eq!(answer["text"], as_written(row));
        assert_eq!(size(answer), row["as_written"], "{row}");
        assert_eq!(answer["replaced"], json!([]), "{row}");
        assert_eq!(answer["unrepresentable"], unrepresentable(row), "{row}");
    }
}

#[test]
fn text_transliterates_every_row_of_the_vectors_as_the_service_would() {
    let (rows, input) = text_rows();
    let answers = ask(&["text", "--transliterate", "-"], &input);
    assert_eq!(answers.len(), rows.len());
    for (answer, row) in answers.iter().zip(&rows) {
        assert_eq!(answer["unrepresentable"], unrepresentable(row), "{row}");
        let (text, sent) = match row.get("transliterated") {
            Some(text) => (text.clone(), &row["sent"]),
            None => (json!(as_written(row)), &row["as_written"]),
        };
        assert_eq!((&answer["text"], &size(answer)), (&text, sent), "{row}");
    }
}

#[test]
fn text_tells_in_order_what_was_replaced() {
    let answers = ask(&["text", "--transliterate", "adiós…"], "not read");
    let expected = json!([{
        "text": "adios...",
        "encoding": "GSM7",
        "units": 8,
        "segments": 1,
        "replaced": [
            {"original": "ó", "replacement": "o"},
            {"original": "…", "replacement": "..."},
        ],
        "unrepresentable": [],
    }]);
    assert_eq!(json!(answers), expected);
}

#[test]
fn number_judges_every_row_of_the_vectors_as_the_reference_does() {
    let rows: Vec<Vec<String>> = vectors("phone.csv")
        .iter()
        .skip(1)
        .map(|row| row.split(',').map(str::to_owned).collect())
        .collect();
    for allowed in ["ES", "ES FR IT PT MA US GB AD"] {
        let rows: Vec<_> = rows.iter().filter(|row| row[1] == allowed).collect();
        let input: String = rows.iter().flat_map(|row| [&row[0], "\n"]).collect();
        let answers = ask(
            &["number", "--allow", &allowed.replace(' ', ","), "-"],
            &input,
        );
        assert_eq!((answers.len(), rows.len()), (60, 60));
        for (answer, row) in answers.iter().zip(rows) {
            let destination = (!row[3].is_empty()).then_some(&row[3]);
            assert_eq!(answer["recipient"], row[0]);
            assert_eq!(answer["outcome"], row[2], "{row:?}");
            assert_eq!(answer["destination"], json!(destination), "{row:?}");
        }
    }
}

#[test]
fn number_allows_spain_alone_unless_told_otherwise() {
    let numbers = ["+34600000001", "+351912345678", "217812"];
    let answers = ask(&[&["number"][..], &numbers].concat(), "");
    let expected = json!([
        {"recipient": "+34600000001", "outcome": "ACCEPT", "destination": "NATIONAL", "region": "ES"},
        {"recipient": "+351912345678", "outcome": "COUNTRY_NOT_ALLOWED", "destination": null, "region": "PT"},
        {"recipient": "217812", "outcome": "MALFORMED", "destination": null, "region": null},
    ]);
    assert_eq!(json!(answers), expected);
    let refused = run(&["number", "--allow", "Spain", "+34600000001"], b"");
    assert_eq!(refused.status.code(), Some(2));
    assert!(refused.stdout.is_empty());
}

#[test]
fn without_arguments_standard_input_is_read() {
    assert_eq!(ask(&["text"], "a\nb\n").len(), 2);
    assert_eq!(ask(&["number"], "+34600000001").len(), 1);
    let mixed = ask(&["text", "first", "-", "last"], "middle\n");
    let texts: Vec<_> = mixed.iter().map(|answer| &answer["text"]).collect();
    assert_eq!(texts, ["first", "middle", "last"]);
}

#[test]
fn a_line_that_is_not_utf8_is_reported_and_the_others_are_answered() {
    let output = run(&["text", "-"], b"a\n\xff\xfe\nb\n");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(answers(&output).len(), 2);
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("line 2"), "{message}");
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let mut child = start(&["number", "-"]);
    let mut stdin = child.stdin.take().expect("piped");
    // Far more than the pipes hold, so that the program must meet the closed one.
    let writer = thread::spawn(move || {
        (0..200_000)
            .try_for_each(|_| stdin.write_all(b"217812\n"))
            .ok();
    });
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    let mut first = String::new();
    stdout.read_line(&mut first).expect("a first answer");
    assert!(first.contains("MALFORMED"), "{first}");
    drop(stdout);
    let status = child.wait().expect("the program ends");
    writer.join().expect("the writer ends");
    let mut errors = String::new();
    let mut stderr = child.stderr.take().expect("piped");
    stderr
        .read_to_string(&mut errors)
        .expect("errors are UTF-8");
    assert!(status.success(), "{status}");
    assert_eq!(errors, "");
}

#[test]
fn each_line_is_answered_before_the_next_one_is_asked() {
    let mut child = start(&["text", "--transliterate"]);
    let mut stdin = child.stdin.take().expect("piped");
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    for (asked, answered) in [("á", "a"), ("ç", "c")] {
        writeln!(stdin, "{asked}").expect("the program reads");
        let mut line = String::new();
        stdout.read_line(&mut line).expect("the program answers");
        let answer: Value = serde_json::from_str(&line).expect("one JSON object");
        assert_eq!(answer["text"], answered);
    }
    drop(stdin);
    assert!(child.wait().expect("the program ends").success());
}
