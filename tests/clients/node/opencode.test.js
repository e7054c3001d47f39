// opencode, the command, with the settings that `codex-proxy snippet` prints.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { text } from "node:stream/consumers";

import { ANSWER, daemon, directed, folder } from "./daemon.js";

const proxy = daemon();

/** A folder with settings that lead to the daemon. */
async function project() {
  const path = join(proxy.home, "project");
  await mkdir(path, { recursive: true });
  const settings = {
    ...JSON.parse(await proxy.settings("opencode")),
    autoupdate: false,
    share: "disabled",
  };
  await writeFile(join(path, "opencode.json"), JSON.stringify(settings));
  return path;
}

/** Runs it with a prompt; gives what it said of each step. */
async function run(prompt) {
  const child = spawn(
    join(folder("opencode"), ".bin", "opencode"),
    ["run", "--format", "json"],
    {
      cwd: await project(),
      env: { PATH: process.env.PATH, HOME: proxy.home, OPENCODE_DISABLE_MODELS_FETCH: "true" },
      stdio: ["pipe", "pipe", "pipe"],
    },
  );
  child.stdin.end(prompt);
  const [out, err, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "exit"),
  ]);
  assert.equal(code, 0, out + err);
  return out.trim().split("\n").map((line) => JSON.parse(line));
}

const texts = (events) =>
  events.filter(({ type }) => type === "text").map(({ part }) => part.text);

test("a streamed answer", async () => {
  const events = await run("Hello!");
  assert.deepEqual(texts(events), [ANSWER]);
  const [request] = await proxy.answered(1);
  assert.ok(request.stream);
});

test("a tool over two turns", async () => {
  const command = directed('call bash {"command": "echo $((6 * 7))", "description": "Echo"}');
  const events = await run(command);
  const [used] = events.filter(({ type }) => type === "tool_use");
  assert.equal(used.part.state.output, "42\n");
  assert.deepEqual(texts(events), ["bash says: 42\n"]);
});
