//! The address that a platform is given for the reports about one message.
//!
//! Must not know: protocols, who listens there. The address holds a secret: it shows itself to nobody.

use std::fmt;

use url::Url;

use super::setup::GatewaySetupError;
use crate::domain::DeliveryId;

/// An account's own address for reports. Each message gets one below it, so that its report can be told from all others
/// also where the platform's answer, and the message id in it, was lost.
#[derive(Clone)]
pub(super) struct ReportAddress(Url);

impl ReportAddress {
    pub(super) fn new(url: Url) -> Result<Self, GatewaySetupError> {
        let is_address =
            matches!(url.scheme(), "http" | "https") && url.has_host() && url.fragment().is_none();
        if is_address {
            Ok(Self(url))
        } else {
            Err(GatewaySetupError::ReportUrl)
        }
    }

    /// The address for the reports about one delivery: the delivery's id as the last part of the path.
    pub(super) fn of(&self, delivery: DeliveryId) -> String {
        let mut url = self.0.clone();
        // An address with a host always has a path.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push(&delivery.to_string());
        }
        url.into()
    }
}

impl fmt::Debug for ReportAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ReportAddress(•••)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_the_last_part_of_the_path() {
        let delivery = DeliveryId::from_bytes([7; 16]);
        let id = "07070707-0707-0707-0707-070707070707";
        for (account, expected) in [
            ("https://otp.test/reports/a/secret", "/reports/a/secret/ID"),
            ("https://otp.test/reports/a/secret/", "/reports/a/secret/ID"),
            ("https://otp.test", "/ID"),
            ("https://otp.test/r?x=1", "/r/ID?x=1"),
        ] {
            let address = ReportAddress::new(account.parse().unwrap()).unwrap();
            let expected = format!("https://otp.test{}", expected.replace("ID", id));
            assert_eq!(address.of(delivery), expected);
            assert!(!format!("{address:?}").contains("secret"));
        }
        for bad in ["mailto:a@b.test", "ftp://a.test/", "https://a.test/#x"] {
            assert!(ReportAddress::new(bad.parse().unwrap()).is_err(), "{bad}");
        }
    }
}
