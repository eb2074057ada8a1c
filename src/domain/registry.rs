//! The CNMC registry of aliases: what it says about one, and what follows (Orden TDF/149/2025, Circular 1/2026).

use std::collections::BTreeSet;

use jiff::civil::Date;

use super::Alias;

/// What the registry says about an alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AliasRecord {
    /// The alias, byte for byte as inscribed.
    pub alias: Alias,
    /// How far its inscription is.
    pub status: AliasStatus,
    /// Day of the inscription; usable from the day after. There whenever the status is `Inscribed`.
    pub inscribed_on: Option<Date>,
    /// Last day on which a pre-inscription serves. There whenever the status is `Preinscribed`.
    pub lapses_on: Option<Date>,
    /// The platforms that may send under it.
    pub enabled_gateways: BTreeSet<GatewayName>,
}

/// How far an inscription is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AliasStatus {
    /// Not asked for yet.
    Draft,
    /// Asked for.
    Requested,
    /// Usable until it lapses.
    Preinscribed,
    /// Usable.
    Inscribed,
    /// Not usable for now.
    Suspended,
    /// Not usable any more.
    Cancelled,
}

/// A platform as records of the registry name it; a record may name one that this release does not speak to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GatewayName {
    /// Telefónica Mensajería Negocios.
    MensajeriaNegocios,
    /// Mensatek.
    Mensatek,
}

impl GatewayName {
    /// The name used in configuration files and shown to operators.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MensajeriaNegocios => "mensajeria-negocios",
            Self::Mensatek => "mensatek",
        }
    }
}

impl AliasRecord {
    /// Whether operators let the alias through on `today`, sent by this platform: inscribed before today, or pre-inscribed
    /// and not lapsed, and the platform enabled for it (rule 1.2).
    pub fn is_usable(&self, today: Date, gateway: GatewayName) -> bool {
        let in_force = match self.status {
            // Usable from the day after the inscription.
            AliasStatus::Inscribed => self.inscribed_on.is_some_and(|day| day < today),
            AliasStatus::Preinscribed => self.lapses_on.is_some_and(|last| today <= last),
            AliasStatus::Draft
            | AliasStatus::Requested
            | AliasStatus::Suspended
            | AliasStatus::Cancelled => false,
        };
        in_force && self.enabled_gateways.contains(&gateway)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(status: AliasStatus) -> AliasRecord {
        AliasRecord {
            alias: Alias::parse("ClaveMadrid").unwrap(),
            status,
            inscribed_on: Some("2026-08-03".parse().unwrap()),
            lapses_on: Some("2026-11-03".parse().unwrap()),
            enabled_gateways: BTreeSet::from([GatewayName::MensajeriaNegocios]),
        }
    }

    fn usable(status: AliasStatus, today: &str) -> bool {
        let today = today.parse().unwrap();
        record(status).is_usable(today, GatewayName::MensajeriaNegocios)
    }

    #[test]
    fn an_inscribed_alias_is_usable_from_the_day_after() {
        assert!(!usable(AliasStatus::Inscribed, "2026-08-03"));
        assert!(usable(AliasStatus::Inscribed, "2026-08-04"));
    }

    #[test]
    fn a_preinscribed_alias_is_usable_to_its_last_day() {
        assert!(usable(AliasStatus::Preinscribed, "2026-11-03"));
        assert!(!usable(AliasStatus::Preinscribed, "2026-11-04"));
    }

    #[test]
    fn no_other_status_and_no_other_platform_will_do() {
        for status in [
            AliasStatus::Draft,
            AliasStatus::Requested,
            AliasStatus::Suspended,
            AliasStatus::Cancelled,
        ] {
            assert!(!usable(status, "2026-09-01"), "{status:?}");
        }
        let inscribed = record(AliasStatus::Inscribed);
        let today = "2026-09-01".parse().unwrap();
        assert!(!inscribed.is_usable(today, GatewayName::Mensatek));
    }
}
