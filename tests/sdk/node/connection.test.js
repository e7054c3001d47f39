// Models, keys, headers, and clients that leave early.

import assert from "node:assert/strict";
import { test } from "node:test";
import { MODEL, OpenAI, daemon, rejection } from "./harness.js";

const fixture = daemon();
const { client, scene } = fixture;

// What the backend may learn of a request besides its body.
const EXPECTED_HEADERS = [
  "accept",
  "chatgpt-account-id",
  "content-length",
  "content-type",
  "host",
  "originator",
  "session-id",
  "thread-id",
  "user-agent",
  "version",
  "x-client-request-id",
];

test("models", async () => {
  const { data } = await client().models.list();
  assert.deepEqual(data.map(({ id }) => id), [
    "gpt-5.6-sol",
    "gpt-5.6-terra",
    "gpt-5.6-luna",
    "gpt-5.5",
    "gpt-5.2",
  ]);
});

for (const name of [MODEL, `openai/${MODEL}`, `${MODEL}-high`, "default"]) {
  test(`the model ${name}`, async () => {
    const model = await client().models.retrieve(name);
    assert.equal(model.id, name);
    assert.equal(model.context_length, 272_000);
  });
}

test("no such model", async () => {
  const error = await rejection(client().models.retrieve("gpt-0"));
  assert.ok(error instanceof OpenAI.NotFoundError);
  assert.equal(error.code, "model_not_found");
});

// The backend would refuse the last one, if it ever saw it.
for (const apiKey of ["x", "sk-invented", "simulate-expired"]) {
  test(`the key ${apiKey} will do`, async () => {
    const { user } = scene();
    const messages = user('text "Yes."');
    const answer = await client({ apiKey }).chat.completions.create({ model: MODEL, messages });
    assert.equal(answer.choices[0].message.content, "Yes.");
  });
}

test("the client's headers stay here", async () => {
  const { user, exchanges } = scene();
  const chatty = client({
    organization: "org-invented",
    project: "proj-invented",
    defaultHeaders: { "x-simulate": "refusal nothing", cookie: "a=b", "x-custom": "yes" },
  });
  const messages = user('text "Quiet."');
  const stream = chatty.chat.completions.stream({ model: MODEL, messages });
  assert.equal(await stream.finalContent(), "Quiet.");
  const [{ headers }] = await exchanges();
  assert.deepEqual(Object.keys(headers).sort(), EXPECTED_HEADERS);
  assert.equal(headers.originator, "codex-proxy");
  assert.match(headers["user-agent"], /^codex-proxy\//);
});

test("headers of the answer", async () => {
  const { user } = scene();
  const { data, response, request_id } = await client()
    .chat.completions.create({ model: MODEL, messages: user(), seed: 7 })
    .withResponse();
  assert.match(request_id, /^req_/);
  assert.equal(data._request_id, request_id);
  assert.equal(response.headers.get("x-codex-proxy-dropped"), "seed");
  assert.equal(response.headers.get("x-codex-proxy-upstream-model"), MODEL);
});

test("leaving a stream cancels the call", async () => {
  const { user, waitFor } = scene();
  const stream = await client().chat.completions.create({
    model: MODEL,
    messages: user("deltas 9", "stall after=1"),
    stream: true,
  });
  for await (const chunk of stream) {
    if (chunk.choices[0].delta.content) break;
  }
  await waitFor("cancelled");
});

test("aborting the helper cancels the call", async () => {
  const { user, waitFor } = scene();
  const messages = user("deltas 9", "stall after=1");
  const stream = client().chat.completions.stream({ model: MODEL, messages });
  stream.once("content", () => stream.abort());
  assert.ok((await rejection(stream.done())) instanceof OpenAI.APIUserAbortError);
  await waitFor("cancelled");
});

test("giving up on a whole answer cancels the call", async () => {
  const { user, waitFor } = scene();
  const messages = user("stall after=0");
  const hasty = client({ timeout: 500 });
  const error = await rejection(hasty.chat.completions.create({ model: MODEL, messages }));
  assert.ok(error instanceof OpenAI.APIConnectionTimeoutError);
  await waitFor("cancelled");
});
