//! Metrics of the process, by OpenTelemetry's conventions for processes. Linux only.

use opentelemetry::metrics::Meter;

#[cfg(not(target_os = "linux"))]
pub(super) fn watch(_: &Meter) {}

#[cfg(target_os = "linux")]
pub(super) fn watch(meter: &Meter) {
    use opentelemetry::KeyValue;
    use procfs::process::Process;

    let seconds = |ticks: u64| ticks as f64 / procfs::ticks_per_second() as f64;
    meter
        .f64_observable_counter("process.cpu.time")
        .with_unit("s")
        .with_description("CPU time of the process.")
        .with_callback(move |observer| {
            if let Ok(stat) = Process::myself().and_then(|process| process.stat()) {
                for (mode, ticks) in [("user", stat.utime), ("system", stat.stime)] {
                    observer.observe(seconds(ticks), &[KeyValue::new("cpu.mode", mode)]);
                }
            }
        })
        .build();
    meter
        .u64_observable_gauge("process.memory.usage")
        .with_unit("By")
        .with_description("Resident memory of the process.")
        .with_callback(|observer| {
            if let Ok(stat) = Process::myself().and_then(|process| process.stat()) {
                observer.observe(stat.rss * procfs::page_size(), &[]);
            }
        })
        .build();
    meter
        .u64_observable_gauge("process.unix.file_descriptor.count")
        .with_unit("{file_descriptor}")
        .with_description("Open file descriptors of the process.")
        .with_callback(|observer| {
            if let Ok(count) = Process::myself().and_then(|process| process.fd_count()) {
                observer.observe(count as u64, &[]);
            }
        })
        .build();
    meter
        .i64_observable_gauge("process.thread.count")
        .with_unit("{thread}")
        .with_description("Threads of the process.")
        .with_callback(|observer| {
            if let Ok(stat) = Process::myself().and_then(|process| process.stat()) {
                observer.observe(stat.num_threads, &[]);
            }
        })
        .build();
}
