//! Connects the component's exports to a [`Policy`].

use std::sync::OnceLock;

use crate::{Interest, Level, Policy, Resolution, Role, Verdict, Workload, config, log};

/// Exports a [`Policy`] as the plugin of this crate, which must be a `cdylib`. Use it once per crate.
///
/// Outside `wasm32` it exports nothing and only checks that the type is a policy, so the crate builds, tests and lints
/// natively.
///
/// ```
/// use metagate_plugin_sdk::{Interest, NoConfig, Policy, export_policy};
///
/// pub struct Silent;
///
/// impl Policy for Silent {
///     type Config = NoConfig;
///
///     fn new(_: NoConfig) -> Result<Self, String> {
///         Ok(Self)
///     }
///
///     fn interest(&self) -> Interest {
///         Interest::none()
///     }
/// }
///
/// export_policy!(Silent);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! export_policy {
    ($policy:ty) => {
        const _: () = $crate::__export::is_policy::<$policy>();

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            static POLICY: $crate::__export::Slot<$policy> = $crate::__export::Slot::empty();

            struct Exported;

            impl $crate::__export::Guest for Exported {
                fn init(config_json: String) -> Result<$crate::Interest, String> {
                    POLICY.init(&config_json)
                }
                fn resolve(workload: $crate::Workload) -> Result<$crate::Resolution, String> {
                    POLICY.resolve(&workload)
                }
                fn authorize(workload: $crate::Workload, role: $crate::Role) -> Result<$crate::Verdict, String> {
                    POLICY.authorize(&workload, &role)
                }
                fn authorize_path(workload: $crate::Workload, path: String) -> Result<$crate::Verdict, String> {
                    POLICY.authorize_path(&workload, &path)
                }
            }

    $crate::__export::export!(Exported with_types_in $crate::bindings);
        };
    };
}

/// Compiles only for a policy.
pub const fn is_policy<P: Policy>() {}

/// Holds an instance's policy from `init` on.
#[derive(Debug)]
pub struct Slot<P>(OnceLock<P>);

#[expect(missing_docs, reason = "only the expanded macro calls these")]
impl<P: Policy> Slot<P> {
    pub const fn empty() -> Self {
        Self(OnceLock::new())
    }

    pub fn init(&self, config_json: &str) -> Result<Interest, String> {
        log_panics();
        let policy = P::new(config::parse(config_json)?)?;
        let interest = policy.interest();
        // After a second configuration the gateway's cache would still hold decisions under the first.
        self.0.set(policy).map_err(|_| "init was called twice".to_owned())?;
        Ok(interest)
    }

    pub fn resolve(&self, workload: &Workload) -> Result<Resolution, String> {
        self.policy()?.resolve(workload)
    }

    pub fn authorize(&self, workload: &Workload, role: &Role) -> Result<Verdict, String> {
        self.policy()?.authorize(workload, role)
    }

    pub fn authorize_path(&self, workload: &Workload, path: &str) -> Result<Verdict, String> {
        self.policy()?.authorize_path(workload, path)
    }

    fn policy(&self) -> Result<&P, String> {
        self.0.get().ok_or_else(|| "a decision was asked for before init".to_owned())
    }
}

/// Logs panics, because a trap carries no message: without this, a panic would only show as `unreachable`.
fn log_panics() {
    if cfg!(target_arch = "wasm32") {
        std::panic::set_hook(Box::new(|panic| log(Level::Error, &panic.to_string())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NoConfig;

    struct Reserved;

    impl Policy for Reserved {
        type Config = NoConfig;

        fn new(_: NoConfig) -> Result<Self, String> {
            Ok(Self)
        }

        fn interest(&self) -> Interest {
            Interest::none().labels(["tier"])
        }

        fn authorize(&self, _: &Workload, _: &Role) -> Result<Verdict, String> {
            Ok(Verdict::deny("reserved", "nobody has this role"))
        }
    }

    crate::export_policy!(Reserved);

    #[test]
    fn init_answers_with_the_policys_interest() {
        assert_eq!(Slot::<Reserved>::empty().init("{}"), Ok(Interest::none().labels(["tier"])));
    }

    #[test]
    fn a_policy_abstains_from_what_it_does_not_decide() {
        let slot = Slot::<Reserved>::empty();
        slot.init("").unwrap();
        let workload = Workload::of("default", "web-0");
        assert_eq!(slot.resolve(&workload), Ok(Resolution::Abstain));
        assert_eq!(slot.authorize_path(&workload, "meta-data/placement"), Ok(Verdict::Abstain));
        assert_eq!(
            slot.authorize(&workload, &Role::named("web")),
            Ok(Verdict::deny("reserved", "nobody has this role"))
        );
    }

    #[test]
    fn nothing_is_decided_before_init() {
        assert!(Slot::<Reserved>::empty().resolve(&Workload::of("default", "web-0")).is_err());
    }

    #[test]
    fn a_second_init_is_refused() {
        let slot = Slot::<Reserved>::empty();
        assert!(slot.init("{}").is_ok());
        assert!(slot.init("{}").is_err());
    }

    #[test]
    fn a_bad_configuration_refuses_the_plugin_by_key() {
        assert!(Slot::<Reserved>::empty().init(r#"{"colour":1}"#).unwrap_err().contains("`colour`"));
    }
}
