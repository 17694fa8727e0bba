"""A Kubernetes node for one module of tests, in namespaces of its own (deploy/node/node.sh).

It ends with this process, however this process ends: its command reads a pipe of which this process has the other end.
"""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import time
import unittest

DEPLOY = pathlib.Path(__file__).resolve().parents[2]
NODE = "node-1"
# The node's own address, and the gateway's of the network of its pods (deploy/node/inside.sh).
ADDRESS = "10.99.0.1"
ROUTER = "10.244.0.1"
# Seconds. How long a fact may take to become true, and a command to end. A quiet machine takes a tenth of it: nothing here says
# that something was quick.
BOUND = 300


class Failed(AssertionError):
    """A command did not end with 0."""


def until(awaited, look, holds=bool):
    """Looks until what it sees holds, and returns that. `awaited` says which fact did not come true, and comes first in the message."""
    end = time.monotonic() + BOUND
    while True:
        try:
            seen = look()
            if holds(seen):
                return seen
        except Failed as failed:
            seen = failed
        if time.monotonic() > end:
            raise AssertionError(f"{awaited}: not within {BOUND} s. What was seen last: {seen}")
        time.sleep(0.2)


class Node:
    """What is on the node is written below its state folder; its logs are in `logs`."""

    @classmethod
    def start(cls, name, kubelet_flags=""):
        """For `setUpModule`: the node ends after the module's last test."""
        folder = os.environ.get("METAGATE_NODE")
        if not folder:
            print("\n!!! SKIPPED: METAGATE_NODE names no folder with the archives of a node; `make node-tests` does", file=sys.stderr)
            raise unittest.SkipTest("there are no archives of images for a node")
        node = cls(pathlib.Path(folder).resolve(), name, kubelet_flags)
        unittest.addModuleCleanup(node.stop)
        node.await_command()
        return node

    def __init__(self, folder, name, kubelet_flags):
        self.state = folder / "tests" / name
        self.state.parent.mkdir(exist_ok=True)
        self.log = folder / "tests" / f"{name}.log"
        self.spawned = []
        # An earlier node's.
        (self.state / "up").unlink(missing_ok=True)
        images = [word for archive in ("node.tar", "metagate.tar") for word in ("--image", folder / archive)]
        # In a session of its own, so that Ctrl-C ends the tests, and they end the node.
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [DEPLOY / "node" / "node.sh", *images, self.state, "sh", "-c", 'touch "$NODE_STATE/up"; exec cat'],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "KUBELET_FLAGS": kubelet_flags},
            )

    def await_command(self):
        up = self.state / "up"
        until("the node is up", lambda: up.exists() or self.process.poll() is not None)
        if self.process.poll() is not None:
            raise Failed(f"the node did not come up:\n{self.log.read_text()[-4000:]}")
        self.pid = (self.state / "pid").read_text().strip()
        settings = ["bash", "-c", '. "$0" && echo "$PROGRAMS"', DEPLOY / "node" / "settings.sh"]
        programs = subprocess.run(settings, capture_output=True, text=True, check=True).stdout.strip()
        self.environment = {
            **os.environ,
            "KUBECONFIG": str(self.state / "admin.conf"),
            "PATH": f"{programs}:/usr/sbin:/usr/bin:/sbin:/bin",
        }

    def stop(self):
        self.process.stdin.close()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.terminate()
            self.process.wait(60)
        for spawned in self.spawned:
            spawned.wait(60)

    def inside(self, command):
        return ["nsenter", "--all", "--target", self.pid, *map(str, command)]

    def attempt(self, *command, given=None, environment=()):
        """Runs a command as the node's root, however it ends."""
        return subprocess.run(
            self.inside(command),
            **({"stdin": subprocess.DEVNULL} if given is None else {"input": given}),
            capture_output=True,
            text=True,
            timeout=BOUND,
            env={**self.environment, **dict(environment)},
        )

    def run(self, *command, given=None, environment=()):
        """Runs a command that must end with 0, and returns what it writes."""
        done = self.attempt(*command, given=given, environment=environment)
        if done.returncode != 0:
            raise Failed(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}{done.stderr}".strip())
        return done.stdout

    def holds(self, *command):
        return self.attempt(*command).returncode == 0

    def spawn(self, name, *command, environment=()):
        """Starts a program that ends with the node."""
        with open(self.state / "logs" / f"{name}.log", "w") as log:
            process = subprocess.Popen(
                self.inside(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**self.environment, **dict(environment)},
            )
        self.spawned.append(process)

    def kubectl(self, *arguments, given=None):
        return self.run("kubectl", *arguments, given=None if given is None else json.dumps(given))

    def get(self, *arguments):
        return json.loads(self.kubectl("get", *arguments, "--output=json"))

    def apply(self, *documents):
        self.kubectl("apply", "--filename=-", given={"apiVersion": "v1", "kind": "List", "items": documents})

    def kill_program(self, name):
        """Ends one of the node's own programs as a crash does, and waits until it has ended."""
        pid = (self.state / "programs" / f"{name}.pid").read_text().strip()
        self.run("kill", "-KILL", pid)
        until(f"the end of {name}", lambda: not self.holds("kill", "-0", pid))

    def start_program(self, name):
        """Starts it again, in the control groups that it was in."""
        self.run("sh", "-ec", START, name, self.state, name)

    @contextlib.contextmanager
    def at(self, address):
        """Asks as whoever has a pod's address after that pod: yields a function that returns status and text for a path."""
        self.run("sh", "-ec", SQUAT, "squat", address, ROUTER)
        try:
            yield lambda path: answer(self.run("nsenter", "--net=/run/netns/squat", "sh", "-c", ASK, "ask", SERVICE, path))
        finally:
            self.run("ip", "netns", "delete", "squat")


SERVICE = "http://169.254.169.254"
SERVICE6 = "http://[fd00:ec2::254]"
ROLE = "meta-data/iam/security-credentials/"

# ask SERVICE PATH: as an SDK asks, with a session token. Writes the answer, then a line with its status, 000 if there was none.
ASK = """
token=$(curl -gsS -m 10 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 21600' "$1/latest/api/token")
curl -gsS -m 10 -w '\\n%{http_code}' -H "X-aws-ec2-metadata-token: $token" "$1/latest/$2" || true
"""

START = """
for group in $(awk '$3 == "cgroup" || $3 == "cgroup2" { print $2 }' /proc/mounts); do
    [ ! -d "$group/node" ] || group=$group/node
    echo $$ >"$group/cgroup.procs"
done
cd "$1"
setsid "programs/$2" </dev/null >/dev/null 2>&1 &
echo $! >"programs/$2.pid"
"""

SQUAT = """
ip netns add squat
ip link add squat0 type veth peer name eth0 netns squat
ip link set squat0 master cni0 up
ip -n squat address add "$1/24" dev eth0
ip -n squat link set eth0 up
ip -n squat route add default via "$2"
"""


def answer(written):
    """Status and text of what ASK writes."""
    text, _, status = written.rpartition("\n")
    return int(status), text
