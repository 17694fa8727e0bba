use metagate_plugin_sdk::{CredentialSource, Policy, Resolution, Role, Verdict, Workload, parse_config};
use proptest::prelude::*;

use super::{AUDIENCE, Config, IrsaFallback, REGIONAL_ENDPOINTS, ROLE_ARN};

const LEDGER: &str = "arn:aws:iam::123456789012:role/ledger";

fn pod() -> Workload {
    Workload::of("payments", "ledger-0")
}

fn annotated() -> Workload {
    pod().with_service_account_annotation(ROLE_ARN, LEDGER)
}

fn policy() -> IrsaFallback {
    IrsaFallback::new(Config::default()).unwrap()
}

fn web_identity(audience: &str) -> CredentialSource {
    CredentialSource::WebIdentity(audience.to_owned())
}

fn ledger() -> Role {
    Role::named(LEDGER).with_source(web_identity("sts.amazonaws.com"))
}

#[test]
fn the_service_accounts_role_is_had_by_web_identity() {
    assert_eq!(policy().resolve(&annotated()), Ok(Resolution::Role(ledger())));
    let spaced = pod().with_service_account_annotation(ROLE_ARN, format!(" {LEDGER}\n"));
    assert_eq!(policy().resolve(&spaced), Ok(Resolution::Role(ledger())));
}

#[test]
fn a_service_account_without_a_role_is_left_to_the_next_plugin() {
    assert_eq!(policy().resolve(&pod()), Ok(Resolution::Abstain));
    assert_eq!(policy().resolve(&pod().with_service_account_annotation(ROLE_ARN, "")), Ok(Resolution::Abstain));
    assert_eq!(policy().resolve(&pod().with_annotation(ROLE_ARN, LEDGER)), Ok(Resolution::Abstain));
}

#[test]
fn the_audience_is_the_annotations_or_else_the_configured_one() {
    let china = IrsaFallback::new(parse_config(r#"{"audience":"sts.amazonaws.com.cn"}"#).unwrap()).unwrap();
    let with = |audience: &str| Ok(Resolution::Role(Role::named(LEDGER).with_source(web_identity(audience))));
    assert_eq!(china.resolve(&annotated()), with("sts.amazonaws.com.cn"));
    let own = annotated().with_service_account_annotation(AUDIENCE, "vault");
    assert_eq!(china.resolve(&own), with("vault"));
}

#[test]
fn the_regional_switch_is_passed_on() {
    for (text, value) in [("true", "true"), ("True", "true"), ("0", "false"), ("false", "false")] {
        let workload = annotated().with_service_account_annotation(REGIONAL_ENDPOINTS, text);
        let expected = ledger().with_attribute("sts-regional-endpoints", value);
        assert_eq!(policy().resolve(&workload), Ok(Resolution::Role(expected)), "{text}");
    }
}

#[test]
fn a_malformed_annotation_is_denied_by_its_key() {
    let cases = [
        (ROLE_ARN, "ledger"),
        (ROLE_ARN, "arn:aws:iam::123:role/ledger"),
        (AUDIENCE, "a b"),
        (REGIONAL_ENDPOINTS, "yes"),
    ];
    for (key, text) in cases {
        let workload = annotated().with_service_account_annotation(key, text);
        let Ok(Resolution::Deny(denial)) = policy().resolve(&workload) else { panic!("{key}={text} was taken") };
        assert_eq!(denial.code, "bad-annotation");
        assert!(denial.reason.contains(key), "{}", denial.reason);
    }
}

#[test]
fn it_allows_exactly_the_service_accounts_role() {
    let verdict = |workload: &Workload, role: &Role| policy().authorize(workload, role).unwrap();
    assert_eq!(verdict(&annotated(), &ledger()), Verdict::Allow);

    let longer = Role::named(format!("{LEDGER}-admin")).with_source(web_identity("sts.amazonaws.com"));
    assert_eq!(verdict(&annotated(), &longer), Verdict::Abstain);
    assert_eq!(verdict(&pod(), &ledger()), Verdict::Abstain);
    let malformed = pod().with_service_account_annotation(ROLE_ARN, "ledger");
    assert_eq!(verdict(&malformed, &Role::named("ledger").with_source(web_identity("x"))), Verdict::Abstain);
}

#[test]
fn the_same_arn_by_another_source_is_not_the_service_accounts() {
    for source in [CredentialSource::AssumeRole, CredentialSource::PodIdentity] {
        let role = Role::named(LEDGER).with_source(source);
        assert_eq!(policy().authorize(&annotated(), &role), Ok(Verdict::Abstain));
    }
}

#[test]
fn a_bad_configuration_names_its_key() {
    assert!(parse_config::<Config>(r#"{"audiences":"x"}"#).unwrap_err().contains("`audiences`"));
    assert!(IrsaFallback::new(Config { audience: String::new() }).unwrap_err().starts_with("audience:"));
}

proptest! {
    #[test]
    fn no_annotation_is_an_error(arn in "(arn:aws:iam::123456789012:role/)?\\PC{0,20}", audience in "\\PC{0,9}") {
        let workload =
            pod().with_service_account_annotation(ROLE_ARN, arn).with_service_account_annotation(AUDIENCE, audience);
        let answer = policy().resolve(&workload);
        prop_assert!(answer.is_ok());
        if let Ok(Resolution::Role(role)) = answer {
            prop_assert_eq!(policy().authorize(&workload, &role), Ok(Verdict::Allow));
        }
    }
}
