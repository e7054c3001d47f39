// Runs the daemon in front of the simulated backend, both on ports of their own, for the tests of
// one file; and the scenes that the tests play. See the Python tests' `processes.py` and
// `conftest.py`, which do the same.

import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { after, before } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const TARGET = resolve(process.env.CARGO_TARGET_DIR ?? join(ROOT, "target"));
const BINARY = process.env.CODEX_PROXY_BIN ?? join(TARGET, "debug", "codex-proxy");

// The SDK is installed with the other products of the build, where imports do not find it.
const require = createRequire(join(TARGET, "sdk", "node", "index.js"));
export const { OpenAI } = require("openai");
export const { ContentFilterFinishReasonError, LengthFinishReasonError } = require("openai/error");
export const { zodFunction, zodResponseFormat } = require("openai/helpers/zod");
export const { z } = require("zod");

export const MODEL = "gpt-5.5";

// Far more than a start, or the news of a cancellation, takes: only a hang gets here.
const DEADLINE = 20_000;

const token = (claims) =>
  `e30.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.c2ln`;

/** Writes an invented login. */
async function signIn(home) {
  const account = { chatgpt_account_id: "account-of-the-tests", chatgpt_plan_type: "plus" };
  const claims = { email: "tester@example.com", "https://api.openai.com/auth": account };
  const tokens = {
    id_token: token(claims),
    access_token: token({ ...claims, exp: 4102444800 }),
    // Nothing renews it, so that a 401 of the backend is one request's alone.
    account_id: account.chatgpt_account_id,
  };
  const login = { auth_mode: "chatgpt", OPENAI_API_KEY: null, tokens };
  await writeFile(join(home, "auth.json"), JSON.stringify(login));
}

/** Starts the binary with nothing of this environment; gives the process and its address. */
async function start(home, ...args) {
  const child = spawn(BINARY, ["--log-format", "json", "--listen", "127.0.0.1:0", ...args], {
    env: { HOME: home, CODEX_HOME: home },
    stdio: ["ignore", "ignore", "pipe"],
  });
  const failed = once(child, "error").then(([error]) => {
    throw error;
  });
  const address = new Promise((found, missing) => {
    let said = "";
    const lines = createInterface({ input: child.stderr });
    // To the end, so that a full pipe never stops the process.
    lines.on("line", (line) => {
      said += `${line}\n`;
      const entry = line.startsWith("{") ? JSON.parse(line) : {};
      if (entry.message?.includes("listening")) found(entry.address);
    });
    lines.on("close", () => missing(new Error(`${BINARY} did not start:\n${said}`)));
  });
  return { child, address: await Promise.race([address, failed]) };
}

/** The backend and the daemon of this file, signed in (or not). */
export function daemon({ signedIn = true } = {}) {
  const started = [];
  const fixture = {};
  before(async () => {
    fixture.home = await mkdtemp(join(tmpdir(), "codex-proxy-sdk-"));
    if (signedIn) await signIn(fixture.home);
    const backend = await start(fixture.home, "simulate");
    started.push(backend.child);
    fixture.backend = backend.address;
    const config = join(fixture.home, "config-of-the-tests.toml");
    // The sign-in service too: no test may ever ask the real one.
    await writeFile(
      config,
      `[upstream]\nbase_url = "http://${backend.address}/backend-api/codex"\n` +
        `[auth]\nissuer = "http://${backend.address}"\n`,
    );
    const proxy = await start(fixture.home, "--config", config, "serve");
    started.push(proxy.child);
    fixture.baseURL = `http://${proxy.address}/v1`;
  });
  after(async () => {
    for (const child of started.reverse()) {
      const gone = once(child, "exit");
      child.kill("SIGTERM");
      await gone;
    }
    if (fixture.home) await rm(fixture.home, { recursive: true });
  });
  /** A client that does not try again by itself; tests of retries ask for them. */
  fixture.client = (options = {}) =>
    new OpenAI({
      baseURL: fixture.baseURL,
      apiKey: "any",
      maxRetries: 0,
      timeout: DEADLINE,
      ...options,
    });
  fixture.scene = () => newScene(fixture.backend);
  return fixture;
}

/**
 * The prompts of one test and what the backend saw of them. The tests of a file share one backend:
 * each marks its prompts, and looks only at exchanges with its mark.
 */
function newScene(backend) {
  const mark = `scene-${randomUUID()}`;

  /** A user's text; each directive changes what the backend answers. */
  const prompt = (...directives) => {
    const told = directives.map((directive) => ` [[simulate: ${directive}]]`).join("");
    return `Hello. ${mark}${told}`;
  };

  /** The same as a whole conversation. */
  const user = (...directives) => [{ role: "user", content: prompt(...directives) }];

  /** The requests that reached the backend, oldest first. */
  const exchanges = async () => {
    const answer = await fetch(`http://${backend}/simulator/log`);
    const { exchanges } = await answer.json();
    return exchanges.filter(({ request }) => JSON.stringify(request).includes(mark));
  };

  /** Waits until there are so many exchanges, and all of them have ended so. */
  const waitFor = async (outcome, times = 1) => {
    const deadline = Date.now() + DEADLINE;
    for (;;) {
      const outcomes = (await exchanges()).map((exchange) => exchange.outcome);
      if (outcomes.length === times && outcomes.every((each) => each === outcome)) return;
      if (Date.now() > deadline) {
        throw new Error(`[${outcomes}], not ${times} times ${outcome}`);
      }
      await sleep(20);
    }
  };

  return { prompt, user, exchanges, waitFor };
}

/** The error that a promise is rejected with. */
export async function rejection(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("this should have failed");
}

/** All that an asynchronous iterable gives. */
export async function collect(iterable) {
  const all = [];
  for await (const item of iterable) all.push(item);
  return all;
}

/** The text of the chunks of one choice. */
export const textOf = (chunks) =>
  chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");
