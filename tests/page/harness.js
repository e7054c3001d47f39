// Runs the daemon with the simulated backend on a port of its own, and looks at its page with
// Chromium. A page that was opened here fails its test if it complains, or asks anybody else.

import assert from "node:assert/strict";
import { once } from "node:events";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { after, before } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const TARGET = resolve(process.env.CARGO_TARGET_DIR ?? join(ROOT, "target"));
export const BINARY = process.env.CODEX_PROXY_BIN ?? join(TARGET, "debug", "codex-proxy");
const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find(existsSync);

/** Where the pictures go. */
export const PICTURES = join(TARGET, "page");

// What the tests need is installed with the other products of the build, where imports do not find
// it.
const require = createRequire(join(TARGET, "page", "index.js"));
const { chromium } = require("playwright-core");
export const AXE = require("axe-core").source;

// Far more than anything here takes: only a hang gets there.
const DEADLINE = 20_000;

export const KEY = "sk-cp-tKMbhHgYanNAhBrf4SYC3ZPhD1Bstozdukn_CJa1v8s";

/** Starts a daemon with nothing of this environment; port 0 is any. */
export async function serve({ settings = "", port = 0 } = {}) {
  const home = await mkdtemp(join(tmpdir(), "codex-proxy-page-"));
  const config = join(home, "config-of-the-tests.toml");
  await writeFile(config, settings);
  const listen = `127.0.0.1:${port}`;
  const options = ["--log-format", "json", "--listen", listen, "--config", config];
  const child = spawn(BINARY, [...options, "serve", "--simulate"], {
    env: { HOME: home, CODEX_HOME: home },
    stdio: ["ignore", "ignore", "pipe"],
  });
  const address = await new Promise((found, missing) => {
    let said = "";
    child.on("error", missing);
    const lines = createInterface({ input: child.stderr });
    // To the end, so that a full pipe never stops the process.
    lines.on("line", (line) => {
      said += `${line}\n`;
      const entry = line.startsWith("{") ? JSON.parse(line) : {};
      if (entry.message?.includes("listening")) found(entry.address);
    });
    lines.on("close", () => missing(new Error(`${BINARY} did not start:\n${said}`)));
  });
  return {
    url: `http://${address}`,
    port: Number(address.split(":").at(-1)),
    home,
    async stop() {
      const gone = once(child, "exit");
      // Nothing here is about stopping in order, for which open answers would be waited for.
      child.kill("SIGKILL");
      await gone;
      await rm(home, { recursive: true });
    },
    /** Asks like a program. */
    async ask(content, more = {}) {
      const body = { model: "default", messages: [{ role: "user", content }], ...more };
      const response = await fetch(`http://${address}/v1/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json", authorization: `Bearer ${KEY}` },
        body: JSON.stringify(body),
      });
      return response.text();
    },
  };
}

/** A browser, and a daemon, for the tests of a file. */
export function fixture({ settings } = {}) {
  const made = {};
  before(async () => {
    const args = ["--no-sandbox", "--disable-gpu", "--disable-quic"];
    [made.browser, made.daemon] = await Promise.all([
      chromium.launch({ executablePath: CHROMIUM, args }),
      serve({ settings }),
    ]);
  });
  after(async () => {
    await made.browser?.close();
    await made.daemon?.stop();
  });

  /**
   * Opens the page, gives it to the test, and sees to it that nothing was wrong with it. `said` is
   * what the browser may complain about; `figures` are shown in place of the daemon's own.
   */
  made.visit = async (test, options = {}) => {
    const { said = [], figures, url = made.daemon.url, path = "/", ...context } = options;
    const opened = await made.browser.newContext({ locale: "en-GB", ...context });
    const page = await opened.newPage();
    page.setDefaultTimeout(DEADLINE);
    const complaints = [];
    const foreign = [];
    page.on("pageerror", (error) => complaints.push(error.stack));
    page.on("console", (message) => {
      const isBad = ["error", "warning"].includes(message.type());
      if (isBad && !said.some((allowed) => allowed.test(message.text()))) {
        complaints.push(message.text());
      }
    });
    page.on("request", (request) => {
      if (new URL(request.url()).origin !== url) foreign.push(request.url());
    });
    if (figures) await show(page, figures);
    try {
      const response = await page.goto(url + path);
      await test(page, response);
    } finally {
      await opened.close();
    }
    assert.deepEqual(complaints, [], "the browser complained");
    assert.deepEqual(foreign, [], "somebody else was asked");
  };
  return made;
}

/** Shows the settings of each client in turn; `look` gets its name and the text to copy. */
export async function eachClient(page, look) {
  const choice = page.getByLabel("Client", { exact: true });
  const names = await choice.locator("option").evaluateAll((all) => all.map(({ value }) => value));
  assert.ok(names.length > 20, names.join());
  for (const name of names) {
    await choice.selectOption(name);
    await look(name, await page.locator("#snippet").textContent());
  }
}

/** Answers for the daemon: `figures` may hold `usage`, `activity` and `models`. */
async function show(page, figures) {
  const answer = (make) => (route) => {
    const json = make(new URL(route.request().url()));
    return route.fulfill({ json });
  };
  if (figures.usage) await page.route("**/v1/usage", answer(() => figures.usage));
  if (figures.models) await page.route("**/v1/models", answer(() => figures.models));
  if (figures.activity) {
    await page.route("**/v1/activity?*", answer((url) => {
      const seen = Number(url.searchParams.get("after"));
      const requests = figures.activity.requests.filter(({ seq }) => seq > seen);
      return { ...figures.activity, requests };
    }));
  }
}

export const now = () => Math.floor(Date.now() / 1000);

/** Limits of which each is used up so far, in per cent. */
export const usage = (...used) => ({
  object: "usage",
  plan: "plus",
  updated_at: now(),
  limits: used.map((percent, index) => ({
    id: index < 2 ? "codex" : `limit-${index}`,
    name: null,
    window: index % 2 ? "secondary" : "primary",
    used_percent: percent,
    window_minutes: index % 2 ? 10_080 : 300,
    resets_at: now() + 6515 * (index + 1) ** 3,
    resets_in_seconds: 6515 * (index + 1) ** 3,
  })),
  credits: null,
});

export const request = (seq, more = {}) => ({
  seq,
  id: `req_${seq}`,
  at: now() - 7 * (100 - seq),
  model: "gpt-5.5",
  stream: true,
  status: 200,
  outcome: "answered",
  error: null,
  first_chunk_ms: 312 + 37 * (seq % 7),
  total_ms: 2210 + 910 * (seq % 5),
  tokens_in: 12_000 + 311 * seq,
  tokens_cached: 9000 + 233 * seq,
  tokens_out: 420 + 17 * seq,
  tokens_reasoning: seq % 3 ? 128 : 0,
  continuity: ["hit", "miss", "off"][seq % 3],
  ...more,
});

export const activity = (requests = [], tokens = []) => ({
  object: "activity",
  now: now(),
  started_at: now() - 86_400,
  in_flight: 0,
  requests,
  tokens,
});

/** Six hours with something in most of their buckets, the same each time. */
export const day = () =>
  Array.from({ length: 72 }, (_, index) => {
    const at = (Math.floor(now() / 300) - 71 + index) * 300;
    const wave = Math.max(0, Math.sin(index / 5) + 0.6 * Math.sin(index / 1.7));
    const input = Math.round(41_000 * wave);
    const cached = Math.round(input * (0.55 + 0.4 * Math.sin(index / 9) ** 2));
    return { at, input, cached, output: Math.round(input / 9), requests: Math.ceil(wave * 4) };
  });
