//! What cases show about a plugin.

use metagate::authoring::Report;
use metagate_plugin_artifacts::{EXAMPLE_TRUSTED_ADMIN, testing::HOSTILE};
use serde_json::Value;

use super::{Folder, metagate, tried};

/// A case for a pod, with these lines.
fn case(lines: &str) -> String {
    // The lines also make the name unique.
    format!("[[case]]\nname = {lines:?}\nworkload = {{ namespace = 'payments', pod = 'checkout-0' }}\n{lines}\n")
}

/// Each difference as `phase.field: expected / got`.
fn differences(report: &Report) -> Vec<String> {
    let asked = report.cases.iter().flat_map(|trial| &trial.phases);
    let differences =
        asked.flat_map(|asked| asked.differences.iter().map(move |difference| (asked.phase.key(), difference)));
    differences
        .map(|(phase, difference)| {
            let field = difference.field.map(|field| format!(".{field}")).unwrap_or_default();
            format!("{phase}{field}: {} / {}", difference.expected, difference.got)
        })
        .collect()
}

/// Runs cases, each a configuration and an expectation, in one go: compiling the guest takes seconds.
async fn hostile(cases: &[(&str, &str)]) -> Report {
    let case = |(config, expect): &(&str, &str)| {
        let asks = [("authorize =", "role = 'checkout'\n"), ("authorize_path =", "path = 'meta-data/mac'\n")];
        let asked: String = asks.iter().filter(|(key, _)| expect.contains(key)).map(|(_, line)| *line).collect();
        case(&format!("config = {config}\n{asked}[case.expect]\n{expect}"))
    };
    tried(HOSTILE, &cases.iter().map(case).collect::<String>()).await
}

#[tokio::test]
async fn a_failure_is_expected_by_its_kind_and_is_no_denial() {
    let failures = [
        ("{ on = 'authorize', do = 'loop' }", "timed-out"),
        ("{ on = 'authorize', do = 'trap' }", "trapped"),
        ("{ on = 'authorize', do = 'err' }", "failed"),
        ("{ on = 'authorize', do = 'deny', code = 'No Label' }", "invalid-answer"),
    ];
    let expected = failures
        .map(|(config, kind)| (config, format!("authorize = {{ fails = '{kind}' }}\nauthorize_path = 'abstain'")));
    let right = expected.each_ref().map(|(config, expect)| (*config, expect.as_str()));
    let wrong = failures.map(|(config, _)| (config, "authorize = 'abstain'"));
    let other = ("{ on = 'authorize', do = 'trap' }", "authorize = { fails = 'failed' }");
    let report = hostile(&[&right[..], &wrong, &[other]].concat()).await;
    assert_eq!((report.passed, report.failed), (4, 5), "{}", report.text(false));
    assert!(differences(&report)[4].starts_with("authorize: failed / trapped: "), "{}", report.text(false));
    for (difference, (_, kind)) in differences(&report).iter().zip(failures) {
        assert!(difference.starts_with(&format!("authorize: abstain / {kind}: ")), "{difference}");
    }
}

#[tokio::test]
async fn a_configuration_that_must_be_refused_is_a_case_too() {
    let report = hostile(&[
        ("{ on = 'init', do = 'err' }", "init = { error = 'asked to fail' }"),
        ("{ on = 'init', do = 'err' }", "init = { error = 'other words' }"),
        ("{}", "init = { error = 'asked to fail' }"),
        ("{ on = 'init', do = 'err' }", "resolve = 'abstain'"),
        ("{}", "init = 'accepted'"),
        ("{ on = 'init', do = 'err' }", "init = 'accepted'"),
    ])
    .await;
    assert!(report.cases[0].passed && report.cases[4].passed);
    assert_eq!(
        differences(&report),
        [
            "init: refuses its configuration: … other words … / failed: hostile: asked to fail",
            "init: refuses its configuration: … asked to fail … / takes its configuration",
            "init: takes its configuration / failed: hostile: asked to fail",
            "init: takes its configuration / failed: hostile: asked to fail",
        ]
    );
}

#[tokio::test]
async fn a_role_is_compared_whole_and_field_by_field() {
    let role = "{ do = 'role', role = { arn = 'arn:aws:iam::123456789012:role/checkout', duration_seconds = 900, \
                tags = [['team', 'a']], session_policy = '{\"Version\": \"2012-10-17\"}' } }";
    let whole =
        "role = 'checkout', duration_seconds = 900, tags = { team = 'a' }, session_policy = { Version = '2012-10-17' }";
    let short = "{ do = 'role', role = { arn = 'checkout', duration_seconds = 60 } }";
    let report = hostile(&[
        (role, &format!("resolve = {{ {whole} }}")),
        (role, "resolve = { role = 'ledger', external_id = 'x1', duration_seconds = 900 }"),
        (short, "resolve = { role = 'checkout', duration_seconds = 60 }"),
    ])
    .await;
    assert!(report.cases[0].passed, "{}", report.text(false));
    assert_eq!(
        differences(&report),
        [
            "resolve.role: ledger / arn:aws:iam::123456789012:role/checkout",
            "resolve.external_id: x1 / (absent)",
            "resolve.tags: (absent) / team = \"a\"",
            "resolve.session_policy: (absent) / {\"Version\": \"2012-10-17\"}",
            "resolve: role checkout / role checkout, which the gateway refuses: session duration of 60 s is not between \
             900 and 43200",
        ]
    );
}

#[tokio::test]
async fn a_plugin_is_asked_as_the_gateway_asks() {
    let echo = "{ on = 'authorize', do = 'echo' }";
    let twice = "{ on = 'authorize-path', do = 'echo' }";
    let report = hostile(&[
        (echo, "authorize = { deny = 'echo' }"),
        (echo, "resolve = 'abstain'\nauthorize = { deny = 'echo' }"),
        (twice, "resolve = 'abstain'\nauthorize_path = { deny = 'echo' }"),
    ])
    .await;
    assert!(report.is_passed(), "{}", report.text(false));
    let answer = |case: usize| report.cases[case].phases.last().unwrap().answer.as_str();
    assert!(answer(0).contains("role-attributes[as-written,base-arn] decisions-before=0"), "{}", answer(0));
    // Both questions about a role go to one instance, a path goes to another.
    assert!(answer(1).ends_with("decisions-before=1"), "{}", answer(1));
    assert!(answer(2).ends_with("decisions-before=0"), "{}", answer(2));
    assert!(report.cases.iter().all(|trial| trial.memory_bytes.is_some_and(|bytes| bytes >= 64 << 10)));
}

#[tokio::test]
async fn the_time_and_the_images_are_shown_to_a_plugin_that_asks() {
    let asks = "interest = { attributes = ['now', 'image/*'] }";
    let pod = "workload = { namespace = 'a', pod = 'b', images = { app = 'shop:1' } }";
    let cases = format!(
        "[plugin]\nclock = true\nconfig = {{ do = 'echo', {asks} }}\n\
         [[case]]\nname = 'c'\nnow = '2026-11-25T09:00:00Z'\n{pod}\nexpect.resolve = {{ deny = 'echo' }}\n"
    );
    let report = tried(HOSTILE, &cases).await;
    assert!(report.cases[0].phases[1].answer.contains("attributes[image/app,now]"), "{}", report.text(false));
    let unclocked = cases.replace("clock = true\n", "").replace("now = '2026-11-25T09:00:00Z'\n", "");
    let report = tried(HOSTILE, &unclocked).await;
    assert!(differences(&report)[0].contains("set clock = true"), "{}", report.text(false));
}

#[tokio::test]
async fn a_failing_case_names_the_metadata_that_the_interest_forgot() {
    let pod = "workload = { namespace = 'a', pod = 'b', labels = { tier = 'public', team = 'x' }, namespace_annotations = { owner = 'y' }, images = { app = 'shop:1' } }";
    let cases = format!("[[case]]\nname = 'c'\n{pod}\nrole = 'admin/dba'\n[case.expect]\nauthorize = 'abstain'\n");
    let report = tried(EXAMPLE_TRUSTED_ADMIN, &cases).await;
    assert_eq!(
        report.cases[0].notes,
        [
            "the plugin is not shown `team` of the workload's labels: its interest does not name it",
            "the plugin is not shown `owner` of the workload's namespace_annotations: its interest does not name it",
            "the plugin is not shown `image/app` of the workload's attributes: its interest does not name it",
        ]
    );
    let report = tried(EXAMPLE_TRUSTED_ADMIN, &cases.replace("'abstain'", "{ deny = 'not-trusted' }")).await;
    assert!(report.is_passed() && report.cases[0].notes.is_empty());
}

#[tokio::test]
async fn what_a_plugin_logs_is_shown_where_it_fails() {
    let report = hostile(&[("{ do = 'panic' }", "resolve = 'abstain'")]).await;
    assert!(report.cases[0].log[0].starts_with("error ") && report.cases[0].log[0].contains("asked to panic"));
    assert!(report.text(false).contains("\n      log: error panicked at "), "{}", report.text(false));
}

#[test]
fn each_case_is_one_line_with_its_differences_below_and_a_failure_exits_with_3() {
    let cases = "[[case]]\nname = 'an admin role'\nworkload = { namespace = 'a', pod = 'b', labels = { tier = 'public' } }\n\
                 role = 'admin/dba'\n[case.expect]\nresolve = 'abstain'\nauthorize = { deny = 'not-trusted', reason = 'x' }\n\
                 [[case]]\nname = 'any other'\nworkload = { namespace = 'a', pod = 'b' }\nrole = 'web'\n\
                 expect.authorize = 'abstain'\n";
    let folder = Folder::with(&[("plugin.wasm", EXAMPLE_TRUSTED_ADMIN), ("cases.toml", cases.as_bytes())]);
    let ran = metagate(&["plugin", "test", "plugin.wasm"], folder.path());
    assert_eq!((ran.code, ran.err.as_str()), (3, ""), "{}", ran.out);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert!(lines[0].starts_with("FAIL  an admin role  init ") && lines[0].ends_with(" MiB"), "{}", ran.out);
    assert_eq!(lines[1], "      authorize.reason           expected  x");
    assert_eq!(
        lines[2],
        "                                 got       roles under /admin/ are for pods labelled tier=trusted"
    );
    assert!(lines[3].starts_with("ok    any other      init "), "{}", ran.out);
    assert_eq!(lines[5], "1 of 2 as expected, 1 not");
    let json = metagate(&["plugin", "test", "plugin.wasm", "--output", "json"], folder.path());
    let report: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((json.code, &report["failed"], &report["cases"][0]["passed"]), (3, &1.into(), &false.into()));
    assert_eq!(report["cases"][0]["phases"][2]["differences"][0]["field"], "reason");
}
