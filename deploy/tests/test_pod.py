"""What the DaemonSet's containers may do, and in which order they run."""

import unittest

import chart

INTERCEPTORS = ("intercept-install", "intercept-watch")


class Privileges(unittest.TestCase):
    def each(self, name):
        for case in chart.cases():
            found = chart.of_case(case)
            names = [c["name"] for c in chart.pod(found).get("initContainers", []) + chart.pod(found)["containers"]]
            if name in names:
                with self.subTest(case):
                    yield found, chart.container(found, name)

    def test_the_gateway_has_no_capability_no_root_and_no_writable_root(self):
        for _, gateway in self.each("gateway"):
            context = gateway["securityContext"]
            self.assertEqual(context["capabilities"], {"drop": ["ALL"]})
            self.assertTrue(context["runAsNonRoot"] and context["readOnlyRootFilesystem"])
            self.assertFalse(context["allowPrivilegeEscalation"])
            self.assertEqual(context["runAsUser"], 8181)

    def test_interception_has_net_admin_and_nothing_else(self):
        for name in INTERCEPTORS:
            for _, interceptor in self.each(name):
                context = interceptor["securityContext"]
                self.assertEqual(context["capabilities"], {"drop": ["ALL"], "add": ["NET_ADMIN"]})
                self.assertTrue(context["readOnlyRootFilesystem"])
                self.assertFalse(context["allowPrivilegeEscalation"])

    def test_no_container_is_privileged_or_sees_the_hosts_processes(self):
        for case in chart.cases():
            spec = chart.pod(chart.of_case(case))
            self.assertNotIn("hostPID", spec)
            self.assertNotIn("hostIPC", spec)
            self.assertEqual(spec["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
            for container in spec.get("initContainers", []) + spec["containers"]:
                self.assertNotIn("privileged", container["securityContext"])

    def test_only_the_gateway_has_a_token_of_the_api_server(self):
        for case in chart.cases():
            found = chart.of_case(case)
            self.assertIs(chart.pod(found)["automountServiceAccountToken"], False)
            self.assertIn("api-access", [m["name"] for m in chart.container(found, "gateway")["volumeMounts"]])
        for name in INTERCEPTORS:
            for _, interceptor in self.each(name):
                self.assertLessEqual({m["name"] for m in interceptor["volumeMounts"]}, {"config", "intercept"})

    def test_nothing_of_the_host_is_mounted(self):
        for case in [c for c in chart.cases() if c != "everything"]:
            for volume in chart.pod(chart.of_case(case))["volumes"]:
                self.assertNotIn("hostPath", volume)

    def test_there_is_a_memory_limit_and_no_cpu_limit(self):
        for name in ("gateway", *INTERCEPTORS):
            for _, container in self.each(name):
                self.assertEqual(list(container["resources"]["limits"]), ["memory"])


class Order(unittest.TestCase):
    def test_the_redirect_is_installed_before_the_gateway_starts_and_watched_afterwards(self):
        found = chart.of_case("default")
        self.assertEqual([c["name"] for c in chart.pod(found)["initContainers"]], ["intercept-install"])
        self.assertNotIn("--watch", chart.container(found, "intercept-install")["args"])
        self.assertIn("--watch", chart.container(found, "intercept-watch")["args"])

    def test_nothing_removes_the_redirect_when_a_pod_stops(self):
        for case in chart.cases():
            for container in chart.pod(chart.of_case(case))["containers"]:
                self.assertNotIn("lifecycle", container)

    def test_without_the_redirect_no_container_asks_for_a_capability(self):
        found = chart.of_case("without-redirect")
        self.assertNotIn("initContainers", chart.pod(found))
        self.assertEqual([c["name"] for c in chart.pod(found)["containers"]], ["gateway"])

    def test_it_goes_to_every_linux_node_that_has_a_metadata_service(self):
        spec = chart.pod(chart.of_case("default"))
        self.assertEqual(spec["tolerations"], [{"operator": "Exists"}])
        self.assertEqual(spec["nodeSelector"], {"kubernetes.io/os": "linux"})
        self.assertEqual(spec["priorityClassName"], "system-node-critical")
        (term,) = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        self.assertEqual(term["matchExpressions"][0]["values"], ["fargate", "auto", "hybrid"])

    def test_an_update_takes_a_tenth_of_the_nodes_at_once(self):
        strategy = chart.one(chart.of_case("default"), "DaemonSet")["spec"]["updateStrategy"]
        self.assertEqual(strategy, {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}})
        strategy = chart.one(chart.of_case("kube2iam"), "DaemonSet")["spec"]["updateStrategy"]
        self.assertEqual(strategy, {"type": "OnDelete"})


class Wiring(unittest.TestCase):
    def test_probes_go_where_the_admin_listener_is(self):
        for listen, host in [("127.0.0.1:9620", "127.0.0.1"), ("0.0.0.0:9621", "127.0.0.1"), ("[::]:9622", "::1")]:
            found = chart.documents({"admin": {"listen": listen}})
            gateway = chart.container(found, "gateway")
            ports = {p["name"]: p["containerPort"] for p in gateway["ports"]}
            self.assertEqual(ports["admin"], int(listen.rsplit(":")[-1]))
            for probe, path in [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")]:
                self.assertEqual(gateway[probe]["httpGet"], {"host": host, "port": "admin", "path": path})

    def test_the_port_is_the_same_in_the_pod_and_in_its_configuration(self):
        found = chart.of_case("kube2iam")
        self.assertIn({"name": "imds", "containerPort": 8282}, chart.container(found, "gateway")["ports"])
        self.assertIn('listen = "0.0.0.0:8282"', chart.toml(found))

    def test_another_interface_changes_the_pod_so_that_it_reaches_every_node(self):
        for interface, flags in [("", []), ("!eth0", ["--interface=!eth0"]), ("eni+, vlan+", ["--interface=eni+,vlan+"])]:
            found = chart.documents({"host": {"interface": interface}})
            for name in INTERCEPTORS:
                with self.subTest(interface, container=name):
                    arguments = chart.container(found, name)["args"]
                    self.assertEqual([a for a in arguments if a.startswith("--interface")], flags)

    def test_every_variable_in_an_argument_is_defined(self):
        for case in chart.cases():
            found = chart.of_case(case)
            spec = chart.pod(found)
            for container in spec.get("initContainers", []) + spec["containers"]:
                defined = {variable["name"] for variable in container["env"]}
                for argument in container["args"]:
                    if "$(" in argument:
                        self.assertIn(argument.split("$(")[1].split(")")[0], defined)

    def test_every_mount_has_its_volume_and_every_volume_its_mount(self):
        for case in chart.cases():
            spec = chart.pod(chart.of_case(case))
            containers = spec.get("initContainers", []) + spec["containers"]
            mounted = {mount["name"] for container in containers for mount in container["volumeMounts"]}
            self.assertEqual(mounted, {volume["name"] for volume in spec["volumes"]})

    def test_configuration_is_mounted_as_a_folder_so_that_a_change_arrives(self):
        for case in chart.cases():
            spec = chart.pod(chart.of_case(case))
            for container in spec.get("initContainers", []) + spec["containers"]:
                for mount in container["volumeMounts"]:
                    self.assertNotIn("subPath", mount)

    def test_plugin_files_stand_beside_the_configuration(self):
        spec = chart.pod(chart.of_case("everything"))
        (config,) = [volume for volume in spec["volumes"] if volume["name"] == "config"]
        self.assertEqual(
            config["projected"]["sources"][1]["configMap"],
            {"name": "office-hours", "items": [{"key": "office-hours.wasm", "path": "plugins/office-hours.wasm"}]},
        )

    def test_the_selector_finds_its_own_pods(self):
        for case in chart.cases():
            daemons = chart.one(chart.of_case(case), "DaemonSet")["spec"]
            labels = daemons["template"]["metadata"]["labels"].items()
            self.assertLessEqual(daemons["selector"]["matchLabels"].items(), labels)


if __name__ == "__main__":
    unittest.main()
