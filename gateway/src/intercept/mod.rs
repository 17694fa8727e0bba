//! The node's redirect: pods' connections to the metadata service go to the gateway.
//!
//! The redirect is one nftables table that holds only our rules. They use DNAT to an address of the node: nft's own
//! `redirect` needs an address on the host's side of a pod's interface, which often has none (Calico, VPC CNI). The
//! rules do not depend on the gateway: while it does not run, pods are refused, and never reach the node's role.

mod foreign;
mod interface;
mod nft;
#[cfg(target_os = "linux")]
mod privilege;
#[cfg(not(target_os = "linux"))]
#[path = "privilege_elsewhere.rs"]
mod privilege;
mod ruleset;
mod status;
mod watch;

use serde::Serialize;

pub use foreign::ForeignRule;
pub use interface::existing as existing_interfaces;
pub use nft::{Nft, NftError};
pub use privilege::{PrivilegeError, keep_only_net_admin};
pub use ruleset::{Redirect, TABLE};
pub use status::Status;
pub use watch::Watch;

use nft::ChainName;
use ruleset::{Difference, counted};

const FAMILY: &str = "inet";

#[derive(Debug, thiserror::Error)]
pub enum InterceptError {
    #[error(transparent)]
    Nft(#[from] NftError),
    #[error(
        "the rules are installed, but nft lists them differently from how they were written; report this with the \
         output of `nft -V`:\n{}", .0.join("\n")
    )]
    NotAsWritten(Vec<String>),
}

/// What an installation changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Nothing,
    Installed,
    /// Our table was there with other rules, which differed in these points.
    Mended(Vec<String>),
}

/// What is on the node now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Whether exactly our rules are there.
    pub present: bool,
    pub differences: Vec<String>,
    pub redirected_connections: u64,
    pub rejected_packets: u64,
    pub foreign_rules: Vec<ForeignRule>,
    /// Why other programs' rules could not be listed. Our own rules apply all the same.
    pub foreign_unknown: Option<String>,
}

/// Installs the redirect. If it is installed already, nothing is changed, and the counters go on.
pub fn install(nft: &Nft, redirect: &Redirect) -> Result<Change, InterceptError> {
    let change = match nft.table(FAMILY, TABLE)? {
        None => Change::Installed,
        Some(listed) => match redirect.differences(&listed) {
            differences if differences.is_empty() => return Ok(Change::Nothing),
            differences => Change::Mended(in_words(nft, differences)?),
        },
    };
    nft.apply(&redirect.script())?;
    // Another release of nft could list a rule differently; then every check would find something to repair.
    let differences = look(nft, redirect)?.0;
    if differences.is_empty() { Ok(change) } else { Err(InterceptError::NotAsWritten(differences)) }
}

/// Removes our table. False where there was none.
pub fn uninstall(nft: &Nft) -> Result<bool, NftError> {
    if nft.table(FAMILY, TABLE)?.is_none() {
        return Ok(false);
    }
    // The first line lets the second one succeed where the table was removed meanwhile.
    nft.apply(&format!("table {FAMILY} {TABLE}\ndelete table {FAMILY} {TABLE}\n"))?;
    Ok(true)
}

pub fn inspect(nft: &Nft, redirect: &Redirect) -> Result<Finding, NftError> {
    let (differences, counted) = look(nft, redirect)?;
    let (foreign_rules, foreign_unknown) = match foreign::find(nft) {
        Ok(rules) => (rules, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    Ok(Finding {
        present: differences.is_empty(),
        differences,
        redirected_connections: counted.connections,
        rejected_packets: counted.rejected,
        foreign_rules,
        foreign_unknown,
    })
}

fn look(nft: &Nft, redirect: &Redirect) -> Result<(Vec<String>, ruleset::Counted), NftError> {
    match nft.table(FAMILY, TABLE)? {
        None => Ok((vec![format!("there is no table {FAMILY} {TABLE}")], ruleset::Counted::default())),
        Some(listed) => Ok((in_words(nft, redirect.differences(&listed))?, counted(&listed))),
    }
}

fn in_words(nft: &Nft, differences: Vec<Difference>) -> Result<Vec<String>, NftError> {
    let words = |difference| {
        Ok(match difference {
            Difference::Flags => "the table has flags; `flags dormant` would switch it off".to_owned(),
            Difference::NoChain(name) => format!("missing: chain {name}"),
            Difference::Chain { name, found } => format!("chain {name}: {found}"),
            Difference::NoRule(rule) => format!("missing in {rule}"),
            Difference::Order(name) => format!("chain {name}: its rules are in another order"),
            Difference::Extra(what) => format!("unexpected: {what}"),
            Difference::ExtraRule { chain, handle } => {
                let name = ChainName { family: FAMILY.into(), table: TABLE.into(), name: chain.clone() };
                format!("unexpected in chain {chain}: {}", nft.quote(&name, handle)?)
            }
        })
    };
    differences.into_iter().map(words).collect()
}
