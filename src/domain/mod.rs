//! Values and ids that cannot be wrong once they exist, and a delivery with the moves it may make.
//!
//! Must not know: proto, SQL, HTTP, configuration files, the async runtime. Everything secret masks itself in `Debug`.

mod caller;
mod certificate;
pub mod certified;
mod code;
mod delivery;
mod ids;
mod network;
mod public_body;
mod purpose;
mod reason;
mod recipient;
mod registry;
mod report;
mod sender;
mod state;

pub use caller::{Caller, Role, Scope};
pub use certificate::{CertificateFacts, NotACertificate, Weakness, end_of, next_revocation_list};
pub use code::{OneTimeCode, OneTimeCodeError, SecretText};
pub use delivery::{Delivery, Encoding};
pub use ids::{
    AccountId, AttemptToken, CallerName, CredentialsVersion, DeliveryId, GatewayMessageId, IdError,
    OriginHost, Reference, RequestId,
};
pub use network::{SourceNetwork, SourceNetworkError};
pub use public_body::{Dir3, Nif, PublicBodyError};
pub use purpose::{Language, Purpose};
pub use reason::Reason;
pub use recipient::{Destination, Recipient, RecipientError, Region};
pub use registry::{
    AliasRecord, AliasStanding, AliasStatus, AliasWarning, GatewayName, NOTICE_DAYS, day_in_spain,
};
pub use report::{BareDigits, News, Report, ReportPath, ReportedNumber, ReportedStatus};
pub use sender::{
    Alias, AliasError, COMMON_SENDER, EffectiveSender, INTERNATIONAL_SENDER, InternationalNumber,
    Sender,
};
pub use state::DeliveryState;
