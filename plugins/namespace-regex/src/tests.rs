use metagate_plugin_sdk::{CredentialSource, Interest, Policy, Role, Verdict, Workload, parse_config};
use proptest::prelude::*;

use super::{Config, Dialect, Missing, NamespaceRegex, Source};

const PERMITTED: &str = "iam.amazonaws.com/permitted";
const ALLOWED_ROLES: &str = "iam.amazonaws.com/allowed-roles";
const BASE: &str = "arn:aws:iam::123456789012:role/";
const DIALECTS: [Dialect; 5] =
    [Dialect::Strict, Dialect::KiamV4, Dialect::KiamV3, Dialect::Kube2iamGlob, Dialect::Kube2iamRegexp];

fn pod() -> Workload {
    Workload::of("payments", "checkout-0")
}

/// The role as the gateway shows it: a name within the base account, or an ARN.
fn role(as_written: &str) -> Role {
    let arn = if as_written.starts_with("arn:") { as_written.to_owned() } else { format!("{BASE}{as_written}") };
    Role::named(arn).with_attribute("as-written", as_written).with_attribute("base-arn", BASE)
}

fn verdict(config: Config, workload: &Workload, role: &Role) -> Verdict {
    NamespaceRegex::new(config).unwrap().authorize(workload, role).unwrap()
}

fn by(dialect: Dialect, key: &str, value: &str, as_written: &str) -> Result<(), String> {
    let config = Config { dialect, ..Config::default() };
    match verdict(config, &pod().with_namespace_annotation(key, value), &role(as_written)) {
        Verdict::Allow => Ok(()),
        Verdict::Deny(denial) => Err(denial.code),
        Verdict::Abstain => Err("abstained".to_owned()),
    }
}

fn allows(dialect: Dialect, key: &str, value: &str, as_written: &str) -> bool {
    by(dialect, key, value, as_written).is_ok()
}

#[test]
fn permitted_matches_the_whole_arn() {
    assert!(allows(Dialect::Strict, PERMITTED, ".*", "web"));
    assert!(allows(Dialect::Strict, PERMITTED, "arn:aws:iam::123456789012:role/pay-.*", "pay-web"));
    assert!(allows(Dialect::Strict, PERMITTED, "^arn:aws:iam::\\d{12}:role/web$\n", "web"));
    assert_eq!(by(Dialect::Strict, PERMITTED, "web", "web"), Err("role-not-permitted".to_owned()));
    assert_eq!(by(Dialect::Strict, PERMITTED, ".*:role/web", "web-admin"), Err("role-not-permitted".to_owned()));
}

#[test]
fn alternation_cannot_escape_its_anchors_in_any_dialect() {
    for dialect in DIALECTS {
        let expression = format!("{BASE}a|b|a|b|{BASE}b");
        assert!(!allows(dialect, PERMITTED, &expression, "admin"), "{dialect:?}");
        assert!(!allows(dialect, PERMITTED, &expression, "webb"), "{dialect:?}");
        assert!(!allows(dialect, PERMITTED, "a)|.*(?:b", "admin"), "{dialect:?}");
    }
    assert!(!allows(Dialect::Kube2iamRegexp, ALLOWED_ROLES, r#"["a|b"]"#, "admin"));
    assert!(!allows(Dialect::Kube2iamRegexp, ALLOWED_ROLES, r#"["arn:x|b"]"#, "web/b"));
    assert!(allows(Dialect::Kube2iamRegexp, ALLOWED_ROLES, r#"["a|b"]"#, "b"));
}

#[test]
fn an_empty_annotation_permits_nothing() {
    for (key, value) in
        [(PERMITTED, ""), (PERMITTED, " \n"), (ALLOWED_ROLES, ""), (ALLOWED_ROLES, "[]"), (PERMITTED, "^$")]
    {
        for dialect in DIALECTS {
            assert_eq!(by(dialect, key, value, "web"), Err("role-not-permitted".to_owned()), "{key}={value:?}");
        }
    }
}

#[test]
fn allowed_roles_are_globs_of_the_base_account() {
    for dialect in [Dialect::Strict, Dialect::Kube2iamGlob, Dialect::KiamV4] {
        let allows = |list, as_written| allows(dialect, ALLOWED_ROLES, list, as_written);
        assert!(allows(r#"["web"]"#, "web") && allows(r#"["/web"]"#, "web"));
        assert!(allows("[\"other\",\n \"team/*\"]\n", "team/a/b"));
        assert!(allows(r#"["*"]"#, "any/role"));
        assert!(!allows(r#"["*"]"#, "arn:aws:iam::210987654321:role/web"));
        assert!(allows(r#"["arn:aws:iam::*:role/web"]"#, "arn:aws:iam::210987654321:role/web"));
        assert!(!allows(r#"["web"]"#, "web-admin") && !allows(r#"["w.b"]"#, "web"));
    }
}

#[test]
fn allowed_roles_of_kube2iam_regexp_are_whole_expressions() {
    let allows = |list, as_written| allows(Dialect::Kube2iamRegexp, ALLOWED_ROLES, list, as_written);
    assert!(allows(r#"["w.b"]"#, "web") && allows(r#"["arn:.*"]"#, "arn:aws:iam::210987654321:role/web"));
    assert!(!allows(r#"["we"]"#, "web") && !allows(r#"[".*"]"#, "arn:aws:iam::210987654321:role/web"));
}

#[test]
fn a_name_is_allowed_to_nobody_where_the_base_account_is_unknown() {
    let config = Config::default();
    let workload = pod().with_namespace_annotation(ALLOWED_ROLES, r#"["*"]"#);
    let role = Role::named(format!("{BASE}web"));
    assert!(matches!(verdict(config, &workload, &role), Verdict::Deny(denial) if denial.code == "role-not-permitted"));
}

#[test]
fn kiam_v3_matches_the_role_as_written() {
    assert!(allows(Dialect::KiamV3, PERMITTED, "web", "web"));
    assert!(!allows(Dialect::KiamV3, PERMITTED, "we", "web"));
    assert!(!allows(Dialect::KiamV3, PERMITTED, "arn:.*", "web"));
    let workload = pod().with_namespace_annotation(PERMITTED, ".*");
    let policy = NamespaceRegex::new(Config { dialect: Dialect::KiamV3, ..Config::default() }).unwrap();
    assert!(policy.authorize(&workload, &Role::named(format!("{BASE}web"))).is_err());
}

#[test]
fn where_both_annotations_are_there_both_must_allow() {
    for dialect in DIALECTS {
        let allowed = |permitted, list| {
            let workload =
                pod().with_namespace_annotation(PERMITTED, permitted).with_namespace_annotation(ALLOWED_ROLES, list);
            verdict(Config { dialect, ..Config::default() }, &workload, &role("web")) == Verdict::Allow
        };
        assert!(allowed(".*", r#"["web"]"#));
        assert!(!allowed("", r#"["web"]"#) && !allowed(".*", r#"["api"]"#));
        assert!(!allowed(".*", "web") && !allowed("(", r#"["web"]"#));
    }
}

#[test]
fn a_namespace_without_annotations_is_denied_unless_configured() {
    let Verdict::Deny(denial) = verdict(Config::default(), &pod(), &role("web")) else { panic!("not denied") };
    assert_eq!(denial.code, "namespace-not-permitted");
    assert!(denial.reason.contains(PERMITTED) && denial.reason.contains(ALLOWED_ROLES), "{}", denial.reason);
    let lax = Config { missing: Missing::Allow, ..Config::default() };
    assert_eq!(verdict(lax.clone(), &pod(), &role("web")), Verdict::Allow);
    let strict_namespace = pod().with_namespace_annotation(PERMITTED, "");
    assert!(matches!(verdict(lax, &strict_namespace, &role("web")), Verdict::Deny(_)));
}

#[test]
fn a_malformed_annotation_denies_and_says_where_the_mistake_is() {
    let reason = |key, value| {
        let config = Config { dialect: Dialect::Kube2iamRegexp, ..Config::default() };
        match verdict(config, &pod().with_namespace_annotation(key, value), &role("web")) {
            Verdict::Deny(denial) if denial.code == "bad-annotation" => denial.reason,
            other => panic!("{key}={value:?}: {other:?}"),
        }
    };
    assert!(reason(PERMITTED, "a(").contains("`iam.amazonaws.com/permitted` of namespace `payments`"));
    assert!(reason(ALLOWED_ROLES, "web").contains("not a JSON array of strings, see line 1, column 1"));
    assert!(!reason(ALLOWED_ROLES, r#""s3cret""#).contains("s3cret"));
    assert!(reason(ALLOWED_ROLES, r#"["web","["]"#).contains("entry 2"));
    for (key, value) in [(PERMITTED, "("), (ALLOWED_ROLES, r#"["(a{9}){999}"]"#)] {
        assert!(reason(key, value).len() < 256);
    }
}

#[test]
fn other_sources_are_left_to_other_plugins() {
    let workload = pod().with_namespace_annotation(PERMITTED, "");
    let irsa = role("web").with_source(CredentialSource::WebIdentity("sts.amazonaws.com".to_owned()));
    assert_eq!(verdict(Config::default(), &workload, &irsa), Verdict::Abstain);
    let all = Config { sources: vec![Source::AssumeRole, Source::WebIdentity], ..Config::default() };
    assert!(matches!(verdict(all, &workload, &irsa), Verdict::Deny(_)));
    assert_eq!(
        verdict(Config::default(), &workload, &role("web").with_source(CredentialSource::PodIdentity)),
        Verdict::Abstain
    );
}

#[test]
fn the_configuration_has_the_documented_names() {
    let config: Config = parse_config(
        r#"{"permitted_key":"p","allowed_roles_key":"","missing":"allow","dialect":"kube2iam-regexp",
            "sources":["assume-role","web-identity","pod-identity"]}"#,
    )
    .unwrap();
    assert_eq!((config.missing, config.dialect, config.sources.len()), (Missing::Allow, Dialect::Kube2iamRegexp, 3));
    assert_eq!(NamespaceRegex::new(config).unwrap().interest(), Interest::none().namespace_annotations(["p"]));
    for (name, dialect) in
        ["strict", "kiam-v4", "kiam-v3", "kube2iam-glob", "kube2iam-regexp"].into_iter().zip(DIALECTS)
    {
        let config: Config = parse_config(&format!(r#"{{"dialect":"{name}"}}"#)).unwrap();
        assert_eq!(config.dialect, dialect);
    }
}

#[test]
fn a_bad_configuration_names_its_key() {
    assert!(parse_config::<Config>(r#"{"dialect":"kiam"}"#).unwrap_err().starts_with("dialect: "));
    assert!(parse_config::<Config>(r#"{"sources":["irsa"]}"#).unwrap_err().starts_with("sources[0]: "));
    let refused = |config| NamespaceRegex::new(config).unwrap_err();
    assert!(refused(Config { permitted_key: "iam/*".to_owned(), ..Config::default() }).starts_with("permitted_key:"));
    assert!(refused(Config { sources: Vec::new(), ..Config::default() }).starts_with("sources:"));
    let none = Config { permitted_key: String::new(), allowed_roles_key: String::new(), ..Config::default() };
    assert!(refused(none).starts_with("permitted_key, allowed_roles_key:"));
}

proptest! {
    #[test]
    fn no_annotation_is_an_error(permitted in "\\PC{0,30}", list in "(\\[\"\\PC{0,20}\"\\])|\\PC{0,30}") {
        for dialect in DIALECTS {
            let policy = NamespaceRegex::new(Config { dialect, ..Config::default() }).unwrap();
            let workload = pod().with_namespace_annotation(PERMITTED, &permitted).with_namespace_annotation(ALLOWED_ROLES, &list);
            prop_assert!(policy.authorize(&workload, &role("web")).is_ok());
        }
    }
}
