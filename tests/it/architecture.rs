//! The habits of the house that the compiler does not know: who may import whom, how long a file may be, what it begins
//! with. What each room is for is told in `docs/ARCHITECTURE.md`.

mod source;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// What each room of `src/` may import from the others: `*` is everything, `room::part` that part alone.
///
/// Nobody but `app` and `cli` imports `config`: a component is handed plain values, so that a test builds it in three
/// lines. `telemetry::names` are the names of metrics: free to all but the pure rooms.
const ALLOWED: &[(&str, &str)] = &[
    ("main", "cli"),
    ("cli", "*"),
    ("app", "*"),
    ("domain", ""),
    ("clock", "telemetry::names"),
    // Passed by `store`, `dispatch` and `certified`, where a crash would hurt most; knows nobody, so that it can stand anywhere.
    ("crash_points", ""),
    ("config", "domain"),
    ("routing", "domain"),
    ("text", "domain"),
    ("intake", "routing text store domain clock telemetry::names"),
    // Hands over what it has recorded by itself: a call waits for what the platform says, so there is no lane between.
    (
        "certified",
        "gateway routing status store domain clock crash_points telemetry::names",
    ),
    ("store", "domain crash_points telemetry::names"),
    ("gateway", "domain telemetry::names"),
    (
        "dispatch",
        "gateway store domain clock crash_points telemetry::names",
    ),
    // A report is dated when it comes.
    (
        "reports",
        "store gateway domain clock http_port telemetry::names",
    ),
    // Knows nobody: the operator's pages and the platforms' reports are served alike.
    ("http_port", "places"),
    // Knows nobody: connections, handshakes and watches are counted alike.
    ("places", ""),
    // Watching needs the clock: `SENT` becomes final when its report window ends, and nothing changes in the store then.
    ("status", "store domain clock places telemetry::names"),
    // The services ask the clock how long the code of a request still lives.
    (
        "grpc",
        "intake certified status domain clock places telemetry::names",
    ),
    ("admin", "status dispatch domain http_port telemetry::names"),
    ("telemetry", "domain"),
    // Neither what it is tested with nor the adapters it stands opposite to: else both share a bug.
    ("simulator", "domain clock telemetry::names"),
];

/// Folders in `store` and `gateway` are concrete stores and gateways, which `app` alone may name; but not these.
const COMMON: &[&str] = &["gateway::http"];

/// Longer means that two things live in one file.
const MOST_LINES: usize = 500;

/// Imports that are not yet as they should be, as file and finding. A repaired one is taken off the list.
const IMPORT_DEBTS: &[(&str, &str)] = &[];
/// Files that are not yet split.
const LENGTH_DEBTS: &[(&str, &str)] = &[];

#[test]
fn every_import_is_in_the_table() {
    let concrete = concrete();
    hold(IMPORT_DEBTS, |file, text| {
        if file.starts_with("src/") {
            objections(file, text, &concrete)
        } else {
            Vec::new()
        }
    });
}

#[test]
fn no_file_is_longer_than_one_thing_needs() {
    hold(LENGTH_DEBTS, |_, text| {
        finding("is too long", text.lines().count() > MOST_LINES)
    });
}

#[test]
fn every_file_begins_with_what_it_is_for() {
    hold(&[], |_, text| {
        finding("does not begin with `//!`", !text.starts_with("//! "))
    });
}

#[test]
fn every_lint_that_is_silenced_says_why() {
    hold(&[], |_, text| silent_allows(text));
}

fn finding(what: &str, found: bool) -> Vec<String> {
    found.then(|| what.to_owned()).into_iter().collect()
}

/// Reads every Rust file; fails on a finding that is no debt, and on a debt that is no finding any more.
fn hold(debts: &[(&str, &str)], judge: impl Fn(&str, &str) -> Vec<String>) {
    let mut findings = BTreeSet::new();
    for file in rust_files() {
        let text = fs::read_to_string(repository().join(&file)).unwrap();
        let found = judge(&file, &text);
        findings.extend(found.iter().map(|what| format!("{file}: {what}")));
    }
    let debts: BTreeSet<String> = debts
        .iter()
        .map(|(file, what)| format!("{file}: {what}"))
        .collect();
    let new: Vec<&String> = findings.difference(&debts).collect();
    assert!(new.is_empty(), "{new:#?}");
    let paid: Vec<&String> = debts.difference(&findings).collect();
    assert!(
        paid.is_empty(),
        "no longer so, take it off the debts: {paid:#?}"
    );
}

/// What a file may not import.
fn objections(file: &str, text: &str, concrete: &[String]) -> Vec<String> {
    let module = source::module_of(file);
    let imports = source::imports(&module, text);
    let objections = imports
        .iter()
        .filter_map(|import| objection(&module, import, concrete));
    objections.collect()
}

/// Why `module` may not import `import`; `None` where it may.
fn objection(module: &[String], import: &[String], concrete: &[String]) -> Option<String> {
    let (room, path) = (&module[0], import.join("::"));
    let of = |part: &str| path == part || path.starts_with(&format!("{part}::"));
    let named = concrete.iter().find(|part| of(part));
    if let Some(part) = named {
        let inside = module.join("::").starts_with(part.as_str());
        if !inside && room != "app" {
            return Some(format!("only `app` may import `{part}`"));
        }
    }
    if import.first() == Some(room) || room == "lib" {
        return None;
    }
    let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| name == room) else {
        return Some(format!("`{room}` has no row in the table of imports"));
    };
    let may = allowed.split(' ').any(|part| part == "*" || of(part));
    (!may).then(|| format!("`{room}` may not import `{path}`"))
}

/// Attributes that silence a lint and give no reason: in them, behind them, or on the line above.
fn silent_allows(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let begins = |line: &str| {
        ["#[allow(", "#![allow(", "#[expect(", "#![expect("]
            .iter()
            .any(|attribute| line.starts_with(attribute))
    };
    let explained = |place: usize| {
        let above = place.checked_sub(1).map_or("", |above| lines[above]);
        let comment = above.starts_with("// ");
        let end = lines[place..].iter().position(|line| line.contains(")]"));
        let attribute = lines[place..=place + end.unwrap_or(0)].join(" ");
        comment || attribute.contains("reason = \"") || attribute.contains(")] // ")
    };
    let silent = (0..lines.len()).filter(|&place| begins(lines[place]) && !explained(place));
    silent
        .map(|place| format!("line {} silences a lint and does not say why", place + 1))
        .collect()
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn entries(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(repository().join(folder)).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// The Rust files of the program and its tests, as paths in the repository.
fn rust_files() -> BTreeSet<String> {
    let mut folders = vec!["src".to_owned(), "tests".to_owned()];
    let mut files = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in entries(&folder) {
            let inside = entry.strip_prefix(repository()).unwrap();
            let name = inside.to_str().unwrap().to_owned();
            if entry.is_dir() {
                folders.push(name);
            } else if inside.extension().is_some_and(|kind| kind == "rs") {
                files.insert(name);
            }
        }
    }
    files
}

/// The modules that are one store or one gateway.
fn concrete() -> Vec<String> {
    let folders = ["store", "gateway"].into_iter().flat_map(|room| {
        let inside = entries(&format!("src/{room}")).into_iter();
        let folders = inside.filter(|entry| entry.is_dir());
        folders
            .map(move |entry| format!("{room}::{}", entry.file_name().unwrap().to_str().unwrap()))
    });
    folders
        .filter(|module| !COMMON.contains(&module.as_str()))
        .collect()
}

/// The findings in a made-up file.
fn found(file: &str, text: &str) -> Vec<String> {
    let concrete = ["store::sqlite", "gateway::xml_rpc", "gateway::soap"];
    objections(file, text, &concrete.map(str::to_owned))
}

#[test]
fn a_made_up_forbidden_import_is_found_however_it_is_written() {
    let forbidden = "`intake` may not import `grpc::proto`";
    for text in [
        "use crate::grpc::proto;",
        "use crate::{domain::Caller, grpc::proto};",
        "use crate::{\n    domain::{Caller, Dir3},\n    grpc::{self as wire, proto as p},\n};",
        "pub use super::grpc::proto;",
        "fn f() -> crate::grpc::proto { \"use crate::x;\" }",
        "const QUOTE: char = '\"'; use crate::grpc::proto; const END: char = '\"';",
        "fn f<'a>() {} use crate::grpc::proto; fn g<'a>() {}",
        "#[cfg(test)]\nuse crate::domain::Dir3;\nuse crate::grpc::proto;",
        "/* a /* nested */ comment */ use crate::grpc::proto;",
        "const RAW: &str = r#\" \" \"#; use crate::grpc::proto;",
    ] {
        let found = found("src/intake/mod.rs", text);
        assert!(found.contains(&forbidden.to_owned()), "{text}: {found:?}");
    }
    let deep = "use super::super::grpc::proto;";
    assert_eq!(found("src/intake/limits.rs", deep), [forbidden]);
    let whole = "use crate::*;";
    assert_eq!(
        found("src/intake/mod.rs", whole),
        ["`intake` may not import `*`"]
    );
}

#[test]
fn what_the_table_allows_and_what_is_no_import_is_not_found() {
    for text in [
        "use crate::{domain::{Caller, Dir3}, store::Store, telemetry::names};",
        "use crate::intake::Refusal; use self::refusal::Refusal;",
        "// use crate::grpc::proto;\n/// [`crate::grpc::proto`]\n/* crate::grpc */",
        "const TEXT: &str = \"crate::grpc \\\" crate::grpc\";",
        "const RAW: &str = r#\"crate::grpc \" crate::grpc\"#;",
        "pub(crate) fn f() {}",
        "#[cfg(test)]\nmod tests {\n    use crate::grpc::proto;\n}",
    ] {
        assert_eq!(found("src/intake/mod.rs", text), [""; 0], "{text}");
    }
}

#[test]
fn the_finer_rules_of_the_table_hold() {
    for (file, text, finding) in [
        (
            "src/dispatch/lane.rs",
            "use crate::telemetry::metrics;",
            "`dispatch` may not import `telemetry::metrics`",
        ),
        (
            "src/cli/demo.rs",
            "use crate::store::sqlite::SqliteStore;",
            "only `app` may import `store::sqlite`",
        ),
        (
            "src/gateway/xml_rpc/wire.rs",
            "use super::super::soap::wire;",
            "only `app` may import `gateway::soap`",
        ),
        (
            "src/attic/mod.rs",
            "use crate::domain::Dir3;",
            "`attic` has no row in the table of imports",
        ),
        (
            "src/main.rs",
            "clave_otp::app::run()",
            "`main` may not import `app::run`",
        ),
    ] {
        assert_eq!(found(file, text), [finding]);
    }
    for (file, text) in [
        ("src/app/mod.rs", "use crate::store::sqlite::SqliteStore;"),
        (
            "src/store/sqlite/rows.rs",
            "use super::schema; use crate::store::sqlite::rows;",
        ),
        (
            "src/gateway/xml_rpc/mod.rs",
            "use super::{Gateway, http::HttpClient};",
        ),
    ] {
        assert_eq!(found(file, text), [""; 0], "{text}");
    }
}

#[test]
fn a_silenced_lint_without_a_reason_is_found() {
    for silent in [
        "#[allow(dead_code)]",
        "/// Docs.\n#[allow(dead_code)]",
        "#[expect(\n    dead_code,\n)]",
    ] {
        assert_eq!(silent_allows(silent).len(), 1, "{silent}");
    }
    for explained in [
        "#[allow(dead_code)] // why",
        "// why\n#[allow(dead_code)]",
        "#[expect(\n    dead_code,\n    reason = \"why\"\n)]",
    ] {
        assert_eq!(silent_allows(explained), [""; 0], "{explained}");
    }
}
