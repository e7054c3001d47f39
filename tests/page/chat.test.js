// The chat streams, stops and fails in sight, and leaves nothing behind.

import assert from "node:assert/strict";
import { test } from "node:test";

import { fixture } from "./harness.js";

const made = fixture();

const ready = (page) => page.locator("#model option").first().waitFor({ state: "attached" });
const says = (page, text) => page.locator("#chat-status").getByText(text).waitFor({ state: "attached" });
const send = async (page, text) => {
  await page.getByLabel("Message").fill(text);
  await page.keyboard.press("Enter");
};
const answers = (page) => page.locator(".turn.model > .text").allTextContents();

test("an answer is streamed, with reasoning folded and figures below", () =>
  made.visit(async (page) => {
    await ready(page);
    await page.getByLabel("Effort").selectOption("high");
    await send(page, 'Hi [[simulate: deltas 12]] [[simulate: reasoning "**Thinking** of it"]]');
    await says(page, "The answer is complete.");
    assert.equal(await page.getByLabel("Message").inputValue(), "");
    const [answer] = await answers(page);
    assert.equal(answer.split(" ").length, 12, answer);
    const folded = page.locator(".turn.model details");
    assert.equal(await folded.evaluate((details) => details.open), false);
    await folded.locator("summary").click();
    assert.equal(await folded.locator(".text").textContent(), "**Thinking** of it");
    assert.match(await page.locator(".foot").textContent(), /\d+ in, \d+ out.*, \d+/);
    const names = await page.locator(".turn h3").allTextContents();
    assert.deepEqual(names, ["You", await page.getByLabel("Model").inputValue()]);
  }));

test("what is chosen and what was said goes with the next question", () =>
  made.visit(async (page) => {
    await ready(page);
    const models = await page.locator("#model option").allTextContents();
    await page.getByLabel("Model").selectOption(models[1]);
    await page.getByLabel("Effort").selectOption("low");
    const asked = [];
    page.on("request", (request) => {
      if (request.method() === "POST") asked.push(request.postDataJSON());
    });
    await send(page, "One");
    await says(page, "The answer is complete.");
    await page.getByLabel("Effort").selectOption("");
    await send(page, "Two");
    await page.locator(".turn.model").nth(1).locator(".foot:not(.waiting)").waitFor();
    const [first] = await answers(page);
    assert.equal(asked[0].model, models[1]);
    assert.equal(asked[0].reasoning_effort, "low");
    assert.equal(asked[1].reasoning_effort, undefined);
    assert.deepEqual(asked[1].messages, [
      { role: "user", content: "One" },
      { role: "assistant", content: first },
      { role: "user", content: "Two" },
    ]);
    await page.getByRole("button", { name: "New conversation" }).click();
    assert.equal(await page.locator(".turn").count(), 0);
    await send(page, "Three");
    await says(page, "The answer is complete.");
    assert.deepEqual(asked[2].messages, [{ role: "user", content: "Three" }]);
  }));

for (const [how, stop] of [
  ["Escape", (page) => page.keyboard.press("Escape")],
  ["the button", (page) => page.getByRole("button", { name: "Stop" }).click()],
]) {
  test(`${how} stops an answer, and the daemon learns of it`, () =>
    made.visit(async (page) => {
      await ready(page);
      const button = page.getByRole("button", { name: "Stop" });
      assert.equal(await button.count(), 0);
      await send(page, "Hi [[simulate: deltas 500]] [[simulate: pace 20]]");
      await page.locator(".turn.model > .text").getByText(/\w+ \w+ \w+/).waitFor();
      // A second question has to wait; it is not lost.
      await send(page, "Second");
      assert.equal(await page.getByLabel("Message").inputValue(), "Second");
      assert.equal(await page.locator(".turn.you").count(), 1);
      await stop(page);
      await says(page, "Stopped.");
      assert.equal(await page.locator(".foot").textContent(), "Stopped.");
      await button.waitFor({ state: "hidden" });
      const focused = await page.evaluate(() => document.activeElement.id);
      assert.equal(focused, "prompt");
      await page.locator("#requests-table tr.cancelled").first().waitFor();
      const [answer] = await answers(page);
      assert.ok(answer.split(" ").length < 500);
    }));
}

for (const [what, directive, expected, code] of [
  ["a refusal", "error 429 usage_limit_reached", /usage limit/i, "usage_limit_reached"],
  ["a failure in mid-stream", "fail server_error failed after=2", /./, null],
  ["a broken connection", "cut after=2", /./, "upstream_disconnected"],
]) {
  test(`${what} is shown, and is no part of the conversation`, () =>
    made.visit(
      async (page) => {
        await ready(page);
        const asked = [];
        page.on("request", (request) => {
          if (request.method() === "POST") asked.push(request.postDataJSON());
        });
        await send(page, `Hi [[simulate: deltas 9]] [[simulate: ${directive}]]`);
        await says(page, "Failed:");
        const failure = page.locator(".failure");
        assert.match(await failure.textContent(), expected);
        if (code) assert.equal(await failure.locator("code").textContent(), code);
        await send(page, "Again");
        await says(page, "The answer is complete.");
        assert.deepEqual(asked.at(-1).messages, [{ role: "user", content: "Again" }]);
      },
      { said: [/status of 4|status of 5/] },
    ));
}

test("the daemon's end in the middle of an answer is shown", async () => {
  const { serve } = await import("./harness.js");
  const other = await serve();
  let stopped = false;
  try {
    await made.visit(
      async (page) => {
        await ready(page);
        await send(page, "Hi [[simulate: deltas 500]] [[simulate: pace 20]]");
        await page.locator(".turn.model > .text").getByText(/\w+ \w+/).waitFor();
        stopped = true;
        await other.stop();
        await says(page, "Failed:");
        await page.locator("#pulse").getByText("No answer since").waitFor();
      },
      { url: other.url, said: [/ERR_/] },
    );
  } finally {
    if (!stopped) await other.stop();
  }
});

test("markup in an answer stays text, in reasoning and errors too", () =>
  made.visit(
    async (page) => {
      await ready(page);
      const attack = "<img src=x onerror='window.pwned=1'><script>window.pwned=1</script>";
      const before = await page.locator("img, script, iframe, a").count();
      await page.getByLabel("Effort").selectOption("high");
      const texts = `[[simulate: text "${attack}"]] [[simulate: reasoning "${attack}"]]`;
      await send(page, `${attack} ${texts}`);
      await says(page, "The answer is complete.");
      assert.deepEqual(await answers(page), [attack]);
      assert.equal(await page.locator(".turn.model details .text").textContent(), attack);
      assert.ok((await page.locator(".turn.you .text").textContent()).startsWith(attack));
      await page.route("**/v1/chat/completions", (route) =>
        route.fulfill({ status: 400, json: { error: { message: attack, code: attack } } }),
      );
      await send(page, "Hi");
      await says(page, "Failed:");
      assert.equal(await page.locator(".failure").textContent(), `${attack} ${attack}`);
      assert.equal(await page.locator("img, script, iframe, a").count(), before);
      assert.equal(await page.evaluate(() => window.pwned), undefined);
    },
    { said: [/status of 400/] },
  ));

test("whoever is at the end of a long answer stays there, failures included", () =>
  made.visit(
    async (page) => {
      await ready(page);
      const atEnd = () =>
        page.locator("#talk").evaluate((talk) => {
          const left = talk.scrollHeight - talk.scrollTop - talk.clientHeight;
          return [talk.scrollHeight > talk.clientHeight, left < 2];
        });
      await send(page, "Hi [[simulate: deltas 400]]");
      await says(page, "The answer is complete.");
      assert.deepEqual(await atEnd(), [true, true]);
      await send(page, "Hi [[simulate: error 429 usage_limit_reached]]");
      await says(page, "Failed:");
      assert.deepEqual(await atEnd(), [true, true]);
      // Who reads above is not torn away.
      await send(page, "Hi [[simulate: deltas 400]] [[simulate: pace 2]]");
      await page.locator(".turn.model").nth(2).locator(".text").getByText(/\w+ \w+/).waitFor();
      await page.locator("#talk").evaluate((talk) => (talk.scrollTop = 0));
      await says(page, "The answer is complete.");
      assert.equal(await page.locator("#talk").evaluate((talk) => talk.scrollTop), 0);
    },
    { said: [/status of 429/] },
  ));

test("nothing is stored", () =>
  made.visit(async (page) => {
    await ready(page);
    await send(page, "A secret");
    await says(page, "The answer is complete.");
    const stored = await page.evaluate(async () => ({
      local: localStorage.length,
      session: sessionStorage.length,
      cookies: document.cookie,
      databases: (await indexedDB.databases()).length,
      caches: (await caches.keys()).length,
      workers: (await navigator.serviceWorker.getRegistrations()).length,
    }));
    assert.deepEqual(stored, {
      local: 0,
      session: 0,
      cookies: "",
      databases: 0,
      caches: 0,
      workers: 0,
    });
    await page.reload();
    assert.equal(await page.locator(".turn").count(), 0);
    assert.equal(await page.getByLabel("Message").inputValue(), "");
  }));

test("the keyboard is enough", () =>
  made.visit(async (page) => {
    await ready(page);
    // By Tab alone to everything, in the order in which it stands there.
    const seen = [];
    for (;;) {
      await page.keyboard.press("Tab");
      const [name, visible] = await page.evaluate(() => {
        const element = document.activeElement;
        if (element === document.body) return ["", false];
        const style = getComputedStyle(element);
        const name = element.id || element.getAttribute("aria-label") || element.textContent.trim();
        return [name, style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2];
      });
      if (name === "" || seen.includes(name) || seen.length > 20) break;
      assert.ok(visible, `one does not see that ${name} has the focus`);
      seen.push(name);
    }
    assert.deepEqual(seen.slice(0, 11), [
      "copy-base",
      "Hourly table",
      "client",
      "snippet",
      "copy-snippet",
      "chat-clear",
      "talk",
      "model",
      "effort",
      "prompt",
      "chat-send",
    ]);
    // A question, a new line in it, the answer stopped, another one.
    await page.getByLabel("Message").focus();
    await page.keyboard.type("One");
    await page.keyboard.press("Shift+Enter");
    await page.keyboard.type("Two");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await says(page, "The answer is complete.");
    assert.equal(await page.locator(".turn.you .text").textContent(), "One\nTwo");
    await page.getByText("Hourly table").focus();
    await page.keyboard.press("Enter");
    await page.getByRole("table", { name: "Tokens of the last 6 hours" }).waitFor();
  }));
