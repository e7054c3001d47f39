// The official SDK in a page of a real browser, as apps such as Obsidian's plugins use it: the
// browser asks first whether the page may, and with which headers.

import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { ANSWER, MODEL, daemon, directed, folder, installed } from "./daemon.js";

const { chromium } = installed("browser")("playwright-core");

const executablePath = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find(existsSync);
const skip = executablePath ? false : "there is no Chromium here";
const KEY = "sk-cp-tKMbhHgYanNAhBrf4SYC3ZPhD1Bstozdukn_CJa1v8s";

// Two sites with the same files; only the first one is allowed.
const sites = [createServer(serve), createServer(serve)];
await Promise.all(sites.map((site) => once(site.listen(0, "127.0.0.1"), "listening")));
const origins = sites.map((site) => `http://localhost:${site.address().port}`);

const proxy = daemon({
  CODEX_PROXY_SERVER_API_KEYS: KEY,
  CODEX_PROXY_SERVER_ALLOWED_ORIGINS: origins[0],
});

let browser;
before(async () => {
  if (!skip) {
    const args = ["--no-sandbox", "--disable-gpu", "--disable-quic"];
    browser = await chromium.launch({ executablePath, args });
  }
});
after(async () => {
  await browser?.close();
  sites.forEach((site) => site.close());
});

/** The SDK's scripts, and one page with nothing in it. */
async function serve(request, response) {
  const { pathname } = new URL(request.url, "http://localhost");
  try {
    const isPage = pathname === "/page.html";
    const body = isPage ? "<!doctype html>" : await readFile(join(folder("browser"), pathname));
    response.writeHead(200, { "content-type": isPage ? "text/html" : "text/javascript" });
    response.end(body);
  } catch {
    response.writeHead(404).end();
  }
}

/** What the SDK tells a page of an origin. */
async function told(origin) {
  const page = await browser.newPage();
  try {
    await page.goto(`${origin}/page.html`);
    return await page.evaluate(play, {
      options: {
        baseURL: proxy.baseURL,
        apiKey: KEY,
        dangerouslyAllowBrowser: true,
        maxRetries: 0,
      },
      model: MODEL,
      prompt: directed('call multiply {"a": 6, "b": 7}'),
    });
  } finally {
    await page.close();
  }
}

/** Runs in the page: a streamed answer, a tool over two turns, and the models. */
async function play({ options, model, prompt }) {
  const { default: OpenAI } = await import("/openai/index.mjs");
  const client = new OpenAI(options);
  const number = { type: "number" };
  const parameters = { type: "object", properties: { a: number, b: number } };
  const tools = [{ type: "function", function: { name: "multiply", parameters } }];
  const said = { text: "", pieces: 0 };
  try {
    const messages = [{ role: "user", content: "Hello!" }];
    const stream = await client.chat.completions
      .create({ model, messages, stream: true })
      .withResponse();
    said.id = stream.response.headers.get("x-request-id");
    for await (const chunk of stream.data) {
      said.text += chunk.choices[0]?.delta.content ?? "";
      said.pieces += 1;
    }
    const talk = [{ role: "user", content: prompt }];
    const ask = () => client.chat.completions.create({ model, messages: talk, tools });
    const { message } = (await ask()).choices[0];
    const { a, b } = JSON.parse(message.tool_calls[0].function.arguments);
    const content = String(a * b);
    talk.push(message, { role: "tool", tool_call_id: message.tool_calls[0].id, content });
    said.result = (await ask()).choices[0].message.content;
    said.models = (await client.models.list()).data.length;
    return said;
  } catch (error) {
    return { error: error.constructor.name };
  }
}

test("a page of an allowed origin streams, calls a tool, and reads headers", { skip }, async () => {
  const { id, pieces, ...said } = await told(origins[0]);
  assert.deepEqual(said, { text: ANSWER, result: "multiply says: 42", models: 5 });
  assert.match(id, /^req_/);
  assert.ok(pieces > 1);
  await proxy.answered(3);
});

test("a page of another origin gets nothing", { skip }, async () => {
  assert.deepEqual(await told(origins[1]), { error: "APIConnectionError" });
});
