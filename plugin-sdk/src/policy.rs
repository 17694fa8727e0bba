use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::{Interest, Resolution, Role, Verdict, Workload};

/// A policy: what a plugin decides.
///
/// The three questions have a default answer, abstain. An `Err` from any of them refuses the request with 503 and is for
/// a policy that cannot decide; a policy that decides *no* answers with a [`Denial`](crate::Denial), which is 403.
pub trait Policy: Sized + Send + Sync + 'static {
    /// The plugin's `config` table in the gateway's configuration; [`NoConfig`] where there is nothing to set.
    /// Derive it with `#[serde(deny_unknown_fields)]`, so that a misspelt key refuses the plugin instead of being ignored.
    type Config: DeserializeOwned;

    /// Makes the policy, once for each instance, so for each decision: keep it cheap.
    ///
    /// # Errors
    /// What is wrong with the configuration, for the operator; name the key. The gateway then refuses the plugin.
    fn new(config: Self::Config) -> Result<Self, String>;

    /// What of a workload the policy reads; what is not named here is not shown.
    fn interest(&self) -> Interest;

    /// Which role has this workload? The first plugin in order that does not abstain is taken.
    ///
    /// # Errors
    /// Why no decision is possible; refuses the request.
    fn resolve(&self, workload: &Workload) -> Result<Resolution, String> {
        let _ = workload;
        Ok(Resolution::Abstain)
    }

    /// May this workload have this role? Every plugin is asked; one denial is final, at least one allow is needed.
    /// `role.arn` is a full ARN here, and `role.attributes` holds `as-written` and `base-arn`.
    ///
    /// # Errors
    /// Why no decision is possible; refuses the request.
    fn authorize(&self, workload: &Workload, role: &Role) -> Result<Verdict, String> {
        let _ = (workload, role);
        Ok(Verdict::Abstain)
    }

    /// May this workload read this path of the instance metadata, below `/latest/`?
    ///
    /// # Errors
    /// Why no decision is possible; refuses the request.
    fn authorize_path(&self, workload: &Workload, path: &str) -> Result<Verdict, String> {
        let _ = (workload, path);
        Ok(Verdict::Abstain)
    }
}

/// The configuration of a policy that has none: any key is refused.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}
