// A hostile guest for the gateway's tests: on request it does what no plugin should, in the ways that JavaScript
// offers. A pod's annotations `resolve` and `authorize` name the deed for that phase, and the configuration's `init`
// names the deed for `init`.

import { log } from "metagate:policy/host@0.1.0";

const abstain = { tag: "abstain" };
const deny = (reason) => ({ tag: "deny", val: { code: "told", reason: String(reason) } });
const interest = {
  labels: [],
  annotations: ["resolve", "authorize", "text"],
  namespaceLabels: [],
  namespaceAnnotations: [],
  serviceAccountAnnotations: [],
  attributes: [],
};

let text = "";
let left = "nothing";

function spin() {
  for (;;);
}

/** Tries to allocate more memory than there is. */
function grow(more) {
  for (const held = []; ; ) {
    held.push(more());
  }
}

const deeds = {
  abstain: () => abstain,

  loop: spin,
  "loop-in-getter": () => ({ get tag() { return spin(); } }),
  "loop-in-proxy": () => new Proxy({}, { get: spin, has: spin, ownKeys: spin }),
  "loop-in-to-string": () => deny({ toString: spin }),
  "loop-in-to-json": () => deny(JSON.stringify({ toJSON: spin })),
  "loop-in-thrown-message": () => { throw { get message() { return spin(); }, toString: spin }; },
  "loop-in-finally": () => { try { spin(); } catch { spin(); } finally { spin(); } },
  "loop-in-generator": () => {
    const generator = (function* () { for (;;) { try { yield; } finally { continue; } } })();
    for (const _ of generator);
  },
  "loop-in-sort": () => { for (;;) Array.from({ length: 1e5 }, (_, i) => -i).sort(() => 1); },
  "loop-in-microtasks": () => { const again = () => queueMicrotask(again); again(); return abstain; },
  "loop-in-promises": () => { const again = () => Promise.resolve().then(again); again(); return abstain; },
  backtrack: () => deny(/^(a+)+$/.test("a".repeat(64) + "b")),
  "loop-in-big-numbers": () => { for (;;) 3n ** (3n ** 12n); },

  recurse: () => deeds.recurse() + 1,
  "recurse-in-getter": () => { const o = { get tag() { return o.tag; } }; return o; },
  "recurse-in-json": () => { let deep = []; for (let i = 0; i < 1e5; i++) deep = [deep]; return deny(JSON.stringify(deep)); },
  "recurse-in-regex": () => deny(new RegExp("(".repeat(1e5) + ")".repeat(1e5))),
  "parse-text": () => deny(typeof JSON.parse(text)),
  "eval-text": () => deny(typeof eval(text)),

  "grow-array": () => grow(() => new Array(1e4).fill(0)),
  "grow-buffer": () => grow(() => new Uint8Array(1 << 16).fill(1)),
  "grow-objects": () => grow(() => ({ a: { b: {} } })),
  "double-string": () => { for (let s = "s"; ; ) s = (s + s).replace("s", "t"); },
  "huge-array-at-once": () => deny(new Array(2 ** 32 - 1).fill(0).length),
  "huge-string-at-once": () => deny("s".repeat(2 ** 29).length),
  "grow-and-go-on": () => { for (const held = []; ; ) try { held.push("s".repeat(1 << 16) + held.length); } catch {} },

  "throw-string": () => { throw "thrown"; },
  "throw-error": () => { throw new TypeError("thrown"); },
  "throw-number": () => { throw 5; },
  "throw-null": () => { throw null; },
  "throw-undefined": () => { throw undefined; },
  "throw-object": () => { throw { message: "thrown" }; },
  "throw-function": () => { throw spin; },
  "throw-huge": () => { throw new Error("e".repeat(1 << 20)); },
  "throw-lone-surrogate": () => { throw new Error("\ud800"); },

  "answer-undefined": () => undefined,
  "answer-null": () => null,
  "answer-number": () => 5,
  "answer-string": () => "abstain",
  "answer-empty": () => ({}),
  "answer-unknown-tag": () => ({ tag: "approve" }),
  "answer-tag-of-another-type": () => ({ tag: 0 }),
  "answer-inherited-tag": () => ({ tag: "__proto__" }),
  "answer-denial-without-words": () => ({ tag: "deny" }),
  "answer-denial-of-numbers": () => ({ tag: "deny", val: { code: 5, reason: {} } }),
  "answer-huge": () => deny("h".repeat(1 << 20)),
  "answer-long": () => deny("h".repeat(1025)),
  "answer-lone-surrogate": () => deny("\ud800"),
  "answer-nul": () => deny("a\0b"),
  "answer-odd-code": () => ({ tag: "deny", val: { code: "Set-Cookie: a\r\n", reason: "" } }),
  "answer-many-pairs": () => ({
    tag: "role",
    val: { arn: "a", source: { tag: "assume-role" }, tags: Array.from({ length: 257 }, (_, i) => ["k" + i, ""]), policyArns: [], attributes: [] },
  }),
  "answer-odd-duration": () => ({
    tag: "role",
    val: { arn: "a", source: { tag: "assume-role" }, durationSeconds: -1.5, tags: [], policyArns: [], attributes: [] },
  }),
  "answer-endless-list": () => ({
    tag: "role",
    val: { arn: "a", source: { tag: "assume-role" }, tags: { length: 2 ** 32 - 1 }, policyArns: [], attributes: [] },
  }),
  "answer-changing": () => { let asked = 0; return { get tag() { return asked++ ? "deny" : "abstain"; }, val: 5 }; },
  promise: () => Promise.resolve(abstain),
  "promise-for-ever": () => new Promise(() => {}),
  async: async () => abstain,

  "log-flood": () => { for (let i = 0; i < 1e3; i++) log("info", "hostile line " + i); return abstain; },
  "log-for-ever": () => { for (;;) log("info", "hostile line"); },
  "log-huge": () => { log("info", "h".repeat(1 << 20)); return abstain; },
  "log-throwing": () => { log("info", { toString() { throw new Error("thrown"); } }); return abstain; },
  "log-unknown-level": () => { log("loud", "x"); return abstain; },
  "log-lone-surrogate": () => { log("info", "\ud800"); return abstain; },

  "date-now": () => deny(Date.now()),
  "new-date": () => deny(new Date().toString()),
  "performance-now": () => deny(performance.now()),
  random: () => deny(Math.random()),
  crypto: () => deny(crypto.getRandomValues(new Uint8Array(1))),
  fetch: () => deny(fetch("http://169.254.169.254/")),
  require: () => deny(require("node:fs")),
  import: () => { import("node:fs").then(() => { left = "a module"; }); return abstain; },
  process: () => deny(process.env.PATH),
  "runtimes-own": () => { wit.Stream.from([1]); return abstain; },
  "collect-garbage": () => { for (let i = 0; i < 10; i++) __cqjs.runGc(); return abstain; },

  // Leaves state behind in globals, prototypes, this module, and objects that the build shares. `say-what-is-left`
  // finds it.
  leave: () => {
    left = globalThis.left = Object.prototype.left = "something";
    interest.labels.push("left");
    deeds.abstain = plugin.resolve = plugin.authorize = () => deny("left");
    return abstain;
  },
  // The runtime itself uses some of these on the way to an answer.
  patch: () => {
    Array.prototype.push = Array.prototype.find = Object.keys = JSON.parse = spin;
    Object.defineProperty(Object.prototype, "tag", { get: () => "deny", set: spin });
    return {};
  },
  "say-what-is-left": () => deny([left, typeof globalThis.left, typeof {}.left, interest.labels.length, typeof {}.tag]),
};

function decide(phase, workload) {
  const read = (key) => workload.annotations.find(([name]) => name === key)?.[1];
  text = read("text") ?? "";
  return deeds[read(phase) ?? "abstain"]();
}

export const plugin = {
  init(configJson) {
    const deed = JSON.parse(configJson).init ?? "abstain";
    const answer = deeds[deed]();
    return answer === abstain ? interest : answer;
  },
  resolve: (workload) => decide("resolve", workload),
  authorize: (workload) => decide("authorize", workload),
  authorizePath: () => abstain,
};
