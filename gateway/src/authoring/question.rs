//! The questions that a case asks a plugin.

use figment::value::Value;
use serde::Serialize;

use super::{
    cases::{BASE, Parser},
    expect::Expected,
};
use crate::{
    config::{Key, quote},
    plugin::{RoleView, role_view},
    policy::{Rejection, complete},
    workload::Workload,
};

#[derive(Debug)]
pub struct Expectation {
    pub question: Question,
    pub expected: Expected,
}

#[derive(Debug)]
pub enum Question {
    /// Whether it accepts its configuration.
    Init,
    Resolve,
    Authorize(Box<RoleView>),
    AuthorizePath(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Init,
    Resolve,
    Authorize,
    AuthorizePath,
}

impl Parser<'_, '_> {
    pub(super) fn asked_role(&mut self, key: &Key, written: Option<Value>, workload: &Workload) -> Option<Question> {
        let key = key.name("role");
        let Some(written) = written else {
            self.collector.refuse(
                &key,
                "is required: authorize is asked about a role",
                "add role = \"path/name\", or its ARN",
            );
            return None;
        };
        let answer = self.role(&key, written)?;
        let as_written = answer.written.clone();
        match complete(answer, "case", workload, self.defaults) {
            Ok(role) => Some(Question::Authorize(Box::new(role_view(&role, &as_written, Some(BASE))))),
            Err(Rejection::Denied(denial)) => {
                let help = "the gateway refuses such a role before any plugin is asked about it";
                self.collector.refuse(&key, denial.reason.clone(), help);
                None
            }
            Err(_) => None,
        }
    }

    pub(super) fn asked_path(&mut self, key: &Key, written: Option<String>) -> Option<Question> {
        let key = key.name("path");
        let help = "write it as plugins see it: path = \"meta-data/placement/region\"";
        let Some(path) = written else {
            self.collector.refuse(&key, "is required: authorize_path is asked about a path", help);
            return None;
        };
        if path.is_empty() || path.starts_with('/') || path.ends_with('/') || path.starts_with("latest/") {
            let problem =
                format!("expected a path below /latest/, without a slash at either end, found {}", quote(&path));
            self.collector.refuse(&key, problem, help);
            return None;
        }
        Some(Question::AuthorizePath(path))
    }
}

impl Question {
    pub(super) fn phase(&self) -> Phase {
        match self {
            Self::Init => Phase::Init,
            Self::Resolve => Phase::Resolve,
            Self::Authorize(_) => Phase::Authorize,
            Self::AuthorizePath(_) => Phase::AuthorizePath,
        }
    }
}

impl Phase {
    /// Its name in cases and reports.
    pub fn key(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Resolve => "resolve",
            Self::Authorize => "authorize",
            Self::AuthorizePath => "authorize_path",
        }
    }
}
