// Limits, tokens and requests are shown, and kept up to date while somebody can see them.

import assert from "node:assert/strict";
import { test } from "node:test";

import { activity, day, fixture, request, serve, usage } from "./harness.js";

const made = fixture();

const rows = (page) => page.locator("#requests-table tbody tr");

test("limits are bars that change their colour at 80 and 95 per cent", () =>
  made.visit(
    async (page) => {
      const bars = page.getByRole("meter");
      await bars.first().waitFor();
      const levels = await page.locator(".limit").evaluateAll((all) =>
        all.map((limit) => ({
          level: limit.classList[1],
          what: limit.querySelector(".what").textContent,
          share: limit.querySelector(".fill").offsetWidth / limit.querySelector(".bar").clientWidth,
          colour: getComputedStyle(limit.querySelector(".fill")).backgroundColor,
        })),
      );
      assert.deepEqual(levels.map(({ level, what }) => [level, what]), [
        ["fine", "5 hours0 % used"],
        ["fine", "7 days80 % used"],
        ["warn", "limit-2, 5 hours80 % used, running low"],
        ["bad", "limit-3, 7 days95 % used, nearly used up"],
        ["bad", "limit-4, 5 hours100 % used, used up"],
      ]);
      const widths = levels.map(({ share }) => Math.round(share * 20) / 20);
      assert.deepEqual(widths, [0, 0.8, 0.8, 0.95, 1]);
      const [fine, , warn, bad] = levels.map(({ colour }) => colour);
      assert.equal(new Set([fine, warn, bad]).size, 3);
      assert.equal(await bars.nth(3).getAttribute("aria-valuetext"), "95 % used, nearly used up");
      assert.match(await page.locator(".when").first().textContent(), /^resets in 1 h 4\d min, /);
      assert.equal(await page.locator("#plan").textContent(), "Plus");
    },
    { figures: { usage: usage(0, 79.9, 80, 95, 120) }, reducedMotion: "reduce" },
  ));

test("limits that are not known, past, or without a window are said so", () => {
  const [limit] = usage(50).limits;
  const limits = [
    { ...limit, name: "<b>Named</b>", window_minutes: null, resets_at: null, resets_in_seconds: null },
    { ...limit, resets_in_seconds: -5 },
  ];
  const credits = { has_credits: true, unlimited: false, balance: "12.5" };
  return made.visit(
    async (page) => {
      await page.getByText("Not known yet").waitFor();
      await page.unroute("**/v1/usage");
      await page.route("**/v1/usage", (route) =>
        route.fulfill({ json: { ...usage(), plan: "<i>pro</i>", limits, credits } }),
      );
      await made.daemon.ask("So that something has changed");
      await page.getByText("<b>Named</b>, Primary").waitFor();
      await page.getByText("has been reset since").waitFor();
      await page.getByText("Credits: 12.5").waitFor();
      assert.equal(await page.locator("#plan").textContent(), "<i>pro</i>");
      assert.equal(await page.locator("#limits b, #facts i").count(), 0);
      await page.unroute("**/v1/usage");
      const error = { message: "The plan is <b>out</b>.", code: "x" };
      await page.route("**/v1/usage", (route) => route.fulfill({ status: 502, json: { error } }));
      await made.daemon.ask("And again");
      await page.getByText("The plan is <b>out</b>.").waitFor();
    },
    { figures: { usage: { ...usage(), plan: null } }, said: [/status of 502/] },
  );
});

test("the daemon's own limits, tokens and requests are shown as they come", async () => {
  const other = await serve();
  try {
    await made.visit(
      async (page) => {
        await page.getByText("None since the daemon was started.").waitFor();
        assert.equal(await rows(page).count(), 0);
        await page.getByText("No requests in the last 6 hours.").waitFor();
        await other.ask("One", { model: "gpt-5.5" });
        await rows(page).first().waitFor();
        await page.locator("#plot-text").getByText("1 request: ").waitFor();
        await page.getByRole("meter").first().waitFor();
        await other.ask("Two [[simulate: error 429 usage_limit_reached]]", { model: "gpt-5.5" });
        await page.locator("#requests-table tr.failed").waitFor();
        const cells = (row) => rows(page).nth(row).getByRole("cell").allTextContents();
        const [when, model, outcome, first, total, input, cached, output] = await cells(1);
        assert.match(when, /^\d\d:\d\d:\d\d$/);
        assert.deepEqual([model, outcome, cached], ["gpt-5.5", "answered", "0 %"]);
        for (const time of [first, total]) assert.match(time, /^[\d.]+ m?s$/);
        for (const tokens of [input, output]) assert.ok(Number(tokens) > 0, tokens);
        assert.equal((await cells(0))[2], "failed: usage_limit_reached");
        // The newest is the first, and none is there twice.
        await other.ask("Three");
        await rows(page).nth(2).waitFor();
        assert.equal(await rows(page).count(), 3);
        const ids = await rows(page).evaluateAll((all) => all.map((row) => row.title));
        assert.equal(new Set(ids).size, 3);
        assert.ok(await page.locator("#plot rect.out").count() > 0);
      },
      { url: other.url },
    );
  } finally {
    await other.stop();
  }
});

test("fifty requests are shown at most, and names in them stay text", () => {
  const requests = Array.from({ length: 50 }, (_, index) => request(index + 1));
  const hostile = { model: "<img src=x onerror=window.pwned=1>", outcome: "failed", error: "<b>" };
  const figures = { activity: { ...activity(requests, day()), in_flight: 2 } };
  return made.visit(
    async (page) => {
      await rows(page).nth(49).waitFor();
      await page.getByText("2 in progress").waitFor();
      figures.activity.requests.push(request(51, hostile), request(52, { model: "" }));
      await page.getByText("failed: <b>").waitFor();
      assert.equal(await rows(page).count(), 50);
      assert.equal(await page.locator("#requests img, #requests b").count(), 0);
      assert.equal(await page.evaluate(() => window.pwned), undefined);
    },
    { figures },
  );
});

test("tokens are drawn with a scale, and told in words and in a table", () => {
  const tokens = day();
  const total = (name) => tokens.reduce((sum, bucket) => sum + bucket[name], 0);
  return made.visit(
    async (page) => {
      const plot = page.getByRole("img", { name: /^Tokens \d+ requests: .* tokens in, \d+ % of them/ });
      await plot.waitFor();
      const kinds = await page.locator("#plot rect").evaluateAll((all) => all.map((each) => each.classList[0]));
      const busy = tokens.filter(({ input }) => input > 0).length;
      // Once as a count and once as a share.
      assert.equal(kinds.filter((kind) => kind === "cached").length, 2 * busy);
      assert.equal(kinds.filter((kind) => kind === "out").length, busy);
      const labels = await page.locator("#plot text").allTextContents();
      assert.deepEqual(labels.slice(0, 3), ["0", "40k", "80k"]);
      assert.ok(labels.includes("100 %"));
      assert.ok(labels.filter((text) => /^\d\d:00$/.test(text)).length >= 5, labels.join());
      await page.getByText("Hourly table").click();
      const table = page.getByRole("table", { name: "Tokens of the last 6 hours" });
      const counts = await table.locator("tbody td:last-child").allTextContents();
      assert.equal(counts.length, 6);
      assert.equal(counts.reduce((sum, count) => sum + Number(count), 0), total("requests"));
      // Drawn anew for another width, and within it.
      await page.setViewportSize({ width: 400, height: 800 });
      await page.waitForFunction(() => {
        const [plot, svg] = [document.getElementById("plot"), document.querySelector("#plot svg")];
        return svg.getAttribute("width") === String(plot.clientWidth);
      });
    },
    { figures: { activity: activity([], tokens) } },
  );
});

test("it looks every two seconds, and not while nobody can see it", () =>
  made.visit(
    async (page) => {
      let looks = 0;
      let looked = () => {};
      page.on("requestfinished", (each) => {
        if (!each.url().includes("/v1/activity")) return;
        looks += 1;
        looked();
      });
      const next = () => new Promise((done) => (looked = done));
      await page.clock.install();
      const first = next();
      await page.reload();
      await first;
      // Until the timer of the next look is set.
      const idle = () => page.evaluate(() => new Promise((done) => requestIdleCallback(done)));
      await page.locator("#plot-text").getByText(/./).waitFor();
      for (let count = 0; count < 3; count += 1) {
        const before = looks;
        await idle();
        const after = next();
        await page.clock.runFor(2000);
        await after;
        assert.equal(looks, before + 1);
      }
      const turn = (state) =>
        page.evaluate((visibility) => {
          Object.defineProperty(document, "hidden", {
            configurable: true,
            get: () => visibility === "hidden",
          });
          document.dispatchEvent(new Event("visibilitychange"));
        }, state);
      await idle();
      await turn("hidden");
      const before = looks;
      await page.clock.runFor(60_000);
      assert.equal(looks, before);
      // At once when it is seen again.
      const after = next();
      await turn("visible");
      await after;
      assert.equal(looks, before + 1);
    },
    { figures: { activity: activity() } },
  ));

test("a daemon that has gone is missed, and known again when it is back", async () => {
  let daemon = await serve();
  const { port, url } = daemon;
  try {
    await made.visit(
      async (page) => {
        const pulse = page.getByRole("status").and(page.locator("#pulse"));
        await pulse.getByText("Running", { exact: true }).waitFor();
        await daemon.ask("One");
        await daemon.ask("Two");
        await rows(page).nth(1).waitFor();
        await daemon.stop();
        await pulse.getByText(/^No answer since \d\d:\d\d:\d\d; retrying$/).waitFor();
        // What was known stays to be seen.
        assert.equal(await rows(page).count(), 2);
        daemon = await serve({ port });
        await pulse.getByText("Running", { exact: true }).waitFor();
        // It remembers nothing, and its numbers begin anew.
        await page.getByText("None since the daemon was started.").waitFor();
        await daemon.ask("Three");
        await rows(page).first().waitFor();
        assert.equal(await rows(page).count(), 1);
      },
      { url, said: [/ERR_/] },
    );
  } finally {
    await daemon.stop();
  }
});
