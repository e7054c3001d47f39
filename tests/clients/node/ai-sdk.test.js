// The AI SDK of Vercel with both of its providers that speak Chat Completions.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";

import { ANSWER, MODEL, daemon, directed, folder, installed } from "./daemon.js";

const require = installed("ai-sdk");
const { createOpenAI } = require("@ai-sdk/openai");
const { createOpenAICompatible } = require("@ai-sdk/openai-compatible");
const { generateObject, generateText, stepCountIs, streamText, tool } = require("ai");
const { z } = require("zod");

const proxy = daemon();

const PROVIDERS = {
  "@ai-sdk/openai-compatible": () =>
    createOpenAICompatible({
      name: "codex-proxy",
      baseURL: proxy.baseURL,
      apiKey: "any",
      includeUsage: true,
      supportsStructuredOutputs: true,
    })(MODEL),
  // Without `.chat` it would be the Responses API.
  "@ai-sdk/openai": () => createOpenAI({ baseURL: proxy.baseURL, apiKey: "any" }).chat(MODEL),
};

const tools = {
  multiply: tool({
    description: "Multiplies two numbers.",
    inputSchema: z.object({ a: z.number(), b: z.number() }),
    execute: ({ a, b }) => String(a * b),
  }),
};

const fail = ({ error }) => {
  throw error;
};

for (const [name, model] of Object.entries(PROVIDERS)) {
  test(`${name}: a streamed answer`, async () => {
    const answer = streamText({ model: model(), prompt: "Hello!", onError: fail });
    const pieces = [];
    for await (const piece of answer.textStream) pieces.push(piece);
    assert.ok(pieces.length > 1);
    assert.equal(pieces.join(""), ANSWER);
    assert.equal(await answer.finishReason, "stop");
    assert.ok((await answer.usage).outputTokens > 0);
    if (name.endsWith("compatible")) {
      assert.match(await answer.reasoningText, /The user wrote: Hello!/);
    }
    const [request] = await proxy.answered(1);
    assert.ok(request.stream);
  });

  test(`${name}: a streamed tool over two turns`, async () => {
    const answer = streamText({
      model: model(),
      prompt: directed('call multiply {"a": 6, "b": 7}', `By ${name}.`),
      tools,
      stopWhen: stepCountIs(2),
      onError: fail,
    });
    let text = "";
    for await (const piece of answer.textStream) text += piece;
    assert.equal(text, "multiply says: 42");
    const steps = await answer.steps;
    assert.deepEqual(steps.map((step) => step.finishReason), ["tool-calls", "stop"]);
    const [first, second] = await proxy.answered(2);
    assert.deepEqual([first.stream, second.stream], [true, true]);
    assert.equal(second.continuity, "hit");
  });

  test(`${name}: a tool over two turns`, async () => {
    const { text } = await generateText({
      model: model(),
      prompt: directed('call multiply {"a": 6, "b": 7}', `All at once by ${name}.`),
      tools,
      stopWhen: stepCountIs(2),
    });
    assert.equal(text, "multiply says: 42");
    await proxy.answered(2);
  });

  test(`${name}: a typed answer`, async () => {
    const { object } = await generateObject({
      model: model(),
      schema: z.object({ city: z.string(), people: z.number().int() }),
      prompt: "Which is the largest city?",
    });
    assert.deepEqual(Object.keys(object), ["city", "people"]);
    await proxy.answered(1);
  });
}

test("the program that the snippet is", async () => {
  // Where imports find what is installed.
  await symlink(folder("ai-sdk"), join(proxy.home, "node_modules"));
  const program = join(proxy.home, "snippet.mjs");
  await writeFile(program, await proxy.settings("ai-sdk"));
  const { stdout } = await promisify(execFile)(process.execPath, [program]);
  assert.equal(stdout, ANSWER);
  await proxy.answered(1);
});
