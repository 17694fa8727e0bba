//! The queue for plugins: how many decisions run at a time, and on which threads.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::instrument::WithSubscriber;

use super::{Decision, Principal, Rules, evaluation};
use crate::{
    clock::Clock,
    plugin::{self, Host, Plugin, PluginErrorKind},
};

/// How many of the engine's instances decisions may hold. The other 16 are for plugins that are being loaded.
const INSTANCES: u32 = plugin::INSTANCES - 16;
/// Workloads whose last decision failed share a quarter of the instances, so guests that loop never take all of them.
const FAILING: u32 = INSTANCES / 4;
/// A decision that takes longer is not brief. Three built-ins take a tenth to a third of this. A longer decision moves
/// to the plugin threads at the engine's next tick, so it holds a serving thread for this and about one tick (10 ms) at
/// most.
const BRIEF: Duration = Duration::from_millis(1);
/// The longest cooldown after a decision that failed or was not brief: boto3 retries after 1 s.
const COOLDOWN_MAX: Duration = Duration::from_secs(1);

pub(super) struct Queue {
    instances: Arc<Semaphore>,
    /// The permits that a workload whose last decision failed needs besides `instances`.
    failing: Arc<Semaphore>,
    /// The permit to decide on a serving thread. There is only one, so decisions never hold both serving threads.
    inline: Arc<Semaphore>,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            instances: Arc::new(Semaphore::new(INSTANCES as usize)),
            failing: Arc::new(Semaphore::new(FAILING as usize)),
            inline: Arc::new(Semaphore::new(1)),
        }
    }
}

impl Queue {
    /// Decides within [`Rules::patience`]. A caller that hangs up leaves the queue, but a decision that has begun runs
    /// to its end. So nobody gets more of the threads by hanging up.
    pub(super) async fn work_out(
        &self,
        host: &Host,
        rules: &Arc<Rules>,
        principal: Principal<'_>,
        path: Option<Arc<str>>,
        clock: &Clock,
    ) -> Decision {
        let Principal { workload, fairness, .. } = principal;
        let queued = async {
            let turn = fairness.turn().await;
            // One instance of each plugin, all acquired at once, so that decisions with some of their instances never
            // wait for each other. The semaphores are never closed, so acquiring never fails.
            let each = u32::try_from(rules.plugins.len()).unwrap_or(u32::MAX).clamp(1, INSTANCES);
            let failing = match fairness.is_failing() {
                true => Some(Arc::clone(&self.failing).acquire_many_owned(each.min(FAILING)).await),
                false => None,
            };
            let permits = Arc::clone(&self.instances).acquire_many_owned(each).await;
            let inline = if failing.is_none() { self.inline_permit(rules) } else { None };
            let run = evaluation::run(host.clone(), Arc::clone(rules), Arc::clone(workload), path, clock.now());
            let fairness = fairness.clone();
            let mut work = Box::pin(async move {
                let began = Instant::now();
                let decision = run.await;
                drop((permits, failing));
                fairness.set_failing(!decision.is_final());
                if !decision.is_final() {
                    drop_after_cooldown(turn, began.elapsed());
                }
                decision
            });
            if let Some(permit) = inline {
                let began = Instant::now();
                let begun = begin(work.as_mut(), BRIEF).await;
                return_permit(permit, began.elapsed());
                match begun {
                    Begun::Done(decision) => return Some(decision),
                    Begun::Panicked => return None,
                    Begun::NotBrief => {}
                }
            }
            host.threads().spawn(work.with_current_subscriber())?.await.ok()
        };
        let failed = |why, detail| Decision::failed_evaluation(workload, why, detail, clock.now());
        match host.threads().within(rules.patience(), queued).await {
            Ok(Some(decision)) => decision,
            Ok(None) => failed(PluginErrorKind::Trap, "the decision ended without an answer"),
            Err(_) => failed(PluginErrorKind::Timeout, "plugins are busy, and the decision did not come in time"),
        }
    }

    /// For built-ins only, because their code is the gateway's own. To wake another thread and wait for it takes longer
    /// than they do.
    fn inline_permit(&self, rules: &Rules) -> Option<OwnedSemaphorePermit> {
        let all_builtin = rules.plugins.iter().all(Plugin::is_builtin);
        all_builtin.then(|| Arc::clone(&self.inline).try_acquire_owned().ok()).flatten()
    }
}

enum Begun<T> {
    Done(T),
    /// The plugin threads run the remainder.
    NotBrief,
    Panicked,
}

/// Runs `work` on the calling thread while it is brief. `work` yields only at a tick of the engine; the first tick may
/// come early.
async fn begin<T>(mut work: Pin<&mut (impl Future<Output = T> + ?Sized)>, brief: Duration) -> Begun<T> {
    let began = Instant::now();
    poll_fn(|context| {
        let outcome = loop {
            match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
                Ok(Poll::Ready(done)) => break Begun::Done(done),
                Ok(Poll::Pending) if began.elapsed() < brief => {}
                Ok(Poll::Pending) => break Begun::NotBrief,
                // As on the plugin threads, a panic ends only the decision, not the caller's task, which may serve
                // other requests.
                Err(_) => break Begun::Panicked,
            }
        };
        Poll::Ready(outcome)
    })
    .await
}

/// After a decision that was not brief, the permit comes back only after a cooldown. A namespace's owner may write any
/// number of slow patterns; with the cooldown they take at most a tenth of one serving thread.
fn return_permit(permit: OwnedSemaphorePermit, held: Duration) {
    if held >= BRIEF {
        drop_after_cooldown(permit, held);
    }
}

/// Holds `what` for nine times `took`, a second at most. For the inline permit, `took` is the time on the serving thread.
/// For a workload's turn, after a decision that failed, it is the whole decision: a pod on which a plugin loops for ever
/// takes at most a tenth of a thread, however often it asks (with the default timeout; a longer timeout takes more).
fn drop_after_cooldown(what: impl Send + 'static, took: Duration) {
    tokio::spawn(async move {
        tokio::time::sleep((9 * took).min(COOLDOWN_MAX)).await;
        drop(what);
    });
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use metagate_plugin_artifacts::{EXAMPLE_TRUSTED_ADMIN, testing::HOSTILE};
    use serde_json::{Value, json};

    use super::{
        super::{DecisionCell, Fairness},
        *,
    };
    use crate::{
        config::{self, Mode, PluginCode},
        workload::Workload,
    };

    async fn rules(host: &Host, codes: impl IntoIterator<Item = (PluginCode, Value)>) -> Arc<Rules> {
        let mut plugins = Vec::new();
        for (code, config) in codes {
            let settings = config::Plugin {
                name: "own".into(),
                code,
                mode: Mode::Enforce,
                timeout: Duration::from_secs(1),
                memory: 16 << 20,
                clock: false,
                cache: Duration::from_secs(60),
                config,
            };
            plugins.push(Plugin::load(host, settings).await.unwrap());
        }
        Arc::new(Rules::for_test(plugins))
    }

    fn file(folder: &tempfile::TempDir, wasm: &[u8]) -> PluginCode {
        let path = folder.path().join("own.wasm");
        std::fs::write(&path, wasm).unwrap();
        PluginCode::File { path, sha256: None }
    }

    fn builtin() -> (PluginCode, Value) {
        (PluginCode::Builtin("annotations".into()), json!({}))
    }

    #[tokio::test]
    async fn a_pod_is_failing_after_a_failure_whatever_was_asked_until_plugins_have_answered() {
        let (host, queue, folder) = (Host::new().unwrap(), Queue::default(), tempfile::tempdir().unwrap());
        let traps = json!({ "on": "authorize-path", "do": "trap" });
        let rules = rules(&host, [(file(&folder, HOSTILE), traps)]).await;
        let (workload, clock) = (Arc::new(Workload::default()), Clock::system());
        let (decision, fairness) = (DecisionCell::default(), Fairness::default());
        let principal = Principal { workload: &workload, decision: &decision, fairness: &fairness };
        assert!(!fairness.is_failing());
        queue.work_out(&host, &rules, principal, Some("meta-data/instance-id".into()), &clock).await;
        assert!(fairness.is_failing());
        queue.work_out(&host, &rules, principal, None, &clock).await;
        assert!(!fairness.is_failing());
    }

    #[tokio::test]
    async fn one_decision_at_a_time_has_the_inline_permit_and_none_in_which_a_file_is_asked() {
        let (host, queue, folder) = (Host::new().unwrap(), Queue::default(), tempfile::tempdir().unwrap());
        let mixed = rules(&host, [builtin(), (file(&folder, EXAMPLE_TRUSTED_ADMIN), json!({}))]).await;
        assert!(queue.inline_permit(&mixed).is_none());
        let builtins = rules(&host, [builtin()]).await;
        let held = queue.inline_permit(&builtins);
        assert!(held.is_some() && queue.inline_permit(&builtins).is_none());
        drop(held);
        assert!(queue.inline_permit(&builtins).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn the_permit_comes_back_after_nine_times_as_long_as_a_decision_took_that_was_not_brief() {
        let (host, queue) = (Host::new().unwrap(), Queue::default());
        let builtins = rules(&host, [builtin()]).await;
        return_permit(queue.inline_permit(&builtins).unwrap(), BRIEF / 2);
        return_permit(queue.inline_permit(&builtins).unwrap(), 2 * BRIEF);
        tokio::time::sleep(17 * BRIEF).await;
        assert!(queue.inline_permit(&builtins).is_none());
        tokio::time::sleep(2 * BRIEF).await;
        assert!(queue.inline_permit(&builtins).is_some());
    }

    #[tokio::test]
    async fn what_is_brief_is_done_at_once_though_its_slice_was_cut_short() {
        let work = async {
            tokio::task::yield_now().await;
            7
        };
        assert!(matches!(begin(pin!(work), Duration::MAX).await, Begun::Done(7)));
    }

    #[tokio::test]
    async fn what_is_not_brief_is_handed_back_at_its_next_pause_and_goes_on_where_it_was() {
        let mut slices = 0;
        let mut work = Box::pin(async {
            for _ in 0..3 {
                slices += 1;
                tokio::task::yield_now().await;
            }
            slices
        });
        assert!(matches!(begin(work.as_mut(), Duration::ZERO).await, Begun::NotBrief));
        assert_eq!(work.await, 3);
    }

    #[tokio::test]
    async fn a_panic_ends_the_decision_and_not_whoever_asked_for_it() {
        let work = async { panic!("a fault of the host's") };
        assert!(matches!(begin::<()>(pin!(work), Duration::ZERO).await, Begun::Panicked));
    }
}
