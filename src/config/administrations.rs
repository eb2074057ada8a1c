//! `[administrations]` and the files it points to: one for each administration.
//!
//! Must not know: rules about several administrations; those are in `set`.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

use serde::Deserialize;

use super::{
    accounts::{AccountDraft, AccountSettings, RawAccount},
    aliases::{self, AliasDraft, RawAlias},
    environment::Environment,
    findings::{At, Findings, SourceFile},
    repair::{self, List, Table},
    templates::{RawTemplates, TemplateCheck, TemplateOverride, TextLimits, unknown_language},
    tree,
};
use crate::domain::{AliasRecord, Dir3, GatewayName, Language, Nif, OriginHost};

/// Most administration files that are read; Spain has some 8,000 municipalities.
const MAX_FILES: usize = 20_000;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawAdministrations {
    pub(super) directory: Option<String>,
    reload_seconds: Option<u64>,
}

impl RawAdministrations {
    /// How often passwords are looked at for changes.
    pub(super) fn reload_every(&self, at: &At) -> Duration {
        let seconds = at
            .key("reload_seconds")
            .number(self.reload_seconds, 10, 1..=86_400);
        Duration::from_secs(seconds)
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawFile {
    administration: Table<RawAdministration>,
    accounts: List<Table<RawAccount>>,
    aliases: List<Table<RawAlias>>,
    templates: RawTemplates,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawAdministration {
    dir3: Option<String>,
    name: Option<String>,
    nif: Option<String>,
    default_language: Option<String>,
    origins: Option<List<String>>,
    alias_policy: Option<String>,
    fail_over: Option<bool>,
}

/// A public body that pays for its own SMS.
#[derive(Debug, Clone)]
pub struct AdministrationSettings {
    /// The file that tells of it, as messages show it.
    pub file: String,
    /// Its code, unique in the installation.
    pub dir3: Dir3,
    /// Its name, for people.
    pub name: String,
    /// Its tax number.
    pub nif: Nif,
    /// The language of texts where the caller asks for none that exists.
    pub default_language: Language,
    /// Hosts that may stand in the origin-bound last line; none: no such line.
    pub origins: BTreeSet<OriginHost>,
    /// What happens where an alias may not be used.
    pub alias_policy: AliasPolicy,
    /// Whether another account may carry what the first cannot; never with one account.
    pub fail_over: bool,
    /// Its accounts, the primary first; never empty.
    pub accounts: Vec<AccountSettings>,
    /// What the registry says about its aliases.
    pub aliases: Vec<AliasRecord>,
    /// Its own texts; built-in ones otherwise.
    pub templates: Vec<TemplateOverride>,
}

/// What happens where an alias may not be used (rule 1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AliasPolicy {
    /// The delivery is refused.
    Refuse,
    /// It goes out as `217812`.
    Numeric,
}

/// What of an administration could be read, for the rules about the set.
pub(super) struct AdministrationDraft {
    pub(super) at: At,
    pub(super) dir3: Option<Dir3>,
    pub(super) accounts: Vec<AccountDraft>,
    pub(super) aliases: Vec<AliasDraft>,
    settings: Option<Head>,
    templates: Vec<TemplateOverride>,
}

/// The table `[administration]` where all of it was right.
struct Head {
    dir3: Dir3,
    name: String,
    nif: Nif,
    default_language: Language,
    origins: BTreeSet<OriginHost>,
    alias_policy: AliasPolicy,
    fail_over: bool,
}

impl AdministrationDraft {
    /// The administration, if all of it was right.
    pub(super) fn finish(self) -> Option<AdministrationSettings> {
        let accounts: Option<Vec<_>> = self.accounts.into_iter().map(|a| a.settings).collect();
        let aliases: Option<Vec<_>> = self.aliases.into_iter().map(|a| a.record).collect();
        let head = self.settings?;
        Some(AdministrationSettings {
            file: self.at.file().to_owned(),
            dir3: head.dir3,
            name: head.name,
            nif: head.nif,
            default_language: head.default_language,
            origins: head.origins,
            alias_policy: head.alias_policy,
            fail_over: head.fail_over,
            accounts: accounts?,
            aliases: aliases?,
            templates: self.templates,
        })
    }
}

/// The administration files of the directory, in the order of their names.
pub(super) fn files(directory: &Path, at: &At) -> Vec<PathBuf> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => {
            at.problem(format_args!(
                "{}: name the directory of the administration files",
                tree::cannot_be_read(&error)
            ));
            return Vec::new();
        }
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| {
            let hidden = path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with('.'));
            let toml = path.extension().is_some_and(|end| end == "toml");
            toml && !hidden && !path.is_dir()
        })
        .take(MAX_FILES + 1)
        .collect();
    if files.is_empty() {
        at.problem("the directory holds no *.toml file: write one for each administration");
    }
    if files.len() > MAX_FILES {
        at.problem(format_args!(
            "the directory holds more than {MAX_FILES} files: is it the right one?"
        ));
        files.clear();
    }
    files.sort();
    files
}

/// Reads one administration file; `None` after reporting if it is not TOML at all.
pub(super) fn read(
    path: &Path,
    shown: &str,
    findings: &Rc<Findings>,
    environment: &Environment,
    check: TemplateCheck,
) -> Option<AdministrationDraft> {
    let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
    let file = SourceFile::new(shown, folder, BTreeSet::new());
    let at = At::top(findings, Rc::new(file));
    let text = tree::read_text(path, &at)?;
    let tables = tree::parse_toml(&text, &at)?;
    let raw: RawFile = repair::sections(tree::without_environment(tables), &at);
    Some(raw.validate(environment, check, at))
}

impl RawFile {
    fn validate(
        self,
        environment: &Environment,
        check: TemplateCheck,
        at: At,
    ) -> AdministrationDraft {
        let head = at.key("administration");
        let dir3 = self.administration.dir3(&head);
        let has_siblings = self.accounts.len() > 1;
        let settings = self
            .administration
            .validate(dir3.clone(), has_siblings, &head);
        let at_accounts = at.key("accounts");
        if self.accounts.len() == 0 {
            at_accounts.required(
                None::<()>,
                "add an [[accounts]] table; the first is the primary",
            );
        }
        let accounts: Vec<AccountDraft> = self
            .accounts
            .into_items(&at_accounts)
            .map(|(at, account)| account.validate(environment, has_siblings, at))
            .collect();
        let limits = narrowest(&accounts);
        let reads_tags = accounts
            .iter()
            .any(|account| account.gateway == Some(GatewayName::Mensatek));
        let at_templates = at.key("templates");
        AdministrationDraft {
            dir3,
            settings,
            aliases: aliases::validate(&self.aliases, &at.key("aliases")),
            templates: self
                .templates
                .validate(limits, check, reads_tags, &at_templates),
            accounts,
            at,
        }
    }
}

fn narrowest(accounts: &[AccountDraft]) -> TextLimits {
    let limits = || {
        accounts
            .iter()
            .filter_map(|account| account.settings.as_ref())
            .map(|account| account.limits)
    };
    TextLimits {
        max_segments: limits()
            .map(|limits| limits.max_segments)
            .min()
            .unwrap_or(1),
        allow_ucs2: limits().count() > 0 && limits().all(|limits| limits.allow_ucs2),
    }
}

impl RawAdministration {
    fn dir3(&self, at: &At) -> Option<Dir3> {
        let at = at.key("dir3");
        at.required(
            self.dir3.as_deref(),
            "give the DIR3 code, such as \"L01280796\"",
        )
        .and_then(|code| at.parse(code, Dir3::parse))
    }

    fn validate(&self, dir3: Option<Dir3>, has_siblings: bool, at: &At) -> Option<Head> {
        let at_name = at.key("name");
        let name = at_name
            .required(self.name.as_deref(), "give the administration's name")
            .filter(|name| {
                let usable = (1..=200).contains(&name.chars().count())
                    && !name.trim().is_empty()
                    && !name.chars().any(char::is_control);
                if !usable {
                    at_name.problem("must be 1 to 200 characters on one line");
                }
                usable
            });
        let at_nif = at.key("nif");
        let nif = at_nif
            .required(
                self.nif.as_deref(),
                "give the administration's NIF, such as \"P2807900B\"",
            )
            .and_then(|nif| at_nif.parse(nif, Nif::parse));
        if nif.as_ref().is_some_and(|nif| !nif.is_public_body()) {
            at_nif.warning("does not begin with P, Q or S, as the NIF of a public body does");
        }
        let default_language = self.default_language(&at.key("default_language"));
        let origins = self.origins(&at.key("origins"));
        let alias_policy = at.key("alias_policy").word(
            self.alias_policy.as_deref(),
            &[
                ("refuse", AliasPolicy::Refuse),
                ("numeric", AliasPolicy::Numeric),
            ],
            AliasPolicy::Refuse,
        );
        if self.fail_over == Some(true) && !has_siblings {
            at.key("fail_over")
                .warning("does nothing with one account: add another, or remove this key");
        }
        Some(Head {
            fail_over: has_siblings && self.fail_over.unwrap_or(true),
            dir3: dir3?,
            name: name?.to_owned(),
            nif: nif?,
            default_language: default_language?,
            origins: origins?,
            alias_policy: alias_policy?,
        })
    }

    fn default_language(&self, at: &At) -> Option<Language> {
        let Some(tag) = self.default_language.as_deref() else {
            return Some(Language::Es);
        };
        let language = Language::from_tag(tag);
        if language.is_none() {
            at.problem(unknown_language(tag));
        }
        language
    }

    fn origins(&self, at: &At) -> Option<BTreeSet<OriginHost>> {
        let Some(listed) = &self.origins else {
            return Some(BTreeSet::new());
        };
        let hosts: Vec<Option<OriginHost>> = listed
            .items(at)
            .map(|(at, host)| at.parse(host, OriginHost::parse))
            .collect();
        hosts.into_iter().collect()
    }
}
