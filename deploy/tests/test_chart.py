"""The chart renders, and refuses values that would not do what the operator expects."""

import unittest

import helm_python
import kubernetes_validate

import chart

# From the oldest version that Amazon EKS supported when this was written to the newest with published schemas.
VERSIONS = [f"1.{minor}" for minor in range(30, 38)]

# Custom resources, with the part of their schema that these tests know.
FOREIGN = {"PodMonitor", "ServiceMonitor"}


class Rendered(unittest.TestCase):
    def test_helm_lint_finds_nothing_but_the_missing_icon(self):
        for case in chart.cases():
            with self.subTest(case):
                found = helm_python.lint(chart.CHART, chart.values(case), strict=True, namespace=chart.NAMESPACE)
                self.assertEqual(found["errors"], [])
                self.assertEqual([m["error"] for m in found["messages"]], ["icon is recommended"])

    def test_every_document_is_valid_in_every_supported_kubernetes(self):
        for case in chart.cases():
            for document in chart.of_case(case):
                if document["kind"] in FOREIGN:
                    continue
                for version in VERSIONS:
                    with self.subTest(case, kind=document["kind"], version=version):
                        kubernetes_validate.validate(document, version, strict=True)

    def test_every_value_has_a_case_that_changes_it(self):
        """`everything` renders every branch: each value of the first two levels differs from its default."""
        with helm_python.Chart.load(chart.CHART) as loaded:
            defaults = loaded.values
        given = chart.values("everything")
        # These have their own cases, or tests below.
        elsewhere = {"extraArgs", "host.iptables", "rbac.create", "image.tag", "updateStrategy.type"}
        for name, default in defaults.items():
            names = {f"{name}.{key}": (value, key) for key, value in default.items()} if isinstance(default, dict) else {}
            if not names or name in ("config", "resources", "affinity", "nodeSelector"):
                self.assertTrue(name in given or name in elsewhere, name)
            for path, (value, key) in names.items():
                if name in given and isinstance(given[name], dict) and name not in ("resources", "affinity", "nodeSelector"):
                    changed = key in given[name] and given[name][key] != value
                    self.assertTrue(changed or path in elsewhere, path)

    def test_names_of_the_release_do_not_collide_across_namespaces(self):
        with helm_python.Chart.load(chart.CHART) as loaded:
            rendered = loaded.render({}, name="second", namespace="elsewhere")
        self.assertIn("name: second-metagate", rendered["metagate/templates/cluster-role.yaml"])


class Monitors(unittest.TestCase):
    def test_series_bear_the_nodes_name_and_a_job_that_the_alerts_know(self):
        found = chart.of_case("metrics")
        pods = chart.one(found, "PodMonitor")
        services = chart.one(found, "ServiceMonitor")
        for endpoint in pods["spec"]["podMetricsEndpoints"] + services["spec"]["endpoints"]:
            (relabeling,) = endpoint["relabelings"]
            self.assertEqual(relabeling, {"sourceLabels": ["__meta_kubernetes_pod_node_name"], "targetLabel": "instance"})
        # The job of a PodMonitor is NAMESPACE/NAME; that of a ServiceMonitor is the name of its Service.
        for name in pods["metadata"]["name"], chart.one(found, "Service")["metadata"]["name"]:
            self.assertRegex(name, "metagate")


class Refused(unittest.TestCase):
    def refused(self, values, *fragments):
        with self.assertRaises(helm_python.HelmError) as caught:
            chart.templates(values)
        for fragment in fragments:
            self.assertIn(fragment, str(caught.exception))

    def test_an_unknown_value_is_refused_by_name(self):
        self.refused({"tollerations": []}, "tollerations")
        self.refused({"host": {"interfaces": ["eni+"]}}, "interfaces")

    def test_values_out_of_bounds_are_refused_by_name(self):
        for values, name in [
            ({"host": {"port": 70000}}, "/host/port"),
            ({"host": {"port": "8181"}}, "/host/port"),
            ({"host": {"interface": "eni0; reboot"}}, "/host/interface"),
            ({"host": {"interface": "a-name-of-16-byte"}}, "/host/interface"),
            ({"host": {"ip": "$(NODE_IP)"}}, "/host/ip"),
            ({"admin": {"listen": "unix:/run/metagate/admin.sock"}}, "/admin/listen"),
            ({"image": {"digest": "latest"}}, "/image/digest"),
            ({"kubernetes": {"startupTaint": "metagate.io/agent-not-ready:NoSchedule"}}, "/kubernetes/startupTaint"),
            ({"irsa": {"audiences": []}}, "/irsa/audiences"),
            ({"irsa": {"audiences": ["a', 'b"]}}, "/irsa/audiences/0"),
            ({"irsa": {"audiences": ["https://kubernetes.default.svc"]}}, "/irsa/audiences/0"),
            ({"updateStrategy": "Recreate"}, "/updateStrategy"),
        ]:
            with self.subTest(values):
                self.refused(values, name)

    def test_peers_values_are_refused_all_at_once_with_the_name_of_ours(self):
        self.refused(
            {"verbose": True, "prometheus": {"metricsPort": 9543}, "aws": {"access_key": "AKIA"}},
            "verbose: use config.telemetry.log_level",
            "prometheus.metricsPort: use admin.listen",
            "aws.access_key: use extraEnv",
        )
        self.refused({"agent": {"host": {"interface": "cali+"}}}, "agent: use the same names without `agent.`")
        self.refused({"server": {"assumeRoleArn": "x"}}, "server: remove it: there is no server")

    def test_peers_flags_are_sent_to_migrate(self):
        self.refused({"extraArgs": {"base-role-arn": "arn:aws:iam::1:role/"}}, "--base-role-arn", "metagate migrate")

    def test_a_key_that_a_value_owns_is_refused_in_config(self):
        self.refused({"config": {"pods": {"listen": "0.0.0.0:1"}}}, "config.pods.listen", "host.port")
        self.refused({"config": {"intercept": {"interfaces": ["eni+"]}}}, "config.intercept.interfaces", "host.interface")
        self.refused({"config": {"kubernetes": {"startup_taint": "a"}}}, "kubernetes.startupTaint")

    def test_text_and_values_that_disagree_are_refused(self):
        text = '[pods]\nlisten = "0.0.0.0:8282"\n'
        self.refused({"config": text}, "it listens on 0.0.0.0:8282", "host.port")
        self.refused({"config": "", "host": {"port": 8282}}, "host.port: write pods.listen too")
        self.refused({"config": "", "admin": {"listen": "127.0.0.1:1"}}, "admin.listen: write admin.listen too")
        self.refused({"config": "", "host": {"interface": "eni+"}}, "write intercept.interfaces instead")
        self.refused({"config": "", "aws": {"region": "eu-west-1"}}, "write credentials.region instead")
        self.refused({"config": "", "kubernetes": {"startupTaint": "a.io/b"}}, "write kubernetes.startup_taint too")

    def test_a_text_that_does_not_listen_where_ipv6_is_sent_is_refused(self):
        missing = 'host.ip: it redirects IPv6 to the gateway, so write listen = "[::]:8181" in [pods]'
        for ip in ("$(HOST_IPS)", "2001:db8::7", "10.0.0.7,2001:db8::7"):
            for text in ("", '[pods]\nlisten = "0.0.0.0:8181"\n', '[pods]\n# listen = "[::]:8181"\n'):
                with self.subTest(ip=ip, text=text):
                    self.refused({"config": text, "host": {"ip": ip}}, missing)
            for text in ('[pods]\nlisten = "[::]:8181"\n', 'pods.listen = "[::]:8181"\n'):
                with self.subTest(ip=ip, text=text):
                    chart.templates({"config": text, "host": {"ip": ip}})
        chart.templates({"config": "", "host": {"ip": "10.0.0.7"}})

    def test_a_monitor_of_a_loopback_address_is_refused(self):
        self.refused({"prometheus": {"podMonitor": {"enabled": True}}}, "admin.listen", "0.0.0.0:9620")

    def test_an_account_that_nobody_names_is_refused(self):
        self.refused({"rbac": {"create": False}}, "rbac.serviceAccountName")

    def test_a_priority_class_of_kubernetes_own_is_not_made(self):
        self.refused({"priorityClass": {"create": True}}, "system-")


if __name__ == "__main__":
    unittest.main()
