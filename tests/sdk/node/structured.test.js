// `.parse()` and what keeps it from parsing.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ContentFilterFinishReasonError,
  LengthFinishReasonError,
  MODEL,
  daemon,
  rejection,
  z,
  zodResponseFormat,
} from "./harness.js";

const { client, scene } = daemon();

const Solution = z.object({
  steps: z.array(z.object({ explanation: z.string(), output: z.string() })),
  colour: z.enum(["red", "green"]),
  answer: z.number().nullable(),
});
const response_format = zodResponseFormat(Solution, "solution");
const SOLUTION = { steps: [{ explanation: "e", output: "o" }], colour: "red", answer: null };
const ANSWER = `text ${JSON.stringify(JSON.stringify(SOLUTION))}`;

test("parse", async () => {
  const { user, exchanges } = scene();
  const completion = await client().chat.completions.parse({
    model: MODEL,
    messages: user(ANSWER),
    response_format,
  });
  assert.deepEqual(completion.choices[0].message.parsed, SOLUTION);
  const [{ request }] = await exchanges();
  const { type, name, strict } = request.text.format;
  assert.deepEqual({ type, name, strict }, { type: "json_schema", name: "solution", strict: true });
});

test("parse what the schema alone makes", async () => {
  const { user } = scene();
  const completion = await client().chat.completions.parse({
    model: MODEL,
    messages: user(),
    response_format,
  });
  assert.ok(Solution.safeParse(completion.choices[0].message.parsed).success);
});

test("parse, streamed", async () => {
  const { user } = scene();
  const stream = client().chat.completions.stream({
    model: MODEL,
    messages: user(ANSWER, "deltas 12"),
    response_format,
  });
  const done = [];
  stream.on("content.done", ({ parsed }) => done.push(parsed));
  const final = await stream.finalChatCompletion();
  assert.deepEqual(final.choices[0].message.parsed, SOLUTION);
  assert.deepEqual(done, [SOLUTION]);
});

test("a refusal is not parsed", async () => {
  const { user } = scene();
  const body = { model: MODEL, messages: user('refusal "No."'), response_format };
  const whole = await client().chat.completions.parse(body);
  const streamed = await client().chat.completions.stream(body).finalChatCompletion();
  for (const { choices } of [whole, streamed]) {
    assert.equal(choices[0].message.refusal, "No.");
    assert.equal(choices[0].message.parsed, null);
  }
});

for (const [directive, error] of [
  ["length after=2", LengthFinishReasonError],
  ["content-filter after=2", ContentFilterFinishReasonError],
]) {
  test(`an answer cut by ${directive} is an error`, async () => {
    const { user } = scene();
    const body = { model: MODEL, messages: user(ANSWER, "deltas 12", directive), response_format };
    assert.ok((await rejection(client().chat.completions.parse(body))) instanceof error);
    const stream = client().chat.completions.stream(body);
    assert.ok((await rejection(stream.finalChatCompletion())) instanceof error);
  });
}

test("a token limit cuts a parsed answer", async () => {
  const { user } = scene();
  const error = await rejection(
    client().chat.completions.parse({
      model: MODEL,
      messages: user(ANSWER, "deltas 12"),
      response_format,
      max_completion_tokens: 3,
    }),
  );
  assert.ok(error instanceof LengthFinishReasonError);
});
