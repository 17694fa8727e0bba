use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::{Interest, Resolution, Role, Verdict, Workload};

/// A policy: the decisions of a plugin.
///
/// The default answer to each of the three questions is abstain. An `Err` means that the policy cannot decide; the
/// gateway refuses the request with 503. A policy that decides *no* answers with a [`Denial`](crate::Denial), which is
/// 403.
///
/// This policy allows the pods of one namespace every role that other plugins resolve:
///
/// ```
/// use metagate_plugin_sdk::{Interest, Policy, Role, Verdict, Workload, parse_config};
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// #[serde(deny_unknown_fields)]
/// pub struct Config {
///     namespace: String,
/// }
///
/// pub struct OneNamespace(Config);
///
/// impl Policy for OneNamespace {
///     type Config = Config;
///
///     fn new(config: Config) -> Result<Self, String> {
///         Ok(Self(config))
///     }
///
///     fn interest(&self) -> Interest {
///         // The namespace is always shown.
///         Interest::none()
///     }
///
///     fn authorize(&self, workload: &Workload, _: &Role) -> Result<Verdict, String> {
///         Ok(if workload.namespace == self.0.namespace { Verdict::Allow } else { Verdict::Abstain })
///     }
/// }
///
/// # fn main() -> Result<(), String> {
/// let policy = OneNamespace::new(parse_config(r#"{ "namespace": "batch" }"#)?)?;
/// assert_eq!(policy.authorize(&Workload::of("batch", "nightly-1"), &Role::named("nightly")), Ok(Verdict::Allow));
/// # Ok(())
/// # }
/// ```
pub trait Policy: Sized + Send + Sync + 'static {
    /// The plugin's `config` table in the gateway's configuration; [`NoConfig`] if there is nothing to set. Derive it
    /// with `#[serde(deny_unknown_fields)]`, so that a misspelt key refuses the plugin instead of being ignored.
    ///
    /// ```
    /// use metagate_plugin_sdk::{Glob, parse_config};
    /// use serde::Deserialize;
    ///
    /// #[derive(Debug, Deserialize)]
    /// #[serde(deny_unknown_fields)]
    /// struct Config {
    ///     roles: Vec<Glob>,
    /// }
    ///
    /// let error = parse_config::<Config>(r#"{ "rolls": ["web"] }"#).unwrap_err();
    /// assert_eq!(error, "rolls: unknown field `rolls`, expected `roles`");
    /// ```
    type Config: DeserializeOwned;

    /// Makes the policy. It runs once per instance, so once per decision: keep it cheap.
    ///
    /// # Errors
    /// A message for the operator that says what is wrong with the configuration; name the key. The gateway then
    /// refuses the plugin.
    ///
    /// ```
    /// # use metagate_plugin_sdk::{Interest, Policy};
    /// # #[derive(serde::Deserialize)]
    /// # struct Config {
    /// #     label: String,
    /// # }
    /// # #[derive(Debug)]
    /// # struct Labelled;
    /// impl Policy for Labelled {
    ///     type Config = Config;
    ///
    ///     fn new(config: Config) -> Result<Self, String> {
    ///         if config.label.is_empty() {
    ///             return Err("label: must not be empty".to_owned());
    ///         }
    ///         Ok(Self)
    ///     }
    /// #     fn interest(&self) -> Interest {
    /// #         Interest::none()
    /// #     }
    /// }
    ///
    /// let error = Labelled::new(Config { label: String::new() }).unwrap_err();
    /// assert_eq!(error, "label: must not be empty");
    /// ```
    fn new(config: Self::Config) -> Result<Self, String>;

    /// The keys of a workload that the policy reads; the gateway shows no others.
    ///
    /// ```
    /// # use metagate_plugin_sdk::{Interest, NoConfig, Policy};
    /// # struct ByTeam;
    /// impl Policy for ByTeam {
    /// #     type Config = NoConfig;
    /// #     fn new(_: NoConfig) -> Result<Self, String> {
    /// #         Ok(Self)
    /// #     }
    ///     fn interest(&self) -> Interest {
    ///         Interest::none().namespace_labels(["team"]).images()
    ///     }
    /// }
    ///
    /// assert_eq!(ByTeam.interest().namespace_labels, ["team"]);
    /// ```
    fn interest(&self) -> Interest;

    /// Which role has this workload? The first plugin in order that does not abstain decides.
    ///
    /// # Errors
    /// Why no decision is possible. The request is refused.
    ///
    /// ```
    /// # use metagate_plugin_sdk::{Interest, NoConfig, Policy, Resolution, Role, Workload};
    /// # struct Example;
    /// impl Policy for Example {
    /// #     type Config = NoConfig;
    /// #     fn new(_: NoConfig) -> Result<Self, String> {
    /// #         Ok(Self)
    /// #     }
    /// #     fn interest(&self) -> Interest {
    /// #         Interest::none().labels(["team"])
    /// #     }
    ///     fn resolve(&self, workload: &Workload) -> Result<Resolution, String> {
    ///         Ok(match workload.label("team") {
    ///             Some(team) => Resolution::Role(Role::named(format!("team-{team}"))),
    ///             None => Resolution::Abstain,
    ///         })
    ///     }
    /// }
    ///
    /// let workload = Workload::of("payments", "checkout-0").with_label("team", "a");
    /// assert_eq!(Example.resolve(&workload), Ok(Resolution::Role(Role::named("team-a"))));
    /// ```
    fn resolve(&self, workload: &Workload) -> Result<Resolution, String> {
        let _ = workload;
        Ok(Resolution::Abstain)
    }

    /// May this workload have this role? Every plugin is asked. One denial is final, and at least one plugin must
    /// allow. `role.arn` is a full ARN here, and `role.attributes` holds `as-written` and `base-arn`.
    ///
    /// # Errors
    /// Why no decision is possible. The request is refused.
    ///
    /// ```
    /// # use metagate_plugin_sdk::{Interest, NoConfig, Policy, Role, RoleArn, Verdict, Workload};
    /// # struct Example;
    /// impl Policy for Example {
    /// #     type Config = NoConfig;
    /// #     fn new(_: NoConfig) -> Result<Self, String> {
    /// #         Ok(Self)
    /// #     }
    /// #     fn interest(&self) -> Interest {
    /// #         Interest::none().labels(["team"])
    /// #     }
    ///     fn authorize(&self, workload: &Workload, role: &Role) -> Result<Verdict, String> {
    ///         let arn = RoleArn::parse(&role.arn).map_err(|fault| fault.to_string())?;
    ///         if arn.role.is_under("/admin/") && workload.label("team") != Some("platform") {
    ///             return Ok(Verdict::deny("platform-only", "roles under /admin/ are for pods labelled team=platform"));
    ///         }
    ///         Ok(Verdict::Abstain)
    ///     }
    /// }
    ///
    /// let role = Role::named("arn:aws:iam::123456789012:role/admin/dba");
    /// let workload = Workload::of("payments", "checkout-0");
    /// assert!(matches!(Example.authorize(&workload, &role), Ok(Verdict::Deny(_))));
    /// ```
    fn authorize(&self, workload: &Workload, role: &Role) -> Result<Verdict, String> {
        let _ = (workload, role);
        Ok(Verdict::Abstain)
    }

    /// May this workload read this path of the instance metadata, below `/latest/`? The gateway asks only about paths
    /// that its configuration allows. A denial refuses the path; otherwise it stays allowed.
    ///
    /// # Errors
    /// Why no decision is possible. The request is refused.
    ///
    /// ```
    /// # use metagate_plugin_sdk::{Interest, NoConfig, Policy, Verdict, Workload};
    /// # struct Example;
    /// impl Policy for Example {
    /// #     type Config = NoConfig;
    /// #     fn new(_: NoConfig) -> Result<Self, String> {
    /// #         Ok(Self)
    /// #     }
    /// #     fn interest(&self) -> Interest {
    /// #         Interest::none().labels(["team"])
    /// #     }
    ///     fn authorize_path(&self, workload: &Workload, path: &str) -> Result<Verdict, String> {
    ///         Ok(match path {
    ///             "meta-data/mac" if workload.namespace != "network" => {
    ///                 Verdict::deny("network-only", "this path is for the pods of namespace `network`")
    ///             }
    ///             _ => Verdict::Abstain,
    ///         })
    ///     }
    /// }
    ///
    /// let workload = Workload::of("payments", "checkout-0");
    /// assert!(matches!(Example.authorize_path(&workload, "meta-data/mac"), Ok(Verdict::Deny(_))));
    /// ```
    fn authorize_path(&self, workload: &Workload, path: &str) -> Result<Verdict, String> {
        let _ = (workload, path);
        Ok(Verdict::Abstain)
    }
}

/// The configuration of a policy that has none: any key is refused.
///
/// ```
/// use metagate_plugin_sdk::{NoConfig, parse_config};
///
/// assert_eq!(parse_config::<NoConfig>("{}"), Ok(NoConfig {}));
/// assert!(parse_config::<NoConfig>(r#"{ "colour": 1 }"#).is_err());
/// ```
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}
