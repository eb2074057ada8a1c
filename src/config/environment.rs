//! The environment of the process, taken once, so that tests give their own.
//!
//! Must not know: what any variable means.

use std::{collections::BTreeMap, fmt};

use secrecy::{ExposeSecret as _, SecretString};

/// What the names of overriding variables begin with: `CLAVE_OTP__GRPC__LISTEN` overrides `grpc.listen`.
pub(super) const PREFIX: &str = "CLAVE_OTP__";

/// The environment variables that configuration may use. All values are treated as secrets, for some are.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, SecretString>);

impl Environment {
    /// The variables of this process; those that are not Unicode are left out.
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// The value of one variable.
    pub(super) fn get(&self, name: &str) -> Option<&SecretString> {
        self.0.get(name)
    }

    /// The variables that override keys of the service file, with their full names.
    pub(super) fn overrides(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .filter(|(name, _)| name.starts_with(PREFIX))
            .map(|(name, value)| (name.as_str(), value.expose_secret()))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self(
            pairs
                .into_iter()
                .map(|(name, value)| (name.into(), SecretString::from(value.into())))
                .collect(),
        )
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Environment({} variables)", self.0.len())
    }
}
