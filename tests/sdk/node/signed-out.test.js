// A daemon that finds no login.

import assert from "node:assert/strict";
import { test } from "node:test";
import { MODEL, OpenAI, daemon, rejection } from "./harness.js";

const { client, scene } = daemon({ signedIn: false });

for (const stream of [false, true]) {
  test(`a missing login names the remedy, ${stream ? "streamed" : "whole"}`, async () => {
    const { user, exchanges } = scene();
    const body = { model: MODEL, messages: user(), stream };
    const error = await rejection(client().chat.completions.create(body));
    assert.ok(error instanceof OpenAI.AuthenticationError);
    assert.equal(error.code, "upstream_auth");
    assert.match(error.message, /codex-proxy login/);
    assert.deepEqual(await exchanges(), []);
  });
}

test("the models are known all the same", async () => {
  assert.ok((await client().models.list()).data.length > 0);
});
