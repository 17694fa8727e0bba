//! Tools for plugin authors: start a project, inspect a component, test it with cases.

mod captured_log;
mod cases;
mod compare;
mod expect;
mod inspect;
mod project;
mod question;
mod raw;
mod report;
mod table;
mod templates;
mod trial;

pub use cases::{Case, Cases};
pub use compare::Difference;
pub use expect::Expected;
pub use inspect::{Inspection, Kind, inspect};
pub use project::{Language, NewError, Project};
pub use question::{Expectation, Phase, Question};
pub use report::Report;
pub use table::plugin_name;
pub use trial::{PhaseResult, Trial, run};
