//! Grants for many pods, made by policy: nothing else can make them.

use std::{net::Ipv4Addr, sync::Arc};

use anyhow::{Result, anyhow};
use metagate::policy::Grant;
use metagate::roster::Entry;

use crate::{Node, node::sibling, threads::runtime};

/// Names the pod's role (plugin `annotations`); the sandbox's namespace `payments` permits roles that begin with its
/// own name.
const ROLE: &str = "iam.amazonaws.com/role";

/// One grant per pod, each with its own role and session name. Blocks, and must be called outside a runtime: plugins
/// run on threads of their own, which a paused clock does not wait for.
pub fn distinct(count: usize) -> Result<Vec<Arc<Grant>>> {
    runtime("grants")?.block_on(async {
        let node = Node::start().await?;
        let mut grants = Vec::with_capacity(count);
        for number in 0..count {
            let address = Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 1).to_bits() + u32::try_from(number)?);
            let pod = Entry::from(sibling(
                &node.entry.workload,
                &format!("pod-{number}"),
                address,
                (ROLE, &format!("payments-{number}")),
            ));
            let granted = node.gateway().policy.grant(pod.principal()).await.map(|granted| granted.grant);
            grants.push(granted.map_err(|why| anyhow!("pod {number} has no role: {why:?}"))?);
        }
        Ok(grants)
    })
}
