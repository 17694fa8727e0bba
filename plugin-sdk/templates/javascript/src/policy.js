// Roles under the path /admin/ are for pods labelled tier=trusted. The policy abstains from all other roles.

import { abstain, deny, interest, lookUp, parseRoleArn, readConfig } from "./metagate.js";

let config;

export const plugin = {
  /** `configJson` is the plugin's `config` in metagate.toml. An unknown key refuses the plugin. */
  init(configJson) {
    config = readConfig(configJson, { label: "tier", value: "trusted" });
    if (config.label === "") {
      throw new Error("label: must not be empty");
    }
    // The gateway shows the policy only what is named here.
    return interest({ labels: [config.label] });
  },

  resolve(workload) {
    return abstain;
  },

  authorize(workload, role) {
    const { label, value } = config;
    if (parseRoleArn(role.arn).path.startsWith("/admin/") && lookUp(workload.labels, label) !== value) {
      return deny("not-trusted", `roles under /admin/ are for pods labelled ${label}=${value}`);
    }
    // Another plugin decides who may have a role at all.
    return abstain;
  },

  authorizePath(workload, path) {
    return abstain;
  },
};
