//! Annotations through the real components and the whole pipeline, compared with matchers that are slow and obviously
//! right.

use std::sync::OnceLock;

use metagate::{pairs::Pairs, plugin::Plugin, policy::Rejection, workload::Workload};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use super::{
    bench::{BASE, Bench},
    guests::{builtin, host},
    pods::{annotated, pod},
};

/// Proptest's cases are not async.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap())
}

/// The annotations plugin, and namespace-regex of this configuration.
fn bench(regex: Value) -> Bench {
    let load = async |name: &str, config| Plugin::load(host(), builtin(name, config)).await.unwrap();
    let plugins =
        runtime().block_on(async { [load("annotations", json!({})).await, load("namespace-regex", regex).await] });
    Bench::new(plugins)
}

#[derive(Debug, PartialEq, Eq)]
enum Came {
    Granted(String),
    Denied(String),
    NoRole,
}

fn came(bench: &Bench, pod: Workload) -> Came {
    match runtime().block_on(bench.grant(pod)) {
        Ok(grant) => Came::Granted(grant.role().arn.to_string()),
        Err(Rejection::Denied(denial)) => Came::Denied(denial.code.clone()),
        Err(Rejection::NoRole) => Came::NoRole,
        Err(other) => panic!("{other:?}"),
    }
}

fn asking(role: &str, namespace: (&str, &str)) -> Workload {
    let namespace_annotations = Pairs::from([(namespace.0.to_owned(), namespace.1.to_owned())]);
    Workload { namespace_annotations, ..annotated(pod(&[]), "iam.amazonaws.com/role", role) }
}

/// What the README says about a role annotation.
fn plainly_resolved(text: &str) -> Came {
    let bad = || Came::Denied("bad-annotation".into());
    let text = text.trim();
    if text.is_empty() {
        return Came::NoRole;
    }
    let arn = if text.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("arn:")) {
        format!("arn:{}", &text[4..])
    } else {
        format!("{BASE}{}", text.strip_prefix('/').unwrap_or(text))
    };
    let Some(path_and_name) = arn.strip_prefix(BASE) else { return bad() };
    let parts: Vec<&str> = path_and_name.split('/').collect();
    let name = parts.last().unwrap();
    let sound = parts.iter().all(|part| !part.is_empty() && *part != "." && *part != "..")
        // A colon comes from an ARN that has lost its beginning.
        && path_and_name.chars().all(|c| c.is_ascii_graphic() && c != ':')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c))
        && name.len() <= 64;
    if sound { Came::Granted(arn) } else { bad() }
}

/// Tries every split of the text at a `*`.
fn plainly_globbed(glob: &[char], text: &[char]) -> bool {
    match (glob, text) {
        ([], []) => true,
        (['*', rest @ ..], _) => (0..=text.len()).any(|skip| plainly_globbed(rest, &text[skip..])),
        ([c, glob @ ..], [d, text @ ..]) => c == d && plainly_globbed(glob, text),
        _ => false,
    }
}

/// All texts that an expression of letters, `.`, `|` and `?` has, with the letters that names have here.
fn every_text_of(expression: &str) -> Vec<String> {
    let of_one = |alternative: &str| {
        let mut texts = vec![String::new()];
        let mut rest = alternative.chars().peekable();
        while let Some(character) = rest.next() {
            let mut choices = if character == '.' { vec!["a", "b", "c"] } else { Vec::new() };
            let own = character.to_string();
            if character != '.' {
                choices.push(&own);
            }
            if rest.next_if_eq(&'?').is_some() {
                choices.push("");
            }
            texts = texts.iter().flat_map(|text| choices.iter().map(move |choice| format!("{text}{choice}"))).collect();
        }
        texts
    };
    expression.split('|').flat_map(of_one).collect()
}

/// Pieces of roles, put together in valid and invalid ways.
fn written_role() -> impl Strategy<Value = String> {
    let pieces = [
        "a",
        "web",
        "team/",
        "/",
        " ",
        "\n",
        "\u{a0}",
        "é",
        "..",
        ".",
        ":",
        "+=,.@-",
        "arn:",
        "ARN:",
        "aws:",
        "arn:aws:iam::123456789012:role/",
        "ARN:aws:iam::123456789012:role/",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..5).prop_map(|pieces| pieces.concat())
}

fn permits(allowed: bool, arn: String) -> Came {
    if allowed { Came::Granted(arn) } else { Came::Denied("role-not-permitted".into()) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_role_annotation_comes_to_what_it_plainly_says(text in written_role()) {
        static BENCH: OnceLock<Bench> = OnceLock::new();
        let bench = BENCH.get_or_init(|| bench(json!({ "missing": "allow" })));
        let pod = annotated(pod(&[]), "iam.amazonaws.com/role", &text);
        prop_assert_eq!(came(bench, pod), plainly_resolved(&text), "{:?}", text);
    }

    #[test]
    fn a_list_of_globs_permits_what_one_of_them_plainly_matches(
        globs in prop::collection::vec("[ab*]{1,4}", 0..3),
        path in prop::sample::select(vec!["", "a/", "b/a/"]),
        name in "[ab]{1,4}",
    ) {
        static BENCH: OnceLock<Bench> = OnceLock::new();
        let bench = BENCH.get_or_init(|| bench(json!({})));
        let role = format!("{path}{name}");
        let text: Vec<char> = role.chars().collect();
        let allowed = globs.iter().any(|glob| plainly_globbed(&glob.chars().collect::<Vec<_>>(), &text));
        let pod = asking(&role, ("iam.amazonaws.com/allowed-roles", &json!(globs).to_string()));
        prop_assert_eq!(came(bench, pod), permits(allowed, format!("{BASE}{role}")));
    }

    #[test]
    fn an_expression_permits_the_texts_that_it_plainly_has_and_no_longer_one(
        expression in "([abc.]\\??){1,3}(\\|([abc.]\\??){1,3}){0,2}",
        name in "[abc]{1,4}",
    ) {
        static BENCH: OnceLock<Bench> = OnceLock::new();
        let bench = BENCH.get_or_init(|| bench(json!({})));
        let allowed = every_text_of(&expression).contains(&name);
        let grouped = format!("{BASE}({expression})");
        let pod = asking(&name, ("iam.amazonaws.com/permitted", &grouped));
        prop_assert_eq!(came(bench, pod), permits(allowed, format!("{BASE}{name}")));
    }

    /// `arn:…|b` must not match like `^arn:…` or `b$`.
    #[test]
    fn no_alternative_permits_by_a_part_of_the_role(left in "[ab]{1,2}", right in "[ab]{1,2}", name in "[ab]{1,4}") {
        static BENCH: OnceLock<Bench> = OnceLock::new();
        let bench = BENCH.get_or_init(|| bench(json!({})));
        let pod = asking(&name, ("iam.amazonaws.com/permitted", &format!("{BASE}{left}|{right}")));
        prop_assert_eq!(came(bench, pod), permits(name == left, format!("{BASE}{name}")));
    }
}
