// The model keeps its reasoning and its cache over a long conversation. See the Python tests'
// `conversation.py`, which do the same with more clients and with edited histories.

import assert from "node:assert/strict";
import { test } from "node:test";
import { MODEL, daemon } from "./harness.js";

const fixture = daemon();

const TURNS = 30;
// The daemon's share of cached input tokens, as a part of what a native client reaches.
const SHARE = 0.95;

const tool = (name, property) => ({
  type: "function",
  function: {
    name,
    description: "A tool.",
    parameters: {
      type: "object",
      properties: { [property]: { type: "string" } },
      required: [property],
    },
  },
});
const tools = [tool("get_weather", "city"), tool("get_time", "zone")];

// What the model does in the user's turns, as directives.
const KINDS = [
  // Arguments in a spelling of the model's own.
  (n) => [
    `reasoning "Two things to look up (${n})."`,
    `commentary "I will look up both, number ${n}."`,
    `call get_weather "{ \\"city\\" : \\"Tromsø ${n}\\" }"`,
    'call get_time {"zone":"CET"}',
  ],
  (n) => [`call get_weather {"city":"Oslo ${n}"}`, `reasoning "One thing (${n})."`],
  () => ['call get_time {"zone":"UTC"}', 'call get_time {"zone":"CET"}'],
  (n) => [`commentary "Nothing to look up, number ${n}."`, `text "Done with ${n}. ✅"`],
  (n) => [`text "Answer ${n}.\\n\\nWith two paragraphs.\\n"`],
];
const TURN_DIRECTIVES = Array.from({ length: TURNS }, (_, n) => KINDS[n % KINDS.length](n));

/** What a tool gives back. */
const outcome = (name, args) => `${name}: ${JSON.stringify(JSON.parse(args))} is fine.`;

/** The input tokens of a conversation. */
class Tokens {
  input = 0;
  cached = 0;

  add(input, cached) {
    this.input += input;
    this.cached += cached;
  }

  get share() {
    return this.cached / this.input;
  }
}

/** Plays a conversation through chat completions, running the tools. */
async function playChat(ask, prompts) {
  const messages = [{ role: "system", content: "You are an agent. You look things up. 🧭" }];
  const tokens = new Tokens();
  for (const content of prompts) {
    messages.push({ role: "user", content });
    for (;;) {
      const { choices, usage } = await ask(messages);
      tokens.add(usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens);
      const [{ message }] = choices;
      // The SDK's own object goes back, as its documentation shows.
      messages.push(message);
      if (!message.tool_calls?.length) break;
      for (const { id, function: called } of message.tool_calls) {
        const content = outcome(called.name, called.arguments);
        messages.push({ role: "tool", tool_call_id: id, content });
      }
    }
  }
  return tokens;
}

const isOf = (type) => (item) => item.type === type;
const sealedIn = (items) => items.filter(isOf("reasoning")).map((item) => item.encrypted_content);

/** The number of the exchange in which the simulator issued this reasoning. */
function issuer(sealed) {
  const seal = JSON.parse(Buffer.from(sealed.replace(/^gAAAAA/, ""), "base64url").toString());
  return Number.parseInt(seal.item.replace(/^rs_/, "").slice(0, 16), 16);
}

/** An output item as a native client sends it back: what it says, without ids and status. */
function kept({ type, phase, content, summary, encrypted_content, call_id, name, ...item }) {
  switch (type) {
    case "message": {
      const texts = content.map(({ text }) => ({ type: "output_text", text }));
      return { type, role: "assistant", ...(phase && { phase }), content: texts };
    }
    case "reasoning":
      return { type, summary, encrypted_content };
    case "function_call":
      return { type, call_id, name, arguments: item.arguments };
    default:
      throw new Error(`unexpected ${type}`);
  }
}

/**
 * Plays a conversation as a client of the Responses API that keeps the items itself, with requests
 * like this exchange of the daemon, but for the input and the cache's key.
 */
async function playNatively({ headers, request }, prompts) {
  const url = `http://${fixture.backend}/backend-api/codex/responses`;
  const sent = new Headers(headers);
  for (const name of ["host", "content-length", "accept-encoding", "connection"]) {
    sent.delete(name);
  }
  sent.set("authorization", "Bearer invented");
  const key = `native-${request.prompt_cache_key}`;
  const tokens = new Tokens();
  const inputs = [];

  const answer = async (input) => {
    inputs.push([...input]);
    const body = JSON.stringify({ ...request, prompt_cache_key: key, input });
    const response = await fetch(url, { method: "POST", headers: sent, body });
    const text = await response.text();
    assert.equal(response.status, 200, text);
    const data = text.split("\n").filter((line) => line.startsWith("data: {"));
    const events = data.map((line) => JSON.parse(line.slice("data: ".length)));
    const { usage } = events.find(isOf("response.completed")).response;
    tokens.add(usage.input_tokens, usage.input_tokens_details.cached_tokens);
    return events.filter(isOf("response.output_item.done")).map(({ item }) => kept(item));
  };

  const items = request.input.filter(({ role }) => role === "developer");
  for (const text of prompts) {
    items.push({ type: "message", role: "user", content: [{ type: "input_text", text }] });
    for (;;) {
      const output = await answer(items);
      items.push(...output);
      const calls = output.filter(isOf("function_call"));
      if (calls.length === 0) break;
      for (const { call_id, name, arguments: args } of calls) {
        items.push({ type: "function_call_output", call_id, output: outcome(name, args) });
      }
    }
  }
  return { inputs, tokens };
}

/** Items without what is new for every answer. Ids become the order in which they came. */
function masked(items) {
  const ids = new Map();
  return items.map((item) => {
    const copy = { ...item };
    for (const field of ["call_id", "encrypted_content"]) {
      if (!(field in copy)) continue;
      if (!ids.has(copy[field])) ids.set(copy[field], ids.size);
      copy[field] = ids.get(copy[field]);
    }
    return copy;
  });
}

const body = (messages) => ({ model: MODEL, messages, tools, reasoning_effort: "medium" });
const CLIENTS = {
  whole: (messages) => fixture.client().chat.completions.create(body(messages)),
  streamed: (messages) =>
    fixture
      .client()
      .chat.completions.stream({ ...body(messages), stream_options: { include_usage: true } })
      .finalChatCompletion(),
};

for (const [kind, ask] of Object.entries(CLIENTS)) {
  test(`a long conversation keeps everything, ${kind}`, async (t) => {
    const { prompt, exchanges: played } = fixture.scene();
    const prompts = TURN_DIRECTIVES.map((directives) => prompt(...directives));
    const tokens = await playChat(ask, prompts);
    const exchanges = await played();
    const inputs = exchanges.map(({ request }) => request.input);
    assert.equal(inputs.length, 48);
    assert.ok(exchanges.every((exchange) => exchange.outcome === "completed"));

    // Each request begins with the one before it, and goes on with the reasoning it brought.
    for (const [index, later] of inputs.slice(1).entries()) {
      const earlier = inputs[index];
      assert.deepEqual(later.slice(0, earlier.length), earlier);
      const added = later.slice(earlier.length);
      assert.deepEqual(sealedIn(added).map(issuer), [exchanges[index].number]);
      assert.equal(added[0].type, "reasoning");
    }
    // Every answer brought reasoning once; that of the last has nowhere to go to.
    assert.equal(new Set(sealedIn(inputs.at(-1))).size, inputs.length - 1);

    // Item by item it is what a client sends that keeps the items itself.
    const native = await playNatively(exchanges[0], prompts);
    assert.deepEqual(inputs.map(masked), native.inputs.map(masked));
    const said = inputs.at(-1).filter(({ role }) => role === "assistant");
    const phases = new Set(said.map(({ phase }) => phase));
    assert.deepEqual(phases, new Set(["commentary", "final_answer"]));

    const [ours, theirs] = [tokens.share, native.tokens.share];
    t.diagnostic(`cached: ${ours.toFixed(4)}, native: ${theirs.toFixed(4)}`);
    assert.ok(theirs > 0.8);
    assert.ok(ours >= SHARE * theirs);
  });
}
