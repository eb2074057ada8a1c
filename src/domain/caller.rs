//! The authenticated client of the gRPC API and what it may do.

use super::{CallerName, Dir3};

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Send codes and follow them.
    Sender,
    /// Look after accounts.
    Operator,
    /// Read figures.
    Statistics,
    /// Read the audit record.
    Auditor,
    /// Send certified messages.
    Certified,
}

impl Role {
    /// Every role, in the order of the contract.
    pub const ALL: [Self; 5] = [
        Self::Sender,
        Self::Operator,
        Self::Statistics,
        Self::Auditor,
        Self::Certified,
    ];

    /// The name used in configuration files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sender => "sender",
            Self::Operator => "operator",
            Self::Statistics => "statistics",
            Self::Auditor => "auditor",
            Self::Certified => "certified",
        }
    }

    /// The role of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

/// The administrations that a caller is listed for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All of the installation.
    All,
    /// These.
    Only(Vec<Dir3>),
}

impl Scope {
    /// Whether the administration is listed.
    pub fn covers(&self, administration: &Dir3) -> bool {
        match self {
            Self::All => true,
            Self::Only(listed) => listed.contains(administration),
        }
    }
}

/// The authenticated client of a call. Everything is forbidden unless listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Its name in configuration.
    pub name: CallerName,
    /// What it may do.
    pub roles: Vec<Role>,
    /// For whom.
    pub scope: Scope,
}

impl Caller {
    /// Whether it may act in this role for this administration.
    pub fn may(&self, role: Role, administration: &Dir3) -> bool {
        self.has(role) && self.scope.covers(administration)
    }

    /// Whether it has the role at all.
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}
