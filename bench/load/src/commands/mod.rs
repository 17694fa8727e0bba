//! The program's commands.

pub(crate) mod budgets;
pub(crate) mod compare;
pub(crate) mod table;

use std::time::Duration;

use metagate_load::compare::Pace;

use crate::PaceArgs;

impl PaceArgs {
    fn pace(&self) -> Pace {
        Pace { rounds: self.rounds, time: Duration::from_millis(self.milliseconds) }
    }
}
