//! Decides what a workload gets: a grant or a rejection.
//!
//! A decision depends only on the rules and on what plugins see of a workload. It is cached first in the workload's
//! decision cell, then by these inputs. Failures are never cached.

mod answer;
mod cell;
mod decision;
mod evaluation;
mod fairness;
mod grant;
mod inputs;
mod listing;
mod queue;
mod role;
mod rules;
mod tally;

pub use answer::{Granted, Principal, Rejected};
pub use cell::DecisionCell;
pub use decision::{Decision, Denial, Outcome, Phase, PluginAnswer, Rejection, Step};
pub use evaluation::POLICY;
pub use fairness::Fairness;
pub use grant::Grant;
pub(crate) use role::complete;
pub use rules::{Defaults, Rules};
pub use tally::{CountedAs, Counts, Tally};

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use arc_swap::{ArcSwap, ArcSwapOption};
use moka::{Expiry, future::Cache};
use tokio::sync::watch;

use self::{inputs::DecisionInputs, queue::Queue};
use crate::{clock::Clock, interest::Interest, plugin::Host};

/// Bytes of cached decisions and their inputs. 110 pods with 2 KiB each need 220 KiB. A pod that is edited again and
/// again evicts only old decisions.
const CACHED_BYTES: u64 = 8 << 20;

pub struct Policy {
    host: Host,
    rules: ArcSwap<Rules>,
    /// The interest of rules that will replace the present ones.
    announced: ArcSwapOption<Interest>,
    generations: AtomicU64,
    decisions: Cache<Question, Arc<Decision>>,
    queue: Queue,
    changes: watch::Sender<()>,
    clock: Clock,
    observe: Box<dyn Fn(&Decision) + Send + Sync>,
}

/// The inputs of a decision: the generation of the rules, everything that plugins saw, and the path if it was about
/// one.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Question {
    generation: u64,
    inputs: Arc<DecisionInputs>,
    path: Option<Arc<str>>,
}

impl Question {
    fn bytes(&self) -> usize {
        self.inputs.bytes() + self.path.as_ref().map_or(0, |path| path.len())
    }
}

impl Policy {
    /// Calls `observe` for each new decision, not for cache hits.
    pub fn new(host: Host, rules: Rules, clock: Clock, observe: Box<dyn Fn(&Decision) + Send + Sync>) -> Self {
        let decisions = Cache::builder()
            .max_capacity(CACHED_BYTES)
            .weigher(|question: &Question, decision: &Arc<Decision>| {
                u32::try_from(question.bytes() + decision.bytes()).unwrap_or(u32::MAX)
            })
            .expire_after(DecisionExpiry)
            .build();
        Self {
            host,
            rules: ArcSwap::from_pointee(Rules { generation: 0, ..rules }),
            announced: ArcSwapOption::empty(),
            generations: AtomicU64::new(1),
            decisions,
            queue: Queue::default(),
            changes: watch::Sender::new(()),
            clock,
            observe,
        }
    }

    pub fn host(&self) -> &Host {
        &self.host
    }

    pub fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// From here on, decisions under earlier rules no longer count.
    pub fn replace(&self, change: impl Fn(&Rules) -> Rules) {
        let generation = self.generations.fetch_add(1, Ordering::Relaxed);
        self.rules.rcu(|rules| Rules { generation, ..change(rules) });
        // Their keys name an earlier generation, so nothing would find them again.
        self.decisions.invalidate_all();
        self.changes.send_replace(());
    }

    /// Makes the roster also keep what `rules` read, so that they can replace the present ones without a pause. None
    /// takes that back.
    pub fn announce(&self, rules: Option<&Rules>) {
        self.announced.store(rules.map(|rules| Arc::new(rules.interest.clone())));
        self.changes.send_replace(());
    }

    /// Notified when the rules are replaced or announced.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// The grant of `principal`, or why there is none.
    pub async fn grant(&self, principal: Principal<'_>) -> Result<Granted, Rejected> {
        let rules = self.rules.load();
        if let Some(decision) = principal.decision.get(rules.generation, &self.clock) {
            return Granted::of(decision);
        }
        let rules = arc_swap::Guard::into_inner(rules);
        // Boxed, because few requests need it and it would enlarge the future of every request.
        Granted::of(Box::pin(self.decide(&rules, principal, None)).await)
    }

    /// The cached decision about this value of the workload, if it is still valid. Asks no plugin.
    pub fn cached(&self, decision: &DecisionCell) -> Option<Result<Granted, Rejected>> {
        decision.get(self.rules.load().generation, &self.clock).map(Granted::of)
    }

    /// The decision that lets `principal` read `path`, which the configuration allows already.
    pub async fn admit(&self, principal: Principal<'_>, path: &str) -> Result<Arc<Decision>, Rejected> {
        let rules = self.rules.load_full();
        Rejected::unless_passed(self.decide(&rules, principal, Some(path)).await)
    }

    /// A new decision with each plugin's answer in order, past the cache.
    pub async fn explain(&self, principal: Principal<'_>, path: Option<&str>) -> Decision {
        let rules = self.rules.load_full();
        if !rules.can_read(principal.workload) {
            return Decision::relisting(principal.workload, self.clock.now());
        }
        self.work_out(&rules, principal, path.map(Arc::from)).await
    }

    /// What plugins read about workloads, under the present rules and the announced ones.
    pub fn interest(&self) -> Interest {
        let (rules, announced) = (self.rules.load(), self.announced.load());
        Interest::union(std::iter::once(&rules.interest).chain(announced.as_deref()))
    }

    async fn decide(&self, rules: &Arc<Rules>, principal: Principal<'_>, path: Option<&str>) -> Arc<Decision> {
        if !rules.can_read(principal.workload) {
            return Arc::new(Decision::relisting(principal.workload, self.clock.now()));
        }
        let path: Option<Arc<str>> = path.map(Arc::from);
        let asked_for_role = path.is_none();
        let decision = match DecisionInputs::of(principal.workload, &rules.interest) {
            Ok(inputs) => {
                let question = Question { generation: rules.generation, inputs: Arc::new(inputs), path };
                self.decide_once(rules, principal, question).await
            }
            // The workload is too large for a cache key, so the plugins are asked again each time. If one plugin alone
            // asks for too much, that counts as its denial, under its own mode.
            Err(_) => self.decide_anew(rules, principal, path).await,
        };
        if asked_for_role {
            principal.decision.put(rules.generation, &decision);
        }
        decision
    }

    /// Callers with the same question share one decision, at the same time and later.
    async fn decide_once(&self, rules: &Arc<Rules>, principal: Principal<'_>, question: Question) -> Arc<Decision> {
        let path = question.path.clone();
        let evaluated = async {
            let decision = self.decide_anew(rules, principal, path).await;
            if decision.is_final() { Ok(decision) } else { Err(decision) }
        };
        // The cache's own clock stops while the machine sleeps, and does not notice when the wall clock is set.
        let is_over = |cached: &Decision| !stands(cached.stands_for, cached.decided_at, &self.clock);
        if self.decisions.get(&question).await.is_some_and(|cached| is_over(&cached)) {
            self.decisions.invalidate(&question).await;
        }
        match self.decisions.try_get_with(question, evaluated).await {
            Ok(decision) => decision,
            Err(failed) => (*failed).clone(),
        }
    }

    async fn decide_anew(&self, rules: &Arc<Rules>, principal: Principal<'_>, path: Option<Arc<str>>) -> Arc<Decision> {
        let decision = self.work_out(rules, principal, path).await;
        (self.observe)(&decision);
        decision.log_audited();
        Arc::new(decision)
    }

    async fn work_out(&self, rules: &Arc<Rules>, principal: Principal<'_>, path: Option<Arc<str>>) -> Decision {
        self.queue.work_out(&self.host, rules, principal, path, &self.clock).await
    }
}

/// A decision that depends on the time expires after a while; any other is valid until its inputs change.
struct DecisionExpiry;

impl Expiry<Question, Arc<Decision>> for DecisionExpiry {
    fn expire_after_create(&self, _: &Question, decision: &Arc<Decision>, _: std::time::Instant) -> Option<Duration> {
        decision.stands_for
    }
}

/// Whether a decision made at `decided_at` is still valid. If that is in the future, the clock was set back since, and
/// the decision's age is unknown.
fn stands(stands_for: Option<Duration>, decided_at: SystemTime, clock: &Clock) -> bool {
    stands_for.is_none_or(|life| decided_at <= clock.now() && clock.until(decided_at + life) > Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Workload;

    #[tokio::test]
    async fn what_old_rules_decided_is_not_kept_and_what_is_kept_weighs_with_its_question() {
        let host = Host::new().unwrap();
        let policy = Policy::new(host, Rules::for_test(Vec::new()), Clock::system(), Box::new(|_| {}));
        let workload = Arc::new(Workload::default());
        let (decision, fairness) = (DecisionCell::default(), Fairness::default());
        let principal = Principal { workload: &workload, decision: &decision, fairness: &fairness };
        assert!(matches!(policy.grant(principal).await.unwrap_err().rejection, Rejection::NoRole));
        policy.decisions.run_pending_tasks().await;
        assert_eq!(policy.decisions.entry_count(), 1);
        let question = DecisionInputs::of(&workload, &policy.interest()).unwrap().bytes();
        assert!(policy.decisions.weighted_size() >= (question + size_of::<Decision>()) as u64);
        policy.replace(Rules::clone);
        policy.decisions.run_pending_tasks().await;
        assert_eq!(policy.decisions.entry_count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_decided_before_the_clock_was_set_back_does_not_stand() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let (clock, life) = (Clock::following_tokio(now), Some(Duration::from_secs(60)));
        assert!(stands(life, now, &clock) && stands(life, now - Duration::from_secs(59), &clock));
        assert!(!stands(life, now - Duration::from_secs(60), &clock));
        assert!(!stands(life, now + Duration::from_secs(1), &clock));
        assert!(stands(None, now + Duration::from_secs(1), &clock));
    }
}
