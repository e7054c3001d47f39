// The parts of the page that only compute, by themselves.

import assert from "node:assert/strict";
import { test } from "node:test";

import { fixture } from "./harness.js";

const made = fixture();

/** Runs a function with a module of the page. */
const within = (module, run, argument) =>
  made.visit(async (page) => {
    const source = `import("/ui/${module}").then((m) => (${run})(m, ${JSON.stringify(argument)}))`;
    return (made.result = await page.evaluate(source));
  });

async function results(module, name, inputs) {
  await within(module, `(m, inputs) => inputs.map((input) => m.${name}(...input))`, inputs);
  return made.result;
}

test("numbers and times as text", async () => {
  for (const [name, cases] of Object.entries({
    short: [
      [[0], "0"], [[950], "950"], [[999], "999"], [[1000], "1k"], [[1234], "1.2k"],
      [[9949], "9.9k"], [[9950], "10k"], [[34_449], "34k"], [[999_499], "999k"],
      [[999_500], "1M"], [[1_250_000], "1.3M"],
    ],
    elapsed: [
      [[0], "0 ms"], [[312], "312 ms"], [[2210], "2.2 s"], [[9949], "9.9 s"], [[9950], "10 s"],
      [[59_400], "59 s"], [[59_600], "1 min 0 s"], [[185_000], "3 min 5 s"],
    ],
    span: [
      [[0], "less than a minute"], [[29], "less than a minute"], [[30], "1 min"],
      [[6515], "1 h 49 min"], [[7200], "2 h"], [[86_400], "1 d"], [[100_000], "1 d 3 h"],
      [[86_400 + 120], "1 d"], [[604_800], "7 d"],
    ],
    windowName: [
      [[300, "x"], "5 hours"], [[60, "x"], "1 hour"], [[10_080, "x"], "7 days"],
      [[1440, "x"], "1 day"], [[90, "x"], "90 minutes"], [[null, "Primary"], "Primary"],
    ],
    share: [[[1, 2], "50 %"], [[0, 0], "–"], [[0, 5], "0 %"], [[2, 3], "67 %"]],
  })) {
    const found = await results("format.js", name, cases.map(([input]) => input));
    assert.deepEqual(found, cases.map(([, expected]) => expected), name);
  }
});

test("events are read whole, wherever they are cut", async () => {
  const text =
    ': comment\n\ndata: {"a":"ä€😀"}\n\ndata:{"b":1}\r\n\r\nevent: x\ndata: one\ndata: two\n\n' +
    "data: [DONE]\n\n";
  const run = `({ eventReader }, text) => {
    const bytes = new TextEncoder().encode(text);
    return Array.from({ length: bytes.length }, (_, at) => {
      const [decoder, read] = [new TextDecoder(), eventReader()];
      return [bytes.slice(0, at + 1), bytes.slice(at + 1)]
        .flatMap((piece) => read(decoder.decode(piece, { stream: true })));
    });
  }`;
  await within("api.js", run, text);
  const expected = ['{"a":"ä€😀"}', '{"b":1}', "one\ntwo", "[DONE]"];
  assert.ok(made.result.length > 80);
  for (const found of made.result) assert.deepEqual(found, expected);
});

test("reasoning in tags is taken apart, whole or not yet", async () => {
  const cases = [
    ["", ["", ""]],
    ["text", ["", "text"]],
    ["<think>so", ["so", ""]],
    ["<think>so</think>\n\ntext", ["so", "text"]],
    ["text <think>so</think>", ["", "text <think>so</think>"]],
    ["<think>a</think>b</think>c", ["a", "b</think>c"]],
  ];
  const found = await results("chat.js", "parted", cases.map(([content]) => [content]));
  assert.deepEqual(found, cases.map(([, expected]) => expected));
});

test("tokens are spread over six hours, and round numbers top the scale", async () => {
  const numbers = [0, 9, 10, 11, 61_000, 99_999, 100_000, 100_001];
  const found = await results("plot.js", "ceiling", numbers.map((number) => [number]));
  assert.deepEqual(found, [10, 10, 10, 20, 80_000, 100_000, 100_000, 200_000]);
  const some = { input: 10, cached: 4, output: 5, requests: 1 };
  const now = 1_800_000_123;
  const tokens = [
    { at: 1_800_000_000, ...some },
    { at: 1_800_000_000 - 71 * 300, ...some },
    // Before the beginning, and yet to come.
    { at: 1_800_000_000 - 72 * 300, ...some },
    { at: 1_800_000_300, ...some },
  ];
  const [buckets] = await results("plot.js", "spread", [[tokens, now]]);
  assert.equal(buckets.length, 72);
  assert.deepEqual(buckets[71], { at: 1_800_000_000, ...some });
  assert.deepEqual(buckets[0], { at: 1_800_000_000 - 71 * 300, ...some });
  assert.equal(buckets.filter(({ requests }) => requests > 0).length, 2);
  const [total] = await results("plot.js", "sum", [[buckets]]);
  assert.deepEqual(total, { input: 20, cached: 8, output: 10, requests: 2 });
});
