// Tools, from the first call to the last answer.

import assert from "node:assert/strict";
import { test } from "node:test";
import { MODEL, collect, daemon, z, zodFunction } from "./harness.js";

const { client, scene } = daemon();

const tool = (name, property) => ({
  type: "function",
  function: {
    name,
    parameters: {
      type: "object",
      properties: { [property]: { type: "string" } },
      required: [property],
    },
  },
});
const tools = [tool("get_weather", "city"), tool("get_time", "zone")];
const OSLO = 'call get_weather {"city":"Oslo"}';
const CET = 'call get_time {"zone":"CET"}';
const CUSTOM = { type: "custom", custom: { name: "run_sql", description: "Runs SQL." } };

test("one call over two turns", async () => {
  const { user, exchanges } = scene();
  const messages = user(OSLO);
  const first = await client().chat.completions.create({ model: MODEL, messages, tools });
  assert.equal(first.choices[0].finish_reason, "tool_calls");
  const { message } = first.choices[0];
  assert.equal(message.content, null);
  assert.equal(message.tool_calls.length, 1);
  const [call] = message.tool_calls;
  assert.equal(call.type, "function");
  assert.deepEqual(call.function, { name: "get_weather", arguments: '{"city":"Oslo"}' });

  messages.push(message, { role: "tool", tool_call_id: call.id, content: "4 °C" });
  const second = await client().chat.completions.create({ model: MODEL, messages, tools });
  assert.equal(second.choices[0].finish_reason, "stop");
  assert.equal(second.choices[0].message.content, "get_weather says: 4 °C");
  const [, { request }] = await exchanges();
  const sent = request.input.filter((item) => item.call_id === call.id);
  assert.deepEqual(sent.map(({ type }) => type), ["function_call", "function_call_output"]);
});

test("parallel calls over two turns, streamed", async () => {
  const { user } = scene();
  const messages = user('commentary "I will look."', OSLO, CET);
  const stream = client().chat.completions.stream({ model: MODEL, messages, tools });
  const done = [];
  stream.on("tool_calls.function.arguments.done", ({ index, name, arguments: text }) =>
    done.push([index, name, text]),
  );
  const { choices } = await stream.finalChatCompletion();
  assert.deepEqual(done, [
    [0, "get_weather", '{"city":"Oslo"}'],
    [1, "get_time", '{"zone":"CET"}'],
  ]);
  const [{ message, finish_reason }] = choices;
  assert.equal(finish_reason, "tool_calls");
  assert.equal(message.content, "I will look.");

  messages.push(message);
  // The outcomes may come in any order.
  for (const { id, function: called } of message.tool_calls.toReversed()) {
    messages.push({ role: "tool", tool_call_id: id, content: called.name });
  }
  const next = client().chat.completions.stream({ model: MODEL, messages, tools });
  const content = await next.finalContent();
  assert.match(content, /get_weather says: get_weather/);
  assert.match(content, /get_time says: get_time/);
});

for (const directives of [["deltas 5", "interleave"], ["done-only"], ["wrapper"]]) {
  test(`parallel calls with ${directives}, streamed`, async () => {
    const { user } = scene();
    const stream = client().chat.completions.stream({
      model: MODEL,
      messages: user(OSLO, CET, ...directives),
      tools,
    });
    const { message } = (await stream.finalChatCompletion()).choices[0];
    assert.deepEqual(
      message.tool_calls.map((call) => [call.function.name, JSON.parse(call.function.arguments)]),
      [
        ["get_weather", { city: "Oslo" }],
        ["get_time", { zone: "CET" }],
      ],
    );
  });
}

test("the helper runs the tools", async () => {
  const { user, exchanges } = scene();
  const asked = [];
  const runner = client().chat.completions.runTools({
    model: MODEL,
    messages: user(OSLO),
    stream: true,
    tools: [
      {
        type: "function",
        function: {
          ...tools[0].function,
          parse: JSON.parse,
          function: ({ city }) => {
            asked.push(city);
            return "4 °C";
          },
        },
      },
    ],
  });
  assert.equal(await runner.finalContent(), "get_weather says: 4 °C");
  assert.deepEqual(asked, ["Oslo"]);
  assert.equal((await exchanges()).length, 2);
});

test("parsed arguments", async () => {
  const { user, exchanges } = scene();
  const weather = zodFunction({ name: "get_weather", parameters: z.object({ city: z.string() }) });
  const body = { model: MODEL, messages: user(OSLO), tools: [weather] };
  const whole = await client().chat.completions.parse(body);
  const streamed = await client().chat.completions.stream(body).finalChatCompletion();
  for (const { choices } of [whole, streamed]) {
    const [call] = choices[0].message.tool_calls;
    assert.deepEqual(call.function.parsed_arguments, { city: "Oslo" });
  }
  for (const { request } of await exchanges()) {
    assert.equal(request.tools[0].strict, true);
  }
});

test("custom tool over two turns", async () => {
  const { user } = scene();
  const messages = user('custom run_sql "SELECT 1;"');
  const first = await client().chat.completions.create({ model: MODEL, messages, tools: [CUSTOM] });
  assert.equal(first.choices[0].finish_reason, "tool_calls");
  const { message } = first.choices[0];
  const [{ id, type, custom }] = message.tool_calls;
  assert.equal(type, "custom");
  assert.deepEqual(custom, { name: "run_sql", input: "SELECT 1;" });

  messages.push(message, { role: "tool", tool_call_id: id, content: "1" });
  const second = await client().chat.completions.create({ model: MODEL, messages, tools: [CUSTOM] });
  assert.equal(second.choices[0].message.content, "run_sql says: 1");
});

test("custom tool, streamed", async () => {
  const { user } = scene();
  const chunks = await collect(
    await client().chat.completions.create({
      model: MODEL,
      messages: user('custom run_sql "SELECT 1;"', "deltas 3"),
      tools: [CUSTOM],
      stream: true,
    }),
  );
  const pieces = chunks.flatMap((chunk) => chunk.choices[0].delta.tool_calls ?? []);
  assert.ok(pieces.every(({ index }) => index === 0));
  assert.equal(pieces[0].type, "custom");
  assert.equal(pieces[0].custom.name, "run_sql");
  assert.equal(pieces.map(({ custom }) => custom.input).join(""), "SELECT 1;");
  assert.equal(chunks.at(-1).choices[0].finish_reason, "tool_calls");
});
