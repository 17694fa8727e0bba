//! What the program does, command by command.

pub(crate) mod budgets;
pub(crate) mod compare;
pub(crate) mod table;

use std::{io::Write, time::Duration};

use metagate_load::compare::Pace;

use crate::PaceArgs;

impl PaceArgs {
    fn pace(&self) -> Pace {
        Pace { rounds: self.rounds, time: Duration::from_millis(self.milliseconds) }
    }
}

/// Progress, for a person who waits.
fn tell(what: &str) {
    let _ = writeln!(std::io::stderr(), "… {what}");
}
