//! What takes turns: how the other accounts' platform fares; and what accounts speak.
//!
//! Must not know: how it is brought about or measured.

use clap::ValueEnum;

/// How the accounts fare beside the one that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// They get nothing to do.
    Alone,
    /// Their platform is as well as that of the measured account.
    Well,
    /// The same once more: what differs from [`Kind::Well`] is the noise of the machine.
    WellAgain,
    /// No request is answered.
    Hanging,
    /// Each request takes two seconds.
    Slow,
    /// Each request is answered with the status 503.
    Refusing,
    /// Each request is answered with 10 MB.
    Flooding,
}

impl Kind {
    /// In the order of the table.
    pub const ALL: [Self; 7] = [
        Self::Well,
        Self::WellAgain,
        Self::Hanging,
        Self::Slow,
        Self::Refusing,
        Self::Flooding,
        Self::Alone,
    ];

    /// As on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Alone => "alone",
            Self::Well => "well",
            Self::WellAgain => "well-again",
            Self::Hanging => "hanging",
            Self::Slow => "slow",
            Self::Refusing => "refusing",
            Self::Flooding => "flooding",
        }
    }

    /// As in the table.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Alone => "no other account has work",
            Self::Well => "others well",
            Self::WellAgain => "others well, again",
            Self::Hanging => "others hang",
            Self::Slow => "others take 2 s",
            Self::Refusing => "others refuse (503)",
            Self::Flooding => "others flood (10 MB)",
        }
    }

    /// Whether all that is accepted is sent soon.
    pub const fn is_well(self) -> bool {
        matches!(self, Self::Alone | Self::Well | Self::WellAgain)
    }
}

/// What an account speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// Many messages in a request, one request at a time.
    XmlRpc,
    /// One message in a request, several requests at a time.
    Soap,
}

impl Wire {
    /// Both, in the order in which figures are kept.
    pub const BOTH: [Self; 2] = [Self::XmlRpc, Self::Soap];

    /// As `protocol` of an account.
    pub const fn name(self) -> &'static str {
        match self {
            Self::XmlRpc => "xml-rpc",
            Self::Soap => "soap",
        }
    }
}
