//! Loads one component into the host, asks it everything, and checks the results.

use std::{sync::OnceLock, time::Duration};

use metagate::roster::Entry;
use metagate::{
    clock::Clock,
    config::{self, Mode, PluginCode},
    pairs::Pairs,
    plugin::{Host, LoadError, Plugin, Resolution, WorkloadView},
    policy::{Decision, Defaults, Outcome, PluginAnswer, Policy, Rejection, Rules},
    refusal::Refusal,
    workload::{Uid, Workload},
};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::bounds;

const BASE: &str = "arn:aws:iam::123456789012:role/";
const ANNOTATED: &str = "reader";
const PATH: &str = "meta-data/placement/region";
/// The shortest that is allowed. A guest of these targets that has not answered by then never will.
const TIMEOUT: Duration = Duration::from_millis(10);
const MEMORY: usize = 4 << 20;

/// Gives the component to the host. Panics if a promise is broken.
pub(crate) fn put(component: &[u8]) {
    let trial = Trial::here();
    trial.runtime.block_on(async {
        match trial.load(component).await {
            Ok(plugin) => trial.ask(plugin).await,
            Err(error) => bounds::load_error(&error),
        }
        trial.the_good_ones_answer_as_before().await;
    });
}

/// The process's only host, with plugins that are known to be good.
struct Trial {
    runtime: Runtime,
    host: Host,
    /// Reads each pod's role from its annotation, and abstains on whether the pod may have it.
    annotations: Plugin,
    good: Policy,
}

impl Trial {
    fn here() -> &'static Self {
        static TRIAL: OnceLock<Trial> = OnceLock::new();
        TRIAL.get_or_init(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let host = Host::new().unwrap();
            let builtin = |name: &str| {
                let settings = settings(PluginCode::Builtin(name.to_owned()));
                let settings = config::Plugin { timeout: Duration::from_secs(5), ..settings };
                runtime.block_on(Plugin::load(&host, settings)).unwrap()
            };
            let annotations = builtin("annotations");
            let good = policy(&host, vec![annotations.clone(), builtin("namespace-regex")], None);
            Self { annotations, good, host, runtime }
        })
    }

    async fn load(&self, component: &[u8]) -> Result<Plugin, LoadError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), component).unwrap();
        let code = PluginCode::File { path: file.path().to_owned(), sha256: None };
        Plugin::load(&self.host, settings(code)).await
    }

    /// Asks the plugin in every way that the gateway would.
    async fn ask(&self, plugin: Plugin) {
        bounds::interest(plugin.interest());
        if let Ok(mut instance) = plugin.instance(&self.host).await
            && let Ok(Resolution::Role(answer)) = instance.resolve(&view()).await
        {
            bounds::answer(&answer);
        }
        let alone = policy(&self.host, vec![plugin.clone()], None);
        let decision = alone.explain(Entry::from(pod()).principal(), None).await;
        bounds::decision(&decision);
        let on_path = alone.explain(Entry::from(pod()).principal(), Some(PATH)).await;
        bounds::decision(&on_path);
        let granted = alone.grant(Entry::from(pod()).principal()).await.map_err(|rejected| rejected.rejection);
        // On a busy machine the same call may be in time once and late the next time.
        let late = matches!(granted, Err(Rejection::Failed(_)))
            || matches!(decision.outcome, Outcome::Rejected(Rejection::Failed(_)));
        assert!(late || granted.is_ok() == matches!(decision.outcome, Outcome::Granted(_)), "{decision:?}");
        if let Err(rejection) = granted {
            bounds::refusal(&Refusal::from(rejection));
        }
        self.it_can_only_allow_or_deny_what_others_name(plugin).await;
    }

    async fn it_can_only_allow_or_deny_what_others_name(&self, plugin: Plugin) {
        let behind = policy(&self.host, vec![self.annotations.clone(), plugin.clone()], None);
        let decision = behind.explain(Entry::from(annotated()).principal(), None).await;
        bounds::decision(&decision);
        let before = policy(&self.host, vec![plugin], Some(ANNOTATED));
        let default = before.explain(Entry::from(pod()).principal(), None).await;
        bounds::decision(&default);
        let allowed =
            |decision: &Decision| decision.steps.iter().any(|step| matches!(step.answer, PluginAnswer::Allow));
        let named =
            |decision: &Decision| decision.steps.iter().any(|step| matches!(step.answer, PluginAnswer::Role(_)));
        if let Outcome::Granted(grant) = &decision.outcome {
            assert!(allowed(&decision), "no plugin allowed the role: {decision:?}");
            assert_eq!(grant.role().arn.as_str(), format!("{BASE}{ANNOTATED}"));
        }
        if let Outcome::Granted(grant) = &default.outcome
            && !named(&default)
        {
            assert!(allowed(&default), "no plugin allowed the role: {default:?}");
            assert_eq!(grant.role().arn.as_str(), format!("{BASE}{ANNOTATED}"));
        }
    }

    async fn the_good_ones_answer_as_before(&self) {
        let decision = self.good.explain(Entry::from(annotated()).principal(), None).await;
        let Outcome::Granted(grant) = &decision.outcome else { panic!("a good plugin's grant is gone: {decision:?}") };
        assert_eq!(grant.role().arn.as_str(), format!("{BASE}{ANNOTATED}"));
        let unpermitted = Entry::from(Workload { namespace_annotations: Pairs::new(), ..annotated() });
        let decision = self.good.explain(unpermitted.principal(), None).await;
        assert!(matches!(decision.outcome, Outcome::Rejected(Rejection::Denied(_))), "{decision:?}");
    }
}

fn settings(code: PluginCode) -> config::Plugin {
    let name = match &code {
        PluginCode::Builtin(name) => name.clone(),
        PluginCode::File { .. } => "guest".to_owned(),
    };
    config::Plugin {
        name,
        code,
        mode: Mode::Enforce,
        timeout: TIMEOUT,
        memory: MEMORY,
        clock: false,
        cache: Duration::from_secs(60),
        config: json!({}),
    }
}

fn policy(host: &Host, plugins: Vec<Plugin>, role: Option<&str>) -> Policy {
    let defaults = Defaults {
        mode: Mode::Enforce,
        base: Some(BASE.parse().unwrap()),
        role: role.map(str::to_owned),
        session_name: "{namespace}.{pod}".parse().unwrap(),
        session_duration: Duration::from_secs(3600),
        session_tags: true,
    };
    Policy::new(host.clone(), Rules::new(plugins, defaults), Clock::system(), Box::new(|_| ()))
}

fn pod() -> Workload {
    Workload {
        namespace: "payments".into(),
        pod: "checkout-0".into(),
        uid: Uid::derived("payments", "checkout-0"),
        service_account: "checkout".into(),
        labels: pairs([("tier", "public"), ("team", "payments")]),
        ..Workload::default()
    }
}

/// A pod with a role in its annotation, which its namespace permits.
fn annotated() -> Workload {
    Workload {
        annotations: pairs([("iam.amazonaws.com/role", ANNOTATED)]),
        namespace_annotations: pairs([("iam.amazonaws.com/permitted", ".*")]),
        ..pod()
    }
}

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Pairs {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// A pod as a plugin sees it that reads none of its metadata.
fn view() -> WorkloadView {
    WorkloadView {
        namespace: "payments".into(),
        pod: "checkout-0".into(),
        uid: "f00d".into(),
        service_account: "checkout".into(),
        node: "node-1".into(),
        ips: vec!["10.0.0.7".into()],
        labels: Vec::new(),
        annotations: Vec::new(),
        namespace_labels: Vec::new(),
        namespace_annotations: Vec::new(),
        service_account_annotations: Vec::new(),
        attributes: Vec::new(),
    }
}
