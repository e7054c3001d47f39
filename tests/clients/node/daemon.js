// Runs the daemon in front of the simulated backend, on a port of its own, for the tests of one
// file. See `../python/conftest.py`, which does the same.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { after, before } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const TARGET = resolve(process.env.CARGO_TARGET_DIR ?? join(ROOT, "target"));
const BINARY = process.env.CODEX_PROXY_BIN ?? join(TARGET, "debug", "codex-proxy");

/** Where a client is installed: with the other products of the build. */
export const folder = (client) => join(TARGET, "clients", client, "node_modules");

/** Imports from there, where imports do not find it by themselves. */
export const installed = (client) => createRequire(join(folder(client), "index.js"));

export const MODEL = "gpt-5.5";
export const ANSWER = "This is a simulated answer to: Hello!";

/** A prompt that says what the simulated backend answers. */
export const directed = (directive, words = "Hello!") => `${words} [[simulate: ${directive}]]`;

/** The daemon of this file, with nothing of this environment but what is given. */
export function daemon(environment = {}) {
  const fixture = {};
  let child;
  before(async () => {
    fixture.home = await mkdtemp(join(tmpdir(), "codex-proxy-clients-"));
    child = spawn(
      BINARY,
      ["--log-format", "json", "--listen", "127.0.0.1:0", "serve", "--simulate"],
      {
        env: { HOME: fixture.home, CODEX_HOME: fixture.home, ...environment },
        stdio: ["ignore", "ignore", "pipe"],
      },
    );
    const lines = createInterface({ input: child.stderr });
    const entries = [];
    let wake = () => {};
    // To the end, so that a full pipe never stops the process.
    lines.on("line", (line) => {
      entries.push(JSON.parse(line));
      wake();
    });
    lines.on("close", () => {
      entries.push(null);
      wake();
    });
    const next = async () => {
      while (entries.length === 0) await new Promise((resolve) => (wake = resolve));
      const entry = entries.shift();
      if (entry === null) throw new Error(`${BINARY} has ended`);
      return entry;
    };
    /** The next so many requests, as it has logged them; fails unless all went well. */
    fixture.answered = async (count) => {
      const answered = [];
      while (answered.length < count) {
        const entry = await next();
        if (!("request_id" in entry)) continue;
        assert.deepEqual([entry.message, entry.status], ["answered", 200], JSON.stringify(entry));
        answered.push(entry);
      }
      return answered;
    };
    /** What `codex-proxy snippet` prints for a client. */
    fixture.settings = async (client) => {
      const options = ["--listen", new URL(fixture.baseURL).host, "--model", MODEL];
      const printed = await promisify(execFile)(BINARY, ["snippet", client, ...options], {
        env: { HOME: fixture.home },
      });
      return printed.stdout;
    };
    let entry;
    do entry = await next();
    while (!entry.message.includes("listening"));
    fixture.baseURL = `http://${entry.address}/v1`;
  });
  after(async () => {
    if (child) {
      const gone = once(child, "exit");
      child.kill("SIGTERM");
      await gone;
    }
    if (fixture.home) await rm(fixture.home, { recursive: true });
  });
  return fixture;
}
