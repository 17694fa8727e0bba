//! Gauges, which read their values from the parts at each scrape.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use opentelemetry::{KeyValue, metrics::Meter};

use crate::{handle::Gateway, intercept::Status, lifecycle::Readiness, limits::ConnectionLimiter, roster::Feed};

pub(super) fn watch(gateway: &Arc<Gateway>, readiness: &Readiness, limiter: &ConnectionLimiter) {
    let meter = gateway.telemetry.metrics().meter();
    let version = [KeyValue::new("version", env!("CARGO_PKG_VERSION"))];
    let build = meter.u64_observable_gauge("metagate.build").with_description("Always 1, with the version.");
    build.with_callback(move |observer| observer.observe(1, &version)).build();
    let readiness = readiness.clone();
    gauge(&meter, "metagate.ready", "", "1 while /readyz reports ready.", move || {
        Some(f64::from(u8::from(readiness.waits_for().is_empty())))
    });
    of_gateway(&meter, gateway);
    of_limits(&meter, limiter);
}

fn of_gateway(meter: &Meter, gateway: &Arc<Gateway>) {
    // Weak: the gauges live as long as the metrics, which the gateway owns.
    let read = |read: fn(&Gateway) -> Option<f64>| {
        let gateway: Weak<Gateway> = Arc::downgrade(gateway);
        move || read(&*gateway.upgrade()?)
    };
    gauge(
        meter,
        "metagate.roster.workloads",
        "{workload}",
        "Workloads in the roster.",
        read(|gateway| Some(gateway.feed.current().workloads().count() as f64)),
    );
    gauge(
        meter,
        "metagate.roster.age",
        "s",
        "For how long the gateway may have missed changes to the roster; 0 while it follows every change.",
        read(|gateway| Some(age(&gateway.feed, gateway)?.as_secs_f64())),
    );
    gauge(
        meter,
        "metagate.reload.refused",
        "",
        "1 while the last reload stands refused and the previous configuration stays in force, else 0.",
        read(|gateway| Some(f64::from(u8::from(gateway.configuration.current().refused.is_some())))),
    );
    gauge(
        meter,
        "metagate.credential.held",
        "{credential}",
        "Credentials in the cache.",
        read(|gateway| Some(gateway.credentials.held() as f64)),
    );
    gauge(
        meter,
        "metagate.credential.shortest_remaining",
        "s",
        "Remaining life of the credential that expires first.",
        read(|gateway| Some(gateway.credentials.shortest_remaining()?.as_secs_f64())),
    );
    of_redirect(meter, gateway);
}

fn age(feed: &Feed, gateway: &Gateway) -> Option<Duration> {
    feed.current().synced_at()?;
    let outdated_for = feed.outdated_since().map(|since| gateway.clock.now().duration_since(since));
    Some(outdated_for.and_then(Result::ok).unwrap_or_default())
}

/// No series where no watcher runs: on a laptop, or on a node whose rules are loaded at boot.
fn of_redirect(meter: &Meter, gateway: &Arc<Gateway>) {
    let status = |read: fn(&Status, &Gateway) -> f64| {
        let gateway = Arc::downgrade(gateway);
        move || {
            let gateway = gateway.upgrade()?;
            Some(read(&Status::look(&gateway.redirect_status)?, &gateway))
        }
    };
    gauge(
        meter,
        "metagate.redirect.present",
        "",
        "1 while the node's redirect is correct, 0 while it is not or has not been checked lately.",
        status(|status, gateway| f64::from(u8::from(status.present && !status.is_stale(gateway.clock.now())))),
    );
    gauge(
        meter,
        "metagate.redirect.connections",
        "{connection}",
        "Connections redirected since the rules were last installed.",
        status(|status, _| status.redirected_connections as f64),
    );
    gauge(
        meter,
        "metagate.redirect.foreign_rules",
        "{rule}",
        "Rules of other programs that redirect the metadata service too.",
        status(|status, _| status.foreign_rules.len() as f64),
    );
}

fn of_limits(meter: &Meter, limiter: &ConnectionLimiter) {
    let open = limiter.clone();
    gauge(meter, "metagate.connections.open", "{connection}", "Open connections of pods.", move || {
        Some(open.open() as f64)
    });
    let rejected = limiter.clone();
    meter
        .u64_observable_counter("metagate.connections.turned_away")
        .with_description("Connections closed without an answer, because their address was at its limit.")
        .with_callback(move |observer| observer.observe(rejected.rejected(), &[]))
        .build();
    let delayed = limiter.clone();
    meter
        .u64_observable_counter("metagate.requests.slowed")
        .with_unit("{request}")
        .with_description("Requests delayed, because their address was over its rate.")
        .with_callback(move |observer| observer.observe(delayed.delayed(), &[]))
        .build();
}

fn gauge(
    meter: &Meter,
    name: &'static str,
    unit: &'static str,
    about: &'static str,
    read: impl Fn() -> Option<f64> + Send + Sync + 'static,
) {
    let gauge = meter.f64_observable_gauge(name).with_unit(unit).with_description(about);
    gauge.with_callback(move |observer| read().into_iter().for_each(|value| observer.observe(value, &[]))).build();
}
