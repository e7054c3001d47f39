// Failures: the SDK's exceptions, their fields, and who tries again.

import assert from "node:assert/strict";
import { test } from "node:test";
import { MODEL, OpenAI, daemon, rejection } from "./harness.js";

const { client, scene } = daemon();

/** What programs look at in an error. */
const fieldsOf = ({ status, type, param, code }) => ({ status, type, param, code });

for (const [what, change, param, code] of [
  ["temperature", { temperature: 3 }, "temperature", "decimal_above_max_value"],
  ["n", { n: 99 }, "n", "integer_above_max_value"],
  ["no messages", { messages: [] }, "messages", "empty_array"],
  ["logprobs", { logprobs: true }, "logprobs", "unsupported_parameter"],
]) {
  test(`a wrong request stays here: ${what}`, async () => {
    const { user, exchanges } = scene();
    const body = { model: MODEL, messages: user(), ...change };
    const error = await rejection(client().chat.completions.create(body));
    assert.ok(error instanceof OpenAI.BadRequestError);
    const type = "invalid_request_error";
    assert.deepEqual(fieldsOf(error), { status: 400, type, param, code });
    assert.match(error.requestID, /^req_/);
    assert.deepEqual(await exchanges(), []);
  });
}

for (const stream of [false, true]) {
  const mode = stream ? "streamed" : "whole";

  /** The text of an answer. */
  async function ask(messages, options) {
    const answer = await client(options).chat.completions.create({ model: MODEL, messages, stream });
    if (!stream) return answer.choices[0].message.content;
    let text = "";
    for await (const chunk of answer) text += chunk.choices[0].delta.content ?? "";
    return text;
  }

  test(`an unknown model, ${mode}`, async () => {
    const { user, exchanges } = scene();
    const body = { model: "gpt-0", messages: user(), stream };
    const error = await rejection(client().chat.completions.create(body));
    assert.ok(error instanceof OpenAI.NotFoundError);
    assert.deepEqual(fieldsOf(error), {
      status: 404,
      type: "invalid_request_error",
      param: "model",
      code: "model_not_found",
    });
    assert.ok(error.message.includes(MODEL), "the models there are");
    assert.deepEqual(await exchanges(), []);
  });

  test(`a used-up plan is not tried again, ${mode}`, async () => {
    const { user, exchanges } = scene();
    const messages = user("error 429 usage_limit_reached");
    const error = await rejection(ask(messages, { maxRetries: 2 }));
    assert.ok(error instanceof OpenAI.RateLimitError);
    assert.equal(error.type, "insufficient_quota");
    assert.equal(error.code, "usage_limit_reached");
    assert.match(error.message, /resets at/);
    assert.ok(Number(error.headers.get("retry-after")) > 60);
    assert.equal((await exchanges()).length, 1);
  });

  test(`a rate limit is tried again when it says, ${mode}`, async () => {
    const { user, exchanges } = scene();
    const messages = user('text "Now."', "fail rate_limit_exceeded first times=1");
    const begun = performance.now();
    assert.equal(await ask(messages, { maxRetries: 1 }), "Now.");
    const passed = performance.now() - begun;
    assert.ok(passed >= 499 && passed < 5000, `${passed} ms`);
    assert.equal((await exchanges()).length, 2);
  });

  test(`a refused login names the remedy, ${mode}`, async () => {
    const { user } = scene();
    const error = await rejection(ask(user("error 401 token_expired")));
    assert.ok(error instanceof OpenAI.AuthenticationError);
    assert.equal(error.type, "authentication_error");
    assert.equal(error.code, "upstream_auth");
    assert.match(error.message, /codex-proxy login/);
  });

  test(`an overload is tried again by the daemon, ${mode}`, async () => {
    const { user, exchanges } = scene();
    assert.equal(await ask(user('text "Now."', "error 503 times=1")), "Now.");
    assert.deepEqual((await exchanges()).map(({ status }) => status), [503, 200]);
  });

  test(`a lasting overload, ${mode}`, async () => {
    const { user, exchanges } = scene();
    const error = await rejection(ask(user("error 503")));
    assert.ok(error instanceof OpenAI.InternalServerError);
    assert.equal(error.status, 503);
    assert.equal(error.code, "server_is_overloaded");
    assert.equal(error.headers.get("retry-after"), "5");
    assert.equal((await exchanges()).length, 5);
  });

  for (const [directive, status, code] of [
    ["fail context_length_exceeded", 400, "context_length_exceeded"],
    ["fail usage_limit_reached", 429, "usage_limit_reached"],
    ["fail server_error flat", 502, "server_error"],
    ["cut after=0", 502, "upstream_disconnected"],
    ["html", 502, "upstream_blocked"],
    ["error 402", 403, "deactivated_workspace"],
  ]) {
    test(`${directive}, before the first byte, ${mode}`, async () => {
      const { user } = scene();
      const error = await rejection(ask(user(directive)));
      assert.equal(error.status, status);
      assert.equal(error.code, code);
      assert.match(error.requestID, /^req_/);
    });
  }
}

for (const [directive, code] of [
  ["fail server_error pair after=3", "server_error"],
  ["fail server_error flat after=3", "server_error"],
  ["cut after=3", "upstream_disconnected"],
  ["end after=3", "upstream_disconnected"],
]) {
  test(`${directive}, after the first byte`, async () => {
    const { user, exchanges } = scene();
    const stream = await client().chat.completions.create({
      model: MODEL,
      messages: user("deltas 9", directive),
      stream: true,
    });
    let said = "";
    const error = await rejection(
      (async () => {
        for await (const chunk of stream) {
          assert.equal(chunk.choices[0].finish_reason, null);
          said += chunk.choices[0].delta.content ?? "";
        }
      })(),
    );
    assert.equal(said, "word1 word2 word3");
    assert.ok(error instanceof OpenAI.APIError);
    assert.equal(error.status, undefined);
    assert.equal(error.type, "server_error");
    assert.equal(error.code, code);
    assert.equal((await exchanges()).length, 1, "what was said is not taken back");
  });
}
