//! A source that can be made only once the node has told its region.

use std::sync::{Arc, OnceLock};

use crate::{
    credential::{Fetch, FetchError, FetchErrorKind, Source},
    credential_key::CredentialKey,
};

#[derive(Default)]
pub struct Awaited(OnceLock<Arc<dyn Source>>);

impl Awaited {
    /// The first one stays.
    pub fn found(&self, source: Arc<dyn Source>) {
        let _ = self.0.set(source);
    }
}

impl Source for Awaited {
    fn fetch<'a>(&'a self, key: &'a CredentialKey) -> Fetch<'a> {
        match self.0.get() {
            Some(source) => source.fetch(key),
            None => Box::pin(std::future::ready(Err(FetchError {
                class: FetchErrorKind::Unavailable,
                code: None,
                detail: "the node's region is not known yet; set credentials.region, or see why imds.endpoint does not answer".into(),
            }))),
        }
    }
}
