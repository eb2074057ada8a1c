//! What is wrong with the way to a platform: nothing of it comes from the platform itself.
//!
//! Must not know: protocols, the books.

use super::{
    chance::{Chance, Purpose},
    samples::Wire,
};

/// What whoever wants to reach a platform meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Line {
    /// Nobody listens on its port.
    Refused,
    /// The connection is reset as soon as it stands.
    Reset,
    /// What answers does not speak TLS.
    NoTls,
    /// The certificate is of another host.
    WrongCertificate,
    /// The host name is not known.
    NoName,
}

/// Over plain HTTP there is neither a certificate nor, on this machine, a name.
const OF_XML_RPC: [Line; 2] = [Line::Refused, Line::Reset];
const OF_SOAP: [Line; 5] = [
    Line::Refused,
    Line::Reset,
    Line::NoTls,
    Line::WrongCertificate,
    Line::NoName,
];

impl Line {
    /// All that can be wrong on the way to this platform.
    pub(super) const fn of(wire: Wire) -> &'static [Self] {
        match wire {
            Wire::XmlRpc => &OF_XML_RPC,
            Wire::Soap => &OF_SOAP,
        }
    }

    /// Its name in the summary.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "connection refused",
            Self::Reset => "connection reset",
            Self::NoTls => "not TLS",
            Self::WrongCertificate => "wrong certificate",
            Self::NoName => "unknown host name",
        }
    }

    /// How the service tells in its log that it met this: the words of `ExchangeError`.
    pub(super) const fn told_as(self) -> &'static [&'static str] {
        match self {
            Self::Refused => &["nothing was sent (no connection)"],
            // Whether something had been written by then is a matter of microseconds.
            Self::Reset => &[
                "nothing was sent (no connection)",
                "(connection lost or not HTTP)",
            ],
            Self::NoTls | Self::WrongCertificate => &["nothing was sent (TLS handshake failed)"],
            Self::NoName => &["nothing was sent (the host name was not resolved)"],
        }
    }
}

/// Every line to every platform, those first that were met least; chance decides between equals.
pub(super) fn least_met(
    seed: u64,
    life: u64,
    met: impl Fn(Wire, Line) -> usize,
) -> Option<(Wire, Line)> {
    let all = Wire::BOTH
        .into_iter()
        .flat_map(|wire| Line::of(wire).iter().map(move |line| (wire, *line)));
    let mut chance = Chance::of(seed, Purpose::Line, life);
    all.map(|(wire, line)| (met(wire, line), chance.next(), wire, line))
        .min()
        .map(|(_, _, wire, line)| (wire, line))
}
