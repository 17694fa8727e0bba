//! `Debug` of types that may hold a secret. It redacts what the effective configuration redacts.

use std::fmt;

use super::{Credentials, Otlp, Plugin, effective::redacted, raw::Raw, redact};

/// Without the password that `sts_endpoint` may hold.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("source", &self.source)
            .field("identity", &self.identity)
            .field("base_role_arn", &self.base_role_arn)
            .field("region", &self.region)
            .field("sts_endpoint", &self.sts_endpoint.as_deref().map(redact::url))
            .field("assume_role_arn", &self.assume_role_arn)
            .field("session_duration", &self.session_duration)
            .field("session_name", &self.session_name)
            .field("session_tags", &self.session_tags)
            .field("min_remaining", &self.min_remaining)
            .field("wait", &self.wait)
            .field("concurrent_fetches", &self.concurrent_fetches)
            .finish()
    }
}

/// Without the password that the endpoint may hold.
impl fmt::Debug for Otlp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Otlp")
            .field("endpoint", &redact::url(&self.endpoint))
            .field("protocol", &self.protocol)
            .field("metrics_interval", &self.metrics_interval)
            .field("trace_ratio", &self.trace_ratio)
            .finish()
    }
}

/// Without the secrets that `config` may hold.
impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugin")
            .field("name", &self.name)
            .field("code", &self.code)
            .field("mode", &self.mode)
            .field("timeout", &self.timeout)
            .field("memory", &self.memory)
            .field("clock", &self.clock)
            .field("cache", &self.cache)
            .field("config", &redact::json(&self.config))
            .finish()
    }
}

/// As TOML.
impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&toml_edit::ser::to_string(&redacted(self)).map_err(|_| fmt::Error)?)
    }
}
