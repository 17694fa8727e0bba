"""Look-up functions for a Metagate policy. The interface is wit/policy.wit, and `bindings` has its types in Python."""

import json
import re
from dataclasses import dataclass

from componentize_py_types import Err
from wit_world.imports.types import Interest


def interest(**lists):
    """The lists of what the policy reads of a pod; an omitted list is empty."""
    return Interest(**{name: lists.pop(name, []) for name in Interest.__dataclass_fields__}, **lists)


def look_up(pairs, key):
    """The value of a key in a list such as `workload.labels`; None if the key is missing."""
    return next((value for name, value in pairs if name == key), None)


def read_config(config_json, defaults):
    """Merges the configuration with the defaults. Refuses a key that has no default, and a value of another type."""
    config = json.loads(config_json)
    for key, value in config.items():
        if key not in defaults:
            raise Err(f"unknown field `{key}`, expected {' or '.join(f'`{name}`' for name in defaults)}")
        if type(value) is not type(defaults[key]):
            raise Err(f"{key}: expected a {type(defaults[key]).__name__}")
    return defaults | config


# The gateway completes and checks a role before it calls `authorize`, so this only splits the ARN.
ROLE_ARN = re.compile(r"arn:([a-z0-9-]+):iam::([0-9]{12}):role(/(?:.*/)?)([^/]+)")


@dataclass
class RoleArn:
    partition: str
    account: str
    # Begins and ends with a slash: "/admin/" of role/admin/dba, "/" of role/checkout.
    path: str
    name: str

    @classmethod
    def parse(cls, arn):
        parts = ROLE_ARN.fullmatch(arn)
        if parts is None:
            raise Err(f"{arn} is not the ARN of a role")
        return cls(*parts.groups())
