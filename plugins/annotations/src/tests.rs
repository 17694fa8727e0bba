use metagate_plugin_sdk::{Policy, Resolution, Role, Verdict, Workload, parse_config};
use proptest::prelude::*;

use super::{Annotations, Config};

const ROLE: &str = "iam.amazonaws.com/role";
const EXTERNAL_ID: &str = "iam.amazonaws.com/external-id";
const SESSION_NAME: &str = "iam.amazonaws.com/session-name";
const DEFAULT: &str = "iam.amazonaws.com/default";

fn pod() -> Workload {
    Workload::of("payments", "checkout-0")
}

fn answer(config: Config, workload: &Workload) -> Resolution {
    Annotations::new(config).unwrap().resolve(workload).unwrap()
}

fn role_of(text: &str) -> Resolution {
    answer(Config::default(), &pod().with_annotation(ROLE, text))
}

fn with_default() -> Config {
    Config { namespace_default_key: DEFAULT.to_owned(), ..Config::default() }
}

#[test]
fn each_way_to_write_a_role_is_taken() {
    let cases = [
        ("checkout", "checkout"),
        ("/checkout", "checkout"),
        (" checkout\n", "checkout"),
        ("team/checkout", "team/checkout"),
        ("/team/checkout", "team/checkout"),
        ("arn:aws:iam::210987654321:role/checkout", "arn:aws:iam::210987654321:role/checkout"),
        ("arn:aws-cn:iam::123456789012:role/a/b", "arn:aws-cn:iam::123456789012:role/a/b"),
        ("ARN:aws:iam::123456789012:role/checkout", "arn:aws:iam::123456789012:role/checkout"),
    ];
    for (text, arn) in cases {
        assert_eq!(role_of(text), Resolution::Role(Role::named(arn)), "{text:?}");
    }
}

#[test]
fn a_pod_without_a_role_is_left_to_the_next_plugin() {
    assert_eq!(answer(Config::default(), &pod()), Resolution::Abstain);
    assert_eq!(role_of(""), Resolution::Abstain);
    assert_eq!(role_of(" \n"), Resolution::Abstain);
    let alone = pod().with_annotation(EXTERNAL_ID, "abc").with_annotation(SESSION_NAME, "abc");
    assert_eq!(answer(Config::default(), &alone), Resolution::Abstain);
}

#[test]
fn a_malformed_role_is_denied_with_the_key_and_the_cure() {
    let long = "r".repeat(2049);
    let cases = [
        ("check out", "has a space inside: remove it"),
        ("check\u{a0}out", "has a space inside: remove it"),
        ("check\nout", "has a control character inside, such as a line break: remove it"),
        ("check\0out", "has a control character inside, such as a line break: remove it"),
        (&long, "is too long: shorten it to at most 2048 bytes"),
        ("arn:aws:iam::123:role/checkout", "is not the ARN of a role: the account is twelve digits"),
        ("Arn:aws:s3:::bucket", "is not the ARN of a role: the service, after the partition, is `iam`"),
    ];
    for (text, what) in cases {
        let expected = Resolution::deny("bad-annotation", format!("the pod's annotation `{ROLE}` {what}"));
        assert_eq!(role_of(text), expected, "{text:?}");
    }
    for text in ["/", "//checkout", "checkout/", "a//b", "aws:iam::123456789012:role/x", "chéckout"] {
        let Resolution::Deny(denial) = role_of(text) else { panic!("{text:?} was taken") };
        assert!(denial.reason.contains("write its name, path/name or ARN"), "{text:?}: {}", denial.reason);
    }
}

#[test]
fn external_id_and_session_name_come_with_the_role() {
    let workload = pod()
        .with_annotation(ROLE, "checkout")
        .with_annotation(EXTERNAL_ID, " partner:42/eu ")
        .with_annotation(SESSION_NAME, "checkout@eu");
    let mut role = Role::named("checkout");
    role.external_id = Some("partner:42/eu".to_owned());
    role.session_name = Some("checkout@eu".to_owned());
    assert_eq!(answer(Config::default(), &workload), Resolution::Role(role.clone()));

    role.session_name = Some("kiam-checkout@eu".to_owned());
    let kiam = Config { session_name_prefix: "kiam-".to_owned(), ..Config::default() };
    assert_eq!(answer(kiam, &workload), Resolution::Role(role));
}

#[test]
fn empty_external_id_and_session_name_are_left_to_the_gateway() {
    let workload =
        pod().with_annotation(ROLE, "web").with_annotation(EXTERNAL_ID, "").with_annotation(SESSION_NAME, "");
    assert_eq!(answer(Config::default(), &workload), Resolution::Role(Role::named("web")));
}

#[test]
fn an_external_id_or_session_name_that_sts_would_refuse_is_denied() {
    let (one, long_id, long_name) = ("a", "i".repeat(1225), "n".repeat(65));
    let cases = [
        (EXTERNAL_ID, one),
        (EXTERNAL_ID, "a\\b"),
        (EXTERNAL_ID, &long_id),
        (SESSION_NAME, one),
        (SESSION_NAME, "a:b"),
        (SESSION_NAME, &long_name),
    ];
    for (key, text) in cases {
        let workload = pod().with_annotation(ROLE, "web").with_annotation(key, text);
        let Resolution::Deny(denial) = answer(Config::default(), &workload) else { panic!("{key} {text:?} was taken") };
        assert_eq!(denial.code, "bad-annotation");
        assert!(denial.reason.contains(key), "{}", denial.reason);
    }
}

#[test]
fn the_namespaces_default_is_for_pods_without_the_annotation() {
    let namespace = pod().with_namespace_annotation(DEFAULT, "/team/default");
    assert_eq!(answer(Config::default(), &namespace), Resolution::Abstain);
    assert_eq!(answer(with_default(), &namespace), Resolution::Role(Role::named("team/default")));
    let own = namespace.clone().with_annotation(ROLE, "own");
    assert_eq!(answer(with_default(), &own), Resolution::Role(Role::named("own")));
    let none = namespace.with_annotation(ROLE, "");
    assert_eq!(answer(with_default(), &none), Resolution::Abstain);
}

#[test]
fn a_malformed_namespace_default_is_blamed_on_the_namespace() {
    let Resolution::Deny(denial) = answer(with_default(), &pod().with_namespace_annotation(DEFAULT, "a b")) else {
        panic!("a default with a space was taken")
    };
    assert!(denial.reason.starts_with("the namespace's annotation `iam.amazonaws.com/default`"), "{}", denial.reason);
}

#[test]
fn it_reads_only_the_configured_keys() {
    let config: Config = parse_config(r#"{"role_key":"example.com/role","external_id_key":""}"#).unwrap();
    let interest = Annotations::new(config.clone()).unwrap().interest();
    assert_eq!(interest.annotations, ["example.com/role", SESSION_NAME]);
    assert!(interest.namespace_annotations.is_empty());
    assert_eq!(answer(config, &pod().with_annotation("example.com/role", "web")), Resolution::Role(Role::named("web")));
}

#[test]
fn a_bad_configuration_names_its_key() {
    assert!(parse_config::<Config>(r#"{"role-key":"x"}"#).unwrap_err().contains("`role-key`"));
    let refused = |config| Annotations::new(config).unwrap_err();
    assert!(refused(Config { role_key: String::new(), ..Config::default() }).starts_with("role_key:"));
    let wide = Config { external_id_key: "iam.amazonaws.com/*".to_owned(), ..Config::default() };
    assert!(refused(wide).starts_with("external_id_key:"));
}

#[test]
fn it_authorizes_nothing() {
    let policy = Annotations::new(Config::default()).unwrap();
    assert_eq!(policy.authorize(&pod(), &Role::named("web")), Ok(Verdict::Abstain));
}

proptest! {
    #[test]
    fn no_annotation_is_an_error_and_no_odd_character_passes(text in "(arn:aws:iam::)?\\PC{0,40}[\u{0}-\u{ff}]{0,8}") {
        match role_of(&text) {
            Resolution::Role(role) => {
                prop_assert!(role.arn.bytes().all(|c| c.is_ascii_graphic()), "{:?}", role.arn);
                prop_assert!(!role.arn.starts_with('/'));
            }
            Resolution::Abstain => prop_assert!(text.trim().is_empty()),
            Resolution::Deny(denial) => prop_assert_eq!(denial.code, "bad-annotation"),
        }
    }

    #[test]
    fn a_role_reads_back_as_itself(text in "/?([a-z0-9.]{1,6}/){0,3}[A-Za-z0-9_+=,.@-]{1,64}") {
        prop_assume!(!text.split('/').any(|part| part == "." || part == ".."));
        let Resolution::Role(role) = role_of(&text) else { panic!("{text:?} was refused") };
        prop_assert_eq!(role_of(&role.arn), Resolution::Role(role.clone()));
    }
}
