//! The configuration, and what it names.

use std::sync::Arc;

use super::Finding;
use crate::{
    app,
    config::{Config, Diagnostics},
};

const CHECK: &str = "configuration";

pub(super) fn refused(faults: &Diagnostics) -> Finding {
    Finding::fail(CHECK, faults.to_string().trim_end(), "mend these places; `metagate check` tells them too")
}

pub(super) async fn look(config: Arc<Config>) -> Vec<Finding> {
    vec![match app::check(&config).await {
        Ok(checked) if checked.faults.is_empty() => {
            Finding::pass(CHECK, format!("is right, and {} plugins load", checked.plugins))
        }
        Ok(checked) => {
            Finding::fail(CHECK, checked.faults.join("\n"), "mend these places; `metagate check` tells them too")
        }
        Err(error) => Finding::fail(CHECK, error.to_string(), "the gateway cannot start with this either"),
    }]
}
