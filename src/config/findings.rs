//! What is wrong with a set of files, and where: every mistake is gathered before anything is refused.
//!
//! Must not know: what any key means. Messages name rules and never repeat a value, because a value may be a secret.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    fmt,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    rc::Rc,
};

use thiserror::Error;

use super::environment::PREFIX;

/// The key shown for what concerns a file as a whole.
const WHOLE_FILE: &str = "(file)";

/// The file shown for what the environment gave.
const ENVIRONMENT: &str = "environment";

/// A mistake that keeps the set from being used, shown as `file: key: problem`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// File name relative to the folder of the service file; `environment` for an override.
    pub file: String,
    /// Path of the key: `accounts[0].senders[2]`; `line 3, column 5` where the file is not TOML.
    pub key: String,
    /// What is wrong and what to do; never the value.
    pub problem: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}: {}", self.file, self.key, self.problem)
    }
}

/// Something that works but that the operator should know, shown as `file: key: warning`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// As in [`Problem::file`].
    pub file: String,
    /// As in [`Problem::key`].
    pub key: String,
    /// What to look at; never the value.
    pub warning: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}: {}", self.file, self.key, self.warning)
    }
}

/// Everything found in a set that cannot be used: one line for each problem, in the order of the files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Error)]
pub struct Problems {
    /// At least one.
    pub problems: Vec<Problem>,
    /// What else was noticed.
    pub warnings: Vec<Warning>,
}

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, problem) in self.problems.iter().enumerate() {
            if place > 0 {
                formatter.write_str("\n")?;
            }
            problem.fmt(formatter)?;
        }
        Ok(())
    }
}

/// The list that all sections write to.
#[derive(Default)]
pub(super) struct Findings(RefCell<Problems>);

impl Findings {
    /// What has been found, leaving the list empty.
    pub(super) fn take(&self) -> Problems {
        self.0.take()
    }
}

/// Where a value comes from.
pub(super) struct SourceFile {
    shown: String,
    folder: PathBuf,
    overridden: BTreeSet<String>,
    /// The keys with a problem, as they stand in the file.
    reported: RefCell<Vec<String>>,
}

impl SourceFile {
    /// A file in `folder`, shown as `shown`; `overridden` are the keys that the environment gave.
    pub(super) fn new(shown: &str, folder: PathBuf, overridden: BTreeSet<String>) -> Self {
        Self {
            shown: shown.chars().map(printable).collect(),
            folder,
            overridden,
            reported: RefCell::default(),
        }
    }

    /// The file's name as people see it.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// The environment variable that gave this key, if one did.
    fn variable_of(&self, key: &str) -> Option<String> {
        let given = self
            .overridden
            .iter()
            .find(|overridden| is_within(key, overridden))?;
        Some(format!(
            "{PREFIX}{}",
            given.replace('.', "__").to_uppercase()
        ))
    }
}

/// One key of one file: what the sections report through.
#[derive(Clone)]
pub(super) struct At {
    findings: Rc<Findings>,
    file: Rc<SourceFile>,
    key: String,
}

impl At {
    /// The top of a file.
    pub(super) fn top(findings: &Rc<Findings>, file: Rc<SourceFile>) -> Self {
        Self {
            findings: Rc::clone(findings),
            file,
            key: String::new(),
        }
    }

    /// A key below this one.
    pub(super) fn key(&self, name: &str) -> Self {
        let name = shown_key(name);
        let key = if self.key.is_empty() {
            name
        } else {
            format!("{}.{name}", self.key)
        };
        Self {
            key,
            ..self.clone()
        }
    }

    /// An element of this list.
    pub(super) fn item(&self, index: usize) -> Self {
        Self {
            key: format!("{}[{index}]", self.key),
            ..self.clone()
        }
    }

    /// Another place in the same file, for what is not a key: `line 3, column 5`.
    pub(super) fn place(&self, place: String) -> Self {
        Self {
            key: place,
            ..self.clone()
        }
    }

    /// An environment variable by its name; what would break the line is shown escaped.
    pub(super) fn variable(&self, name: &str) -> Self {
        let mut shown = String::with_capacity(name.len());
        for character in name.chars() {
            if character.is_control() {
                shown.extend(character.escape_default());
            } else {
                shown.push(character);
            }
        }
        let environment = SourceFile::new(ENVIRONMENT, PathBuf::new(), BTreeSet::new());
        Self::top(&self.findings, Rc::new(environment)).place(shown)
    }

    /// The file as people see it.
    pub(super) fn file(&self) -> &str {
        self.file.shown()
    }

    /// The path of the key.
    pub(super) fn path(&self) -> &str {
        &self.key
    }

    /// A path of this file: relative ones start at its folder.
    pub(super) fn resolve(&self, path: &str) -> PathBuf {
        self.file.folder.join(Path::new(path))
    }

    /// Records what is wrong here and what to do.
    pub(super) fn problem(&self, text: impl fmt::Display) {
        let (file, key) = self.shown();
        let problem = one_line(&text);
        self.file.reported.borrow_mut().push(self.key.clone());
        self.findings
            .0
            .borrow_mut()
            .problems
            .push(Problem { file, key, problem });
    }

    /// Records what to look at here.
    pub(super) fn warning(&self, text: impl fmt::Display) {
        let (file, key) = self.shown();
        let warning = one_line(&text);
        self.findings
            .0
            .borrow_mut()
            .warnings
            .push(Warning { file, key, warning });
    }

    fn shown(&self) -> (String, String) {
        match self.file.variable_of(&self.key) {
            Some(variable) => (ENVIRONMENT.to_owned(), variable),
            None if self.key.is_empty() => (self.file.shown.clone(), WHOLE_FILE.to_owned()),
            None => (self.file.shown.clone(), self.key.clone()),
        }
    }

    /// Whether this key, one above it or the whole file has been reported already: then what follows from it is not
    /// worth a second line.
    fn is_reported(&self) -> bool {
        self.file
            .reported
            .borrow()
            .iter()
            .any(|reported| reported.is_empty() || is_within(&self.key, reported))
    }

    /// The value, or a problem that says what belongs here.
    pub(super) fn required<T>(&self, value: Option<T>, what: &str) -> Option<T> {
        if value.is_none() && !self.is_reported() {
            self.problem(format_args!("is required: {what}"));
        }
        value
    }

    /// The value that `parse` makes of the text, or a problem with the reason.
    pub(super) fn parse<T, E: fmt::Display>(
        &self,
        text: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        parse(text).map_err(|reason| self.problem(reason)).ok()
    }

    /// One of the words of a list; `standard` where nothing is written.
    pub(super) fn word<T: Copy>(
        &self,
        text: Option<&str>,
        words: &[(&str, T)],
        standard: T,
    ) -> Option<T> {
        let Some(text) = text else {
            return Some(standard);
        };
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.problem(format_args!(
                "must be one of: {}{}",
                words.join(", "),
                did_you_mean(text, words.iter().copied())
            ));
        }
        found.map(|(_, value)| *value)
    }

    /// A number within its limits; `standard` where nothing is written or what is written was reported.
    pub(super) fn number<T: Copy + TryFrom<u64> + PartialOrd + fmt::Display>(
        &self,
        value: Option<u64>,
        standard: T,
        limits: RangeInclusive<T>,
    ) -> T {
        let Some(value) = value else {
            return standard;
        };
        match T::try_from(value) {
            Ok(number) if limits.contains(&number) => number,
            _ => {
                self.problem(format_args!(
                    "must be from {} to {}",
                    limits.start(),
                    limits.end()
                ));
                standard
            }
        }
    }
}

/// `: did you mean …?` where one of the candidates is near, else nothing.
pub(super) fn did_you_mean<'a>(
    text: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> String {
    /// A quarter of the letters may differ, and one slip always: a third would offer one DIR3 code for another.
    fn slips_allowed(text: &str) -> usize {
        (text.chars().count() / 4).max(1)
    }
    // Of very short words everything is near, and words beyond any key's length are not worth comparing.
    if !(3..=64).contains(&text.len()) {
        return String::new();
    }
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(text, candidate), candidate))
        .filter(|(slips, _)| *slips <= slips_allowed(text))
        .min()
        .map_or_else(String::new, |(_, candidate)| {
            format!("; did you mean \"{candidate}\"?")
        })
}

/// Whether `key` is `outer` or below it.
fn is_within(key: &str, outer: &str) -> bool {
    key.strip_prefix(outer)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// A key as TOML writes it: quoted unless bare; cut, so that one line stays one line.
fn shown_key(name: &str) -> String {
    let bare = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    let cut: String = name.chars().take(64).map(printable).collect();
    if bare { cut } else { format!("\"{cut}\"") }
}

fn one_line(text: &impl fmt::Display) -> String {
    text.to_string().trim().chars().map(printable).collect()
}

fn printable(character: char) -> char {
    if character.is_control() {
        ' '
    } else {
        character
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(overridden: &[&str]) -> (Rc<Findings>, At) {
        let findings = Rc::new(Findings::default());
        let overridden = overridden.iter().map(|key| (*key).to_owned()).collect();
        let file = SourceFile::new("service.toml", "/etc/clave".into(), overridden);
        let top = At::top(&findings, Rc::new(file));
        (findings, top)
    }

    fn lines(findings: &Findings) -> String {
        findings.take().to_string()
    }

    #[test]
    fn a_problem_is_one_line_whatever_the_key_and_the_text_hold() {
        let (findings, top) = at(&[]);
        top.key("grpc").key("a\nb").problem("is\nwrong");
        assert_eq!(
            lines(&findings),
            "service.toml: grpc.\"a b\": is wrong".to_owned()
        );
    }

    #[test]
    fn a_missing_key_is_not_reported_where_the_key_above_it_was() {
        let (findings, top) = at(&[]);
        top.key("store").problem("must be a table");
        top.key("store").key("url").required(None::<()>, "a URL");
        top.key("storey").key("url").required(None::<()>, "a URL");
        assert_eq!(
            lines(&findings),
            "service.toml: store: must be a table\nservice.toml: storey.url: is required: a URL"
        );
    }

    #[test]
    fn what_the_environment_gave_is_reported_as_its_variable() {
        let (findings, top) = at(&["grpc.listen"]);
        top.key("grpc").key("listen").problem("is wrong");
        top.key("grpc").key("tls").problem("is wrong");
        assert_eq!(
            lines(&findings),
            "environment: CLAVE_OTP__GRPC__LISTEN: is wrong\nservice.toml: grpc.tls: is wrong"
        );
    }

    #[test]
    fn a_near_word_is_offered_and_a_far_one_is_not() {
        let words = ["password_file", "password_env", "senders"];
        assert_eq!(
            did_you_mean("pasword_file", words),
            "; did you mean \"password_file\"?"
        );
        assert_eq!(did_you_mean("colour", words), "");
    }
}
