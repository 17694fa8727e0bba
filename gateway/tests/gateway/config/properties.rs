//! Properties of every configuration.

use std::path::Path;

use metagate::{
    config::{Effective, Sources, load, raw::Raw},
    roster::fixed,
};
use proptest::prelude::*;

use super::{DOCUMENTED, keys, loaded, of_env, of_text};

/// A valid configuration with some keys set and others left out.
fn a_configuration() -> impl Strategy<Value = String> {
    let text = "[ -~é\\n\\t]{0,12}";
    let config = prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<bool>().prop_map(|switch| switch.to_string()),
        text.prop_map(|text| toml_edit::Value::from(text).to_string()),
        text.prop_map(|text| format!("[{{ 'a b' = {} }}, 1.5]", toml_edit::Value::from(text))),
    ];
    let plugin = ("[a-z-]{1,20}", config, any::<bool>(), 1u32..2000);
    (
        proptest::option::of(1u16..8000),
        proptest::collection::vec("[a-z0-9]{1,9}", 0..3),
        proptest::collection::vec(an_entry(), 0..3),
        text,
        proptest::option::of(900u64..43_200),
        proptest::option::of(proptest::collection::vec(plugin, 0..3)),
    )
        .prop_map(|(port, hosts, allow, cluster, session, plugins)| {
            let mut text = String::new();
            if plugins.as_ref().is_some_and(Vec::is_empty) {
                text += "plugin = []\n";
            }
            text += &format!("pods.hosts = {hosts:?}\n");
            let allow: toml_edit::Array = allow.iter().map(String::as_str).collect();
            text += &format!("imds.allow = {allow}\n");
            text += &format!("telemetry.cluster = {}\n", toml_edit::Value::from(cluster));
            text += &port.map(|port| format!("admin.listen = \"127.0.0.2:{port}\"\n")).unwrap_or_default();
            let session = session.map(|s| format!("session_duration = \"{s}s\"\nmin_remaining = \"1m\"\n"));
            text += &format!("[credentials]\n{}", session.unwrap_or_default());
            for (index, (name, config, clock, timeout)) in plugins.into_iter().flatten().enumerate() {
                text += &format!("[[plugin]]\nname = \"{name}{index}\"\nbuiltin = \"annotations\"\n");
                text += &format!("clock = {clock}\ntimeout = \"{timeout}ms\"\n[plugin.config]\nkey = {config}\n");
            }
            text
        })
}

/// An entry of the metadata catalogue.
fn an_entry() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("placement".to_owned()),
        Just("network/interfaces/macs/*/vpc-id".to_owned()),
        Just("dynamic/instance-identity/document".to_owned()),
        "tags/instance/a[a-z+=.,_:@-]{0,9}",
    ]
}

/// The effective configuration without origins.
fn values(effective: &Effective) -> serde_json::Value {
    fn strip(value: serde_json::Value) -> serde_json::Value {
        match value {
            serde_json::Value::Object(mut entry) if entry.contains_key("origin") => entry.remove("value").unwrap(),
            serde_json::Value::Object(table) => table.into_iter().map(|(name, value)| (name, strip(value))).collect(),
            serde_json::Value::Array(items) => items.into_iter().map(strip).collect(),
            other => other,
        }
    }
    strip(effective.to_json())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_effective_configuration_reads_back_as_the_same(text in a_configuration()) {
        // A user name in a URL is redacted, so it does not read back.
        prop_assume!(!text.contains("://"));
        let first = loaded(&of_text(&text));
        let again = loaded(&of_text(&first.effective.render()));
        prop_assert_eq!(format!("{:?}", &first.config), format!("{:?}", &again.config));
        prop_assert_eq!(values(&first.effective), values(&again.effective));
    }

    /// The slow obvious model: the last layer that has the key.
    #[test]
    fn the_uppermost_layer_that_has_a_key_wins(
        layers in proptest::collection::vec(proptest::option::of(1u64..3000), 3),
    ) {
        let text = |index: usize| layers[index].map(|seconds| format!("{seconds}s"));
        let sources = Sources {
            file: Some(("metagate.toml".into(), text(0).map(|d| format!("imds.cache = '{d}'")).unwrap_or_default())),
            env: text(1).map(|d| ("METAGATE_IMDS__CACHE".to_owned(), d)).into_iter().collect(),
            overrides: text(2).map(|d| ("imds.cache".to_owned(), d)).into_iter().collect(),
        };
        let names = ["metagate.toml:1", "environment METAGATE_IMDS__CACHE", "flag imds.cache"];
        let upper = layers.iter().zip(names).rev().find_map(|(seconds, name)| Some(((*seconds)?, name)));
        let (seconds, name) = upper.unwrap_or((60, "default"));
        let loaded = loaded(&sources);
        prop_assert_eq!(loaded.config.imds.cache.as_secs(), seconds);
        let rendered = loaded.effective.render();
        let line = format!("cache = \"{seconds}s\"  # {name}");
        prop_assert!(rendered.lines().any(|rendered| rendered == line), "{}\n{}", line, rendered);
    }

    #[test]
    fn credentials_may_be_required_to_live_for_less_than_half_of_a_session(
        session in 900u64..43_200, floor in 0u64..22_000,
    ) {
        let text = format!("credentials = {{ session_duration = '{session}s', min_remaining = '{floor}s' }}");
        prop_assert_eq!(load(&of_text(&text)).is_ok(), 2 * floor < session);
    }

    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = load(&of_text(&text));
        let _ = fixed::parse(Path::new("roster.toml"), &text);
    }

    #[test]
    fn no_variable_panics(name in "[A-Z_]{0,12}", value in any::<String>()) {
        let _ = load(&of_env(&[(&format!("METAGATE_{name}"), &value)]));
        let _ = load(&Sources { overrides: vec![(name, value)], ..Sources::default() });
    }

    /// Damages the documented file, so that most of it still parses.
    #[test]
    fn no_damage_panics_and_each_fault_has_its_place(
        at in any::<prop::sample::Index>(), cut in 0usize..12, put in "[\\PC\\n]{0,6}",
    ) {
        let keys = DOCUMENTED.lines().filter(|line| !line.starts_with('#'));
        let mut text: Vec<char> = keys.flat_map(|line| line.chars().chain(['\n'])).collect();
        let start = at.index(text.len());
        text.splice(start..(start + cut).min(text.len()), put.chars());
        let text: String = text.into_iter().collect();
        if let Err(faults) = load(&of_text(&text)) {
            for fault in faults.iter() {
                let line = fault.line().unwrap();
                prop_assert!(line <= text.lines().count() + 1 && !fault.problem.is_empty(), "{}", fault);
            }
        }
    }

    #[test]
    fn any_value_at_any_key_is_taken_or_refused_at_its_line(
        key in prop::sample::select(known_keys()),
        value in prop_oneof![
            prop::sample::select(vec!["1", "-1", "true", "nan", "[]", "[[1]]", "{ a = { b = 1 } }", "2024-01-01"])
                .prop_map(str::to_owned),
            "[ !#-\\[\\]-~]{0,9}".prop_map(|text| format!("\"{text}\"")),
        ],
    ) {
        if let Err(faults) = load(&of_text(&format!("# first\n{key} = {value}\n"))) {
            for fault in faults.iter() {
                prop_assert_eq!(fault.line(), Some(2), "{}", fault);
                prop_assert!(fault.key.starts_with(&key) || fault.problem.contains(&key), "{}", fault);
            }
        }
    }
}

fn known_keys() -> Vec<String> {
    let all = keys(&toml_edit::ser::to_document(&Raw::default()).unwrap());
    all.into_iter().filter(|key| !key.starts_with("plugin.")).chain(["plugin".to_owned()]).collect()
}

#[test]
fn depth_is_refused_and_overflows_no_stack() {
    let deep = 50_000;
    let dotted = vec!["a"; deep].join(".");
    for text in ["[".repeat(deep), format!("a = {}", "[".repeat(deep)), format!("{dotted} = 1"), format!("[{dotted}]")]
    {
        assert!(load(&of_text(&text)).is_err());
        assert!(fixed::parse(Path::new("roster.toml"), &text).is_err());
    }
    let name = format!("METAGATE_{}", vec!["A"; deep].join("__"));
    assert!(load(&of_env(&[(&name, "1")])).is_err());
    assert!(load(&of_env(&[("METAGATE_PLUGIN", &"[".repeat(deep))])).is_err());
    assert!(load(&Sources { overrides: vec![(dotted, "1".into())], ..Sources::default() }).is_err());
}
