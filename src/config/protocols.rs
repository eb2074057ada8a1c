//! What an account's protocol decides: its address, how much it may carry at a time, and how values are written on the wire.
//!
//! Must not know: what else an account has; what a request looks like.

use std::num::NonZeroU32;

use url::Url;

use super::{accounts::RawAccount, addresses, findings::At};
use crate::domain::GatewayName;

/// Where Mensatek serves its API 7.0 (official text; confidence A).
const MENSATEK_ENDPOINT: &str = "https://api.mensatek.com/v7";

/// Where Mensajería Negocios serves its XML-RPC interface (platform API; confidence A).
const XML_RPC_ENDPOINT: &str = "https://www.mensajerianegocios.movistar.es/SrvConexion";

/// Requests at a time where a request carries one text: enough that a slow answer does not hold up the next code.
const IN_FLIGHT: u32 = 4;

/// Most requests at a time; what the platform bears is not public.
const MOST_IN_FLIGHT: u32 = 64;

/// The protocols that this release speaks: three of Mensajería Negocios, and the one of Mensatek.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// XML-RPC of the 2017 guide.
    XmlRpc,
    /// The "Interfaz Simplificada", SOAP 1.1.
    Soap,
    /// Its sibling in JSON.
    Rest,
    /// The one protocol of Mensatek; never written.
    Mensatek,
}

impl Protocol {
    /// The word of the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::XmlRpc => "xml-rpc",
            Self::Soap => "soap",
            Self::Rest => "rest",
            Self::Mensatek => "mensatek",
        }
    }

    /// Whether the platform tells later what became of a message.
    pub const fn brings_reports(self) -> bool {
        match self {
            Self::XmlRpc => false,
            Self::Soap | Self::Rest | Self::Mensatek => true,
        }
    }

    /// The code that stands for "accepted" where one is to be named (platform APIs; confidence A, B for SOAP and REST).
    pub(super) const fn accepted_code(self) -> i64 {
        match self {
            Self::XmlRpc => 0,
            Self::Soap | Self::Rest => 1000,
            Self::Mensatek => 1,
        }
    }

    /// Whether a code always means accepted, so that an installation cannot explain it otherwise.
    pub(super) const fn means_accepted(self, code: i64) -> bool {
        match self {
            // Above zero it is the number of messages taken.
            Self::Mensatek => code > 0,
            _ => code == self.accepted_code(),
        }
    }
}

/// Encoding of XML-RPC requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireEncoding {
    /// ISO-8859-15; other characters as references.
    Iso8859_15,
    /// UTF-8.
    Utf8,
}

/// How numbers of other countries are written in requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InternationalFormat {
    /// `00351…`
    DoubleZero,
    /// `+351…`
    Plus,
}

/// How numbers are written in REST requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberFormat {
    /// Spanish ones with their nine digits, others as [`InternationalFormat`] says.
    National,
    /// All with `+` and country.
    E164,
}

/// How the end of a message's validity is written in SOAP and REST requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpiryFormat {
    /// How long from now: `PT540S`.
    Duration,
    /// Until when: `2026-11-24T09:15:00Z`.
    DateTime,
}

/// How values are written on the wire.
#[derive(Debug, Clone, Copy)]
pub(super) struct Writing {
    pub(super) encoding: WireEncoding,
    pub(super) international_format: InternationalFormat,
    pub(super) number_format: NumberFormat,
    pub(super) expiry_format: ExpiryFormat,
}

impl RawAccount {
    pub(super) fn protocol(&self, gateway: Option<GatewayName>, at: &At) -> Option<Protocol> {
        if gateway == Some(GatewayName::Mensatek) {
            if self.protocol.is_some() {
                at.problem("is a key of \"mensajeria-negocios\" accounts: remove it");
            }
            return Some(Protocol::Mensatek);
        }
        let words = [Protocol::XmlRpc, Protocol::Soap, Protocol::Rest];
        at.word(
            self.protocol.as_deref(),
            &words.map(|protocol| (protocol.as_str(), protocol)),
            Protocol::XmlRpc,
        )
    }

    /// The address: XML-RPC has a public one, those of the others are in the contract.
    pub(super) fn endpoint(&self, protocol: Option<Protocol>, at: &At) -> Option<Url> {
        let what = match protocol {
            Some(Protocol::XmlRpc) => {
                let endpoint = self.endpoint.as_deref().unwrap_or(XML_RPC_ENDPOINT);
                return addresses::service_url(endpoint, at);
            }
            Some(Protocol::Rest) => {
                "give the base address of the REST interface from the contract, without /restadpt_generico1/smsTextSubmit"
            }
            Some(Protocol::Soap) => "give the address of the SOAP interface from the contract",
            Some(Protocol::Mensatek) => {
                let endpoint = self.endpoint.as_deref().unwrap_or(MENSATEK_ENDPOINT);
                return addresses::service_url(endpoint, at);
            }
            // The protocol has been reported, and whether an address is needed depends on it.
            None => return addresses::service_url(self.endpoint.as_deref()?, at),
        };
        let endpoint = at.required(self.endpoint.as_deref(), what)?;
        addresses::service_url(endpoint, at)
    }

    /// Most requests at a time.
    pub(super) fn max_in_flight(&self, protocol: Option<Protocol>, at: &At) -> NonZeroU32 {
        let limit = match protocol {
            Some(Protocol::Soap | Protocol::Rest | Protocol::Mensatek) => {
                at.number(self.max_in_flight, IN_FLIGHT, 1..=MOST_IN_FLIGHT)
            }
            Some(Protocol::XmlRpc) => {
                // Synchronous, and no second request before the first has ended (platform API; confidence B).
                if self.max_in_flight.is_some_and(|limit| limit != 1) {
                    at.problem(
                        "must be 1: the platform takes one XML-RPC request at a time from an account",
                    );
                }
                1
            }
            None => 1,
        };
        NonZeroU32::new(limit).unwrap_or(NonZeroU32::MIN)
    }

    /// How values are written; reports the keys that the protocol has no use for.
    pub(super) fn writing(&self, protocol: Option<Protocol>, at: &At) -> Option<Writing> {
        self.report_keys_of_other_protocols(protocol, at);
        let encoding = at.key("encoding").word(
            self.encoding.as_deref(),
            &[
                ("iso-8859-15", WireEncoding::Iso8859_15),
                ("utf-8", WireEncoding::Utf8),
            ],
            WireEncoding::Iso8859_15,
        );
        let international_format = at.key("international_format").word(
            self.international_format.as_deref(),
            &[
                ("00", InternationalFormat::DoubleZero),
                ("+", InternationalFormat::Plus),
            ],
            InternationalFormat::DoubleZero,
        );
        let number_format = at.key("number_format").word(
            self.number_format.as_deref(),
            &[
                ("national", NumberFormat::National),
                ("e164", NumberFormat::E164),
            ],
            NumberFormat::National,
        );
        let expiry_format = at.key("expiry_format").word(
            self.expiry_format.as_deref(),
            &[
                ("duration", ExpiryFormat::Duration),
                ("date-time", ExpiryFormat::DateTime),
            ],
            ExpiryFormat::Duration,
        );
        if number_format == Some(NumberFormat::E164)
            && international_format == Some(InternationalFormat::DoubleZero)
            && self.international_format.is_some()
        {
            at.key("international_format").problem(
                "number_format = \"e164\" writes every number with +: remove this key, or write \"+\"",
            );
        }
        Some(Writing {
            encoding: encoding?,
            international_format: match number_format? {
                NumberFormat::National => international_format?,
                NumberFormat::E164 => InternationalFormat::Plus,
            },
            number_format: number_format?,
            expiry_format: expiry_format?,
        })
    }

    fn report_keys_of_other_protocols(&self, protocol: Option<Protocol>, at: &At) {
        let Some(protocol) = protocol else { return };
        let written = [
            ("encoding", self.encoding.is_some(), &[Protocol::XmlRpc][..]),
            (
                "international_format",
                self.international_format.is_some(),
                &[Protocol::XmlRpc, Protocol::Soap, Protocol::Rest],
            ),
            (
                "number_format",
                self.number_format.is_some(),
                &[Protocol::Rest],
            ),
            (
                "expiry_format",
                self.expiry_format.is_some(),
                &[Protocol::Soap, Protocol::Rest],
            ),
        ];
        for (key, is_written, serves) in written {
            if is_written && !serves.contains(&protocol) {
                let serves: Vec<String> = serves
                    .iter()
                    .map(|protocol| format!("\"{}\"", protocol.as_str()))
                    .collect();
                at.key(key).problem(format_args!(
                    "is a key of {} accounts and does nothing in a \"{}\" one: remove it",
                    serves.join(" and "),
                    protocol.as_str()
                ));
            }
        }
    }
}
