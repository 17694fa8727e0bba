// Answers and look-ups for a policy of Metagate. What they are is said in ../wit/policy.wit, with names-like-this; here
// they are namesLikeThis, a variant is { tag, val }, and a tuple is an array.

export const abstain = { tag: "abstain" };

/** The verdict that one plugin has to come to. */
export const allow = { tag: "allow" };

/** `code` is a short constant, a label in metrics; the pod and its operator read `reason`. */
export function deny(code, reason) {
  return { tag: "deny", val: { code, reason } };
}

/** The resolution to a role: an ARN, or a name or path/name; `more` as in the interface. */
export function role(arn, more = {}) {
  const source = { tag: "assume-role" };
  return { tag: "role", val: { arn, source, tags: [], policyArns: [], attributes: [], ...more } };
}

/** The lists of what the policy reads of a pod; a list that is left out is empty. */
export function interest(lists) {
  const none = { labels: [], annotations: [], namespaceLabels: [], namespaceAnnotations: [] };
  return { ...none, serviceAccountAnnotations: [], attributes: [], ...lists };
}

/** The value of a key in a list such as `workload.labels`; undefined where it has none. */
export function lookUp(pairs, key) {
  return pairs.find(([name]) => name === key)?.[1];
}

/** The configuration, over these defaults: a key without a default is refused, and so is a value of another type. */
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

// The gateway completes and checks a role before `authorize` is asked about it, so this only takes it apart.
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
