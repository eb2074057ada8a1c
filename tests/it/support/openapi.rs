//! What the stories ask of `docs/openapi/mensatek-7.0.yaml`. Only the names that stand at known depths are read, by their
//! indentation: no kept library reads YAML, and whether the file is sound is Prism's to judge (`peers/prism.rs`).

use std::path::PathBuf;

/// Where it stands.
pub fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/openapi/mensatek-7.0.yaml")
}

fn text() -> String {
    std::fs::read_to_string(path()).unwrap()
}

/// The lines below a key, which is named with those above it, each two deeper than the one before.
fn below(keys: &[&str]) -> Vec<String> {
    let mut lines: Vec<String> = text().lines().map(str::to_owned).collect();
    for (depth, key) in keys.iter().enumerate() {
        let indent = "  ".repeat(depth);
        let head = format!("{indent}{key}:");
        let start = lines.iter().position(|line| *line == head);
        let start = start.unwrap_or_else(|| panic!("{keys:?}: no {key}"));
        let deeper = format!("{indent}  ");
        let inner = lines.drain(..).skip(start + 1);
        lines = inner.take_while(|line| line.starts_with(&deeper)).collect();
    }
    lines
}

/// The keys right below a key.
fn names_below(keys: &[&str]) -> Vec<String> {
    let indent = "  ".repeat(keys.len());
    let lines = below(keys).into_iter();
    let names = lines.filter_map(|line| {
        let rest = line.strip_prefix(&indent)?;
        let name = rest.split_once(':')?.0;
        (!name.starts_with([' ', '-', '#'])).then(|| name.to_owned())
    });
    names.collect()
}

/// Its functions.
pub fn functions() -> Vec<String> {
    let paths = names_below(&["paths"]).into_iter();
    let names = paths.map(|path| path.strip_prefix("/v7/").unwrap().to_owned());
    names.collect()
}

/// The parameters of a function.
pub fn parameters_of(function: &str) -> Vec<String> {
    properties_of(&format!("{function}Form"))
}

/// What an object has: a form, an answer, what a callback carries.
pub fn properties_of(schema: &str) -> Vec<String> {
    names_below(&["components", "schemas", schema, "properties"])
}

/// Those that may not be missing.
pub fn required_of(function: &str) -> Vec<String> {
    let lines = below(&["components", "schemas", &format!("{function}Form")]);
    let list = lines.iter().find_map(|line| {
        let list = line.strip_prefix("      required: [")?;
        list.strip_suffix(']')
    });
    let list = list.unwrap_or_default().split(", ");
    list.map(str::to_owned).collect()
}

/// The examples of an answer.
pub fn examples_of(response: &str) -> Vec<String> {
    let answer = ["components", "responses", response, "content"];
    names_below(&[&answer[..], &["application/json", "examples"]].concat())
}

/// The states of the text.
pub fn states() -> Vec<i64> {
    let lines = below(&["components", "schemas", "Report", "properties", "Resultado"]);
    let list = lines.iter().find_map(|line| {
        let list = line.trim().strip_prefix("examples: [")?;
        list.strip_suffix(']')
    });
    let states = list.expect("the states").split(", ");
    states.map(|state| state.parse().unwrap()).collect()
}
