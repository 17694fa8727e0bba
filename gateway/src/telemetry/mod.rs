//! All metric and field names. Logic fills a record; telemetry turns it into counters and one line.

mod log;
mod metrics;
mod record;

pub use log::{LogError, init as init_log};
pub use metrics::{Metrics, MetricsError};
pub use record::{Protocol, Record, RequestId};

use std::sync::Arc;

use http::request::Parts;

use crate::{caller::Origin, events::Notices};

#[derive(Clone)]
pub struct Telemetry {
    metrics: Arc<Metrics>,
    notices: Notices,
}

impl Telemetry {
    /// Refusals are told to `notices` too.
    pub fn new(notices: Notices) -> Result<Self, MetricsError> {
        Ok(Self { metrics: Arc::new(Metrics::new()?), notices })
    }

    pub fn notices(&self) -> &Notices {
        &self.notices
    }

    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// A request's record; it is written when it is dropped, however the request ends.
    pub fn record(&self, origin: &Origin, parts: &Parts) -> Record {
        Record::begin(self.clone(), origin, parts)
    }
}
