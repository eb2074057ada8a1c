//! Whether the system lets this process open as many files and connections as its configuration needs.
//!
//! Must not know: what they are for.

use std::fs;

use crate::config::Settings;

/// The database, its log and locks, the listeners, standard streams, the reactor's own.
const OTHERS: usize = 64;

/// Warns, because a process without file descriptors accepts no connection and may not open its files.
pub(super) fn warn_where_too_few(settings: &Settings) {
    let reports = settings.reports.as_ref();
    let reports = reports.map_or(0, |port| port.max_connections);
    let accounts = settings
        .administrations
        .iter()
        .flat_map(|administration| &administration.accounts);
    let requests: usize = accounts
        .map(|account| account.max_in_flight.get() as usize)
        .sum();
    // Beside the codes' own, where the platform certifies messages.
    let certified = settings
        .administrations
        .iter()
        .flat_map(|administration| &administration.accounts)
        .filter(|account| account.mensatek.is_some())
        .count()
        .saturating_mul(settings.certified.max_in_flight);
    let wanted = settings
        .grpc
        .max_connections
        .saturating_add(settings.admin.max_connections)
        .saturating_add(reports)
        .saturating_add(requests)
        .saturating_add(certified)
        .saturating_add(OTHERS);
    // Not Linux, or not readable: nothing can be said.
    let Ok(limits) = fs::read_to_string("/proc/self/limits") else {
        return;
    };
    if let Some(allowed) = open_files(&limits)
        && allowed < wanted
    {
        tracing::warn!(
            allowed,
            wanted,
            "start: the system allows fewer file descriptors than the limits on connections may need: raise LimitNOFILE or lower grpc.max_connections"
        );
    }
}

/// The soft limit in the system's table; `None` where it is unlimited or not there.
fn open_files(limits: &str) -> Option<usize> {
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_read_from_the_systems_table() {
        let table = "Limit                     Soft Limit           Hard Limit           Units     \n\
                     Max open files            1024                 524288               files     \n";
        assert_eq!(open_files(table), Some(1024));
        assert_eq!(
            open_files("Max open files   unlimited  unlimited files"),
            None
        );
        assert_eq!(open_files(""), None);
    }
}
