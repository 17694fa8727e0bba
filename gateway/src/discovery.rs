//! Finds the node's account and region where the configuration does not set them.

use std::{sync::Arc, time::Duration};

use backon::{BackoffBuilder, ExponentialBuilder};

use crate::{lifecycle::Waiting, policy::Policy, relay::Relay, role::BaseArn};

/// Short, as the metadata service of a booting node may be slow for the first second.
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// Takes the node's region once it is found.
pub type OnRegion = Box<dyn FnOnce(String) + Send>;

pub struct Discovery {
    relay: Arc<Relay>,
    /// Set if `base_role_arn` is to be found.
    base_for: Option<Arc<Policy>>,
    /// Set if `region` is to be found; called once.
    region_for: Option<OnRegion>,
}

impl Discovery {
    /// None if there is nothing to find.
    pub fn new(relay: Arc<Relay>, base_for: Option<Arc<Policy>>, region_for: Option<OnRegion>) -> Option<Self> {
        (base_for.is_some() || region_for.is_some()).then_some(Self { relay, base_for, region_for })
    }

    /// Asks until account and region are found, then drops `waiting`. Asks for both concurrently: a node without an
    /// instance profile still has a region.
    pub async fn run(self, waiting: Waiting) {
        let Self { relay, base_for, region_for } = self;
        let account = async {
            let Some(policy) = base_for else { return };
            let base = until_found("account", || base(&relay)).await;
            tracing::info!(base_role_arn = base.as_str(), "the node's account is known");
            policy.replace(|rules| match rules.defaults.base {
                // A reload has set it meanwhile.
                Some(_) => rules.clone(),
                None => rules.with_base(base.clone()),
            });
        };
        let region = async {
            let Some(found) = region_for else { return };
            let region = until_found("region", || region(&relay)).await;
            tracing::info!(region, "the node's region is known");
            found(region);
        };
        tokio::join!(account, region);
        drop(waiting);
    }
}

async fn base(relay: &Relay) -> Result<BaseArn, String> {
    let arn = relay.instance_profile_arn().await.map_err(|error| error.to_string())?;
    BaseArn::of_instance_profile(&arn).map_err(|error| format!("instance profile {arn} {error}"))
}

async fn region(relay: &Relay) -> Result<String, String> {
    relay.region().await.map_err(|error| error.to_string())
}

async fn until_found<T, F: Future<Output = Result<T, String>>>(what: &'static str, mut look: impl FnMut() -> F) -> T {
    let backoff = ExponentialBuilder::default().with_min_delay(FIRST_RETRY).with_max_delay(LONGEST_RETRY).with_jitter();
    let mut delays = backoff.without_max_times().build();
    loop {
        match look().await {
            Ok(found) => return found,
            Err(error) => tracing::warn!(error, "the node's {what} is not known yet"),
        }
        tokio::time::sleep(delays.next().unwrap_or(LONGEST_RETRY)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_node_that_answers_late_is_asked_with_backoff_until_it_does() {
        let asked = AtomicUsize::new(0);
        let began = tokio::time::Instant::now();
        let found = until_found("region", || {
            let time = asked.fetch_add(1, Ordering::Relaxed);
            async move { if time < 12 { Err("connection refused".to_owned()) } else { Ok("eu-west-1") } }
        });
        assert_eq!(found.await, "eu-west-1");
        let waited = began.elapsed();
        assert!(waited > FIRST_RETRY * 12 && waited < LONGEST_RETRY * 2 * 12, "{waited:?}");
    }
}
