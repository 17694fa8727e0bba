//! B8: what a gateway holds without a pod, on a full node, and for each further pod.

use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use crate::{
    budget::{Row, Target},
    round::introduced,
    server::Server,
};

/// What kubelet runs at most by default (`maxPods`).
pub const FULL: usize = 110;
const MORE: usize = 1_000;
/// The numbers of pods that are looked at.
pub const PODS: [usize; 3] = [0, FULL, FULL + MORE];
pub const MIB: f64 = (1 << 20) as f64;
/// After which nothing that only the start needed is still about to be freed.
const SETTLED: Duration = Duration::from_secs(3);

/// Bytes, once each of so many pods has been given a credential of its own.
pub async fn settled(gateway: &Server, pods: usize) -> Result<f64> {
    introduced(gateway, pods).await?;
    sleep(SETTLED).await;
    Ok(gateway.resident()? as f64)
}

/// Of what was settled with each number of [`PODS`], which came from such a roster.
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
