// The official SDK in a page of a real browser, as apps such as Obsidian's plugins use it: the
// browser asks first whether the page may, and with which headers.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join } from "node:path";
import { after, test } from "node:test";
import { promisify } from "node:util";

import { ANSWER, MODEL, daemon, directed, folder } from "./daemon.js";

const BROWSER = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find(existsSync);
const KEY = "sk-cp-tKMbhHgYanNAhBrf4SYC3ZPhD1Bstozdukn_CJa1v8s";

// Two sites with the same files; only the first one is allowed.
const sites = [createServer(serve), createServer(serve)];
await Promise.all(
  sites.map((site) => new Promise((listening) => site.listen(0, "127.0.0.1", listening))),
);
const origins = sites.map((site) => `http://localhost:${site.address().port}`);

const proxy = daemon({
  CODEX_PROXY_SERVER_API_KEYS: KEY,
  CODEX_PROXY_SERVER_ALLOWED_ORIGINS: origins[0],
});
after(() => sites.forEach((site) => site.close()));

/** What the page does; it shows how that went. */
const SCRIPT = (options, prompt) => `
  import OpenAI from "/openai/index.mjs";
  const client = new OpenAI(${JSON.stringify(options)});
  const tools = [{ type: "function", function: { name: "multiply", parameters: {
    type: "object", properties: { a: { type: "number" }, b: { type: "number" } } } } }];
  const said = {};
  try {
    const messages = [{ role: "user", content: "Hello!" }];
    const stream = await client.chat.completions.create({
      model: "${MODEL}", messages, stream: true,
    }).withResponse();
    said.id = stream.response.headers.get("x-request-id");
    said.text = "";
    said.pieces = 0;
    for await (const chunk of stream.data) {
      said.text += chunk.choices[0]?.delta.content ?? "";
      said.pieces += 1;
    }
    const talk = [{ role: "user", content: ${JSON.stringify(prompt)} }];
    const ask = () => client.chat.completions.create({ model: "${MODEL}", messages: talk, tools });
    const { message } = (await ask()).choices[0];
    const { a, b } = JSON.parse(message.tool_calls[0].function.arguments);
    const content = String(a * b);
    talk.push(message, { role: "tool", tool_call_id: message.tool_calls[0].id, content });
    said.result = (await ask()).choices[0].message.content;
    said.models = (await client.models.list()).data.length;
  } catch (error) {
    said.error = error.constructor.name;
  }
  document.body.textContent = JSON.stringify(said);
`;

const TYPES = { ".html": "text/html", ".mjs": "text/javascript", ".js": "text/javascript" };

async function serve(request, response) {
  const { pathname } = new URL(request.url, "http://localhost");
  try {
    let body;
    if (pathname === "/page.html") {
      const options = {
        baseURL: proxy.baseURL,
        apiKey: KEY,
        dangerouslyAllowBrowser: true,
        maxRetries: 0,
      };
      const script = SCRIPT(options, directed('call multiply {"a": 6, "b": 7}'));
      body = `<!doctype html><body></body><script type="module">${script}</script>`;
    } else {
      body = await readFile(join(folder("browser"), pathname));
    }
    response.writeHead(200, { "content-type": TYPES[extname(pathname)] ?? "text/plain" });
    response.end(body);
  } catch {
    response.writeHead(404).end();
  }
}

/** What the page of an origin shows in the end. */
async function shown(origin) {
  const profile = join(proxy.home, new URL(origin).port);
  const quiet = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"];
  const alone = ["--disable-background-networking", "--disable-component-update", "--disable-sync"];
  const page = ["--timeout=60000", "--virtual-time-budget=30000", `--user-data-dir=${profile}`];
  const { stdout } = await promisify(execFile)(
    BROWSER,
    [...quiet, ...alone, ...page, "--dump-dom", `${origin}/page.html`],
    { env: { HOME: proxy.home, PATH: process.env.PATH } },
  );
  const [, body] = /<body>([^<]*)/.exec(stdout) ?? [];
  assert.ok(body, stdout);
  return JSON.parse(body);
}

const skip = BROWSER ? false : "there is no Chromium here";

test("a page of an allowed origin streams, calls a tool, and reads headers", { skip }, async () => {
  const { id, pieces, ...said } = await shown(origins[0]);
  assert.deepEqual(said, { text: ANSWER, result: "multiply says: 42", models: 5 });
  assert.match(id, /^req_/);
  assert.ok(pieces > 1);
  await proxy.answered(3);
});

test("a page of another origin gets nothing", { skip }, async () => {
  assert.deepEqual(await shown(origins[1]), { error: "APIConnectionError" });
});
