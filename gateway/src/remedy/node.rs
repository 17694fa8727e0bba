//! What the gateway needs on its node: the roster, the node's metadata, the redirect.

use super::Remedy;
use crate::lifecycle::Part;

pub fn of_unready(part: Part) -> Remedy {
    Remedy::say(match part {
        Part::Roster => {
            "The gateway knows pods once the API server has listed them. If this lasts, the checks `api-server` and \
             `right-pods` of `metagate doctor` say why."
        }
        Part::NodeMetadata => {
            "The node's own metadata service tells the gateway its account and region. If this lasts, see the check \
             `node-imds` of `metagate doctor`, or set `credentials.region` and `credentials.base_role_arn`."
        }
    })
}

pub fn of_outdated_roster() -> Remedy {
    Remedy::say(
        "Known pods are served meanwhile, and new ones wait. The checks `api-server` and `right-pods` of `metagate \
         doctor` say why.",
    )
}

pub fn of_missing_redirect() -> Remedy {
    Remedy::say(
        "Pods may reach the node's own role. The log of container intercept-watch in the gateway's pod says why; as \
         root on the node, `metagate intercept install` puts the redirect in place.",
    )
}

/// The last check is too old to tell the present state.
pub fn of_unwatched_redirect() -> Remedy {
    Remedy::say(
        "See whether container intercept-watch of the gateway's pod runs. As root on the node, `metagate intercept \
         verify` checks now.",
    )
}

pub fn of_foreign_rule() -> Remedy {
    Remedy::say("Remove the program that made the rule, then the rule. Metagate changes no rules but its own.")
}
