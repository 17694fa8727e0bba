"""The gateway accepts the configuration that the chart renders."""

import os
import pathlib
import subprocess
import tempfile
import tomllib
import unittest

import chart

METAGATE = os.environ["METAGATE"]
MIGRATED = sorted(chart.DEPLOY.parent.joinpath("gateway/tests/fixtures/migrate").glob("*/*.toml"))
KEYS = "METAGATE_IMDS__TOKEN_KEY_FILE"


def environment(found):
    """The gateway's environment variables whose values the chart sets."""
    return {v["name"]: v["value"] for v in chart.container(found, "gateway")["env"] if "value" in v}


def migrated(path):
    """The output of `metagate migrate` as text, with the values that must agree with it."""
    text = path.read_text()
    written = tomllib.loads(text)
    values = {"config": text}
    if "listen" in written.get("pods", {}):
        values["host"] = {"port": int(written["pods"]["listen"].rsplit(":")[-1])}
    if "listen" in written.get("admin", {}):
        values["admin"] = {"listen": written["admin"]["listen"]}
    return values


def checked(text, **variables):
    """`metagate check`, run as in the pod, with only the variables that the DaemonSet sets."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "metagate.toml")
        path.write_text(text)
        # The pod has its own state folder; here this test has one.
        path.write_text(text.replace("/run/metagate/", f"{folder}/"))
        return subprocess.run(
            [METAGATE, "check", "--config", path],
            env={"NODE_NAME": "node-a", **variables},
            capture_output=True,
            text=True,
            timeout=60,
        )


class Arguments(unittest.TestCase):
    def test_every_container_is_started_with_arguments_that_the_binary_knows(self):
        """With `--help` at the end, the program parses the arguments before it, refuses unknown ones, and does nothing."""
        for case in chart.cases():
            spec = chart.pod(chart.of_case(case))
            for container in spec.get("initContainers", []) + spec["containers"]:
                with self.subTest(case, container=container["name"]):
                    done = self.parsed(*container["args"])
                    self.assertEqual(done.returncode, 0, done.stderr)

    def test_an_unknown_argument_would_be_refused(self):
        self.assertEqual(self.parsed("run", "--confg=x").returncode, 2)

    @staticmethod
    def parsed(*arguments):
        known = [a.replace("$(HOST_IP)", "10.0.0.7").replace("$(HOST_IPS)", "10.0.0.7,2001:db8::7") for a in arguments]
        return subprocess.run([METAGATE, *known, "--help"], env={}, capture_output=True, text=True, timeout=60)


class Configuration(unittest.TestCase):
    def test_every_rendered_configuration_passes_the_gateways_own_check(self):
        for case in chart.cases():
            with self.subTest(case):
                done = checked(chart.toml(chart.of_case(case)))
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_check_would_refuse_a_wrong_one(self):
        done = checked(chart.toml(chart.documents({"config": {"imds": {"tokn": "required"}}})))
        self.assertEqual(done.returncode, 78)
        self.assertIn("tokn", done.stdout + done.stderr)

    def test_where_ipv6_is_redirected_the_gateway_listens_there(self):
        for ip, listen in [("$(HOST_IP)", "0.0.0.0:8181"), ("$(HOST_IPS)", "[::]:8181"), ("2001:db8::7", "[::]:8181")]:
            written = tomllib.loads(chart.toml(chart.documents({"host": {"ip": ip}})))
            self.assertEqual(written["pods"]["listen"], listen, ip)

    def test_values_become_the_same_toml(self):
        written = tomllib.loads(chart.toml(chart.of_case("everything")))
        given = chart.values("everything")["config"]
        self.assertEqual(written["pods"], {**given["pods"], "listen": "[::]:8282"})
        self.assertEqual(written["plugin"], given["plugin"])
        self.assertEqual(written["intercept"], {"interfaces": ["eni+", "vlan+"]})
        self.assertEqual(written["kubernetes"], {"events": False, "startup_taint": "example.com/not-ready"})
        self.assertEqual(written["credentials"]["region"], "eu-central-1")

    def test_whole_numbers_stay_whole_at_every_depth(self):
        plugin = {"name": "a", "path": "a.wasm", "config": {"n": 3, "big": 3000000, "f": 1.5, "l": [1, 2], "m": [{"k": 4}]}}
        written = tomllib.loads(chart.toml(chart.documents({"config": {"plugin": [plugin]}})))
        numbers = written["plugin"][0]["config"]
        self.assertEqual(repr(numbers["n"]), "3")
        self.assertEqual(repr(numbers["big"]), "3000000")
        self.assertEqual(repr(numbers["f"]), "1.5")
        self.assertEqual(repr(numbers["l"]), "[1, 2]")
        self.assertEqual(repr(numbers["m"][0]["k"]), "4")

    def test_text_is_taken_as_it_is(self):
        self.assertEqual(chart.toml(chart.of_case("text")).strip(), chart.values("text")["config"].strip())

    def test_irsa_fallback_runs_only_where_it_may_mint_tokens(self):
        names = lambda case: [p["name"] for p in tomllib.loads(chart.toml(chart.of_case(case))).get("plugin", [])]
        self.assertEqual(names("default"), ["annotations", "namespace-regex"])
        self.assertEqual(names("irsa"), [], "without the key the gateway has its own three, irsa-fallback among them")

    def test_session_tokens_keys_outlive_the_container_unless_told_otherwise(self):
        key = lambda given: tomllib.loads(chart.toml(chart.documents(given)))["imds"]["token_key_file"]
        self.assertEqual(key({}), "/run/metagate/token-keys")
        self.assertEqual(key({"config": {"imds": {"token_key_file": "/mnt/keys"}}}), "/mnt/keys")
        self.assertNotIn(KEYS, environment(chart.of_case("default")))

    def test_text_that_names_no_keys_has_them_by_the_environment(self):
        named = lambda given: environment(chart.documents(given)).get(KEYS)
        self.assertEqual(named({"config": ""}), "/run/metagate/token-keys")
        self.assertEqual(named({"config": '[imds]\n# token_key_file = "/mnt/keys"\n'}), "/run/metagate/token-keys")
        self.assertIsNone(named({"config": '[imds]\ntoken_key_file = "/mnt/keys"\n'}))
        self.assertIsNone(named({"config": 'imds = { token_key_file = "/mnt/keys" }\n'}))
        self.assertEqual(named({"config": "", "extraEnv": {KEYS: "/mnt/keys"}}), "/mnt/keys")
        twice = chart.documents({"config": "", "extraEnv": [{"name": KEYS, "value": "/mnt/keys"}]})
        self.assertEqual([v["name"] for v in chart.container(twice, "gateway")["env"]].count(KEYS), 1)

    def test_everything_that_migrate_writes_is_taken_as_text_and_has_keys(self):
        self.assertGreater(len(MIGRATED), 10)
        for path in MIGRATED:
            with self.subTest(path.name):
                variables = environment(chart.documents(migrated(path)))
                self.assertEqual(variables, {KEYS: "/run/metagate/token-keys"})

    def test_the_gateway_reads_the_keys_that_its_environment_names(self):
        with tempfile.NamedTemporaryFile() as broken:
            broken.write(b"no keys")
            broken.flush()
            done = checked("", **{KEYS: broken.name})
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("imds.token_key_file", done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
