//! From start to the first sync, and what the roster requests from the API server.

use metagate_testkit::api_server::Fault;

use super::*;

#[tokio::test]
async fn it_listens_at_once_and_answers_503_until_all_three_lists_are_whole() {
    let api = api(&[pod("a", "127.0.0.2", "payments-a")]).await;
    api.set_fault(Kind::ServiceAccounts, Fault::Status(503));
    let lab = Lab::unsynced(api, |setup| setup.set("roster.wait", "10ms")).await;
    lab.until_api("pods are listed", |api| !api.asked_for(Kind::Pods, true).is_empty()).await;
    let refused = lab.get("127.0.0.2", ROLE).await;
    assert_eq!((refused.status, refused.header("Retry-After")), (503, Some("1")));
    let ready = lab.admin("/readyz").await;
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("roster"), "{}", ready.text());
    assert_eq!(lab.admin("/livez").await.status, 200);

    lab.api.set_fault(Kind::ServiceAccounts, Fault::None);
    lab.until_at("127.0.0.2", Some("a")).await;
    assert_eq!(lab.role("127.0.0.2").await, Ok("payments-a".into()));
    assert_eq!(lab.admin("/readyz").await.status, 200);
}

#[tokio::test]
async fn a_request_that_overtakes_its_pod_waits_for_it() {
    let lab = Lab::with(api(&[]).await, |setup| setup.set("roster.wait", "5s")).await;
    let mut client = lab.gateway.connect("127.0.0.2".parse::<IpAddr>().unwrap()).await.unwrap();
    client.send(format!("GET {ROLE} HTTP/1.1\r\nHost: {}\r\n\r\n", lab.gateway.address())).await.unwrap();
    lab.api.put(Kind::Pods, pod("late", "127.0.0.2", "payments-late"));
    assert_eq!(client.receive().await.unwrap().text(), "payments-late");
}

#[tokio::test]
async fn only_this_node_s_pods_are_asked_for_and_of_the_others_only_metadata() {
    let mut elsewhere = pod("elsewhere", "127.0.0.3", "payments-b");
    elsewhere["spec"]["nodeName"] = json!("node-b");
    let lab = Lab::start(api(&[pod("a", "127.0.0.2", "payments-a"), elsewhere]).await).await;
    assert_eq!(lab.feed().current().workloads().count(), 1);
    lab.until_api("all are watched", |api| {
        [Kind::Pods, Kind::Namespaces, Kind::ServiceAccounts].iter().all(|kind| !api.asked_for(*kind, true).is_empty())
    })
    .await;
    for asked in lab.api.asked().iter().filter(|asked| asked.method == "GET") {
        let selector = asked.query.get("fieldSelector").map(String::as_str);
        let is_pods = asked.path.ends_with("/pods");
        assert_eq!(selector, is_pods.then_some("spec.nodeName=node-a"), "{asked:?}");
        assert_eq!(asked.accept.contains("as=PartialObjectMetadata"), !is_pods, "{asked:?}");
    }
}

#[tokio::test]
async fn a_list_of_many_pages_is_read_to_its_end_before_anybody_is_answered() {
    let pods: Vec<_> =
        (0..120).map(|number| pod(&format!("p-{number}"), &format!("10.0.0.{number}"), "payments-a")).collect();
    let lab = Lab::start(api(&pods).await).await;
    assert_eq!(lab.feed().current().workloads().count(), 120);
    assert_eq!(lab.api.asked_for(Kind::Pods, false).len(), 3);
}

#[tokio::test]
async fn a_missing_right_to_one_watch_keeps_it_unready_and_is_named_in_the_log() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
    let _quiet = crate::log_capture::capture(subscriber);
    let api = api(&[pod("a", "127.0.0.2", "payments-a")]).await;
    api.set_fault(Kind::Namespaces, Fault::Status(403));
    let lab = Lab::unsynced(api, |setup| setup.set("roster.wait", "10ms")).await;
    lab.until_api("namespaces are asked for again", |api| api.asked_for(Kind::Namespaces, false).len() > 1).await;
    assert_eq!(lab.role("127.0.0.2").await, Err(503));
    assert_eq!(lab.admin("/readyz").await.status, 503);
    let log = log.text();
    let lost: Vec<&str> = log.lines().filter(|line| line.contains("a watch was lost")).collect();
    assert!(lost.len() == 1 && lost[0].contains("namespaces") && lost[0].contains("refuses everything"), "{log}");
}

#[derive(Clone, Default)]
struct Log(Arc<std::sync::Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
