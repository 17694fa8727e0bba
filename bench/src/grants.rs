//! Grants of many pods, as policy makes them: nobody else can.

use std::{net::Ipv4Addr, sync::Arc};

use anyhow::{Result, anyhow};
use metagate::policy::Grant;
use metagate::roster::Entry;

use crate::{Node, node::sibling, threads::runtime};

/// Names the pod's role (plugin `annotations`); the sandbox's namespace `payments` permits what begins with its own name.
const ROLE: &str = "iam.amazonaws.com/role";

/// One pod each, with a role and a session name of its own. Blocks, and must be called outside a runtime: plugins are run on
/// threads of their own, which no paused clock waits for.
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
