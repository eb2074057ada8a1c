//! The sample configurations work, and the guide and the full sample know every key.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use clave_otp::app::judge_template;
use clave_otp::config::{Environment, Settings};

use crate::support::pki::Authority;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

fn toml_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            toml_files(&path, found);
        } else if path.extension().is_some_and(|end| end == "toml") {
            found.push(path);
        }
    }
}

/// Makes the files that a sample names: `key_file = "path"`, in lines that are not comments.
fn make_named_files(sample: &Path) {
    let text = fs::read_to_string(sample).unwrap();
    for line in text.lines() {
        let Some((key, value)) = line.split_once(" = ") else {
            continue;
        };
        if key.ends_with("_file") && !key.starts_with('#') && key != "sealing_key_file" {
            let path = sample.parent().unwrap().join(value.trim_matches('"'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let authority = || Authority::new("test");
            let content = match key {
                "certificate_file" | "client_ca_file" => authority().pem,
                "revocation_file" => authority().revocations(&[]),
                _ => "a-password-for-the-test\n".to_owned(),
            };
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
}

/// A copy of the samples in which every file they name exists.
fn copy_of_samples() -> (tempfile::TempDir, Vec<PathBuf>) {
    let copy = tempfile::tempdir().unwrap();
    let mut samples = Vec::new();
    toml_files(&docs().join("samples"), &mut samples);
    let copies: Vec<PathBuf> = samples
        .iter()
        .map(|sample| {
            let path = copy
                .path()
                .join(sample.strip_prefix(docs().join("samples")).unwrap());
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::copy(sample, &path).unwrap();
            path
        })
        .collect();
    for sample in &copies {
        make_named_files(sample);
    }
    (copy, copies)
}

#[test]
fn every_sample_is_part_of_a_set_without_problem_or_warning() {
    let (_folder, samples) = copy_of_samples();
    let mut administrations = 0;
    let mut services = 0;
    for service in samples.iter().filter(|path| path.ends_with("service.toml")) {
        let loaded = Settings::load(service, &Environment::default(), judge_template);
        let (settings, warnings) =
            loaded.unwrap_or_else(|problems| panic!("{}:\n{problems}", service.display()));
        assert_eq!(warnings, [], "{}", service.display());
        services += 1;
        administrations += settings.administrations.len();
    }
    assert_eq!(services, 2);
    // The simulator's script has a test of its own.
    let configuration = samples
        .iter()
        .filter(|path| !path.ends_with("simulator-script.toml"));
    assert_eq!(services + administrations, configuration.count());
}

/// Every key that the loader knows, as it tells itself when asked for one it does not know.
fn known_keys() -> BTreeSet<String> {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("administrations")).unwrap();
    let service = folder.path().join("service.toml");
    let nothing = "qqqqqqqqqqqqqqqq = 1\n";
    let service_text = [
        "[grpc]",
        "[grpc.tls]",
        "[admin]",
        "[reports]",
        "[store]",
        "[delivery]",
        "[limits]",
        "[certified]",
        "[[callers]]",
        "[administrations]\ndirectory = \"administrations\"",
    ]
    .map(|section| format!("{section}\n{nothing}"))
    .concat();
    fs::write(&service, format!("{nothing}{service_text}")).unwrap();
    let file_text = [
        "[administration]",
        "[[accounts]]",
        "[accounts.international]",
        "[accounts.limits]",
        "[accounts.reports]",
        "[accounts.codes.\"-7\"]",
        "[[aliases]]",
    ]
    .map(|section| format!("{section}\n{nothing}"))
    .concat();
    fs::write(
        folder.path().join("administrations/a.toml"),
        format!("{nothing}{file_text}"),
    )
    .unwrap();
    let found = Settings::load(&service, &Environment::default(), |_, _| Ok(())).unwrap_err();
    let lists = found
        .problems
        .iter()
        .filter_map(|problem| problem.problem.split_once("known here: "));
    let lists: Vec<&str> = lists.map(|(_, list)| list).collect();
    assert_eq!(
        lists.len(),
        19,
        "one for each section and each file:\n{found}"
    );
    lists
        .iter()
        .flat_map(|list| list.split(", "))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_guide_explains_every_key() {
    let guide = fs::read_to_string(docs().join("CONFIGURATION.md")).unwrap();
    let missing: Vec<String> = known_keys()
        .into_iter()
        .filter(|key| {
            let forms = [
                format!("`{key}`"),
                format!("[{key}"),
                format!(".{key}`"),
                format!(".{key}]"),
            ];
            !forms.iter().any(|form| guide.contains(form))
        })
        .collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn the_full_sample_shows_every_key() {
    let mut files = Vec::new();
    toml_files(&docs().join("samples/complete"), &mut files);
    let text: String = files
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    let missing: Vec<String> = known_keys()
        .into_iter()
        .filter(|key| !text.contains(key.as_str()))
        .collect();
    assert_eq!(missing, [""; 0]);
}
