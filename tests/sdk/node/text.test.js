// Text, whole and streamed, and the parameters that shape it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { MODEL, collect, daemon, textOf } from "./harness.js";

const { client, scene } = daemon();
const PIXEL =
  "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhg" +
  "GAWjR9awAAAABJRU5ErkJggg==";

test("whole", async () => {
  const { user } = scene();
  const completion = await client().chat.completions.create({
    model: MODEL,
    messages: user('text "Grüß Gott 👋"'),
  });
  assert.equal(completion.object, "chat.completion");
  assert.equal(completion.model, MODEL);
  assert.equal(completion.choices.length, 1);
  const [{ message, finish_reason }] = completion.choices;
  assert.equal(finish_reason, "stop");
  assert.equal(message.role, "assistant");
  assert.equal(message.content, "Grüß Gott 👋");
  assert.equal(message.refusal, null);
  const { prompt_tokens, completion_tokens, total_tokens } = completion.usage;
  assert.ok(prompt_tokens > 0 && completion_tokens > 0);
  assert.equal(total_tokens, prompt_tokens + completion_tokens);
});

test("streamed", async () => {
  const { user } = scene();
  const chunks = await collect(
    await client().chat.completions.create({
      model: MODEL,
      messages: user('text "one two three four"', "deltas 4"),
      stream: true,
    }),
  );
  assert.equal(new Set(chunks.map(({ id, created, model }) => `${id} ${created} ${model}`)).size, 1);
  const deltas = chunks.map((chunk) => chunk.choices[0].delta);
  assert.deepEqual(deltas.flatMap((delta) => delta.role ?? []), ["assistant"]);
  assert.equal(textOf(chunks), "one two three four");
  assert.equal(deltas.filter((delta) => delta.content).length, 4);
  const finish = chunks.map((chunk) => chunk.choices[0].finish_reason);
  assert.equal(finish.pop(), "stop");
  assert.ok(finish.every((reason) => reason === null));
});

for (const directives of [["split 1"], ["split 7", "crlf"], ["keepalive", "unknown"]]) {
  test(`streamed with ${directives}`, async () => {
    const { user } = scene();
    const stream = client().chat.completions.stream({
      model: MODEL,
      messages: user('text "zwölf Boxkämpfer 🥊"', ...directives),
    });
    assert.equal(await stream.finalContent(), "zwölf Boxkämpfer 🥊");
  });
}

test("stream helper", async () => {
  const { user } = scene();
  const stream = client().chat.completions.stream({
    model: MODEL,
    messages: user('text "one two three"', "deltas 3"),
  });
  const deltas = [];
  stream.on("content", (delta) => deltas.push(delta));
  const final = await stream.finalChatCompletion();
  assert.equal(deltas.join(""), "one two three");
  assert.equal(final.object, "chat.completion");
  assert.equal(final.choices[0].message.content, "one two three");
  assert.equal(final.choices[0].message.role, "assistant");
  assert.equal(final.choices[0].finish_reason, "stop");
});

test("usage is the last chunk if asked for", async () => {
  const { user } = scene();
  const chunks = await collect(
    await client().chat.completions.create({
      model: MODEL,
      messages: user(),
      stream: true,
      stream_options: { include_usage: true },
    }),
  );
  const last = chunks.pop();
  assert.deepEqual(last.choices, []);
  assert.ok(last.usage.prompt_tokens > 0);
  assert.equal(typeof last.usage.completion_tokens_details.reasoning_tokens, "number");
  assert.ok(chunks.every(({ choices, usage }) => choices.length === 1 && usage === null));
});

test("the helper's usage", async () => {
  const { user } = scene();
  const stream = client().chat.completions.stream({
    model: MODEL,
    messages: user(),
    stream_options: { include_usage: true },
  });
  assert.ok((await stream.totalUsage()).total_tokens > 0);
});

test("no usage chunk unless asked for", async () => {
  const { user } = scene();
  for (const options of [{}, { stream_options: { include_usage: false } }]) {
    const chunks = await collect(
      await client().chat.completions.create({
        model: MODEL,
        messages: user(),
        stream: true,
        ...options,
      }),
    );
    assert.ok(chunks.every((chunk) => chunk.choices.length === 1 && !("usage" in chunk)));
  }
});

test("reasoning_content", async () => {
  const { user } = scene();
  const messages = user('reasoning "It is easy."', 'text "42"');
  const whole = await client().chat.completions.create({ model: MODEL, messages });
  assert.equal(whole.choices[0].message.reasoning_content, "It is easy.");
  assert.equal(whole.choices[0].message.content, "42");
  const chunks = await collect(
    await client().chat.completions.create({ model: MODEL, messages, stream: true }),
  );
  const thoughts = chunks.map((chunk) => chunk.choices[0].delta.reasoning_content ?? "");
  assert.equal(thoughts.join(""), "It is easy.");
  assert.equal(textOf(chunks), "42");
});

for (const stream of [false, true]) {
  const mode = stream ? "streamed" : "whole";

  /** The text and finish reason of an answer. */
  async function ask(parameters) {
    if (stream) {
      const runner = client().chat.completions.stream({ model: MODEL, ...parameters });
      return (await runner.finalChatCompletion()).choices[0];
    }
    const completion = await client().chat.completions.create({ model: MODEL, ...parameters });
    return completion.choices[0];
  }

  test(`stop, ${mode}`, async () => {
    const { user, waitFor } = scene();
    const messages = user("deltas 500", "pace 20", "no-reasoning");
    const choice = await ask({ messages, stop: ["never", " word5"] });
    assert.equal(choice.message.content, "word1 word2 word3 word4");
    assert.equal(choice.finish_reason, "stop");
    await waitFor("cancelled");
  });

  test(`the backend's length, ${mode}`, async () => {
    const { user } = scene();
    const choice = await ask({ messages: user("deltas 10", "length after=3") });
    assert.equal(choice.finish_reason, "length");
    assert.equal(choice.message.content, "word1 word2 word3 ");
  });

  test(`token limit, ${mode}`, async () => {
    const { user, waitFor } = scene();
    const messages = user("deltas 500", "pace 20", "no-reasoning");
    const choice = await ask({ messages, max_completion_tokens: 5 });
    assert.equal(choice.finish_reason, "length");
    assert.ok(choice.message.content.startsWith("word1 word"));
    assert.ok(choice.message.content.length < 20);
    await waitFor("cancelled");
  });

  test(`refusal, ${mode}`, async () => {
    const { user } = scene();
    const choice = await ask({ messages: user('refusal "I would rather not."') });
    assert.equal(choice.message.refusal, "I would rather not.");
    assert.equal(choice.message.content, null);
    assert.equal(choice.finish_reason, "stop");
  });

  test(`annotations of a web search, ${mode}`, async () => {
    const { user } = scene();
    const messages = user();
    messages[0].content = `Please search for it. ${messages[0].content}`;
    const { message } = await ask({ messages, web_search_options: {} });
    assert.equal(message.annotations.length, 1);
    const [{ type, url_citation: cited }] = message.annotations;
    assert.equal(type, "url_citation");
    assert.equal(cited.url, "https://example.com/simulated");
    const text = message.content.slice(cited.start_index, cited.end_index);
    assert.ok(text.endsWith(`(${cited.url}))`));
  });
}

test("several choices", async () => {
  const { user, exchanges } = scene();
  const messages = user('text "A choice."');
  const one = await client().chat.completions.create({ model: MODEL, messages });
  const two = await client().chat.completions.create({ model: MODEL, messages, n: 2 });
  assert.deepEqual(two.choices.map(({ index }) => index), [0, 1]);
  assert.deepEqual(two.choices.map(({ message }) => message.content), ["A choice.", "A choice."]);
  assert.equal(two.usage.prompt_tokens, one.usage.prompt_tokens);
  assert.equal(two.usage.completion_tokens, 2 * one.usage.completion_tokens);
  assert.equal((await exchanges()).length, 3);
});

test("several choices, streamed", async () => {
  const { user } = scene();
  const stream = client().chat.completions.stream({
    model: MODEL,
    messages: user('text "one two three"', "deltas 3", "pace 5"),
    n: 2,
  });
  const { choices } = await stream.finalChatCompletion();
  assert.deepEqual(choices.map(({ index }) => index), [0, 1]);
  assert.deepEqual(choices.map(({ message }) => message.content), [
    "one two three",
    "one two three",
  ]);
});

test("image input", async () => {
  const { prompt, exchanges } = scene();
  const completion = await client().chat.completions.create({
    model: MODEL,
    messages: [
      {
        role: "user",
        content: [
          { type: "text", text: prompt('text "A pixel."') },
          { type: "image_url", image_url: { url: PIXEL } },
        ],
      },
    ],
  });
  assert.equal(completion.choices[0].message.content, "A pixel.");
  const [{ request }] = await exchanges();
  assert.deepEqual(request.input[0].content[1], { type: "input_image", image_url: PIXEL });
});
