//! The subject of a decision, and policy's answers.

use std::sync::Arc;

use super::{Decision, DecisionCell, Fairness, Grant, Outcome, Rejection};
use crate::workload::Workload;

/// The subject of a decision: a workload, and the state that policy keeps beside it.
#[derive(Clone, Copy)]
pub struct Principal<'a> {
    pub workload: &'a Arc<Workload>,
    pub decision: &'a DecisionCell,
    pub fairness: &'a Fairness,
}

/// A grant, and the decision that it came from.
#[derive(Clone, Debug)]
pub struct Granted {
    pub grant: Arc<Grant>,
    pub decision: Arc<Decision>,
}

/// Why nothing is granted or admitted, and the decision that says so.
#[derive(Clone, Debug)]
pub struct Rejected {
    pub rejection: Rejection,
    pub decision: Arc<Decision>,
}

impl Rejected {
    /// The decision itself, if it rejects nothing.
    pub(super) fn unless_passed(decision: Arc<Decision>) -> Result<Arc<Decision>, Self> {
        match decision.outcome.rejection().cloned() {
            Some(rejection) => Err(Self { rejection, decision }),
            None => Ok(decision),
        }
    }
}

impl Granted {
    /// Reads the outcome of a decision about a role.
    pub(super) fn of(decision: Arc<Decision>) -> Result<Self, Rejected> {
        let rejection = match &decision.outcome {
            Outcome::Granted(grant) => return Ok(Self { grant: Arc::clone(grant), decision }),
            Outcome::Rejected(rejection) => rejection.clone(),
            // Only decisions about a path have this outcome. For a role it would mean that there is none.
            Outcome::Admitted => Rejection::NoRole,
        };
        Err(Rejected { rejection, decision })
    }
}
