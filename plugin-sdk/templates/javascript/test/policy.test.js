import assert from "node:assert/strict";
import { test } from "node:test";

import { plugin } from "../src/policy.js";

function verdict(labels, role) {
  plugin.init("{}");
  return plugin.authorize({ labels }, { arn: `arn:aws:iam::123456789012:role/${role}` });
}

test("an admin role is for trusted pods", () => {
  assert.equal(verdict([], "admin/dba").val.code, "not-trusted");
  assert.equal(verdict([["tier", "public"]], "admin/deep/er").val.code, "not-trusted");
  assert.equal(verdict([["tier", "trusted"]], "admin/dba").tag, "abstain");
});

test("any other role is none of its business", () => {
  assert.equal(verdict([], "checkout").tag, "abstain");
  assert.equal(verdict([], "team/admin/dba").tag, "abstain");
});

test("a configuration that it cannot go by refuses the plugin", () => {
  assert.throws(() => plugin.init('{"lable":"tier"}'), /unknown field `lable`, expected `label` or `value`/);
  assert.throws(() => plugin.init('{"label":1}'), /label: expected a string/);
  assert.throws(() => plugin.init('{"label":""}'), /label: must not be empty/);
});
