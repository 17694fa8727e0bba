//! Kubernetes Events: what the owner of a refused pod finds.

use metagate::credential::FetchErrorKind;

use super::*;

fn about<'a>(events: &'a [Value], pod: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["regarding"]["name"] == pod).collect()
}

#[tokio::test]
async fn a_denied_pod_gets_one_event_however_often_it_asks() {
    let lab = Lab::start(api(&[pod("a", "127.0.0.2", "others-a")]).await).await;
    for _ in 0..50 {
        assert_eq!(lab.role("127.0.0.2").await, Err(403));
    }
    // Once the second pod has an Event, those of the first have been sent.
    lab.api.put(Kind::Pods, pod("b", "127.0.0.3", "others-b"));
    lab.until_api("both have an Event", |api| !about(&api.events(), "b").is_empty()).await;
    let events = lab.api.events();
    let [event] = about(&events, "a")[..] else { panic!("{events:?}") };
    assert_eq!((&event["type"], &event["reason"]), (&json!("Warning"), &json!("RoleDenied")));
    assert_eq!(event["regarding"]["uid"], "uid-of-a");
    assert_eq!(event["metadata"]["namespace"], "payments");
    let note = event["note"].as_str().unwrap();
    assert!(note.contains("role-not-permitted") && note.contains("metagate explain"), "{note}");
    let patched = lab.api.asked().iter().filter(|asked| asked.method == "PATCH").count();
    assert_eq!(patched, 0, "the Event was patched although nothing had changed");
}

#[tokio::test]
async fn another_reason_is_another_event_with_its_own_note() {
    let lab = Lab::start(api(&[pod("a", "127.0.0.2", "others-a")]).await).await;
    lab.until_api("the first denial has an Event", |api| api.events().len() == 1).await;
    lab.api.edit(Kind::Pods, "payments", "a", |pod| {
        pod["metadata"]["annotations"]["iam.amazonaws.com/role"] = json!("others-b");
    });
    lab.until_api("the second has an Event", |api| api.events().len() == 2).await;
    let notes: Vec<_> = lab.api.events().iter().map(|event| event["note"].to_string()).collect();
    assert!(["others-a", "others-b"].iter().all(|role| notes.iter().any(|note| note.contains(role))), "{notes:?}");
}

#[tokio::test]
async fn an_event_for_a_role_that_aws_refuses_has_its_cure_and_not_awss_own_text() {
    let api = api(&[]).await;
    let lab = Lab::start(api).await;
    lab.source.fail(
        FetchErrorKind::AccessDenied,
        Some("AccessDenied"),
        "User: arn:aws:sts::1:assumed-role/node is not authorized",
    );
    lab.api.put(Kind::Pods, pod("a", "127.0.0.2", "payments-a"));
    lab.until_at("127.0.0.2", Some("a")).await;
    assert_eq!(lab.get("127.0.0.2", &format!("{ROLE}payments-a")).await.status, 403);
    lab.until_api("it has an Event", |api| api.events().len() == 1).await;
    let events = lab.api.events();
    let note = events[0]["note"].as_str().unwrap();
    assert_eq!(events[0]["reason"], "CredentialsRefused");
    assert!(
        note.contains("role/payments-a") && note.contains("trust policy") && !note.contains("assumed-role"),
        "{note}"
    );
}

#[tokio::test]
async fn an_event_for_a_role_of_irsa_that_aws_refuses_has_the_cure_of_irsa() {
    let api = api(&[]).await;
    let arn = json!({ "eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/ledger" });
    api.put(Kind::ServiceAccounts, account("payments", "default", arn));
    let lab = Lab::start(api).await;
    let mut without_a_role = pod("a", "127.0.0.2", "");
    without_a_role["metadata"]["annotations"] = json!({});
    for (class, code, cure) in [
        (
            FetchErrorKind::AccessDenied,
            Some("AccessDenied"),
            "OIDC provider, with the subject system:serviceaccount:payments:default",
        ),
        (FetchErrorKind::Token, None, "could not get a token"),
    ] {
        lab.source.fail(class, code, "any detail");
        lab.api.delete(Kind::Pods, "payments", "a");
        lab.until_at("127.0.0.2", None).await;
        without_a_role["metadata"]["uid"] = json!(format!("uid {class}"));
        lab.api.put(Kind::Pods, without_a_role.clone());
        lab.until_at("127.0.0.2", Some("a")).await;
        assert_ne!(lab.get("127.0.0.2", &format!("{ROLE}ledger")).await.status, 200);
        let has_event =
            |api: &ApiServer| api.events().iter().any(|event| event["note"].as_str().unwrap().contains(cure));
        lab.until_api(cure, has_event).await;
    }
}

#[tokio::test]
async fn a_pod_that_shares_the_address_of_one_without_its_service_account_has_an_event() {
    let lab = Lab::start(api(&[pod("a", "127.0.0.2", "payments-a")]).await).await;
    let mut incomplete = pod("b", "127.0.0.2", "payments-b");
    incomplete["spec"]["serviceAccountName"] = json!("absent");
    lab.api.put(Kind::Pods, incomplete);
    let has_event = |pod: &'static str, reason: &'static str| {
        move |api: &ApiServer| about(&api.events(), pod).iter().any(|event| event["reason"] == reason)
    };
    lab.until_api("an Event about the shared address", has_event("a", "AddressShared")).await;
    lab.until_api("an Event about the missing service account", has_event("b", "PodIncomplete")).await;
    assert_eq!(lab.role("127.0.0.2").await, Err(503));
}

#[tokio::test]
async fn without_the_right_to_events_everybody_is_served_all_the_same() {
    let api = api(&[pod("a", "127.0.0.2", "payments-a"), pod("b", "127.0.0.3", "others-b")]).await;
    api.refuse_events(true);
    let lab = Lab::start(api).await;
    lab.until_api("an Event was tried", |api| api.asked().iter().any(|asked| asked.method == "POST")).await;
    assert_eq!(lab.role("127.0.0.3").await, Err(403));
    assert_eq!(lab.role("127.0.0.2").await, Ok("payments-a".into()));
}

#[tokio::test]
async fn where_events_are_off_none_is_sent() {
    let api = api(&[pod("b", "127.0.0.3", "others-b")]).await;
    let lab = Lab::with(api, |setup| setup.set("kubernetes.events", "false")).await;
    assert_eq!(lab.role("127.0.0.3").await, Err(403));
    assert!(lab.api.asked().iter().all(|asked| asked.method == "GET"));
}
