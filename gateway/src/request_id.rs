//! A request's id.

use std::fmt;

/// A pod's owner quotes it, and an operator searches for it. It is formatted only where somebody reads it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestId(u64);

impl RequestId {
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// Evenly distributed over all 64 bits: a threshold on it samples requests.
    pub fn bits(self) -> u64 {
        self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
