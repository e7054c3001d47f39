// With keys set, the page asks for one before it shows anything.

import assert from "node:assert/strict";
import { test } from "node:test";

import { KEY, eachClient, fixture } from "./harness.js";

const made = fixture({ settings: `[server]\napi_keys = ["${KEY}"]\n` });

const open = async (page, key) => {
  await page.getByLabel("Key", { exact: true }).fill(key);
  await page.keyboard.press("Enter");
};

test("without the key nothing is shown, and with it everything", () =>
  made.visit(async (page) => {
    await page.getByRole("heading", { name: "API key required" }).waitFor();
    const sections = page.locator("main > section:visible h2");
    assert.deepEqual(await sections.allTextContents(), [
      "API key required",
      "Connect a client",
    ]);
    assert.equal(await page.evaluate(() => document.activeElement.id), "key");
    assert.equal(await page.getByLabel("Key", { exact: true }).getAttribute("type"), "password");
    for (const fact of ["#login", "#plan", "#version"]) {
      assert.equal(await page.locator(fact).textContent(), "needs a key");
    }
    await open(page, `${KEY.slice(0, -1)}x`);
    await page.getByRole("alert").getByText("This is not one of the daemon’s keys.").waitFor();
    await open(page, "schlüssel");
    await page.getByRole("alert").getByText("no spaces and no special characters").waitFor();
    assert.equal(await page.locator("#chat").isVisible(), false);
    await open(page, ` ${KEY} `);
    await page.getByText("Running", { exact: true }).waitFor();
    assert.equal(await page.locator("#locked").isVisible(), false);
    assert.equal(await page.locator("main > section:visible").count(), 5);
    assert.equal(await page.evaluate(() => document.activeElement.id), "prompt");
    await page.locator("#model option").first().waitFor({ state: "attached" });
    await page.getByLabel("Message").fill("Hi");
    await page.keyboard.press("Enter");
    await page.locator("#chat-status").getByText("complete").waitFor({ state: "attached" });
    // What is copied is passed on, and the key is not in it.
    await eachClient(page, (name, text) => {
      // Their keys are kept elsewhere.
      if (!["llm", "zed"].includes(name)) assert.match(text, /YOUR-KEY/, name);
      assert.ok(!text.includes(KEY), name);
    });
    const html = await page.content();
    assert.ok(!html.includes(KEY));
    assert.equal(await page.locator("#key").inputValue(), "");
  }));

test("the key is kept in memory only, and goes to the daemon only as it should", () =>
  made.visit(async (page) => {
    const sent = [];
    page.on("request", (request) => sent.push(request));
    await open(page, KEY);
    await page.locator("#model option").first().waitFor({ state: "attached" });
    const stored = await page.evaluate(() =>
      JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href]),
    );
    assert.ok(!stored.includes(KEY));
    const bearers = sent.map((request) => request.headers().authorization).filter(Boolean);
    assert.ok(bearers.length > 0);
    assert.deepEqual([...new Set(bearers)], [`Bearer ${KEY}`]);
    assert.ok(sent.every((request) => !request.url().includes(KEY)));
    await page.reload();
    await page.getByRole("heading", { name: "API key required" }).waitFor();
  }));

test("a key that is taken away is asked for again", () =>
  made.visit(
    async (page) => {
      await open(page, KEY);
      await page.getByText("Running", { exact: true }).waitFor();
      await page.route("**/health", (route) => route.fulfill({ json: { status: "ok" } }));
      await page.getByRole("heading", { name: "API key required" }).waitFor();
      await page.getByRole("alert").getByText("not one of the daemon’s keys").waitFor();
      await page.unroute("**/health");
      await open(page, KEY);
      await page.getByText("Running", { exact: true }).waitFor();
    },
  ));
