// Answers and look-up functions for a Metagate policy. ../wit/policy.wit describes the types. A name-like-this there is a
// nameLikeThis here, a variant is { tag, val }, and a tuple is an array.

export const abstain = { tag: "abstain" };

/** The verdict that at least one plugin must give. */
export const allow = { tag: "allow" };

/** `code` is a short constant and becomes a label in metrics. The pod and its operator read `reason`. */
export function deny(code, reason) {
  return { tag: "deny", val: { code, reason } };
}

/** The resolution to a role: an ARN, a name or a path/name. `more` has further fields of the interface's `role`. */
export function role(arn, more = {}) {
  const source = { tag: "assume-role" };
  return { tag: "role", val: { arn, source, tags: [], policyArns: [], attributes: [], ...more } };
}

/** The lists of what the policy reads of a pod; an omitted list is empty. */
export function interest(lists) {
  const none = { labels: [], annotations: [], namespaceLabels: [], namespaceAnnotations: [] };
  return { ...none, serviceAccountAnnotations: [], attributes: [], ...lists };
}

/** The value of a key in a list such as `workload.labels`; undefined if the key is missing. */
export function lookUp(pairs, key) {
  return pairs.find(([name]) => name === key)?.[1];
}

/** Merges the configuration with the defaults. Refuses a key that has no default, and a value of another type. */
export function readConfig(configJson, defaults) {
  const config = JSON.parse(configJson);
  const known = Object.keys(defaults);
  for (const [key, value] of Object.entries(config)) {
    if (!known.includes(key)) {
      throw new Error(`unknown field \`${key}\`, expected ${known.map((name) => `\`${name}\``).join(" or ")}`);
    }
    if (typeof value !== typeof defaults[key]) {
      throw new Error(`${key}: expected a ${typeof defaults[key]}`);
    }
  }
  return { ...defaults, ...config };
}

// The gateway completes and checks a role before it calls `authorize`, so this only splits the ARN.
const ROLE_ARN = /^arn:([a-z0-9-]+):iam::([0-9]{12}):role(\/(?:.*\/)?)([^/]+)$/;

/** `path` begins and ends with a slash: "/admin/" of role/admin/dba, "/" of role/checkout. */
export function parseRoleArn(arn) {
  const parts = ROLE_ARN.exec(arn);
  if (parts === null) {
    throw new Error(`${arn} is not the ARN of a role`);
  }
  const [, partition, account, path, name] = parts;
  return { partition, account, path, name };
}
