//! The peer's containers in a Kubernetes manifest: what they run with.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{MANIFEST_MAX, MigrateError, Peer, rules::expand};
use crate::config::quote;

/// One container of the peer's, or one command line.
pub(super) struct Container {
    /// `DaemonSet kube2iam, container kube2iam`.
    pub(super) label: String,
    /// The words after the program's name, with variables filled in.
    pub(super) arguments: Vec<String>,
    /// None where the value comes from elsewhere, such as a Secret.
    pub(super) env: BTreeMap<String, Option<String>>,
    /// The image's tag.
    pub(super) tag: Option<String>,
    pub(super) is_shell: bool,
}

impl Container {
    pub(super) fn of_flags(peer: Peer, flags: &[String]) -> Self {
        Self {
            label: "the command line".to_owned(),
            arguments: after_program(peer, flags, false),
            env: BTreeMap::new(),
            tag: None,
            is_shell: false,
        }
    }
}

/// In the order of the text. Never empty.
pub(super) fn containers(peer: Peer, text: &str) -> Result<Vec<Container>, MigrateError> {
    if text.len() > MANIFEST_MAX {
        return Err(MigrateError::TooLarge);
    }
    let mut objects = Vec::new();
    let mut kinds = BTreeSet::new();
    for document in documents(text)? {
        flatten(document, &mut objects);
    }
    let mut found = Vec::new();
    for object in &objects {
        let kind = object.get("kind").and_then(Value::as_str).unwrap_or("an object without a kind");
        kinds.insert(escaped(kind));
        let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("without a name");
        let spec = object.pointer("/spec/template/spec").or_else(|| object.get("spec"));
        let containers = spec.and_then(|spec| spec.get("containers")).and_then(Value::as_array);
        for container in containers.into_iter().flatten() {
            found.extend(read(peer, &format!("{} {}", escaped(kind), escaped(name)), container));
        }
    }
    if found.is_empty() {
        let found = if kinds.is_empty() {
            "it is empty".to_owned()
        } else {
            format!("it holds {}", kinds.into_iter().collect::<Vec<_>>().join(", "))
        };
        return Err(MigrateError::NoContainer { peer: peer.name(), found });
    }
    Ok(found)
}

/// Errors have no excerpts: a manifest may hold secrets, and an error ends in a terminal or a log.
fn documents(text: &str) -> Result<Vec<Value>, MigrateError> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_multiple_with_options(text, options).map_err(|error| {
        let problem = match error.location() {
            Some(at) => format!("it cannot be read past line {}, column {}", at.line(), at.column()),
            None => "it cannot be read".to_owned(),
        };
        MigrateError::Yaml { problem }
    })
}

/// A name from the manifest, escaped and cut for display.
fn escaped(name: &str) -> String {
    quote(name).trim_matches('"').to_owned()
}

/// Replaces a List by its items, lists within it too.
fn flatten(document: Value, objects: &mut Vec<Value>) {
    let is_list = document.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"));
    match document {
        Value::Object(mut list) if is_list => {
            if let Some(Value::Array(items)) = list.remove("items") {
                items.into_iter().for_each(|item| flatten(item, objects));
            }
        }
        other => objects.push(other),
    }
}

fn read(peer: Peer, owner: &str, container: &Value) -> Option<Container> {
    let text = |key: &str| container.get(key).and_then(Value::as_str).unwrap_or_default();
    let (path, tag) = image(text("image"));
    let (command, args) = (words(container.get("command")), words(container.get("args")));
    let is_peer = path.rsplit('/').next().is_some_and(|name| name.contains(peer.name()));
    let runs = |words: &[String]| program_at(peer, words).is_some();
    if !is_peer && !runs(&command) && !runs(&args) {
        return None;
    }
    let variables = variables(container.get("env"));
    let has_command = !command.is_empty();
    let is_shell = command.iter().chain(&args).next().is_some_and(|word| SHELLS.contains(&program(word)));
    let given: Vec<String> = command.into_iter().chain(args).map(|word| expand(&word, &variables)).collect();
    Some(Container {
        label: format!("{owner}, container {}", escaped(text("name"))),
        arguments: after_program(peer, &given, has_command),
        env: variables.into_iter().map(|(name, value)| (name, value.filter(|value| !value.contains("$(")))).collect(),
        tag: tag.map(str::to_owned),
        is_shell,
    })
}

const SHELLS: [&str; 4] = ["sh", "bash", "ash", "dash"];

/// The words after the program's name, where it is among them. Otherwise the command counts as one word.
fn after_program(peer: Peer, given: &[String], has_command: bool) -> Vec<String> {
    let skip = program_at(peer, given).map_or(usize::from(has_command), |at| at + 1);
    given.iter().skip(skip).cloned().collect()
}

/// The position of the program's name, as in `tini -s -- kiam agent`. No flag with two dashes comes before it, as that
/// flag's value could end in the program's name (`--assume-role-arn arn:aws:iam::123456789012:role/kiam`).
fn program_at(peer: Peer, words: &[String]) -> Option<usize> {
    let is_flag = |word: &String| word.len() > 2 && word.starts_with("--");
    words.iter().take_while(|word| !is_flag(word)).position(|word| program(word) == peer.name())
}

fn program(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// Path and tag: a colon before the last slash is a registry's port, and what follows an @ is a digest.
fn image(written: &str) -> (&str, Option<&str>) {
    let bare = written.split('@').next().unwrap_or(written);
    match bare.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (bare, None),
    }
}

/// Takes numbers and booleans too, which people forget to quote.
fn words(list: Option<&Value>) -> Vec<String> {
    let word = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(switch) => Some(switch.to_string()),
        _ => None,
    };
    list.and_then(Value::as_array).into_iter().flatten().filter_map(word).collect()
}

/// Values by name. What the downward API fills in becomes a reference to the name that Metagate's own manifests use.
fn variables(list: Option<&Value>) -> BTreeMap<String, Option<String>> {
    let mut variables = BTreeMap::new();
    for variable in list.and_then(Value::as_array).into_iter().flatten() {
        let Some(name) = variable.get("name").and_then(Value::as_str) else { continue };
        let field = variable.pointer("/valueFrom/fieldRef/fieldPath").and_then(Value::as_str);
        let value = match (variable.get("value").and_then(Value::as_str), field) {
            // Kubernetes fills in references to earlier variables here too.
            (Some(value), _) => Some(expand(value, &variables)),
            // The peers use the host's network, where a pod's address is the host's.
            (_, Some("status.hostIP" | "status.podIP" | "status.hostIPs" | "status.podIPs")) => {
                Some("$(HOST_IP)".to_owned())
            }
            (_, Some("spec.nodeName")) => Some("$(NODE_NAME)".to_owned()),
            _ => None,
        };
        variables.insert(name.to_owned(), value);
    }
    variables
}
