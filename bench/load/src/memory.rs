//! B8: the memory of a gateway without a pod, of one on a full node, and per further pod.

use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use crate::{
    budget::{Row, Target},
    round::introduced,
    server::Server,
};

/// The default of kubelet's `maxPods`.
pub const FULL: usize = 110;
const MORE: usize = 1_000;
/// The numbers of pods that are measured.
pub const PODS: [usize; 3] = [0, FULL, FULL + MORE];
pub const MIB: f64 = (1 << 20) as f64;
/// After this time, memory that only the start needed has been freed.
const SETTLED: Duration = Duration::from_secs(3);

/// Resident bytes, once each of the pods has got its own credential.
pub async fn settled(gateway: &Server, pods: usize) -> Result<f64> {
    introduced(gateway, pods).await?;
    sleep(SETTLED).await;
    Ok(gateway.resident()? as f64)
}

/// Rows of the [`settled`] bytes for each number of [`PODS`], which came from a roster of this kind.
pub fn rows([idle, full, crowded]: [f64; 3], roster: &str) -> Vec<Row> {
    let each = (crowded - full) / MORE as f64 / 1024.0;
    let of = |what: &str, measured, unit, most| {
        Row::new("B8", &format!("resident, {roster}, {what}"), measured, unit, Target::AtMost(most))
    };
    vec![
        of("idle", idle / MIB, "MiB", 25.0),
        of("110 pods with 110 roles", full / MIB, "MiB", 32.0),
        of("each further pod", each, "KiB", 4.0).note(format!("of {MORE}")),
    ]
}
