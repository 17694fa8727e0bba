"""Dashboards and alerts query only metrics of the gateway, and the alerts fire when they should.

promtool checks syntax and behaviour; deploy/tests/prometheus.sh provides it. UPDATE_GOLDEN=1 writes prometheus-rule.yaml
again.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlparse

import yaml

import chart
import queries

FOLDER = queries.DASHBOARDS
ALERTS = FOLDER / "alerts.yaml"
CASES = FOLDER / "alerts.test.yaml"
RULE = FOLDER / "prometheus-rule.yaml"
NAMES = ["credentials.json", "fleet.json", "node.json", "policy.json"]

# Prometheus' own metric, and the labels that it adds to each series.
OWN_METRICS = {"up": set()}
OWN_LABELS = {"job", "instance"}

UNITS = {"s": "_seconds", "By": "_bytes"}


def documented():
    """Every series of METRICS.md, by its Prometheus name, with its labels.

    The names follow OpenTelemetry's exporter: dots become underscores; a unit, unless it is an annotation, is appended, and then
    `_total` for a counter. In the column of labels, a code before a colon is a label, and the codes after it are its values.
    """
    found = {}
    for line in (chart.DEPLOY / "METRICS.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("| `") or len(cells) != 4:
            continue
        (name,), kind, unit = re.findall(r"`([^`]+)`", cells[0]), *(re.split(r",\s*", cells[1]) + [""])[:2]
        labels = set()
        for part in cells[2].split(";"):
            labels |= set(re.findall(r"`([a-z.]+)`", re.split(r":|where the", part)[0]))
            # `error.type` where the status is 500 or more
            labels |= set(re.findall(r"`([a-z]+(?:\.[a-z_]+)+)`", part))
        labels = {label.replace(".", "_") for label in labels}
        base = name.replace(".", "_") + UNITS.get(unit, "_seconds" if kind == "histogram" else "")
        if kind == "histogram":
            found.update({f"{base}_count": labels, f"{base}_sum": labels, f"{base}_bucket": labels | {"le"}})
        elif kind == "counter":
            found[f"{base}_total"] = labels
        elif kind == "gauge":
            found[base] = labels
        else:
            raise AssertionError(f"METRICS.md: {name} is a {kind}")
    return found


def rules():
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def every_query():
    return queries.queries("5m") + [queries.Query(f"alerts.yaml: {rule['alert']}", rule["expr"]) for rule in rules()]


def prometheus_rule():
    """The exact text of alerts.yaml, with its comments, two spaces deeper."""
    _, groups = ALERTS.read_text().split("\ngroups:\n")
    top = """\
# Made from alerts.yaml by deploy/tests/test_dashboards.py; do not edit.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: metagate
  namespace: metagate
  labels:
    app.kubernetes.io/name: metagate
spec:
  groups:
"""
    return top + "".join(f"  {line}".rstrip() + "\n" for line in groups.splitlines())


class Contract(unittest.TestCase):
    def test_the_table_of_metrics_is_read_as_prometheus_names_them(self):
        found = documented()
        self.assertLessEqual(
            {
                "metagate_ready": set(),
                "metagate_roster_age_seconds": set(),
                "metagate_credential_shortest_remaining_seconds": set(),
                "metagate_refusals_total": {"reason"},
                "metagate_caller_wait_duration_seconds_bucket": {"outcome", "le"},
                "metagate_credential_renewal_lag_seconds_count": set(),
                "metagate_policy_decisions_total": {"phase", "outcome", "plugin", "reason"},
                "metagate_plugin_call_duration_seconds_sum": {"plugin", "phase", "answer"},
                "metagate_plugin_failures_total": {"plugin", "phase", "kind"},
                "metagate_reloads_total": {"what", "result"},
                "metagate_telemetry_exports_total": {"signal", "result"},
                "process_cpu_time_seconds_total": {"cpu_mode"},
                "process_memory_usage_bytes": set(),
                "rpc_client_call_duration_seconds_count": {
                    "rpc_system_name",
                    "rpc_method",
                    "error_type",
                },
            }.items(),
            found.items(),
        )
        self.assertLessEqual({"http_route", "http_response_status_code"}, found["http_server_request_duration_seconds_count"])

    def test_queries_read_only_metrics_and_labels_that_the_gateway_has(self):
        metrics = {**documented(), **OWN_METRICS}
        for where, expr in every_query():
            with self.subTest(where, expr=expr):
                read = queries.read(expr)
                self.assertTrue(read.selectors, "it reads nothing")
                for selector in read.selectors:
                    self.assertIn(selector.metric, metrics)
                for metric, label in read.matched:
                    self.assertIn(label, metrics[metric] | OWN_LABELS, metric)
                known = OWN_LABELS.union(*(metrics[selector.metric] for selector in read.selectors))
                self.assertLessEqual(read.grouped, known)

    def test_metrics_that_other_programs_have_too_are_read_of_gateways_only(self):
        """Other programs have http.server.request.duration too. So dashboards select by $job, alerts by a pattern."""
        for where, expr in every_query():
            for selector in queries.read(expr).selectors:
                if not selector.metric.startswith("metagate_"):
                    with self.subTest(where, selector=selector):
                        self.assertIn("job=~", selector.matchers)

    def test_every_metric_is_on_a_dashboard(self):
        shown = {selector.metric for _, expr in queries.queries("5m") for selector in queries.read(expr).selectors}
        for metric in documented():
            base = re.sub(r"_(bucket|sum|count)$", "", metric)
            if metric not in OWN_METRICS and not metric.endswith(("_sum", "_bucket")):
                with self.subTest(metric):
                    self.assertTrue(metric in shown or f"{base}_bucket" in shown)

    def test_words_of_promql_are_told_apart(self):
        read = queries.read(
            'sum by (a) (rate(one{b="x{}", c!~"by (d)"}[5m] offset 1h)) / on (e) group_left (f) two > bool 1e-3 # three\n'
            "or vector(0) and count without (g) (four{} == +Inf)"
        )
        self.assertEqual([str(s) for s in read.selectors], ['one{b="x{}", c!~"by (d)"}', "two", "four{}"])
        self.assertEqual(read.matched, [("one", "b"), ("one", "c")])
        self.assertEqual(read.grouped, {"a", "e", "f", "g"})


class Dashboards(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.all = queries.dashboards()

    def of_every_panel(self, check):
        for name, dashboard in self.all.items():
            for panel in queries.panels(dashboard):
                with self.subTest(name, panel=panel["title"]):
                    check(panel)

    def test_there_are_four_with_names_of_their_own_that_never_change(self):
        self.assertEqual(list(self.all), NAMES)
        for name, dashboard in self.all.items():
            with self.subTest(name):
                stem = name.removesuffix(".json")
                # Links and bookmarks use the uid; each Grafana assigns its own id.
                self.assertEqual((dashboard["uid"], dashboard["id"]), (f"metagate-{stem}", None))
                self.assertEqual(dashboard["title"], f"Metagate: {stem}")

    def test_panels_have_ids_and_titles_of_their_own(self):
        for name, dashboard in self.all.items():
            for key, those in ("id", dashboard["panels"]), ("title", queries.panels(dashboard)):
                with self.subTest(name, key=key):
                    values = [panel[key] for panel in those]
                    self.assertEqual(len(values), len(set(values)))

    def test_every_panel_says_what_is_normal_in_a_unit(self):
        def check(panel):
            self.assertTrue(panel["fieldConfig"]["defaults"]["unit"])
            self.assertIn("Normal: ", panel["description"])
            self.assertTrue(panel["description"].endswith("."))

        self.of_every_panel(check)

    def test_every_panel_and_query_goes_to_the_chosen_prometheus(self):
        chosen = {"type": "prometheus", "uid": "${datasource}"}

        def check(panel):
            self.assertTrue(panel["targets"])
            for asks in [panel, *panel["targets"]]:
                self.assertEqual(asks["datasource"], chosen)

        self.of_every_panel(check)
        for name, dashboard in self.all.items():
            with self.subTest(name):
                variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
                self.assertEqual(list(variables), ["datasource", "job", "instance"])
                self.assertEqual((variables["datasource"]["type"], variables["datasource"]["query"]), ("datasource", "prometheus"))
                for variable in ("job", "instance"):
                    self.assertEqual(variables[variable]["datasource"], chosen)
                    _, label = queries.label_values(variables[variable]["query"]["query"])
                    self.assertEqual(label, variable)

    def test_every_selector_of_a_panel_is_of_the_chosen_gateways(self):
        def check(panel):
            for target in panel["targets"]:
                for selector in queries.read(target["expr"]).selectors:
                    self.assertTrue(selector.matchers.startswith('{job=~"$job", instance=~"$instance"'), selector)

        self.of_every_panel(check)

    def test_queries_of_one_panel_have_letters_of_their_own(self):
        def check(panel):
            letters = [target["refId"] for target in panel["targets"]]
            self.assertEqual(letters, sorted(set(letters)))

        self.of_every_panel(check)

    def test_every_line_of_a_graph_has_a_name(self):
        def check(panel):
            for target in panel["targets"] if panel["type"] == "timeseries" else []:
                self.assertTrue(target["legendFormat"])
                for label in queries.read(target["expr"]).grouped - {"le"}:
                    self.assertIn("{{%s}}" % label, target["legendFormat"])

        self.of_every_panel(check)

    def test_panels_lie_side_by_side_and_not_on_each_other(self):
        for name, dashboard in self.all.items():
            taken = {}
            for panel in dashboard["panels"]:
                at = panel["gridPos"]
                with self.subTest(name, panel=panel["title"]):
                    self.assertLessEqual(at["x"] + at["w"], 24)
                    for cell in ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])):
                        self.assertEqual(taken.setdefault(cell, panel["title"]), panel["title"])
            with self.subTest(name):
                rows = max(y for _, y in taken) + 1
                whole = [y for y in range(rows) if all((x, y) in taken for x in range(24))]
                self.assertEqual(whole, list(range(rows)), "a gap")

    def test_dashboards_lead_to_each_other(self):
        uids = {dashboard["uid"] for dashboard in self.all.values()}
        for name, dashboard in self.all.items():
            with self.subTest(name):
                (link,) = dashboard["links"]
                self.assertEqual((link["type"], link["tags"]), ("dashboards", dashboard["tags"]))
                self.assertTrue(link["includeVars"] and link["keepTime"])
                for uid in re.findall(r"/d/([\w-]+)", json.dumps(dashboard)):
                    self.assertIn(uid, uids)

    def test_what_descriptions_call_by_name_is_there(self):
        titles = {dashboard["title"] for dashboard in self.all.values()}
        alerts = {rule["alert"] for rule in rules()}

        def check(panel):
            self.assertLessEqual(set(re.findall(r"\bMetagate[A-Z]\w+", panel["description"])), alerts)
            self.assertLessEqual(set(re.findall(r"Metagate: \w+", panel["description"])), titles)

        self.of_every_panel(check)


class Alerts(unittest.TestCase):
    def test_every_alert_has_what_a_person_needs_at_night(self):
        for rule in rules():
            with self.subTest(rule["alert"]):
                self.is_complete(rule)

    def is_complete(self, rule):
        self.assertRegex(rule["alert"], r"^Metagate[A-Z]\w+$")
        self.assertIn(rule["labels"]["severity"], {"critical", "warning", "info"})
        self.assertRegex(rule["for"], r"^[1-9]\d*[mh]$")
        self.assertEqual(set(rule["annotations"]), {"summary", "description", "runbook"})
        self.assertTrue(rule["annotations"]["description"].endswith("."))
        runbook = rule["annotations"]["runbook"]
        self.assertTrue(runbook.startswith("What it means: "))
        steps = [int(step) for step in re.findall(r"^(\d+)\. ", runbook, re.MULTILINE)]
        self.assertEqual(steps, list(range(1, len(steps) + 1)))
        self.assertGreaterEqual(len(steps), 2)

    def test_names_are_unique(self):
        names = [rule["alert"] for rule in rules()]
        self.assertEqual(len(names), len(set(names)))

    def test_runbooks_lead_to_alerts_and_panels_that_are_there(self):
        titles = {d["title"]: {panel["title"] for panel in queries.panels(d)} for d in queries.dashboards().values()}
        names = {rule["alert"] for rule in rules()}
        for rule in rules():
            runbook = rule["annotations"]["runbook"]
            named = set(re.findall(r'"(Metagate: \w+)"', runbook))
            panels = set().union(*(titles[title] for title in named & set(titles)))
            # If a dashboard is named, a quoted text that begins with a capital is a panel.
            quoted = set(re.findall(r'"([A-Z][^":{}$]*)"', runbook)) if named else set()
            with self.subTest(rule["alert"]):
                self.assertLessEqual(set(re.findall(r"\bMetagate[A-Z]\w+", runbook)), names)
                self.assertLessEqual(named, set(titles))
                self.assertLessEqual(quoted, panels)

    def test_every_alert_is_seen_to_fire_and_not_to_fire(self):
        fires, silent = set(), set()
        for case in yaml.safe_load(CASES.read_text())["tests"]:
            for asked in case["promql_expr_test"]:
                for name in re.findall(r'^ALERTS\{alertname=~?"([^"]+)", alertstate="firing"', asked["expr"]):
                    (fires if asked["exp_samples"] else silent).update(name.split("|"))
        names = {rule["alert"] for rule in rules()}
        self.assertEqual(fires, names)
        self.assertEqual(silent, names)

    def test_the_readme_lists_every_alert_with_its_severity(self):
        readme = (FOLDER / "README.md").read_text()
        listed = re.findall(r"^\| `(Metagate\w+)` \| (\w+) \|", readme, re.MULTILINE)
        self.assertEqual(listed, [(rule["alert"], rule["labels"]["severity"]) for rule in rules()])


class Kubernetes(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        if os.environ.get("UPDATE_GOLDEN") == "1":
            RULE.write_text(prometheus_rule())

    def test_the_prometheus_rule_is_the_file_of_alerts(self):
        self.assertEqual(RULE.read_text(), prometheus_rule(), "UPDATE_GOLDEN=1 make manifests writes it anew")
        document = yaml.safe_load(RULE.read_text())
        self.assertEqual(document["spec"], yaml.safe_load(ALERTS.read_text()))

    def test_the_config_map_has_every_dashboard_and_room_for_kubectl_apply(self):
        kustomization = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
        (generator,) = kustomization["configMapGenerator"]
        self.assertEqual(sorted(generator["files"]), NAMES)
        self.assertEqual(kustomization["generatorOptions"]["labels"], {"grafana_dashboard": "1"})
        # kubectl stores the whole ConfigMap as JSON within JSON in one annotation; annotations may have 256 KiB.
        self.assertLess(len(json.dumps(json.dumps([(FOLDER / name).read_text() for name in NAMES]))), 256 * 1024)

    def test_kubectl_builds_config_map_and_rule(self):
        kubectl = os.environ.get("KUBECTL") or shutil.which("kubectl")
        if not kubectl:
            skip(self, "kubectl kustomize of deploy/dashboards. There is no kubectl: name one in KUBECTL.")
        done = subprocess.run([kubectl, "kustomize", FOLDER], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        built = {document["kind"]: document for document in yaml.safe_load_all(done.stdout)}
        self.assertEqual(set(built), {"ConfigMap", "PrometheusRule"})
        self.assertEqual(built["ConfigMap"]["metadata"]["name"], "metagate-dashboards")
        self.assertEqual(built["ConfigMap"]["metadata"]["labels"], {"grafana_dashboard": "1"})
        self.assertEqual(built["ConfigMap"]["data"], {name: (FOLDER / name).read_text() for name in NAMES})
        self.assertEqual(built["PrometheusRule"], yaml.safe_load(RULE.read_text()))


class Promtool(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        beside = pathlib.Path(sys.executable).parent / "promtool"
        cls.promtool = str(beside) if beside.exists() else shutil.which("promtool")

    def setUp(self):
        if not self.promtool:
            skip(self, "alerts and queries by promtool. There is none: see deploy/tests/prometheus.sh")

    def passes(self, *arguments):
        done = subprocess.run([self.promtool, *arguments], cwd=FOLDER, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_promtool_accepts_the_alerts(self):
        self.assertIn(f"SUCCESS: {len(rules())} rules found", self.passes("check", "rules", "--lint=all", "--lint-fatal", "alerts.yaml"))

    def test_promtool_accepts_every_query_of_a_dashboard(self):
        asked = queries.queries("5m")
        recorded = [{"record": "query", "expr": expr, "labels": {"n": str(n)}} for n, (_, expr) in enumerate(asked)]
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "queries.yaml")
            path.write_text(json.dumps({"groups": [{"name": "queries", "rules": recorded}]}))
            self.assertIn(f"SUCCESS: {len(asked)} rules found", self.passes("check", "rules", path))

    def test_alerts_fire_when_they_should_and_only_then(self):
        self.passes("test", "rules", "alerts.test.yaml")


class Answers(BaseHTTPRequestHandler):
    """A Prometheus that has every series except those that its server omits."""

    def do_GET(self):
        asked = urlparse(self.path)
        if asked.path.endswith("/rules"):
            data = {"groups": [{"rules": self.server.rules}]}
        else:
            expr = parse_qs(asked.query)["query"][0]
            lacks = any(missing in expr for missing in self.server.missing)
            data = {"resultType": "vector", "result": [] if lacks and "vector(0)" not in expr else [{}]}
        body = json.dumps({"status": "success", "data": data}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Program(unittest.TestCase):
    RULES = [{"name": "MetagateDown", "query": "up == 0", "health": "ok"}]

    def ask(self, *more, rules=None, missing=()):
        server = HTTPServer(("127.0.0.1", 0), Answers)
        server.rules, server.missing = self.RULES if rules is None else rules, missing
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            return self.run_it("--prometheus", f"http://127.0.0.1:{server.server_port}", *more)
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def run_it(self, *arguments):
        # -S -E: no more environment than a plain python3 has.
        command = [sys.executable, "-S", "-E", "-B", queries.__file__, *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    def test_it_lists_every_query_with_variables_replaced(self):
        code, out, _ = self.run_it("--list", "--window", "15s")
        listed = [json.loads(line) for line in out.splitlines()]
        self.assertEqual(code, 0)
        self.assertEqual(listed, [query._asdict() for query in queries.queries("15s")])
        self.assertFalse([query for query in listed if "$" in query["expr"]])
        self.assertTrue([query for query in listed if "[15s]" in query["expr"]])

    def test_nothing_is_said_where_everything_has_an_answer(self):
        self.assertEqual(self.ask(), (0, "", ""))

    def test_a_query_without_data_is_named_with_where_it_is(self):
        code, out, _ = self.ask(missing=["metagate_redirect_connections"])
        self.assertEqual(code, 1)
        self.assertIn("node.json: Redirected connections: no data: max(metagate_redirect_connections{", out)

    def test_what_vector_0_would_hide_is_found_by_its_selector(self):
        code, out, _ = self.ask("--window", "15s", missing=['result="throttled"'])
        self.assertEqual(code, 1)
        self.assertIn('credentials.json: Throttled: no data: last_over_time(metagate_credential_fetch_', out)

    def test_what_is_excepted_need_have_no_data(self):
        missing = ["metagate_redirect_connections"]
        self.assertEqual(self.ask("--except", "metagate_redirect_", missing=missing)[0], 0)

    def test_a_rule_that_is_not_there_or_not_well_is_a_fault(self):
        self.assertIn("rules: this Prometheus has none", self.ask(rules=[])[1])
        ill = {**self.RULES[0], "health": "err", "lastError": "many-to-many"}
        self.assertIn("rule MetagateDown: err: many-to-many", self.ask(rules=[ill])[1])

    def test_a_series_that_only_an_alert_reads_is_asked_for(self):
        rule = {"name": "MetagateGone", "query": "absent(metagate_gone)", "health": "ok"}
        code, out, _ = self.ask(rules=[rule], missing=["metagate_gone"])
        self.assertEqual((code, out), (1, "rule MetagateGone: no data: last_over_time(metagate_gone[5m])\n"))

    def test_a_prometheus_that_does_not_answer_is_no_missing_data(self):
        code, out, err = self.run_it("--prometheus", "http://127.0.0.1:1")
        self.assertEqual((code, out), (2, ""))
        self.assertIn("cannot be asked", err)


def skip(test, what):
    notice = f"NOT CHECKED: {what}"
    print(f"\n{notice}", file=sys.stderr)
    test.skipTest(notice)


if __name__ == "__main__":
    unittest.main()
