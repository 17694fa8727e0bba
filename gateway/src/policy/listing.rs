//! The names of a metadata directory that a workload may see: a listing can reveal as much as the values.

use std::{collections::BTreeSet, sync::Arc};

use super::{Decision, Policy, Principal, Rejected, Rejection};
use crate::catalogue::{Directory, Own};

/// How each decision is made.
#[derive(Clone, Copy)]
enum Decided {
    /// As for a request: cached, and counted if it is new.
    ForRequest,
    /// Always a new decision, counted nowhere.
    ToExplain,
}

impl Policy {
    /// The names that `principal` may see: those of `listed`, the catalogue's names, that plugins allow, and the
    /// gateway's own. If there are none, the directory does not exist for this workload.
    pub async fn list(
        &self,
        principal: Principal<'_>,
        directory: &Directory,
        listed: Vec<String>,
    ) -> Result<BTreeSet<String>, Rejected> {
        self.visible(principal, directory, listed, Decided::ForRequest).await
    }

    /// The same with new decisions, which are not counted.
    pub async fn explain_list(
        &self,
        principal: Principal<'_>,
        directory: &Directory,
        listed: Vec<String>,
    ) -> Result<BTreeSet<String>, Rejected> {
        self.visible(principal, directory, listed, Decided::ToExplain).await
    }

    async fn visible(
        &self,
        principal: Principal<'_>,
        directory: &Directory,
        listed: Vec<String>,
        decided: Decided,
    ) -> Result<BTreeSet<String>, Rejected> {
        let mut names = BTreeSet::new();
        for name in listed {
            match self.judge(principal, Some(&directory.path_of(&name)), decided).await {
                Ok(_) => {
                    names.insert(name);
                }
                Err(Rejected { rejection: Rejection::Denied(_), .. }) => {}
                Err(rejected) => return Err(rejected),
            }
        }
        match directory.own() {
            Own::Nothing => {}
            Own::ForEveryPod(name) => {
                names.insert(name.to_owned());
            }
            Own::ForPodsWithRole(name) => {
                names.extend(self.judge(principal, None, decided).await.ok().map(|_| name.to_owned()));
            }
            Own::OfRole(own) => {
                self.judge(principal, None, decided).await?;
                names.extend(own.map(str::to_owned));
            }
        }
        Ok(names)
    }

    /// Whether the workload may read the path; for None, whether it has a role.
    async fn judge(
        &self,
        principal: Principal<'_>,
        path: Option<&str>,
        decided: Decided,
    ) -> Result<Arc<Decision>, Rejected> {
        match (decided, path) {
            (Decided::ForRequest, Some(path)) => self.admit(principal, path).await,
            (Decided::ForRequest, None) => self.grant(principal).await.map(|granted| granted.decision),
            (Decided::ToExplain, path) => Rejected::unless_passed(Arc::new(self.explain(principal, path).await)),
        }
    }
}
