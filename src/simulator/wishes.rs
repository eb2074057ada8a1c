//! What a submission over SOAP or REST may ask for besides delivery: how long it is valid, and which reports go where.
//!
//! Must not know: XML, JSON, HTTP. An address for reports carries a secret and masks itself in `Debug`.

use std::{fmt, net::SocketAddr, time::Duration};

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};
use url::{Host, Url};

/// Longest address that is taken, in bytes.
const LONGEST_URL_BYTES: usize = 2_000;

/// Which reports a message asks for: `DeliveryReport`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantedReports {
    /// Every one.
    All,
    /// `Expired` and `Rejected` alone.
    Failure,
    /// `Delivered` alone.
    Success,
    /// None; also where the request does not say.
    None,
}

impl WantedReports {
    /// The value as on the wire, in exact case.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "All" => Self::All,
            "Failure" => Self::Failure,
            "Success" => Self::Success,
            "None" => Self::None,
            _ => return None,
        })
    }

    /// Whether a report with this status is wanted. A status outside the interface goes to those who want all.
    pub(super) fn include(self, status: &str) -> bool {
        match self {
            Self::All => true,
            Self::Failure => matches!(status, "Expired" | "Rejected"),
            Self::Success => status == "Delivered",
            Self::None => false,
        }
    }
}

/// An address for reports. Masks itself: its path is a secret of who gave it.
#[derive(Clone, PartialEq, Eq)]
pub struct ReportUrl(Url);

impl ReportUrl {
    /// An absolute http or https address of at most 2,000 bytes.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > LONGEST_URL_BYTES {
            return None;
        }
        let url = Url::parse(text).ok()?;
        matches!(url.scheme(), "http" | "https").then_some(Self(url))
    }

    /// The address in full: only to call it or to compare it.
    pub fn expose(&self) -> &str {
        self.0.as_str()
    }

    /// Path and query.
    pub(super) fn path_and_query(&self) -> String {
        match self.0.query() {
            Some(query) => format!("{}?{query}", self.0.path()),
            None => self.0.path().to_owned(),
        }
    }

    /// Host and port, without any credentials.
    pub(super) fn host_and_port(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        match self.0.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// Where it leads on this machine; `None` elsewhere and over TLS, which the simulator never calls.
    pub(super) fn on_loopback(&self) -> Option<SocketAddr> {
        let ip = match self.0.host()? {
            Host::Ipv4(ip) => ip.into(),
            Host::Ipv6(ip) => ip.into(),
            Host::Domain("localhost") => std::net::Ipv4Addr::LOCALHOST.into(),
            Host::Domain(_) => return None,
        };
        let address = SocketAddr::new(ip, self.0.port_or_known_default()?);
        (self.0.scheme() == "http" && ip.is_loopback()).then_some(address)
    }
}

impl fmt::Debug for ReportUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ReportUrl(•••)")
    }
}

/// When a validity ends that is written as `xs:dateTime` or `xs:duration`, counted from `now`; `None` for anything else.
///
/// A time without a zone is taken for Spanish (confidence C). Years and months have no length of their own and are refused.
pub(super) fn valid_until(text: &str, now: Timestamp) -> Option<Timestamp> {
    if text.trim_start_matches('-').starts_with('P') {
        now.checked_add(duration(text)?).ok()
    } else {
        date_time(text)
    }
}

/// `-?PnDTnHnMn.nS`, at least one part, in this order.
fn duration(text: &str) -> Option<SignedDuration> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let text = text.strip_prefix('P')?;
    let (days, time) = match text.split_once('T') {
        Some((_, "")) => return None,
        Some((days, time)) => (days, time),
        None => (text, ""),
    };
    if days.is_empty() && time.is_empty() {
        return None;
    }
    let mut total = Duration::ZERO;
    for (mut rest, units) in [
        (days, &[('D', 86_400)][..]),
        (time, &[('H', 3_600), ('M', 60)]),
    ] {
        for (letter, seconds) in units {
            if let Some((count, after)) = rest.split_once(*letter) {
                let part = number(count)?.checked_mul(*seconds)?;
                total = total.checked_add(Duration::from_secs(part))?;
                rest = after;
            }
        }
        if units.len() > 1 && !rest.is_empty() {
            total = total.checked_add(seconds(rest.strip_suffix('S')?)?)?;
            rest = "";
        }
        if !rest.is_empty() {
            return None;
        }
    }
    let total = SignedDuration::try_from(total).ok()?;
    Some(if negative { -total } else { total })
}

/// Digits alone, few enough to be counted with.
fn number(digits: &str) -> Option<u64> {
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    (plain && digits.len() <= 9).then(|| digits.parse().ok())?
}

fn seconds(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    // At most nine digits, hence whole nanoseconds.
    number(fraction)?;
    let nanoseconds = format!("{fraction:0<9}").parse().ok()?;
    Some(Duration::new(number(whole)?, nanoseconds))
}

/// `YYYY-MM-DDThh:mm:ss(.f+)?(Z|±hh:mm)?`.
fn date_time(text: &str) -> Option<Timestamp> {
    let pattern = "dddd-dd-ddTdd:dd:dd";
    let local = text.get(..pattern.len())?;
    let fits = local
        .bytes()
        .zip(pattern.bytes())
        .all(|(byte, wanted)| match wanted {
            b'd' => byte.is_ascii_digit(),
            other => byte == other,
        });
    let after = text.get(pattern.len()..)?;
    let zone = after.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let fraction = &after[..after.len() - zone.len()];
    let plain_fraction = fraction.is_empty()
        || fraction
            .strip_prefix('.')
            .is_some_and(|digits| number(digits).is_some());
    if !fits || !plain_fraction {
        return None;
    }
    if zone.is_empty() {
        let spanish = TimeZone::get("Europe/Madrid").ok()?;
        let local: DateTime = text.parse().ok()?;
        return spanish.to_timestamp(local).ok();
    }
    let bytes = zone.as_bytes();
    let offset = zone.len() == 6
        && matches!(bytes[0], b'+' | b'-')
        && bytes[3] == b':'
        && [1, 2, 4, 5]
            .iter()
            .all(|&place: &usize| bytes[place].is_ascii_digit());
    (zone == "Z" || offset).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_validity_is_a_duration_or_a_time() {
        let noon = at("2026-11-22T12:00:00Z");
        for (text, ends) in [
            ("PT5M", "2026-11-22T12:05:00Z"),
            ("P1DT2H3M4.5S", "2026-11-23T14:03:04.5Z"),
            ("PT0.05S", "2026-11-22T12:00:00.05Z"),
            ("P1D", "2026-11-23T12:00:00Z"),
            ("-PT1S", "2026-11-22T11:59:59Z"),
            ("2026-11-22T12:05:00Z", "2026-11-22T12:05:00Z"),
            ("2026-11-22T12:05:00.25Z", "2026-11-22T12:05:00.25Z"),
            ("2026-11-22T13:05:00+01:00", "2026-11-22T12:05:00Z"),
            ("2026-11-22T13:05:00", "2026-11-22T12:05:00Z"),
        ] {
            assert_eq!(valid_until(text, noon), Some(at(ends)), "{text}");
        }
        for text in [
            "",
            "P",
            "PT",
            "P1DT",
            "PT5",
            "pt5m",
            "PT5M3H",
            "PT-5M",
            "P1Y",
            "P1W",
            "5 minutes",
            "300",
            "PT1.S",
            "2026-11-22",
            "2026-11-22 12:05:00Z",
            "2026-11-22T12:05Z",
            "2026-11-22T12:05:00+0100",
            "2026-11-22T12:05:00Z[UTC]",
            "2026-13-22T12:05:00Z",
            " PT5M",
        ] {
            assert_eq!(valid_until(text, noon), None, "{text:?}");
        }
    }

    #[test]
    fn only_plain_http_on_this_machine_is_called_and_no_address_is_printed() {
        for url in [
            "http://127.0.0.1:81/r",
            "http://[::1]:81/r",
            "http://localhost:81/r",
        ] {
            assert!(
                ReportUrl::parse(url).unwrap().on_loopback().is_some(),
                "{url}"
            );
        }
        for url in [
            "https://127.0.0.1:81/r",
            "http://192.0.2.1:81/r",
            "http://otp.example.gob.es/r",
            "http://localhost.example/r",
        ] {
            let url = ReportUrl::parse(url).unwrap();
            assert_eq!(url.on_loopback(), None, "{url:?}");
        }
        for url in ["", "/r", "ftp://127.0.0.1/r", "127.0.0.1:81/r"] {
            assert_eq!(ReportUrl::parse(url), None, "{url}");
        }
        let secret = ReportUrl::parse("http://127.0.0.1/reports/a/token?x=1").unwrap();
        assert!(!format!("{secret:?}").contains("token"));
        assert_eq!(secret.path_and_query(), "/reports/a/token?x=1");
        let named = ReportUrl::parse("http://user:word@[::1]:81/r").unwrap();
        assert_eq!(named.host_and_port(), "[::1]:81");
    }

    #[test]
    fn a_report_comes_to_those_who_want_it() {
        let comes = |value: &str, status| WantedReports::parse(value).unwrap().include(status);
        assert!(comes("All", "Delivered") && comes("All", "Rejected") && comes("All", "Other"));
        assert!(comes("Success", "Delivered") && !comes("Success", "Expired"));
        assert!(!comes("Failure", "Delivered") && comes("Failure", "Expired"));
        assert!(!comes("None", "Delivered") && WantedReports::parse("all").is_none());
    }
}
