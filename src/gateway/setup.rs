//! What keeps an adapter from being made, and the credentials that it is made with.
//!
//! Must not know: protocols, messages, accounts. No error shows what was configured.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use thiserror::Error;
use zeroize::Zeroizing;

use super::http::HttpSetupError;

/// Why no adapter can be made of the settings: to be mended in the configuration.
#[derive(Debug, Error)]
pub enum GatewaySetupError {
    /// The endpoint, a limit or TLS.
    #[error(transparent)]
    Http(#[from] HttpSetupError),
    /// The API user is empty or holds control characters.
    #[error("api_user must not be empty and must not hold control characters")]
    ApiUser,
    /// The API user holds a colon where the protocol joins user and password with one.
    #[error("api_user must not hold ':', which stands between user and password in this protocol")]
    Colon,
    /// The password is empty or holds control characters.
    #[error("the API password must not be empty and must not hold control characters")]
    Password,
    /// The address for reports cannot be given to a platform.
    #[error(
        "the address for reports must be http:// or https://, with a host and without fragment"
    )]
    ReportUrl,
    /// What a certified message says of its sender is empty or holds control characters.
    #[error(
        "name, phone and nif of the contact must not be empty and must not hold control characters"
    )]
    Contact,
    /// The installation's map explains the code of what was accepted.
    #[error("code {0} means accepted and cannot be given another meaning")]
    AcceptedCode(i64),
}

/// Refuses credentials that no protocol can carry. Their form is not checked further: more than one is in use.
pub(super) fn check_credentials(
    api_user: &SecretString,
    password: &SecretString,
) -> Result<(), GatewaySetupError> {
    if !is_usable(api_user) {
        return Err(GatewaySetupError::ApiUser);
    }
    if !is_usable(password) {
        return Err(GatewaySetupError::Password);
    }
    Ok(())
}

/// User and password as RFC 7617 joins them: `base64(user:password)`, in UTF-8.
pub(super) fn joined_credentials(
    api_user: &SecretString,
    password: &SecretString,
) -> Result<SecretString, GatewaySetupError> {
    check_credentials(api_user, password)?;
    let (user, password) = (api_user.expose_secret(), password.expose_secret());
    if user.contains(':') {
        return Err(GatewaySetupError::Colon);
    }
    // Made to measure, so that no copy stays behind when it grows.
    let mut joined = Zeroizing::new(String::with_capacity(user.len() + 1 + password.len()));
    joined.push_str(user);
    joined.push(':');
    joined.push_str(password);
    Ok(STANDARD.encode(joined.as_bytes()).into())
}

/// User and password as the header `Authorization` carries them (RFC 7617), marked as secret.
pub(super) fn basic_authorization(
    api_user: &SecretString,
    password: &SecretString,
) -> Result<HeaderValue, GatewaySetupError> {
    let joined = joined_credentials(api_user, password)?;
    let joined = joined.expose_secret();
    let mut text = Zeroizing::new(String::with_capacity("Basic ".len() + joined.len()));
    text.push_str("Basic ");
    text.push_str(joined);
    // Base64 is always a header's value.
    let mut value = HeaderValue::from_str(&text).map_err(|_| GatewaySetupError::Password)?;
    value.set_sensitive(true);
    Ok(value)
}

fn is_usable(secret: &SecretString) -> bool {
    let text = secret.expose_secret();
    !text.is_empty() && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_that_cannot_be_written_are_refused() {
        let check = |user: &str, password: &str| check_credentials(&user.into(), &password.into());
        assert!(matches!(check("", "x"), Err(GatewaySetupError::ApiUser)));
        assert!(matches!(check("a\n", "x"), Err(GatewaySetupError::ApiUser)));
        assert!(matches!(check("a", "\0"), Err(GatewaySetupError::Password)));
        assert!(matches!(check("a", ""), Err(GatewaySetupError::Password)));
        assert!(check("a:b@b <&>", "x").is_ok());
    }

    #[test]
    fn joined_credentials_are_those_of_the_standard() {
        let join = |user: &str, password: &str| joined_credentials(&user.into(), &password.into());
        // The example of RFC 7617, section 2.
        let joined = join("Aladdin", "open sesame").unwrap();
        assert_eq!(joined.expose_secret(), "QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        let colon = join("test", "123\u{a3}:x").unwrap();
        assert_eq!(colon.expose_secret(), "dGVzdDoxMjPCozp4");
        assert!(matches!(join("a:b", "x"), Err(GatewaySetupError::Colon)));
        assert!(matches!(join("", "x"), Err(GatewaySetupError::ApiUser)));
    }
}
