//! A source that is made once the node's region is known.

use std::sync::{Arc, OnceLock};

use crate::{
    credential::{Fetch, FetchError, FetchErrorKind, Source},
    credential_key::CredentialKey,
};

#[derive(Default)]
pub struct Awaited(OnceLock<Arc<dyn Source>>);

impl Awaited {
    /// Sets the source. Only the first call has an effect.
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
                detail: "the node's region is not known yet; set credentials.region, or check why imds.endpoint does not answer".into(),
            }))),
        }
    }
}
