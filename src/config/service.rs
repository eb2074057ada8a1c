//! The service file and, through it, the whole set.
//!
//! Must not know: what any section means.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

use jiff::civil::Date;
use serde::Deserialize;

use super::{
    admin::{AdminSettings, RawAdmin},
    administrations::{self, AdministrationDraft, AdministrationSettings, RawAdministrations},
    aliases,
    callers::{self, CallerSettings, RawCaller, Surroundings},
    certified::{CertifiedSettings, RawCertified},
    environment::Environment,
    findings::{At, Findings, Problems, SourceFile, Warning},
    grpc::{GrpcSettings, RawGrpc},
    limits::{DeliverySettings, LimitSettings, RawDelivery, RawLimits},
    repair::{self, List, Table},
    reports::{RawReports, ReportsSettings},
    set,
    store::{RawStore, StoreSettings},
    templates::TemplateCheck,
    tree,
};

/// Where administration files are looked for when the service file cannot tell.
const USUAL_DIRECTORY: &str = "administrations";

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawService {
    grpc: Table<RawGrpc>,
    admin: Table<RawAdmin>,
    reports: Option<Table<RawReports>>,
    store: Table<RawStore>,
    administrations: Table<RawAdministrations>,
    delivery: Table<RawDelivery>,
    limits: Table<RawLimits>,
    certified: Table<RawCertified>,
    callers: List<Table<RawCaller>>,
}

/// A set of files without a mistake. `Debug` shows no password.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How the API is served.
    pub grpc: GrpcSettings,
    /// How the operator's pages are served.
    pub admin: AdminSettings,
    /// How callbacks arrive, if they do.
    pub reports: Option<ReportsSettings>,
    /// How deliveries are kept.
    pub store: StoreSettings,
    /// Rules for every delivery.
    pub delivery: DeliverySettings,
    /// Limits on what may wait.
    pub limits: LimitSettings,
    /// Limits of the service for certified messages.
    pub certified: CertifiedSettings,
    /// Who may call the API.
    pub callers: Vec<CallerSettings>,
    /// How often the accounts' passwords are looked at for changes (`administrations.reload_seconds`).
    pub reload_every: Duration,
    /// Who pays, in the order of the files' names; never empty.
    pub administrations: Vec<AdministrationSettings>,
}

impl Settings {
    /// Reads the service file, the environment over it, and every administration file; judges them as one set.
    ///
    /// `check` judges the administrations' own texts. Nothing but files is touched: no network, no store.
    ///
    /// # Errors
    /// Every mistake of the set, not only the first.
    pub fn load(
        service_file: &Path,
        environment: &Environment,
        check: TemplateCheck,
    ) -> Result<(Self, Vec<Warning>), Problems> {
        let findings = Rc::new(Findings::default());
        let settings = load(service_file, environment, check, &findings);
        let mut found = findings.take();
        match settings {
            Some(settings) if found.problems.is_empty() => Ok((settings, found.warnings)),
            _ => {
                if found.problems.is_empty() {
                    // Whoever leaves something out has reported it; should that ever fail, the set is refused all the same.
                    let at = top(service_file, &findings, BTreeSet::new());
                    at.problem("cannot be used, and the reason was lost: please report this");
                    found.problems = findings.take().problems;
                }
                Err(found)
            }
        }
    }

    /// What the registry says on this day against aliases that accounts send under: not usable, or soon not any more. Disuse
    /// is not among it: when an alias was last used is in the store.
    pub fn alias_warnings(&self, today: Date) -> Vec<Warning> {
        self.administrations
            .iter()
            .flat_map(|administration| aliases::warnings_on(today, administration))
            .collect()
    }

    /// How many accounts there are in all.
    pub fn accounts(&self) -> usize {
        self.administrations
            .iter()
            .map(|administration| administration.accounts.len())
            .sum()
    }
}

fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn top(service_file: &Path, findings: &Rc<Findings>, overridden: BTreeSet<String>) -> At {
    let shown = service_file
        .file_name()
        .unwrap_or(service_file.as_os_str())
        .to_string_lossy()
        .into_owned();
    let folder = folder_of(service_file).to_path_buf();
    At::top(
        findings,
        Rc::new(SourceFile::new(&shown, folder, overridden)),
    )
}

fn load(
    service_file: &Path,
    environment: &Environment,
    check: TemplateCheck,
    findings: &Rc<Findings>,
) -> Option<Settings> {
    let service = read_service(service_file, environment, findings);
    let folder = folder_of(service_file);
    let directory = match &service {
        Some((raw, at)) => {
            let at = at.key("administrations").key("directory");
            let named = at.required(
                raw.administrations.directory.as_deref(),
                "name the directory of the administration files",
            );
            named.map(|directory| (at.resolve(directory), at))
        }
        // The service file is beyond reading: its administrations are worth checking all the same.
        None => Some(folder.join(USUAL_DIRECTORY))
            .filter(|directory| directory.is_dir())
            .map(|directory| (directory, top(service_file, findings, BTreeSet::new()))),
    };
    let files = directory.map_or_else(Vec::new, |(directory, at)| {
        administrations::files(&directory, &at)
    });
    let read = |path: &PathBuf| {
        let shown = path.strip_prefix(folder).unwrap_or(path);
        let shown = shown.to_string_lossy().into_owned();
        administrations::read(path, &shown, findings, environment, check)
    };
    let drafts: Vec<Option<AdministrationDraft>> = files.iter().map(read).collect();
    // Unknown codes can only be told apart when every file has told its own.
    let all_readable = drafts.iter().all(Option::is_some) && !drafts.is_empty();
    let drafts: Vec<AdministrationDraft> = drafts.into_iter().flatten().collect();
    set::check(&drafts);
    let dir3s: Option<BTreeSet<_>> = drafts.iter().map(|draft| draft.dir3.clone()).collect();
    let (raw, at) = service?;
    let surroundings = Surroundings {
        has_tls: raw.grpc.has_tls(),
        known: dir3s.filter(|_| all_readable),
    };
    raw.validate(&surroundings, drafts, &at)
}

fn read_service(
    service_file: &Path,
    environment: &Environment,
    findings: &Rc<Findings>,
) -> Option<(RawService, At)> {
    let at = top(service_file, findings, BTreeSet::new());
    let text = tree::read_text(service_file, &at)?;
    let tables = tree::parse_toml(&text, &at)?;
    let (tree, overridden) = tree::overlay(tables, environment, &at);
    let at = top(service_file, findings, overridden);
    Some((repair::sections(tree, &at), at))
}

impl RawService {
    fn validate(
        self,
        surroundings: &Surroundings,
        mut drafts: Vec<AdministrationDraft>,
        at: &At,
    ) -> Option<Settings> {
        let grpc = self.grpc.validate(&at.key("grpc"));
        let admin = self.admin.validate(&at.key("admin"));
        let reports = self
            .reports
            .as_ref()
            .map(|reports| reports.validate(&at.key("reports")));
        let store = self.store.validate(&at.key("store"));
        let delivery = self.delivery.validate(&at.key("delivery"));
        let limits = self.limits.validate(&at.key("limits"));
        let certified = self.certified.validate(&at.key("certified"));
        let reload_every = self
            .administrations
            .reload_every(&at.key("administrations"));
        let callers = callers::validate(&self.callers, surroundings, &at.key("callers"));
        let reports_listen = reports.iter().flatten().map(|reports| reports.listen);
        let listeners = [("grpc", grpc.listen), ("admin", admin.listen)];
        each_listener_has_its_own_address(
            listeners
                .into_iter()
                .chain(reports_listen.map(|listen| ("reports", listen))),
            at,
        );
        set::settle_reports(&mut drafts, self.reports.is_some());
        let administrations: Option<Vec<_>> = drafts
            .into_iter()
            .map(AdministrationDraft::finish)
            .collect();
        Some(Settings {
            grpc,
            admin,
            reports: match reports {
                None => None,
                Some(reports) => Some(reports?),
            },
            store: store?,
            delivery,
            limits,
            certified,
            callers: callers?,
            reload_every,
            administrations: administrations?,
        })
    }
}

fn each_listener_has_its_own_address<'a>(
    listeners: impl Iterator<Item = (&'a str, SocketAddr)>,
    at: &At,
) {
    let mut earlier: Vec<(&str, SocketAddr)> = Vec::new();
    for (section, listen) in listeners {
        // Port 0 asks the system for a free one, as often as wanted.
        let twin = earlier
            .iter()
            .find(|(_, other)| *other == listen && listen.port() != 0);
        if let Some((other, _)) = twin {
            at.key(section).key("listen").problem(format_args!(
                "is the address of {other}.listen too: give each listener its own"
            ));
        }
        earlier.push((section, listen));
    }
}
