//! The configuration, and what it names.

use std::sync::Arc;

use super::Finding;
use crate::{
    app,
    config::{Config, Diagnostics},
};

const CHECK: &str = "configuration";

pub(super) fn refused(faults: &Diagnostics) -> Finding {
    Finding::fail(CHECK, faults.to_string().trim_end(), "Correct these places; `metagate check` lists them too.")
}

pub(super) async fn look(config: Arc<Config>) -> Vec<Finding> {
    vec![match app::check(&config).await {
        Ok(checked) if checked.errors.is_empty() => {
            Finding::pass(CHECK, format!("is valid, and {} plugins load", checked.plugins))
        }
        Ok(checked) => {
            Finding::fail(CHECK, checked.errors.join("\n"), "Correct these places; `metagate check` lists them too.")
        }
        Err(error) => Finding::fail(CHECK, error.to_string(), "The gateway cannot start with this either."),
    }]
}
