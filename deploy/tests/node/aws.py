"""AWS on the node: moto as STS, and the instance's metadata service, which has the node's role.

The gateway finds there what it finds on an instance: its region, its account and its own credentials.
"""

import json
import os
import pathlib
import sys
import unittest

from node import ADDRESS, DEPLOY, until

STS = f"http://{ADDRESS}:5000"
MOTO = "http://127.0.0.1:5001"
# The gateway's only setting that differs from a node of EC2.
ENVIRONMENT = {"METAGATE_CREDENTIALS__STS_ENDPOINT": STS}
FIXTURES = DEPLOY.parent / "gateway" / "tests" / "fixtures" / "node"
NODE_ROLE = "node-role"

WHO_AM_I = f"""
import boto3, sys
sts = boto3.client("sts", region_name="us-east-1", endpoint_url="{STS}")
print(sts.get_caller_identity()["Arn"])
"""


class Aws:
    def __init__(self, node):
        clients = os.environ.get("METAGATE_CLIENTS")
        if not clients:
            print("\n!!! SKIPPED: METAGATE_CLIENTS names no folder with moto; `make node-tests` does", file=sys.stderr)
            raise unittest.SkipTest("there is no moto")
        self.node, self.bin = node, pathlib.Path(clients).resolve() / "moto" / "bin"
        self.asked = node.state / "sts.jsonl"
        self.start()

    def start(self):
        python = self.bin / "python"
        self.node.run("ip", "address", "add", "169.254.169.254/32", "dev", "lo")
        self.node.run("ip", "address", "add", "fd00:ec2::254/128", "dev", "lo")
        self.node.spawn("moto", self.bin / "moto_server", "-H", "127.0.0.1", "-p", "5001")
        until("moto answers", lambda: self.node.holds("curl", "-s", "-o", "/dev/null", MOTO))
        self.node.spawn("sts", python, "-B", pathlib.Path(__file__).with_name("sts.py"), f"{ADDRESS}:5000", MOTO, self.asked)
        until("STS answers", lambda: self.node.holds("curl", "-s", "-o", "/dev/null", STS))
        self.node.spawn("imds", python, "-B", FIXTURES / "imds.py", STS)
        address = "http://169.254.169.254/latest/meta-data/instance-id"
        until("the instance's metadata service answers", lambda: self.node.holds("curl", "-sf", "-o", "/dev/null", address))

    def who(self, credentials):
        """Who STS says that the holder of these credentials is."""
        environment = {
            "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
            "AWS_SESSION_TOKEN": credentials["Token"],
        }
        return self.node.run(self.bin / "python", "-c", WHO_AM_I, environment=environment).strip()

    def requests(self, action):
        """The parameters of what STS was asked."""
        asked = [json.loads(line) for line in self.asked.read_text().splitlines()]
        return [each for each in asked if each["Action"] == action]
