//! A refusal with what the request knew when it was refused.

use std::sync::Arc;

use super::Refusal;
use crate::policy::{Decision, Rejected};

#[derive(Clone, Debug)]
pub struct Refused {
    pub refusal: Refusal,
    /// What policy decided for this request. None: policy was not asked, or its answer is not the reason.
    pub decision: Option<Arc<Decision>>,
}

impl Refusal {
    /// This refusal, for a request that policy has decided about.
    pub fn after(self, decision: &Arc<Decision>) -> Refused {
        Refused { refusal: self, decision: Some(Arc::clone(decision)) }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, decision: None }
    }
}

impl From<Rejected> for Refused {
    fn from(rejected: Rejected) -> Self {
        let Rejected { rejection, decision } = rejected;
        Self { refusal: rejection.into(), decision: Some(decision) }
    }
}
