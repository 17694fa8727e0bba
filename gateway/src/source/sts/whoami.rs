//! Who the gateway is to AWS, and what the way there is like: one GetCallerIdentity, which needs no permission.

use std::{
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use aws_sdk_sts::config::{
    ConfigBag, Intercept, Region, RuntimeComponents,
    interceptors::{BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef},
};
use http::Uri;
use tokio::time::Instant;

use super::{Call, Transport, fault};
use crate::{
    clock::{Clock, of_http_date},
    config::Config,
    credential::FetchError,
    source::{IdentityError, IdentitySettings, base_identity},
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub arn: String,
    pub account: String,
}

/// What was seen of STS, whatever it said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contact {
    /// Who was asked; None where there was no identity to ask with.
    pub host: Option<String>,
    /// How long the last answer took; None where none came.
    pub took: Option<Duration>,
    /// The last answer's `Date`, and this clock's time when it came.
    pub dated: Option<(SystemTime, SystemTime)>,
}

#[derive(Clone, Debug)]
pub struct WhoAmI {
    pub caller: Result<Caller, FetchError>,
    pub contact: Contact,
}

impl WhoAmI {
    /// With the identity, endpoint and patience that credentials are fetched with.
    ///
    /// # Errors
    /// Where the identity's settings are wrong; nobody was asked then.
    pub async fn ask(config: &Config, region: String, clock: Clock) -> Result<Self, IdentityError> {
        let identity = base_identity(&IdentitySettings::of(config, region.clone()))?;
        let endpoint = config.credentials.sts_endpoint.as_deref();
        let client = Transport::new().client(Region::new(region), endpoint, Some(identity));
        let seen = Seen { clock, state: Arc::default() };
        let answer = client.get_caller_identity().customize().interceptor(seen.clone()).send().await;
        // The gateway's own proof is judged, as where it assumes a role.
        let caller = answer
            .map_err(|error| fault::of(&error, Call::AssumeRole))
            .map(|said| Caller { arn: said.arn.unwrap_or_default(), account: said.account.unwrap_or_default() });
        Ok(Self { caller, contact: seen.contact() })
    }
}

/// Looks on while the SDK speaks.
#[derive(Clone, Debug)]
struct Seen {
    clock: Clock,
    state: Arc<Mutex<(Option<Instant>, Contact)>>,
}

impl Seen {
    fn contact(&self) -> Contact {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }
}

impl Intercept for Seen {
    fn name(&self) -> &'static str {
        "Seen"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 = Some(Instant::now());
        // Host and port alone: an endpoint may hold a password.
        let host = context.request().uri().parse::<Uri>().ok().and_then(|uri| {
            let host = uri.host()?;
            Some(uri.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
        });
        state.1.host = host.or_else(|| Some("sts".to_owned()));
        Ok(())
    }

    fn read_after_transmit(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let date = context.response().headers().get("date").and_then(of_http_date);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.1.took = state.0.map(|began| began.elapsed());
        state.1.dated = date.map(|date| (date, self.clock.now()));
        Ok(())
    }
}
