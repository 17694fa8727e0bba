"""Many pods at once, and many requests at once within the chart's memory limit."""

import concurrent.futures
import math
import unittest

from gateway import Gateway
from node import ROLE, SERVICE, Node, until
from pods import Pod, manifest, namespace

MIB = 1 << 20
PODS = 20
# What an SDK asks first, each once and for a second, as botocore does; then it tries again. Writes each attempt's status and the
# seconds of its requests, and how long after the container's first instruction the credentials came.
FIRST = f"""
newline='
'
one() {{ out=$(curl -s -m 1 -w '\\n%{{http_code}} %{{time_total}}' "$@"); end=${{out##*"$newline"}}; body=${{out%"$newline"*}}
    times="$times ${{end#* }}"; status=${{end% *}}; [ "$status" = 200 ]; }}
attempt() {{
    times=
    one -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 21600' {SERVICE}/latest/api/token || return
    token=$body
    one -H "X-aws-ec2-metadata-token: $token" {SERVICE}/latest/{ROLE} || return
    one -H "X-aws-ec2-metadata-token: $token" {SERVICE}/latest/{ROLE}$body
}}
until attempt; do echo "attempt $status$times"; done
echo "attempt $status$times"
sleep infinity
"""
BURST = f"""
token=$(curl -s -m 10 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 21600' {SERVICE}/latest/api/token)
role={SERVICE}/latest/{ROLE}payments-burst
curl -s -Z --parallel-max 50 -m 60 -H "X-aws-ec2-metadata-token: $token" -H 'Connection: close' -w '%{{http_code}}\\n' -o /dev/null \
    "$role?[1-2000]" | grep -c '^200$'
"""


def setUpModule():
    global node, gateway
    node = Node.start("load")
    gateway = Gateway(node)
    gateway.create_namespace()
    gateway.install()
    node.apply(namespace("payments"))


class AtOnce(unittest.TestCase):
    def test_twenty_pods_whose_first_instruction_asks_all_get_credentials(self):
        names = [f"first-{number}" for number in range(PODS)]
        node.apply(*(manifest(name, f"payments-{name}", FIRST) for name in names))
        attempts = {name: self.await_served(Pod(node, name)) for name in names}
        first = [(status, sum(times)) for (status, times), *_ in attempts.values()]
        self.report(sorted(seconds for _, seconds in first), [status for status, _ in first if status != 200], attempts)

    def await_served(self, pod):
        pod.await_running()
        until(f"{pod.name} has credentials", lambda: self.attempts(pod), lambda seen: seen and seen[-1][0] == 200)
        return self.attempts(pod)

    def attempts(self, pod):
        """The status of each attempt, with the seconds of its requests."""
        lines = [text.split() for _, text in pod.log() if text.startswith("attempt ")]
        return [(int(status), [float(each) for each in times]) for _, status, *times in lines]

    def report(self, seconds, refused, attempts):
        p50, p99, longest = (1000 * seconds[math.ceil(share * len(seconds)) - 1] for share in (0.5, 0.99, 1))
        print(f"\n    first attempt of {len(seconds)} pods at once: p50 {p50:.0f} ms, p99 {p99:.0f} ms, max {longest:.0f} ms")
        print(f"    refused or not answered: {len(refused)} of {len(seconds)} {refused or ''}")
        print(f"    attempts until served, at most: {max(map(len, attempts.values()))}")


class Memory(unittest.TestCase):
    def groups(self):
        """The gateway's control groups."""
        name = gateway.container()["containerID"].removeprefix("containerd://")
        return node.run("find", "/sys/fs/cgroup", "-type", "d", "-name", name).split()

    def number(self, *files):
        """The number in the first file of these that there is: version 2 and version 1 name them differently."""
        found = [f"{group}/{file}" for group in self.groups() for file in files]
        return int(node.run("sh", "-c", 'for file; do [ ! -e "$file" ] || { cat "$file"; exit; }; done; exit 1', "sh", *found))

    def test_the_charts_limit_is_the_kernels(self):
        self.assertEqual(self.number("memory.max", "memory.limit_in_bytes"), 256 * MIB)

    def test_a_burst_stays_within_it(self):
        pods = [Pod.run(node, f"burst-{number}", "payments-burst") for number in range(3)]
        for pod in pods:
            pod.await_role("payments-burst")
        before = gateway.container()["containerID"]
        served = self.burst(pods)
        self.assertEqual(served, [2000] * len(pods))
        self.assertEqual(gateway.container()["containerID"], before)
        self.assertEqual(gateway.container().get("lastState"), {})
        # With version 1 of control groups it includes the page cache, which the kernel takes back at the limit.
        peak = self.number("memory.peak", "memory.max_usage_in_bytes")
        print(f"\n    {sum(served)} requests with a connection each, 150 at once: at most {peak / MIB:.0f} MiB of 256, page cache included")

    def burst(self, pods):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            return [int(served) for served in pool.map(lambda pod: pod.sh(BURST), pods)]


if __name__ == "__main__":
    unittest.main()
