//! Cost against size: of a roster by its workloads, of a keeper by its roles.

pub mod issue;
pub mod keeper;
pub mod roster;
