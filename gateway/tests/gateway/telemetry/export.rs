//! Metrics and traces, to collectors that answer, hang and die.

use metagate_testkit::{Collector, Setup, TestGateway, collector::attribute};

use super::{CHECKOUT, CREDENTIAL, VISITOR, get, in_time};

async fn exporting(collector: &Collector, protocol: &str, ratio: &str) -> TestGateway {
    let setup = Setup::default()
        .set("telemetry.otlp_endpoint", &collector.endpoint())
        .set("telemetry.otlp_protocol", protocol)
        .set("telemetry.metrics_interval", "1s")
        .set("telemetry.trace_ratio", ratio)
        .set("telemetry.cluster", "blue")
        .set("credentials.wait", "10s");
    setup.start().await.unwrap()
}

async fn collector(protocol: &str) -> Collector {
    if protocol == "grpc" { Collector::grpc().await.unwrap() } else { Collector::http().await.unwrap() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_and_spans_reach_a_collector_by_http_and_by_grpc_and_the_last_ones_at_the_end() {
    for protocol in ["http", "grpc"] {
        let collector = collector(protocol).await;
        let gateway = exporting(&collector, protocol, "1.0").await;
        assert_eq!(get(&gateway, CHECKOUT, CREDENTIAL, &[]).await.status, 200);
        assert_eq!(get(&gateway, VISITOR, CREDENTIAL, &[]).await.status, 403);
        // When the gateway ends, it exports what is left.
        in_time("end", gateway.stop()).await;
        let received = collector.received();

        let requests: Vec<_> = received.spans().into_iter().filter(|span| span.kind == 2).collect();
        let summary = |span: &opentelemetry_proto::tonic::trace::v1::Span| {
            let of = |key| attribute(&span.attributes, key);
            (span.name.clone(), of("http.response.status_code"), of("k8s.pod.name"))
        };
        let name = "GET /latest/meta-data/iam/security-credentials/{role}".to_owned();
        let wanted = [("200", "checkout-0"), ("403", "visitor-0")];
        for (status, pod) in wanted {
            let span = (name.clone(), status.to_owned(), pod.to_owned());
            assert!(
                requests.iter().any(|request| summary(request) == span),
                "{protocol}: no {span:?} in {requests:#?}"
            );
        }
        let durations = received.metric("http.server.request.duration");
        assert!(!durations.is_empty() && durations.iter().all(|metric| metric.unit == "s"), "{protocol}");
        assert!(!received.metric("metagate.refusals").is_empty(), "{protocol}");
        for resource in received.resources() {
            let of = |key| attribute(&resource.attributes, key);
            assert_eq!((of("service.name"), of("k8s.cluster.name")), ("metagate".into(), "blue".into()));
            assert_eq!(of("service.version"), env!("CARGO_PKG_VERSION"));
            assert_eq!(of("service.instance.id").len(), 32);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_pods_trace_context_is_taken_over() {
    let collector = Collector::http().await.unwrap();
    let gateway = exporting(&collector, "http", "1.0").await;
    let theirs = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    get(&gateway, CHECKOUT, CREDENTIAL, &[theirs]).await;
    in_time("end", gateway.stop()).await;
    let spans = collector.received().spans();
    let requests: Vec<_> = spans.iter().filter(|span| span.kind == 2).collect();
    assert_eq!(requests.len(), 1, "{spans:#?}");
    for span in requests {
        assert!(span.parent_span_id.is_empty());
        assert_ne!(span.trace_id, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.to_be_bytes());
    }
}

/// The first request of a pod without a decision waits for one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_that_a_request_waits_for_is_a_part_of_its_trace_with_each_plugins_answer() {
    let collector = Collector::http().await.unwrap();
    let gateway = exporting(&collector, "http", "1.0").await;
    // Paths are decided on request; they are not prefetched.
    get(&gateway, CHECKOUT, "/latest/meta-data/placement/region", &[]).await;
    in_time("end", gateway.stop()).await;
    let spans = collector.received().spans();
    let decision = spans.iter().find(|span| span.name == "policy.decision").expect("a decision's span");
    let request = spans.iter().find(|span| span.span_id == decision.parent_span_id).expect("its request's span");
    assert_eq!(request.kind, 2);
    assert!(decision.events.iter().all(|event| event.name == "plugin.call"));
    assert!(decision.events.iter().any(|event| attribute(&event.attributes, "metagate.plugin") == "annotations"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_hangs_or_dies_keeps_no_pod_waiting_and_does_not_keep_the_gateway_from_ending() {
    for (protocol, dies) in [("http", false), ("grpc", false), ("http", true), ("grpc", true)] {
        let collector = collector(protocol).await;
        collector.hang();
        let gateway = exporting(&collector, protocol, "1.0").await;
        // The exporter's threads are stuck from here on.
        in_time("export", async {
            while collector.requests() == 0 {
                get(&gateway, CHECKOUT, CREDENTIAL, &[]).await;
            }
        })
        .await;
        let collector = (!dies).then_some(collector);
        // More spans than any queue holds: no request waits for room in a queue.
        let mut client = gateway.connect(CHECKOUT).await.unwrap();
        let request = format!("GET {CREDENTIAL} HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.address());
        for _ in 0..5000 {
            assert_eq!(client.ask(&request).await.unwrap().status, 200);
        }
        in_time("end", gateway.stop()).await;
        drop(collector);
    }
}
