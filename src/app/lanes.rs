//! Settings → the lanes of all accounts, and what each may send.

use std::{num::NonZeroU32, sync::Arc};

use jiff::civil::Date;
use url::Url;

use super::{
    StartError,
    credentials::{AccessMaker, Credentials},
    parts::queue_limit,
    reporting,
};
use crate::{
    clock::Clock,
    config::{self, AccountSettings, AdministrationSettings, Settings},
    dispatch::{LaneSettings, LawfulOn, Neighbour, OnUncertain},
    domain::{AccountId, Dir3},
    gateway::{AccessNow, mensatek::DownloadLimits},
    routing::{self, Directory, International},
    store::{Lawful, sealing::Sealer},
};

/// The lanes, in the order of administrations and accounts, and who brings them other credentials.
pub(super) fn lanes(
    settings: &Settings,
    directory: &Directory,
    (sealer, clock): (&Arc<Sealer>, &Arc<dyn Clock>),
    reports: Option<&Url>,
) -> Result<(Vec<LaneSettings>, Credentials), StartError> {
    let mut credentials = Credentials::new(settings.reload_every);
    let download = DownloadLimits {
        max_bytes: settings.certified.max_download_bytes,
        patience: settings.certified.download_timeout,
    };
    let mut lanes = Vec::new();
    for administration in &settings.administrations {
        let among = Among {
            administration,
            directory,
            queue_limit: queue_limit(settings),
        };
        for account in &administration.accounts {
            let maker = AccessMaker {
                settings: account.clone(),
                report_url: reporting::address_of(reports, account, sealer),
                download,
                sealer: Arc::clone(sealer),
                clock: Arc::clone(clock),
            };
            let access = credentials.keep(maker)?;
            lanes.push(lane(account, &among, access));
        }
    }
    Ok((lanes, credentials))
}

/// What is around an account.
struct Among<'a> {
    administration: &'a AdministrationSettings,
    directory: &'a Directory,
    queue_limit: NonZeroU32,
}

impl Among<'_> {
    /// The other accounts of the administration, in its order.
    fn neighbours(&self, account: &AccountSettings) -> Vec<Neighbour> {
        self.administration
            .accounts
            .iter()
            .filter(|other| self.administration.fail_over && other.id != account.id)
            .map(|other| Neighbour {
                account: other.id.clone(),
                queue_limit: self.queue_limit,
                lawful: self.lawful(&other.id),
            })
            .collect()
    }

    fn lawful(&self, account: &AccountId) -> LawfulOn {
        let directory = self.directory.clone();
        let (dir3, account) = (self.administration.dir3.clone(), account.clone());
        LawfulOn::new(move |today| lawful(&directory, &dir3, &account, today).unwrap_or_default())
    }
}

/// What an account may send on a day in Spain, by the rules of `routing`; `None` of an account that is not in the directory: it may
/// send nothing.
pub fn lawful(
    directory: &Directory,
    dir3: &Dir3,
    account: &AccountId,
    today: Date,
) -> Option<Lawful> {
    let administration = directory.find(dir3)?;
    let mut accounts = administration.accounts.iter();
    let account = accounts.find(|known| known.id == *account)?;
    let International {
        enabled,
        allowed_regions,
        ..
    } = &account.international;
    Some(Lawful {
        senders: routing::lawful_senders(administration, account, today),
        abroad: allowed_regions
            .iter()
            .copied()
            .filter(|_| *enabled)
            .collect(),
    })
}

fn lane(settings: &AccountSettings, among: &Among<'_>, access: AccessNow) -> LaneSettings {
    LaneSettings {
        account: settings.id.clone(),
        access,
        max_batch: settings.limits.max_batch,
        max_in_flight: settings.max_in_flight,
        connect_timeout: settings.connect_timeout,
        max_rest: settings.limits.max_rest,
        lawful: among.lawful(&settings.id),
        neighbours: among.neighbours(settings),
        failures_before_rest: settings.limits.failures_before_rest,
        on_uncertain: match settings.on_uncertain {
            config::OnUncertain::Hold => OnUncertain::Hold,
            config::OnUncertain::ResendOnce => OnUncertain::ResendOnce,
        },
        // Without reports SENT is all that the gateway can prove.
        report_window: settings.reports.as_ref().map(|reports| reports.window),
    }
}
