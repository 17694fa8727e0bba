"""Roles under the path /admin/ are for pods labelled tier=trusted. The policy abstains from all other roles."""

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports.types import Denial, Resolution_Abstain, Verdict_Abstain, Verdict_Deny

from metagate import RoleArn, interest, look_up, read_config


config = {}


# The build looks for a class of this name. Each call has its own object, so keep what `init` reads outside of the class.
class Plugin(exports.Plugin):
    def init(self, config_json):
        """`config_json` is the plugin's `config` in metagate.toml. An unknown key refuses the plugin."""
        config.update(read_config(config_json, {"label": "tier", "value": "trusted"}))
        if not config["label"]:
            raise Err("label: must not be empty")
        # The gateway shows the policy only what is named here.
        return interest(labels=[config["label"]])

    def resolve(self, workload):
        return Resolution_Abstain()

    def authorize(self, workload, role):
        label, value = config["label"], config["value"]
        if RoleArn.parse(role.arn).path.startswith("/admin/") and look_up(workload.labels, label) != value:
            return Verdict_Deny(Denial("not-trusted", f"roles under /admin/ are for pods labelled {label}={value}"))
        # Another plugin decides who may have a role at all.
        return Verdict_Abstain()

    def authorize_path(self, workload, path):
        return Verdict_Abstain()
