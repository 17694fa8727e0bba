"""Roles under the path /admin/ are for pods labelled tier=trusted. Of other roles it says nothing."""

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports.types import Denial, Resolution_Abstain, Verdict_Abstain, Verdict_Deny

from metagate import RoleArn, interest, look_up, read_config


config = {}


# The build looks for a class of this name. Each call has an object of its own, so that what `init` keeps is kept outside.
class Plugin(exports.Plugin):
    def init(self, config_json):
        """`config_json` is the plugin's `config` in metagate.toml. A key that is not here refuses the plugin."""
        config.update(read_config(config_json, {"label": "tier", "value": "trusted"}))
        if not config["label"]:
            raise Err("label: must not be empty")
        # What is not named here is not shown.
        return interest(labels=[config["label"]])

    def resolve(self, workload):
        return Resolution_Abstain()

    def authorize(self, workload, role):
        label, value = config["label"], config["value"]
        if RoleArn.parse(role.arn).path.startswith("/admin/") and look_up(workload.labels, label) != value:
            return Verdict_Deny(Denial("not-trusted", f"roles under /admin/ are for pods labelled {label}={value}"))
        # Another plugin says who may have a role at all.
        return Verdict_Abstain()

    def authorize_path(self, workload, path):
        return Verdict_Abstain()
