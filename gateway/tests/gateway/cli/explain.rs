//! `metagate explain`: what it prints, and whether its suggestion works.

use super::*;

/// Explains one of the sandbox's own pods, or `idle-0`, which has no role.
fn explain(pod: &str, more: &[&str]) -> Ran {
    let roster = fs::read_to_string(Path::new(EXAMPLES).join("sandbox-roster.toml")).unwrap();
    let without_role = "[[workload]]\nnamespace = \"payments\"\npod = \"idle-0\"\nips = [\"127.0.0.9\"]\n";
    let folder = Folder::with("roster.toml", &format!("{roster}\n{without_role}"));
    let (config, roster) = (example("sandbox.toml"), folder.path("roster.toml"));
    run(&[&["explain", "--pod", pod, "--config", &config, "--workload", &roster], more].concat())
}

fn explained(pod: &str, code: i32) -> (String, Value) {
    let text = explain(pod, &[]);
    let json = explain(pod, &["--output", "json"]);
    assert_eq!((text.code, json.code), (code, code), "{}{}", text.err, json.err);
    assert_eq!((text.err.as_str(), json.err.as_str()), ("", ""));
    (text.out, serde_json::from_str(&json.out).unwrap())
}

#[test]
fn explain_of_a_granted_pod_is_0_and_names_its_role() {
    let (text, json) = explained("payments/checkout-0", 0);
    for part in ["annotations", "role payments-checkout", "namespace-regex", "allows", "granted (200)"] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    assert!(text.contains("arn:aws:iam::123456789012:role/payments-checkout"), "{text}");
    assert_eq!((json["outcome"].as_str(), json["status"].as_u64()), (Some("granted"), Some(200)));
    assert_eq!(json["role_arn"], "arn:aws:iam::123456789012:role/payments-checkout");
    assert_eq!(json["steps"][0]["plugin"], "annotations");
    assert!(json["next_step"].is_null());
}

#[test]
fn explain_of_a_denied_pod_is_3_and_says_by_whom_and_why() {
    let (text, json) = explained("guests/visitor-0", 3);
    for part in ["namespace-regex", "denies: role-not-permitted", "denied (403)", "next step"] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    assert_eq!((json["outcome"].as_str(), json["status"].as_u64()), (Some("denied"), Some(403)));
    assert!(json["reason"].as_str().unwrap().contains("role-not-permitted"));
    // The role that it asked for, so that it can be permitted; and how.
    assert_eq!(json["role_arn"], "arn:aws:iam::123456789012:role/payments-checkout");
    let permit = "kubectl annotate namespace guests --overwrite \
                  'iam.amazonaws.com/permitted=(?:arn:aws:iam::123456789012:role/guests-.*)|\
                  arn:aws:iam::123456789012:role/payments\\-checkout'";
    assert_eq!(json["next_step"]["command"], permit);
    assert!(text.contains(permit) && text.contains("annotation iam.amazonaws.com/role: payments-checkout"), "{text}");
}

#[test]
fn explain_prints_what_audit_mode_ignores() {
    let audited = sandbox_and("[policy]\nmode = \"audit\"\n");
    let explain = |pod: &str, config: &str| {
        run(&["explain", "--pod", pod, "--config", config, "--workload", &example("sandbox-roster.toml")])
    };
    let ran = explain("guests/visitor-0", &audited.path("metagate.toml"));
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    for line in ["denies: role-not-permitted", "denies: nobody-allowed"] {
        let line = ran.out.lines().find(|printed| printed.contains(line)).unwrap();
        assert!(line.ends_with("  [audit: not acted on]"), "{line}");
    }
    let last = ran.out.lines().last().unwrap();
    assert_eq!(last, "audit mode: 2 answers would otherwise have refused this");
    for (pod, config) in
        [("payments/checkout-0", audited.path("metagate.toml")), ("guests/visitor-0", example("sandbox.toml"))]
    {
        assert!(!explain(pod, &config).out.contains("audit"), "{pod}");
    }
}

#[test]
fn explain_of_a_pod_without_role_is_3_and_says_how_it_would_get_one() {
    let (text, json) = explained("payments/idle-0", 3);
    assert!(text.contains("no-role (404)") && text.contains("iam.amazonaws.com/role"), "{text}");
    assert_eq!((json["outcome"].as_str(), json["status"].as_u64()), (Some("no-role"), Some(404)));
}

#[test]
fn explain_judges_the_role_and_the_path_that_are_asked_for() {
    for (more, code, part) in [
        (["--role", "payments-checkout"], 0, "granted (200)"),
        (["--role", "payments-reporting"], 3, "but its role is"),
        (["--path", "meta-data/placement/region"], 0, "admitted (200)"),
        (["--path", "/latest/meta-data/mac"], 3, "imds.allow"),
        (["--path", "meta-data/iam/security-credentials/node"], 3, "but its role is"),
        (["--path", "meta-data/iam/security-credentials/payments-checkout"], 0, "granted (200)"),
        (["--path", "meta-data/iam/info"], 0, "granted (200)"),
        (["--path", "meta-data/iam"], 0, "granted (200)"),
        (["--path", "/2021-03-23//meta-data/placement/region/"], 0, "admitted (200)"),
        (["--path", "meta-data/placement/"], 0, "admitted (200)"),
        (["--path", "/"], 0, "admitted (200)"),
        (["--path", "meta-data/spot/"], 3, "not a path that any pod may read"),
        (["--path", "meta-data/../user-data"], 1, "bad-path (400)"),
        (["--path", "meta-data/../user-data"], 1, "path has a dot segment"),
        (["--path", "/latest/api/token"], 1, "method (405)"),
    ] {
        let ran = explain("payments/checkout-0", &more);
        assert_eq!(ran.code, code, "{more:?}: {}{}", ran.out, ran.err);
        assert!(ran.out.contains(part), "{more:?}: {part} is not in: {}", ran.out);
    }
}

#[test]
fn explain_of_a_pod_that_is_not_there_is_1_and_lists_those_that_are() {
    let ran = explain("payments/gone-0", &[]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert!(ran.err.contains("no pod payments/gone-0") && ran.err.contains("guests/visitor-0"), "{}", ran.err);
}

#[test]
fn explain_without_a_running_gateway_says_so() {
    let folder = Folder::with("metagate.toml", "");
    let socket = format!("unix:{}", folder.path("admin.sock"));
    let mut command = metagate(&["explain", "--pod", "a/b", "--config", &example("sandbox.toml")]);
    let ran = ended(command.env("METAGATE_ADMIN__LISTEN", &socket).output().unwrap());
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert!(ran.err.contains("no gateway answers at") && ran.err.contains("admin.sock"), "{}", ran.err);
}

/// Runs the suggested command on the roster's file, and explains the pod again.
#[test]
fn the_suggested_command_permits_the_role_and_removes_no_other() {
    let permitted = ("iam.amazonaws.com/permitted", "arn:aws:iam::123456789012:role/web\n");
    let list = ("iam.amazonaws.com/allowed-roles", r#"["web"]"#);
    for dialect in ["strict", "kiam-v4", "kube2iam-glob", "kube2iam-regexp"] {
        for annotations in [vec![permitted], vec![list], vec![permitted, list], vec![]] {
            let mut annotations: std::collections::BTreeMap<String, String> =
                annotations.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
            let had_web = !annotations.is_empty();
            let ask = |annotations: &std::collections::BTreeMap<String, String>, pod: &str| {
                let folder = permitting(dialect, annotations);
                let ran = run(&[
                    "explain",
                    "--config",
                    &folder.path("metagate.toml"),
                    "--workload",
                    &folder.path("roster.toml"),
                    "--pod",
                    pod,
                    "--output",
                    "json",
                ]);
                serde_json::from_str::<Value>(&ran.out).unwrap_or_else(|_| panic!("{}", ran.err))
            };
            let denied = ask(&annotations, "shop/api-0");
            assert_eq!(denied["outcome"], "denied", "{dialect}: {annotations:?}");
            // The shell itself reads the pairs.
            let command = denied["next_step"]["command"].as_str().unwrap();
            let pairs = command.split_once("--overwrite ").unwrap().1;
            let echoed = Command::new("sh").args(["-c", &format!("printf '%s\\0' {pairs}")]).output().unwrap();
            for pair in String::from_utf8(echoed.stdout).unwrap().split_terminator('\0') {
                let (key, value) = pair.split_once('=').unwrap();
                annotations.insert(key.to_owned(), value.to_owned());
            }
            assert_eq!(ask(&annotations, "shop/api-0")["outcome"], "granted", "{dialect}: {annotations:?}");
            if had_web {
                assert_eq!(ask(&annotations, "shop/web-0")["outcome"], "granted", "{dialect}: {annotations:?}");
            }
        }
    }
}

/// Pods with the roles `web` and `pay.api`, in a namespace with these annotations.
fn permitting(dialect: &str, annotations: &std::collections::BTreeMap<String, String>) -> Folder {
    let pairs: Vec<String> = annotations.iter().map(|(key, value)| format!("{key:?} = {value:?}")).collect();
    let pod = |name: &str, address: &str, role: &str| {
        format!(
            "[[workload]]\nnamespace = 'shop'\npod = '{name}'\nips = ['{address}']\n\
             annotations = {{ 'iam.amazonaws.com/role' = '{role}' }}\n"
        )
    };
    let roster = format!(
        "[[namespace]]\nname = 'shop'\nannotations = {{ {} }}\n{}{}",
        pairs.join(", "),
        pod("web-0", "127.0.0.2", "web"),
        pod("api-0", "127.0.0.3", "pay.api")
    );
    let config = format!(
        "imds.endpoint = 'sandbox'\nroster = {{ source = 'fixed', file = 'roster.toml' }}\n\
         credentials = {{ source = 'sandbox', base_role_arn = 'arn:aws:iam::123456789012:role/', region = 'eu-west-1' }}\n\
         [[plugin]]\nname = 'annotations'\nbuiltin = 'annotations'\n\
         [[plugin]]\nname = 'namespace-regex'\nbuiltin = 'namespace-regex'\nconfig = {{ dialect = '{dialect}' }}\n"
    );
    Folder::with("metagate.toml", &config).and("roster.toml", &roster)
}
