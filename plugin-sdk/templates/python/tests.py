import unittest
from types import SimpleNamespace

from componentize_py_types import Err
from wit_world.imports.types import Verdict_Abstain

from policy import Plugin


def verdict(labels, role):
    Plugin().init("{}")
    role = SimpleNamespace(arn=f"arn:aws:iam::123456789012:role/{role}")
    return Plugin().authorize(SimpleNamespace(labels=labels), role)


class TrustedOnly(unittest.TestCase):
    def test_an_admin_role_is_for_trusted_pods(self):
        self.assertEqual(verdict([], "admin/dba").value.code, "not-trusted")
        self.assertEqual(verdict([("tier", "public")], "admin/deep/er").value.code, "not-trusted")
        self.assertEqual(verdict([("tier", "trusted")], "admin/dba"), Verdict_Abstain())

    def test_any_other_role_is_none_of_its_business(self):
        self.assertEqual(verdict([], "checkout"), Verdict_Abstain())
        self.assertEqual(verdict([], "team/admin/dba"), Verdict_Abstain())

    def test_a_configuration_that_it_cannot_go_by_refuses_the_plugin(self):
        for config, told in [
            ('{"lable":"tier"}', "unknown field `lable`, expected `label` or `value`"),
            ('{"label":1}', "label: expected a str"),
            ('{"label":""}', "label: must not be empty"),
        ]:
            with self.assertRaises(Err) as refused:
                Plugin().init(config)
            self.assertEqual(refused.exception.value, told)
