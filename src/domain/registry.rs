//! The CNMC registry of aliases: what it says about one, and what follows (Orden TDF/149/2025, Circular 1/2026).

use std::{collections::BTreeSet, sync::LazyLock};

use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};

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
    /// Last day of the inscription, where it has one.
    pub ends_on: Option<Date>,
    /// Last use that is known from elsewhere, such as the system that this installation follows.
    pub last_used_on: Option<Date>,
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

/// A platform as configuration, and the records of the registry in it, name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GatewayName {
    /// Telefónica Mensajería Negocios.
    MensajeriaNegocios,
    /// Mensatek.
    Mensatek,
}

impl GatewayName {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::MensajeriaNegocios, Self::Mensatek];

    /// The name used in configuration files and shown to operators.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MensajeriaNegocios => "mensajeria-negocios",
            Self::Mensatek => "mensatek",
        }
    }
}

/// Something about an alias that its administration should look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AliasWarning {
    /// Operators block it today.
    NotUsable,
    /// Its pre-inscription lapses within [`NOTICE_DAYS`].
    LapsesSoon,
    /// Its inscription ends within [`NOTICE_DAYS`].
    EndsSoon,
    /// No use is known for ten months.
    Unused10Months,
    /// No use is known for eleven months.
    Unused11Months,
    /// No use is known for twelve months: the registry suspends it, or has done so.
    Unused12Months,
    /// Its messages no longer arrive while those of other senders do.
    ProbablyBlocked,
}

/// How many days before an alias lapses or ends its administration is warned (rule 1.4).
pub const NOTICE_DAYS: i32 = 30;

impl AliasWarning {
    /// The stable word that operators and programs see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotUsable => "ALIAS_NOT_USABLE",
            Self::LapsesSoon => "ALIAS_LAPSES_SOON",
            Self::EndsSoon => "ALIAS_ENDS_SOON",
            Self::Unused10Months => "ALIAS_UNUSED_10_MONTHS",
            Self::Unused11Months => "ALIAS_UNUSED_11_MONTHS",
            Self::Unused12Months => "ALIAS_UNUSED_12_MONTHS",
            Self::ProbablyBlocked => "ALIAS_PROBABLY_BLOCKED",
        }
    }

    /// What is wrong and what to do, in one line.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::NotUsable => {
                "operators block this alias today: its codes for Spanish numbers are refused, or go out as 217812 with alias_policy = \"numeric\"; see status and dates of its record"
            }
            Self::LapsesSoon => {
                "its pre-inscription lapses within 30 days and lasts no longer than three months: have the inscription finished, then set status and inscribed_on"
            }
            Self::EndsSoon => {
                "its inscription ends within 30 days: have it renewed, then set ends_on"
            }
            Self::Unused10Months => {
                "no use is known for ten months; after twelve the registry suspends it: send under it, or set last_used_on if somebody did"
            }
            Self::Unused11Months => {
                "no use is known for eleven months; after twelve the registry suspends it: send under it this month, or set last_used_on if somebody did"
            }
            Self::Unused12Months => {
                "no use is known for twelve months, after which the registry suspends an alias and operators block it without a word: ask the registry, then set status or last_used_on"
            }
            Self::ProbablyBlocked => {
                "its messages no longer arrive while those of other senders at the gateway do: ask the registry and the gateway whether it is blocked; until then send as 217812 (default_sender)"
            }
        }
    }

    /// Whether it follows from use alone.
    pub const fn is_of_disuse(self) -> bool {
        matches!(
            self,
            Self::Unused10Months | Self::Unused11Months | Self::Unused12Months
        )
    }
}

/// How an alias stands on some day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AliasStanding {
    /// What its administration should look at, in the order of [`AliasWarning`].
    pub warnings: Vec<AliasWarning>,
    /// Days until it may not be used any more, 0 on its last day; `None` where no end is known.
    pub days_left: Option<i32>,
    /// Days since it was last used, or inscribed if it never was; `None` unless it is inscribed.
    pub days_unused: Option<i32>,
}

impl AliasStatus {
    /// The word of configuration files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Requested => "requested",
            Self::Preinscribed => "preinscribed",
            Self::Inscribed => "inscribed",
            Self::Suspended => "suspended",
            Self::Cancelled => "cancelled",
        }
    }
}

impl AliasRecord {
    /// Whether operators let the alias through on `today`, sent by this platform: inscribed before today, or pre-inscribed,
    /// neither lapsed nor ended, and the platform enabled for it (rule 1.2).
    pub fn is_usable(&self, today: Date, gateway: GatewayName) -> bool {
        self.is_let_through(today) && self.enabled_gateways.contains(&gateway)
    }

    /// How it stands on `today`; `last_use` is the last day on which this installation sent under it.
    ///
    /// The registry suspends an alias that is not used for twelve months. Somebody else may have used it, so that is
    /// warned about and not concluded: whether it may be used follows from the record alone.
    pub fn standing(&self, today: Date, last_use: Option<Date>) -> AliasStanding {
        let days_left = self.last_day().map(|last| days_between(today, last).max(0));
        let used = self.used_or_inscribed(last_use);
        let mut warnings = Vec::new();
        if self.is_let_through(today) {
            let is_near = |last: Option<Date>| {
                last.is_some_and(|last| days_between(today, last) <= NOTICE_DAYS)
            };
            if self.status == AliasStatus::Preinscribed && is_near(self.lapses_on) {
                warnings.push(AliasWarning::LapsesSoon);
            }
            if is_near(self.ends_on) {
                warnings.push(AliasWarning::EndsSoon);
            }
            warnings.extend(used.and_then(|day| disuse(today, day)));
        } else {
            warnings.push(AliasWarning::NotUsable);
        }
        AliasStanding {
            warnings,
            days_left,
            days_unused: used.map(|day| days_between(day, today).max(0)),
        }
    }

    /// Whether operators let it through on that day, whichever platform sends it.
    fn is_let_through(&self, today: Date) -> bool {
        let has_begun = match self.status {
            // Usable from the day after the inscription.
            AliasStatus::Inscribed => self.inscribed_on.is_some_and(|day| day < today),
            AliasStatus::Preinscribed => self.lapses_on.is_some_and(|last| today <= last),
            AliasStatus::Draft
            | AliasStatus::Requested
            | AliasStatus::Suspended
            | AliasStatus::Cancelled => false,
        };
        has_begun && self.ends_on.is_none_or(|last| today <= last)
    }

    /// The last day on which it may be used, where one is known.
    fn last_day(&self) -> Option<Date> {
        let lapses_on = self
            .lapses_on
            .filter(|_| self.status == AliasStatus::Preinscribed);
        match (lapses_on, self.ends_on) {
            (Some(lapse), Some(end)) => Some(lapse.min(end)),
            (lapse, end) => lapse.or(end),
        }
    }

    /// From when on disuse counts. A pre-inscription does not live long enough for it.
    fn used_or_inscribed(&self, last_use: Option<Date>) -> Option<Date> {
        let inscribed_on = self
            .inscribed_on
            .filter(|_| self.status == AliasStatus::Inscribed)?;
        let uses = [last_use, self.last_used_on].into_iter().flatten();
        Some(uses.fold(inscribed_on, Date::max))
    }
}

fn disuse(today: Date, used: Date) -> Option<AliasWarning> {
    let after = |months: i32| {
        used.checked_add(months.months())
            .is_ok_and(|day| day <= today)
    };
    match () {
        () if after(12) => Some(AliasWarning::Unused12Months),
        () if after(11) => Some(AliasWarning::Unused11Months),
        () if after(10) => Some(AliasWarning::Unused10Months),
        () => None,
    }
}

/// Days from one day to another.
fn days_between(from: Date, to: Date) -> i32 {
    // Without a unit the difference is in days, which never overflows.
    from.until(to).map_or(0, |span| span.get_days())
}

/// The day that it is in Spain, by which the registry counts.
pub fn day_in_spain(now: Timestamp) -> Date {
    // The zone is compiled in where the machine has none.
    static SPAIN: LazyLock<TimeZone> =
        LazyLock::new(|| TimeZone::get("Europe/Madrid").unwrap_or(TimeZone::UTC));
    SPAIN.to_datetime(now).date()
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
            ends_on: None,
            last_used_on: None,
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

    fn day(text: &str) -> Date {
        text.parse().unwrap()
    }

    fn standing(record: &AliasRecord, today: &str, last_use: Option<&str>) -> AliasStanding {
        record.standing(day(today), last_use.map(day))
    }

    #[test]
    fn an_alias_is_let_through_while_its_record_says_so() {
        let mut ended = record(AliasStatus::Inscribed);
        ended.ends_on = Some(day("2026-09-30"));
        for (record, today, is_usable) in [
            (record(AliasStatus::Draft), "2026-09-01", false),
            (record(AliasStatus::Requested), "2026-09-01", false),
            (record(AliasStatus::Suspended), "2026-09-01", false),
            (record(AliasStatus::Cancelled), "2026-09-01", false),
            (record(AliasStatus::Inscribed), "2026-08-03", false),
            (record(AliasStatus::Inscribed), "2026-08-04", true),
            (record(AliasStatus::Preinscribed), "2026-11-03", true),
            (record(AliasStatus::Preinscribed), "2026-11-04", false),
            (ended.clone(), "2026-09-30", true),
            (ended, "2026-10-01", false),
        ] {
            let told = format!("{:?} {today}", record.status);
            let gateway = GatewayName::MensajeriaNegocios;
            assert_eq!(record.is_usable(day(today), gateway), is_usable, "{told}");
            let warnings = standing(&record, today, None).warnings;
            let is_warned = warnings.contains(&AliasWarning::NotUsable);
            assert_eq!(is_warned, !is_usable, "{told}");
        }
    }

    #[test]
    fn the_last_thirty_days_are_warned_about() {
        let preinscribed = record(AliasStatus::Preinscribed);
        assert_eq!(standing(&preinscribed, "2026-10-03", None).warnings, []);
        for today in ["2026-10-04", "2026-11-03"] {
            let standing = standing(&preinscribed, today, None);
            assert_eq!(standing.warnings, [AliasWarning::LapsesSoon], "{today}");
        }
        assert_eq!(
            standing(&preinscribed, "2026-10-04", None).days_left,
            Some(30)
        );
        assert_eq!(
            standing(&preinscribed, "2026-12-01", None).days_left,
            Some(0)
        );
        let mut inscribed = record(AliasStatus::Inscribed);
        assert_eq!(standing(&inscribed, "2026-10-31", None).days_left, None);
        inscribed.ends_on = Some(day("2026-11-30"));
        assert_eq!(standing(&inscribed, "2026-10-30", None).warnings, []);
        assert_eq!(
            standing(&inscribed, "2026-10-31", None).warnings,
            [AliasWarning::EndsSoon]
        );
    }

    #[test]
    fn disuse_is_warned_about_from_the_tenth_month_and_never_concluded() {
        let inscribed = record(AliasStatus::Inscribed);
        for (today, last_use, warning) in [
            ("2027-06-02", None, None),
            ("2027-06-03", None, Some(AliasWarning::Unused10Months)),
            ("2027-07-03", None, Some(AliasWarning::Unused11Months)),
            ("2027-08-03", None, Some(AliasWarning::Unused12Months)),
            ("2029-08-03", None, Some(AliasWarning::Unused12Months)),
            ("2027-08-03", Some("2026-11-01"), None),
            (
                "2027-09-01",
                Some("2026-11-01"),
                Some(AliasWarning::Unused10Months),
            ),
            // Before the inscription: counts no more than it.
            ("2027-06-02", Some("2026-01-01"), None),
        ] {
            let standing = standing(&inscribed, today, last_use);
            assert_eq!(standing.warnings.first().copied(), warning, "{today}");
            assert!(!standing.warnings.contains(&AliasWarning::NotUsable));
        }
        let mut elsewhere = inscribed;
        elsewhere.last_used_on = Some(day("2027-08-01"));
        let standing = standing(&elsewhere, "2027-08-03", Some("2026-11-01"));
        assert_eq!((standing.warnings, standing.days_unused), (vec![], Some(2)));
    }

    #[test]
    fn a_day_begins_in_spain_when_it_does_there() {
        let before_midnight = "2026-08-03T21:59:59Z".parse().unwrap();
        assert_eq!(day_in_spain(before_midnight), day("2026-08-03"));
        let after_midnight = "2026-08-03T22:00:00Z".parse().unwrap();
        assert_eq!(day_in_spain(after_midnight), day("2026-08-04"));
    }
}
