//! What the file says, key by key. Durations, sizes and addresses are still text here; only `check`
//! turns them into [`super::Config`]. `Raw::default()` holds every default, and `config/metagate.toml` explains each.

use figment::value::Dict;
use serde::{Deserialize, Serialize};

use metagate_plugin_artifacts::BUILTINS;

use super::INTERCEPT_STATUS_FILE;
use crate::catalogue::DEFAULT as CATALOGUE_DEFAULT;

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Raw {
    pub pods: Pods,
    pub admin: Admin,
    pub roster: Roster,
    pub kubernetes: Kubernetes,
    pub imds: Imds,
    pub credentials: Credentials,
    pub policy: Policy,
    pub plugin: Vec<Plugin>,
    pub plugin_files: PluginFiles,
    pub intercept: Intercept,
    pub telemetry: Telemetry,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pods {
    pub listen: String,
    pub hosts: Vec<String>,
    pub max_connections: usize,
    pub max_connections_per_pod: usize,
    pub max_requests_per_second_per_pod: usize,
    pub header_timeout: String,
    pub idle_timeout: String,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    pub listen: String,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Roster {
    pub source: String,
    pub node: String,
    pub file: String,
    pub wait: String,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Kubernetes {
    pub kubeconfig: String,
    pub events: bool,
    pub startup_taint: String,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Imds {
    pub endpoint: String,
    pub token: String,
    pub token_key_file: String,
    pub allow: Vec<String>,
    pub cache: String,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Credentials {
    pub source: String,
    pub identity: String,
    pub base_role_arn: String,
    pub region: String,
    pub sts_endpoint: String,
    pub assume_role_arn: String,
    pub session_duration: String,
    pub session_name: String,
    pub session_tags: bool,
    pub min_remaining: String,
    pub wait: String,
    pub concurrent_fetches: usize,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    pub mode: String,
    pub default_role: String,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plugin {
    pub name: String,
    pub builtin: String,
    pub path: String,
    pub sha256: String,
    pub mode: String,
    pub timeout: String,
    pub memory: String,
    pub clock: bool,
    pub cache: String,
    pub config: PluginConfig,
}

#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PluginFiles {
    pub public_keys: Vec<String>,
    pub compiled: String,
    pub compiled_key_file: String,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Intercept {
    pub interfaces: Vec<String>,
    pub node_ips: Vec<String>,
    pub status_file: String,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    pub log_format: String,
    pub log_level: String,
    pub cluster: String,
    pub otlp_endpoint: String,
    pub otlp_protocol: String,
    pub metrics_interval: String,
    pub trace_ratio: f64,
}

/// A plugin's own keys. The plugin defines them, so that only a key's name tells whether its value is a secret.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PluginConfig(pub(super) Dict);

impl Default for Raw {
    fn default() -> Self {
        let builtin = |name: &str| Plugin { name: name.into(), builtin: name.into(), ..Plugin::default() };
        Self {
            pods: Pods::default(),
            admin: Admin::default(),
            roster: Roster::default(),
            kubernetes: Kubernetes::default(),
            imds: Imds::default(),
            credentials: Credentials::default(),
            policy: Policy::default(),
            plugin: BUILTINS.iter().map(|embedded| builtin(embedded.name)).collect(),
            plugin_files: PluginFiles::default(),
            intercept: Intercept::default(),
            telemetry: Telemetry::default(),
        }
    }
}

impl Default for Pods {
    fn default() -> Self {
        Self {
            listen: "0.0.0.0:8181".into(),
            hosts: Vec::new(),
            max_connections: 1024,
            max_connections_per_pod: 64,
            max_requests_per_second_per_pod: 1000,
            header_timeout: "5s".into(),
            idle_timeout: "60s".into(),
        }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: "127.0.0.1:9620".into() }
    }
}

impl Default for Roster {
    fn default() -> Self {
        Self { source: "kubernetes".into(), node: String::new(), file: String::new(), wait: "800ms".into() }
    }
}

impl Default for Kubernetes {
    fn default() -> Self {
        Self { kubeconfig: String::new(), events: true, startup_taint: String::new() }
    }
}

impl Default for Imds {
    fn default() -> Self {
        Self {
            endpoint: "http://169.254.169.254".into(),
            token: "optional".into(),
            token_key_file: String::new(),
            allow: CATALOGUE_DEFAULT.map(String::from).into(),
            cache: "60s".into(),
        }
    }
}

impl Default for Credentials {
    fn default() -> Self {
        Self {
            source: "sts".into(),
            identity: "auto".into(),
            base_role_arn: "auto".into(),
            region: "auto".into(),
            sts_endpoint: String::new(),
            assume_role_arn: String::new(),
            session_duration: "1h".into(),
            session_name: "{namespace}.{pod}".into(),
            session_tags: false,
            min_remaining: "25m".into(),
            wait: "900ms".into(),
            concurrent_fetches: 8,
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self { mode: "enforce".into(), default_role: String::new() }
    }
}

impl Default for Plugin {
    fn default() -> Self {
        Self {
            name: String::new(),
            builtin: String::new(),
            path: String::new(),
            sha256: String::new(),
            mode: "enforce".into(),
            timeout: "50ms".into(),
            memory: "16MiB".into(),
            clock: false,
            cache: "60s".into(),
            config: PluginConfig::default(),
        }
    }
}

impl Default for Intercept {
    fn default() -> Self {
        Self { interfaces: vec!["!lo".into()], node_ips: Vec::new(), status_file: INTERCEPT_STATUS_FILE.into() }
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            log_format: "json".into(),
            log_level: "info".into(),
            cluster: String::new(),
            otlp_endpoint: String::new(),
            otlp_protocol: "http".into(),
            metrics_interval: "30s".into(),
            trace_ratio: 0.01,
        }
    }
}
