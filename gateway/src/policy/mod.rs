//! Caller and ask to grant or refusal.
//!
//! A decision is a function of the rules and of what plugins see of a workload, and is cached on exactly that: first in
//! the workload itself, then by what was shown. Failures are never cached.

mod decision;
mod deliberate;
mod grant;
mod memo;
mod queue;
mod role;
mod rules;
mod shown;
mod tally;

pub use decision::{Decision, Denial, Outcome, Phase, Rejection, Said, Step};
pub use deliberate::POLICY;
pub use grant::Grant;
pub use memo::Memo;
pub(crate) use role::complete;
pub use rules::{Defaults, Rules};
pub use tally::{Counted, Tallied, Tally};

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

use self::{queue::Queue, shown::Shown};
use crate::{
    clock::Clock,
    plugin::{Host, Interest},
    workload::Workload,
};

/// Bytes of decisions that are remembered, with what they were made from. 110 pods with 2 KiB each need 220 KiB; a pod that
/// is edited for ever pushes out only what is old.
const CACHED_BYTES: u64 = 8 << 20;

pub struct Policy {
    host: Host,
    rules: ArcSwap<Rules>,
    /// What rules to come will read.
    announced: ArcSwapOption<Interest>,
    generations: AtomicU64,
    decisions: Cache<Question, Arc<Decision>>,
    queue: Queue,
    changes: watch::Sender<()>,
    clock: Clock,
    observe: Box<dyn Fn(&Decision) + Send + Sync>,
}

/// What a decision was made from: everything that plugins saw, under which rules, and the path if one was asked for.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Question {
    generation: u64,
    shown: Arc<Shown>,
    path: Option<Arc<str>>,
}

impl Question {
    fn bytes(&self) -> usize {
        self.shown.bytes() + self.path.as_ref().map_or(0, |path| path.len())
    }
}

impl Policy {
    /// `observe` hears of each decision that was worked out, never of one that was remembered.
    pub fn new(host: Host, rules: Rules, clock: Clock, observe: Box<dyn Fn(&Decision) + Send + Sync>) -> Self {
        let decisions = Cache::builder()
            .max_capacity(CACHED_BYTES)
            .weigher(|question: &Question, decision: &Arc<Decision>| {
                u32::try_from(question.bytes() + decision.bytes()).unwrap_or(u32::MAX)
            })
            .expire_after(Standing)
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

    /// Every decision that was made under the rules before is void from here on.
    pub fn replace(&self, change: impl Fn(&Rules) -> Rules) {
        let generation = self.generations.fetch_add(1, Ordering::Relaxed);
        self.rules.rcu(|rules| Rules { generation, ..change(rules) });
        // No question asks for them again.
        self.decisions.invalidate_all();
        self.changes.send_replace(());
    }

    /// Has the roster keep what `rules` read too, so that they can replace the present ones without a pause; None takes
    /// that back.
    pub fn announce(&self, rules: Option<&Rules>) {
        self.announced.store(rules.map(|rules| Arc::new(rules.interest.clone())));
        self.changes.send_replace(());
    }

    /// Wakes whoever decided under rules that have been replaced.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// The grant of `workload`, or why it has none.
    pub async fn grant(&self, workload: &Arc<Workload>) -> Result<Arc<Grant>, Rejection> {
        let rules = self.rules.load();
        if let Some(remembered) = self.recall(&rules, workload) {
            return remembered;
        }
        let rules = arc_swap::Guard::into_inner(rules);
        // Boxed, as few requests need it, and the future of every request would be larger by it.
        let decision = Box::pin(self.decide(&rules, workload, None)).await;
        granted(&decision)
    }

    /// What was decided for this very value of `workload`, if it still stands. Asks nobody.
    pub fn remembered(&self, workload: &Workload) -> Option<Result<Arc<Grant>, Rejection>> {
        self.recall(&self.rules.load(), workload)
    }

    fn recall(&self, rules: &Rules, workload: &Workload) -> Option<Result<Arc<Grant>, Rejection>> {
        workload.memo.recall(rules.generation, &self.clock).map(|decision| granted(&decision))
    }

    /// Whether plugins let `workload` read `path`, which the configuration already allows.
    pub async fn admit(&self, workload: &Arc<Workload>, path: &str) -> Result<(), Rejection> {
        let rules = self.rules.load_full();
        match self.decide(&rules, workload, Some(path)).await.outcome.rejection() {
            Some(rejection) => Err(rejection.clone()),
            None => Ok(()),
        }
    }

    /// The whole answer, worked out anew: each plugin's words in order.
    pub async fn explain(&self, workload: &Arc<Workload>, path: Option<&str>) -> Decision {
        let rules = self.rules.load_full();
        if !workload.tells(&rules.interest) {
            return Decision::unread(workload, self.clock.now());
        }
        self.work_out(&rules, workload, path.map(Arc::from)).await
    }

    /// What plugins read of workloads, under the present rules and those that are announced.
    pub fn interest(&self) -> Interest {
        let (rules, announced) = (self.rules.load(), self.announced.load());
        Interest::union(std::iter::once(&rules.interest).chain(announced.as_deref()))
    }

    async fn decide(&self, rules: &Arc<Rules>, workload: &Arc<Workload>, path: Option<&str>) -> Arc<Decision> {
        if !workload.tells(&rules.interest) {
            return Arc::new(Decision::unread(workload, self.clock.now()));
        }
        let path: Option<Arc<str>> = path.map(Arc::from);
        let asked_for_role = path.is_none();
        let decision = match Shown::of(workload, &rules.interest) {
            Ok(shown) => {
                let question = Question { generation: rules.generation, shown: Arc::new(shown), path };
                self.decide_once(rules, workload, question).await
            }
            // More than is kept as a question, so that it is asked anew about each path. A plugin that asks for that much by
            // itself says no, by its own mode.
            Err(_) => self.decide_anew(rules, workload, path).await,
        };
        if asked_for_role {
            workload.memo.keep(rules.generation, &decision);
        }
        decision
    }

    /// For all who ask the same, now and later.
    async fn decide_once(&self, rules: &Arc<Rules>, workload: &Arc<Workload>, question: Question) -> Arc<Decision> {
        let path = question.path.clone();
        let worked_out = async {
            let decision = self.decide_anew(rules, workload, path).await;
            if decision.is_final() { Ok(decision) } else { Err(decision) }
        };
        // The cache's own time does not pass while the machine sleeps, nor with a clock that was set.
        let overdue = |kept: &Decision| !stands(kept.stands_for, kept.decided_at, &self.clock);
        if self.decisions.get(&question).await.is_some_and(|kept| overdue(&kept)) {
            self.decisions.invalidate(&question).await;
        }
        match self.decisions.try_get_with(question, worked_out).await {
            Ok(decision) => decision,
            Err(failed) => (*failed).clone(),
        }
    }

    async fn decide_anew(&self, rules: &Arc<Rules>, workload: &Arc<Workload>, path: Option<Arc<str>>) -> Arc<Decision> {
        let decision = self.work_out(rules, workload, path).await;
        self.tell(&decision);
        Arc::new(decision)
    }

    fn tell(&self, decision: &Decision) {
        (self.observe)(decision);
        for step in decision.audited() {
            tracing::warn!(
                target: "metagate::audit",
                workload = decision.workload,
                plugin = &*step.plugin,
                phase = step.phase.label(),
                said = step.said.text(),
                "would be refused, were it not for audit mode"
            );
        }
    }

    async fn work_out(&self, rules: &Arc<Rules>, workload: &Arc<Workload>, path: Option<Arc<str>>) -> Decision {
        self.queue.work_out(&self.host, rules, workload, path, &self.clock).await
    }
}

fn granted(decision: &Decision) -> Result<Arc<Grant>, Rejection> {
    match &decision.outcome {
        Outcome::Granted(grant) => Ok(Arc::clone(grant)),
        // The question of a role is never answered so; if it were, that would be no role.
        Outcome::Admitted => Err(Rejection::NoRole),
        Outcome::Rejected(rejection) => Err(rejection.clone()),
    }
}

/// A decision made with the clock stands for a while, any other until its inputs change.
struct Standing;

impl Expiry<Question, Arc<Decision>> for Standing {
    fn expire_after_create(&self, _: &Question, decision: &Arc<Decision>, _: std::time::Instant) -> Option<Duration> {
        decision.stands_for
    }
}

/// Whether a decision made at `decided_at` still stands. One that was made in the future was made before the clock was set
/// back, and nobody knows how long ago that was.
fn stands(stands_for: Option<Duration>, decided_at: SystemTime, clock: &Clock) -> bool {
    stands_for.is_none_or(|life| decided_at <= clock.now() && clock.until(decided_at + life) > Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_old_rules_decided_is_not_kept_and_what_is_kept_weighs_with_its_question() {
        let host = Host::new().unwrap();
        let policy = Policy::new(host, Rules::for_test(Vec::new()), Clock::system(), Box::new(|_| {}));
        let workload = Arc::new(Workload::default());
        assert!(matches!(policy.grant(&workload).await, Err(Rejection::NoRole)));
        policy.decisions.run_pending_tasks().await;
        assert_eq!(policy.decisions.entry_count(), 1);
        let question = Shown::of(&workload, &policy.interest()).unwrap().bytes();
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
