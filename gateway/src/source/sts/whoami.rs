//! The gateway's AWS identity and its connection to STS, by one GetCallerIdentity, which needs no permission.

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

/// What the exchange with STS showed, whatever the answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contact {
    /// The host that was asked; None if there was no identity to sign the call.
    pub host: Option<String>,
    /// How long the last answer took; None if none came.
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
    /// Calls STS with the identity, endpoint and timeouts that credentials are fetched with.
    ///
    /// # Errors
    /// If the identity's settings are wrong; no call is made then.
    pub async fn ask(config: &Config, region: String, clock: Clock) -> Result<Self, IdentityError> {
        let identity = base_identity(&IdentitySettings::of(config, region.clone()))?;
        let endpoint = config.credentials.sts_endpoint.as_deref();
        let client = Transport::new().client(Region::new(region), endpoint, Some(identity));
        let seen = Seen { clock, state: Arc::default() };
        let answer = client.get_caller_identity().customize().interceptor(seen.clone()).send().await;
        // Classified like AssumeRole: both are signed with the gateway's own identity.
        let caller = answer
            .map_err(|error| fault::of(&error, Call::AssumeRole))
            .map(|output| Caller { arn: output.arn.unwrap_or_default(), account: output.account.unwrap_or_default() });
        Ok(Self { caller, contact: seen.contact() })
    }
}

/// Records the SDK's exchanges with STS.
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
