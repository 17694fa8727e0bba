// Roles under the path /admin/ are for pods labelled tier=trusted. Of other roles it says nothing.

import { abstain, deny, interest, lookUp, parseRoleArn, readConfig } from "./metagate.js";

let config;

export const plugin = {
  /** `configJson` is the plugin's `config` in metagate.toml. A key that is not here refuses the plugin. */
  init(configJson) {
    config = readConfig(configJson, { label: "tier", value: "trusted" });
    if (config.label === "") {
      throw new Error("label: must not be empty");
    }
    // What is not named here is not shown.
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
    // Another plugin says who may have a role at all.
    return abstain;
  },

  authorizePath(workload, path) {
    return abstain;
  },
};
