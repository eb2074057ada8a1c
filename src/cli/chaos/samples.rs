//! The administrations of a chaos run, with their accounts.
//!
//! Must not know: where the platforms are, what is asked.

/// Requests that an account over SOAP has at a time.
const SOAP_PLACES: usize = 4;

/// What an account is spoken to in; each has a platform of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Wire {
    /// Many messages in a request, one request at a time, no reports.
    XmlRpc,
    /// One message in a request, several requests at a time, reports.
    Soap,
}

impl Wire {
    pub(super) const BOTH: [Self; 2] = [Self::XmlRpc, Self::Soap];

    /// As `protocol` of an account.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::XmlRpc => "xml-rpc",
            Self::Soap => "soap",
        }
    }

    /// Most requests of an account at a time.
    pub(super) const fn places(self) -> usize {
        match self {
            Self::XmlRpc => 1,
            Self::Soap => SOAP_PLACES,
        }
    }
}

/// One administration with its two accounts, in the order in which they are written.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) dir3: &'static str,
    pub(super) nif: &'static str,
    /// Whether its accounts ask for one resend of what is uncertain (`on_uncertain = "resend_once"`).
    pub(super) resends: bool,
    pub(super) accounts: [Contract; 2],
}

/// One account.
#[derive(Debug)]
pub(super) struct Contract {
    pub(super) account: &'static str,
    pub(super) wire: Wire,
    pub(super) login: &'static str,
    /// Its own alias, and whether it holds 217812 too.
    pub(super) alias: &'static str,
    pub(super) has_common: bool,
    pub(super) default_sender: &'static str,
    /// The sender under which a code of its administration goes out here: the default of the first account where this one holds
    /// it too, else its own.
    pub(super) sender: &'static str,
}

/// Several, so that one lane's trouble meets another's work; each has an account at either platform, the first two the other way
/// round. The third prefers a doubled code to a lost one.
pub(super) static SAMPLES: [Sample; 3] = [
    Sample {
        dir3: "L01280796",
        nif: "P2807900B",
        resends: false,
        accounts: [
            Contract {
                account: "madrid-mn",
                wire: Wire::XmlRpc,
                login: "0a1b2c3d-madridcha",
                alias: "ClaveMadrid",
                has_common: true,
                default_sender: "ClaveMadrid",
                sender: "ClaveMadrid",
            },
            Contract {
                account: "madrid-soap",
                wire: Wire::Soap,
                login: "1b2c3d4e-madridsoa",
                alias: "MadridClave",
                has_common: false,
                default_sender: "MadridClave",
                sender: "MadridClave",
            },
        ],
    },
    Sample {
        dir3: "L01080193",
        nif: "P0801900B",
        resends: false,
        accounts: [
            Contract {
                account: "barcelona-soap",
                wire: Wire::Soap,
                login: "5f6a7b8c-barcesoap",
                alias: "ClaveBCN",
                has_common: true,
                default_sender: "217812",
                sender: "217812",
            },
            Contract {
                account: "barcelona-mn",
                wire: Wire::XmlRpc,
                login: "4e5f6a7b-barcecha",
                alias: "BCNClave",
                has_common: true,
                default_sender: "BCNClave",
                sender: "217812",
            },
        ],
    },
    Sample {
        dir3: "L01410917",
        nif: "P4109100J",
        resends: true,
        accounts: [
            Contract {
                account: "sevilla-mn",
                wire: Wire::XmlRpc,
                login: "6a7b8c9d-sevilla-cha",
                alias: "ClaveSVQ",
                has_common: false,
                default_sender: "ClaveSVQ",
                sender: "ClaveSVQ",
            },
            Contract {
                account: "sevilla-soap",
                wire: Wire::Soap,
                login: "7b8c9d0e-sevilla-soa",
                alias: "SVQClave",
                has_common: false,
                default_sender: "SVQClave",
                sender: "SVQClave",
            },
        ],
    },
];

impl Contract {
    /// Whether it is the account of this resource name.
    pub(super) fn is(&self, name: &str) -> bool {
        name.strip_prefix("accounts/") == Some(self.account)
    }

    /// Its resource name.
    pub(super) fn name(&self) -> String {
        format!("accounts/{}", self.account)
    }
}

/// The accounts at one platform.
pub(super) fn contracts_of(wire: Wire) -> impl Iterator<Item = &'static Contract> {
    let all = SAMPLES.iter().flat_map(|sample| &sample.accounts);
    all.filter(move |contract| contract.wire == wire)
}
