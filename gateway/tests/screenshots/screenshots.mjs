// Pictures of the status page in a browser, wide and on a phone, in light and in dark. It also checks what a test of
// markup cannot: that nothing is refused, nothing overflows, and all text can be read.
//
//   node screenshots.mjs http://127.0.0.1:9620 target/screenshots [/PATH…]
//
// Without paths: `/`, and the explanations of one pod for each outcome that `/` shows, and of a pod that does not exist.
// Needs chromium (or what CHROMIUM names) and node; fails if a page does.

import { spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "./inspect.mjs";

const SIZES = { wide: { width: 1280, height: 800, mobile: false }, phone: { width: 360, height: 740, mobile: true } };
const SCHEMES = ["light", "dark"];
// Taller pictures are scaled down until nothing on them can be seen.
const TALLEST = 6000;
// The timeout of one step of the browser: far more than any takes, even if the machine is busy with a build.
const PATIENCE_SECONDS = 60;

const [base, folder, ...given] = process.argv.slice(2);
if (!base || !folder) {
  console.error("usage: node screenshots.mjs BASE_URL FOLDER [/PATH…]");
  process.exit(2);
}

function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${PATIENCE_SECONDS} s for ${what}`)), PATIENCE_SECONDS * 1000);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// The DevTools protocol over two pipes: JSON, ended by NUL. No port, and no library.
class Browser {
  static async start() {
    const profile = await mkdtemp(join(tmpdir(), "screenshots-"));
    const flags = ["--headless", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe", `--user-data-dir=${profile}`];
    // Chromium's sandbox does not run as root, and no page but the gateway's is opened.
    if (process.getuid?.() === 0) flags.push("--no-sandbox");
    const child = spawn(process.env.CHROMIUM ?? "chromium", [...flags, "about:blank"], {
      stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
    });
    return new Browser(child, profile);
  }

  constructor(child, profile) {
    Object.assign(this, { child, profile, last: 0, calls: new Map(), listeners: new Set(), rest: "" });
    child.on("error", (error) => { console.error(`chromium: ${error.message}`); process.exit(1); });
    child.stdio[4].setEncoding("utf8").on("data", (data) => {
      const messages = (this.rest + data).split("\0");
      this.rest = messages.pop();
      for (const message of messages) this.hear(JSON.parse(message));
    });
  }

  hear(message) {
    const call = this.calls.get(message.id);
    if (!call) return this.listeners.forEach((listener) => listener(message));
    this.calls.delete(message.id);
    if (message.error) call.reject(new Error(message.error.message));
    else call.resolve(message.result);
  }

  call(method, params = {}, sessionId) {
    const id = ++this.last;
    this.child.stdio[3].write(JSON.stringify({ id, method, params, sessionId }) + "\0");
    return within(new Promise((resolve, reject) => this.calls.set(id, { resolve, reject })), method);
  }

  async close() {
    const ended = new Promise((resolve) => this.child.on("exit", resolve));
    await this.call("Browser.close").catch(() => {});
    await within(ended, "chromium to end").catch(() => this.child.kill("SIGKILL"));
    await rm(this.profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function visit(browser, url, size, scheme, picture) {
  const { targetId } = await browser.call("Target.createTarget", { url: "about:blank" });
  const { sessionId } = await browser.call("Target.attachToTarget", { targetId, flatten: true });
  const call = (method, params) => browser.call(method, params, sessionId);
  const faults = [];
  let loaded;
  const load = new Promise((resolve) => { loaded = resolve; });
  const hear = ({ sessionId: of, method, params }) => {
    if (of !== sessionId) return;
    if (method === "Page.loadEventFired") loaded();
    if (method === "Runtime.exceptionThrown") faults.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
    if (method === "Page.javascriptDialogOpening") faults.push(`a dialog: ${params.message}`);
    // The page's own status may be 404, if the page says so.
    const own = method === "Log.entryAdded" && params.entry.source === "network" && params.entry.url === url;
    if (method === "Log.entryAdded" && params.entry.level === "error" && !own) faults.push(params.entry.text);
    if (method === "Network.requestWillBeSent" && !/^data:/.test(params.request.url) && new URL(params.request.url).origin !== new URL(base).origin)
      faults.push(`asks elsewhere: ${params.request.url}`);
  };
  browser.listeners.add(hear);
  await Promise.all(["Page.enable", "Runtime.enable", "Log.enable", "Network.enable"].map((method) => call(method)));
  await call("Emulation.setDeviceMetricsOverride", { ...size, deviceScaleFactor: 1 });
  await call("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
  await call("Page.navigate", { url });
  await within(load, `${url} to load`);
  const { result } = await call("Runtime.evaluate", { expression: `(${inspect})()`, returnByValue: true, awaitPromise: true });
  const seen = result.value ?? { faults: [result.description] };
  const { cssContentSize } = await call("Page.getLayoutMetrics");
  const clip = { x: 0, y: 0, width: size.width, height: Math.min(cssContentSize.height, TALLEST), scale: 1 };
  const { data } = await call("Page.captureScreenshot", { format: "png", captureBeyondViewport: true, clip });
  await writeFile(picture, Buffer.from(data, "base64"));
  browser.listeners.delete(hear);
  await browser.call("Target.closeTarget", { targetId });
  return { ...seen, faults: [...faults, ...seen.faults] };
}

async function paths() {
  if (given.length) return given;
  const page = await (await fetch(new URL("/", base))).text();
  const rows = page.split("<tr ").filter((row) => row.includes('class="why"'));
  const byOutcome = new Map();
  for (const row of rows) {
    const [, outcome] = /class="tone (\w+)"/.exec(row) ?? [];
    const [, link] = /class="why" href="([^"]+)"/.exec(row) ?? [];
    if (outcome && link && !byOutcome.has(outcome)) byOutcome.set(outcome, link.replaceAll("&amp;", "&"));
  }
  return ["/", "/?pod=none", ...byOutcome.values(), "/explain?pod=none/none"];
}

const name = (path) => path.replace(/[^a-zA-Z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, 60) || "status";

await mkdir(folder, { recursive: true });
const browser = await Browser.start();
let failed = 0;
try {
  for (const path of await paths())
    for (const [sizeName, size] of Object.entries(SIZES))
      for (const scheme of SCHEMES) {
        const picture = join(folder, `${name(path)}.${sizeName}.${scheme}.png`);
        const { faults, bytes, milliseconds } = await visit(browser, new URL(path, base).href, size, scheme, picture);
        console.log(`${picture}: ${(bytes / 1024).toFixed(1)} KiB in ${milliseconds} ms`);
        for (const fault of faults) console.error(`  ${fault}`);
        failed += faults.length;
      }
} finally {
  await browser.close();
}
if (failed) console.error(`${failed} faults`);
process.exit(failed ? 1 : 0);
