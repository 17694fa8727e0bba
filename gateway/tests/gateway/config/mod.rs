//! Configurations: what is documented, what is refused with which message, and the origin of each value.

// clippy.toml's exemptions for tests apply only to code that is marked as a test.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use metagate::{
    catalogue::AllowList,
    config::{Loaded, Mode, Origin, PluginCode, RosterSource, Sources, load, raw::Raw},
    roster::fixed,
};
mod properties;

const DOCUMENTED: &str = include_str!("../../../../config/metagate.toml");

fn of_text(text: &str) -> Sources {
    Sources { file: Some(("metagate.toml".into(), text.to_owned())), ..Sources::default() }
}

fn of_env(variables: &[(&str, &str)]) -> Sources {
    let env = variables.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    Sources { env, ..Sources::default() }
}

fn loaded(sources: &Sources) -> Loaded {
    load(sources).unwrap_or_else(|faults| panic!("{faults}"))
}

fn refusal(sources: &Sources) -> String {
    match load(sources) {
        Ok(loaded) => panic!("taken: {loaded:?}"),
        Err(faults) => faults.to_string(),
    }
}

// Refusals, word for word.

/// Compares files that end in `extension` in a folder of `tests/fixtures/config` with the `.stderr` that each must
/// produce.
fn golden(folder: &str, extension: &str, at_least: usize, refusal: impl Fn(&str, String) -> String) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config").join(folder);
    let mut cases: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    cases.sort();
    assert!(cases.len() >= at_least, "only {} cases in {}", cases.len(), folder.display());
    let mut different = Vec::new();
    for case in cases {
        let name = case.file_name().unwrap().to_str().unwrap();
        let message = refusal(name, fs::read_to_string(&case).unwrap()) + "\n";
        let expected = case.with_extension("stderr");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&expected, message).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != message {
            different.push(format!("--- {name}\n{message}"));
        }
    }
    assert!(different.is_empty(), "different from the .stderr file beside it:\n{}", different.join("\n"));
}

#[test]
fn wrong_files_are_refused_in_these_words() {
    golden("", "toml", 20, |name, text| {
        let sources = Sources { file: Some((name.into(), text)), ..Sources::default() };
        load(&sources).expect_err(name).to_string()
    });
}

#[test]
fn wrong_variables_are_refused_in_these_words() {
    golden("env", "env", 5, |_, text| {
        let variables: Vec<(&str, &str)> = text.lines().filter_map(|line| line.split_once('=')).collect();
        refusal(&of_env(&variables))
    });
}

#[test]
fn wrong_rosters_are_refused_in_these_words() {
    golden("roster", "toml", 5, |name, text| fixed::parse(Path::new(name), &text).expect_err(name).to_string());
}

#[test]
fn a_gateway_that_would_ask_itself_is_refused() {
    for (listen, endpoint, taken) in [
        ("0.0.0.0:8181", "http://169.254.169.254", true),
        ("0.0.0.0:80", "http://169.254.169.254", true),
        ("169.254.169.254:80", "http://169.254.169.254", false),
        ("0.0.0.0:8181", "http://127.0.0.9:8181", false),
        ("[::]:8181", "http://[::1]:8181", false),
        ("127.0.0.1:8181", "http://LOCALHOST:8181/", false),
        ("127.0.0.1:8181", "http://127.0.0.2:8181", true),
        ("127.0.0.1:8181", "http://127.0.0.1:8182", true),
        ("10.0.0.1:8181", "http://localhost:8181", true),
    ] {
        let text = format!("pods.listen = '{listen}'\nimds.endpoint = '{endpoint}'");
        assert_eq!(load(&of_text(&text)).is_ok(), taken, "{text}");
    }
}

#[test]
fn a_wrong_flag_is_refused_by_its_name() {
    let sources = Sources { overrides: vec![("imds.token".into(), "maybe".into())], ..Sources::default() };
    assert_eq!(refusal(&sources), r#"flag imds.token: imds.token: expected "optional" or "required", found "maybe""#);
}

#[test]
fn json_faults_have_their_origin() {
    let faults = load(&of_text("[imds]\ntoken = \"maybe\"")).unwrap_err();
    let fault = faults.iter().next().unwrap();
    assert_eq!((fault.line(), fault.column()), (Some(2), Some(9)));
    let json = serde_json::to_value(&faults).unwrap();
    assert_eq!(json[0]["origin"], serde_json::json!({"from": "file", "file": "metagate.toml", "line": 2, "column": 9}));
    assert_eq!(json[0]["key"], "imds.token");
}

#[test]
fn no_secret_appears_in_a_fault_or_in_the_effective_configuration() {
    for text in [
        "[credentials]\nsts_endpoint = 'ftp://user:hunter2@sts'",
        "[[plugin]]\nname = 'a'\nbuiltin = 'annotations'\nconfig = { api_token = 'hunter2', x = inf }",
        "[[plugin]]\nname = 'a'\nbuiltin = 'annotations'\n[plugin.config]\ntoken = 'hunter2' nonsense",
        "[[plugin]]\nname = 'A'\nbuiltin = 'annotations'\nsecret_config = 'hunter2'",
    ] {
        let message = refusal(&of_text(text));
        assert!(!message.contains("hunter2"), "{message}");
    }
    let env = refusal(&of_env(&[("METAGATE_PLUGIN", "[{ name = 'a', config = { token = 'hunter2' }")]));
    assert!(!env.contains("hunter2"), "{env}");
    let sources = of_text(
        "credentials.sts_endpoint = 'https://user:hunter2@sts'\ntelemetry.otlp_endpoint = 'http://u:hunter2@otlp'\n\
         [[plugin]]\nname = 'a'\nbuiltin = 'annotations'\n\
         config = { deep = [{ client_secret = { a = 'hunter2' } }] }",
    );
    let loaded = loaded(&sources);
    let debug = format!("{:?} {:?}", loaded.config, sources);
    assert!(debug.contains("(redacted)") && !debug.contains("hunter2"), "{debug}");
    for rendered in
        [loaded.effective.render(), loaded.effective.to_json().to_string(), format!("{:?}", loaded.effective)]
    {
        assert!(rendered.contains("(redacted)") && !rendered.contains("hunter2"), "{rendered}");
    }
}

// Documentation.

#[test]
fn documented_defaults_are_the_defaults() {
    let documented: Raw = toml_edit::de::from_str(DOCUMENTED).unwrap();
    assert_eq!(documented, Raw::default());
}

#[test]
fn every_key_is_documented() {
    let documented = keys(&toml_edit::Document::parse(DOCUMENTED).unwrap().into_mut());
    let known = keys(&toml_edit::ser::to_document(&Raw::default()).unwrap());
    assert_eq!(documented, known);
    assert!(known.len() >= 40, "{known:?}");
}

fn keys(document: &toml_edit::DocumentMut) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for (section, item) in document.iter() {
        let first = item.get(0);
        let table = item.as_table_like().or_else(|| first.and_then(|first| first.as_table_like())).unwrap();
        keys.extend(table.iter().map(|(name, _)| format!("{section}.{name}")));
    }
    keys
}

#[test]
fn the_default_configuration_is_right() {
    let config = loaded(&Sources::default()).config;
    assert_eq!(config.pods.listen, "0.0.0.0:8181".parse().unwrap());
    let names: Vec<&str> = config.plugins.iter().map(|plugin| plugin.name.as_str()).collect();
    assert_eq!(names, ["annotations", "irsa-fallback", "namespace-regex"]);
    assert_eq!(config.plugins[0].memory, 16 << 20);
    assert_eq!(config.plugins[0].config, serde_json::json!({}));
}

#[test]
fn the_sandbox_is_right_and_stays_on_loopback() {
    let config = loaded(&of_text(metagate::config::SANDBOX)).config;
    assert!(config.pods.listen.ip().is_loopback());
    assert_eq!(config.roster.source, RosterSource::Sandbox);
    assert_eq!(config.imds.endpoint, metagate::config::ImdsEndpoint::Sandbox);
    assert_eq!(config.credentials.source, metagate::config::CredentialsSource::Sandbox);
}

// Which layer wins.

#[test]
fn flags_override_the_environment_which_overrides_the_file() {
    let text = "[imds]\ncache = '1s'\n[roster]\nwait = '1s'\n[credentials]\nwait = '1s'";
    let mut sources = of_text(text);
    sources.env =
        vec![("METAGATE_ROSTER__WAIT".into(), "2s".into()), ("METAGATE_CREDENTIALS__WAIT".into(), "2s".into())];
    sources.overrides = vec![("credentials.wait".into(), "3s".into())];
    let Loaded { config, effective } = loaded(&sources);
    let seconds = [config.imds.cache, config.roster.wait, config.credentials.wait].map(|wait| wait.as_secs());
    assert_eq!(seconds, [1, 2, 3]);
    let rendered = effective.render();
    for line in [
        "cache = '1s'  # metagate.toml:2",
        "wait = \"2s\"  # environment METAGATE_ROSTER__WAIT",
        "wait = \"3s\"  # flag credentials.wait",
        "listen = \"0.0.0.0:8181\"  # default",
    ] {
        let line = line.replace('\'', "\"");
        assert!(rendered.lines().any(|rendered| rendered == line), "{line}\n{rendered}");
    }
}

#[test]
fn variables_are_text_where_the_key_is_text_and_toml_elsewhere() {
    let config = loaded(&of_env(&[
        ("METAGATE_ROSTER__NODE", "10"),
        ("METAGATE_CREDENTIALS__SESSION_NAME", "{namespace}"),
        ("METAGATE_CREDENTIALS__SESSION_TAGS", "true"),
        ("METAGATE_PODS__MAX_CONNECTIONS", "99"),
        ("METAGATE_IMDS__ALLOW", r#"["placement"]"#),
        ("METAGATE_PLUGIN", r#"[{ name = "a", builtin = "annotations", mode = "audit" }]"#),
        ("METAGATE_SERVICE_HOST", "10.0.0.1"),
        ("METAGATE_CONFIG", "/etc/other.toml"),
        ("PATH", "/bin"),
    ]))
    .config;
    assert_eq!(config.roster.node, "10");
    assert!(config.credentials.session_tags);
    assert_eq!(config.pods.max_connections, 99);
    assert_eq!(Ok(config.imds.allow), AllowList::parse(&["placement".to_owned()]));
    assert_eq!((config.plugins.len(), config.plugins[0].mode), (1, Mode::Audit));
}

#[test]
fn the_downward_api_names_the_node_unless_the_file_does() {
    let mut sources = of_text("[roster]\nnode = 'a'");
    sources.env = vec![("NODE_NAME".into(), "b".into())];
    assert_eq!(loaded(&sources).config.roster.node, "a");
    sources.file = None;
    let Loaded { config, effective } = loaded(&sources);
    assert_eq!(config.roster.node, "b");
    assert!(effective.render().contains("node = \"b\"  # environment NODE_NAME"));
}

#[test]
fn paths_are_relative_to_the_configuration() {
    let text = "roster = { source = 'fixed', file = 'lab/roster.toml' }\nimds.token_key_file = '/var/key'\n\
                [[plugin]]\nname = 'a'\npath = 'a.wasm'";
    let file = Some((PathBuf::from("/etc/metagate/metagate.toml"), text.to_owned()));
    let config = loaded(&Sources { file, ..Sources::default() }).config;
    assert_eq!(config.roster.source, RosterSource::Fixed { file: "/etc/metagate/lab/roster.toml".into() });
    assert_eq!(config.imds.token_key_file, Some("/var/key".into()));
    assert_eq!(config.plugins[0].code, PluginCode::File { path: "/etc/metagate/a.wasm".into(), sha256: None });
}

#[test]
fn a_pinned_digest_may_be_written_in_capitals() {
    let pinned = |written: &str| {
        let text = format!("[[plugin]]\nname = 'a'\npath = 'a.wasm'\nsha256 = '{written}'");
        loaded(&of_text(&text)).config.plugins[0].code.clone()
    };
    assert_eq!(pinned(&"AB".repeat(32)), PluginCode::File { path: "a.wasm".into(), sha256: Some([0xab; 32]) });
    assert_eq!(pinned(&"AB".repeat(32)), pinned(&"ab".repeat(32)));
}

#[test]
fn a_private_key_in_the_place_of_a_public_one_is_not_repeated() {
    // PKCS#8 of ed25519, P-256 and RSA begins like this, and has these lengths or more.
    for head in
        ["MC4CAQAwBQYDK2VwBCIEI", "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg", "MIIEvgIBADANBgkqhkiG9w0BAQEF"]
    {
        let private = format!("{head}{}", "hunter2a".repeat(8));
        for text in [
            format!("plugin_files.public_keys = ['{private}']"),
            format!("plugin_files = {{ public_keys = ['{private}'], compiled = 'x' }}"),
        ] {
            let message = refusal(&of_text(&text));
            assert!(message.contains("plugin_files.public_keys[0]") && !message.contains("hunter2a"), "{message}");
        }
    }
}

#[test]
fn json_has_the_origin_of_each_effective_value() {
    let json = loaded(&of_text("[[plugin]]\nname = 'a'\nbuiltin = 'annotations'")).effective.to_json();
    assert_eq!(json["plugin"][0]["name"]["value"], "a");
    let origin = serde_json::to_value(Origin::File { file: "metagate.toml".into(), line: Some(2), column: Some(8) });
    assert_eq!(json["plugin"][0]["name"]["origin"], origin.unwrap());
    assert_eq!(json["plugin"][0]["timeout"]["origin"]["from"], "default");
}
