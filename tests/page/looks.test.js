// How it looks, and whether everybody can use it: dark and light, wide and narrow, at rest.

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";

import { AXE, KEY, PICTURES, activity, day, eachClient, fixture, request, serve, usage } from "./harness.js";

const made = fixture();

const LONG = "a-name-of-a-model-that-is-far-longer-than-any-that-anybody-would-ever-give-to-one";

const figures = () => {
  const failed = { outcome: "failed", status: 429, error: "usage_limit_reached", first_chunk_ms: null };
  const special = { 4: failed, 8: { outcome: "cancelled", status: 499 }, 9: { model: LONG } };
  const requests = Array.from({ length: 14 }, (_, index) => request(index + 1, special[index]));
  return {
    usage: usage(42, 83, 96),
    activity: { ...activity(requests, day()), in_flight: 2 },
  };
};

/** With everything on it that can be there. */
async function filled(page) {
  await page.locator("#model option").first().waitFor({ state: "attached" });
  await page.getByLabel("Effort").selectOption("high");
  for (const text of [
    "Why is the sky blue?",
    `Hi [[simulate: text "${"Word".repeat(60)} and more of it."]]`,
    "Hi [[simulate: error 429 usage_limit_reached]]",
  ]) {
    const shown = await page.locator(".turn.model").count();
    await page.getByLabel("Message").fill(text);
    await page.keyboard.press("Enter");
    await page.locator(".turn.model").nth(shown).locator(".foot:not(.waiting)").waitFor({ state: "attached" });
  }
  await page.getByRole("meter").first().waitFor();
  await page.locator("#plot svg").waitFor();
}

const said = [/status of 429/];
const PHONE = { viewport: { width: 360, height: 780 }, hasTouch: true, isMobile: true };

/** Fails if anything is wider than the page, but for what scrolls by itself. */
async function fits(page, what) {
  const { wide, room } = await page.evaluate(() => {
    const room = document.documentElement.clientWidth;
    const scrolls = (element) => element.closest("pre, #talk, .unseen");
    const wide = [...document.querySelectorAll("body *")]
      .filter((each) => !scrolls(each) && each.getBoundingClientRect().right > room + 0.5)
      .map((each) => each.outerHTML.slice(0, 120));
    return { wide, room: [room, document.documentElement.scrollWidth] };
  });
  assert.deepEqual(wide, [], what);
  assert.equal(room[1], room[0], what);
}

async function audit(page, what) {
  await page.evaluate(AXE);
  const { violations, passes } = await page.evaluate(() => axe.run());
  const found = violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html)]);
  assert.deepEqual(found, [], what);
  assert.ok(passes.length > 20, `${passes.length} rules were looked at`);
}

test("on a narrow screen nothing is cut off or to be scrolled to the side", () =>
  made.visit(
    async (page) => {
      await filled(page);
      await fits(page, "filled");
      await page.getByText("Hourly table").click();
      await eachClient(page, (name) => fits(page, name));
      for (const width of [320, 480, 700, 900, 1280, 1920]) {
        await page.setViewportSize({ width, height: 800 });
        await page.waitForFunction(() => {
          const plot = document.getElementById("plot");
          return plot.querySelector("svg").getAttribute("width") === String(plot.clientWidth);
        });
        await fits(page, `${width} wide`);
      }
    },
    { figures: figures(), said, ...PHONE },
  ));

test("it is dark where that is wanted, and light elsewhere", async () => {
  const paper = {};
  for (const colorScheme of ["light", "dark"]) {
    await made.visit(
      async (page) => {
        const read = () => {
          const { backgroundColor, color } = getComputedStyle(document.body);
          return [backgroundColor, color].map((each) => each.match(/\d+/g).map(Number));
        };
        paper[colorScheme] = await page.evaluate(read);
      },
      { colorScheme },
    );
  }
  const bright = (colour) => colour.every((part) => part > 200);
  const dim = (colour) => colour.every((part) => part < 60);
  assert.ok(bright(paper.light[0]) && dim(paper.light[1]), JSON.stringify(paper));
  assert.ok(dim(paper.dark[0]) && bright(paper.dark[1]), JSON.stringify(paper));
});

test("nothing moves where that is not wanted", async () => {
  for (const [reducedMotion, moves] of [["reduce", false], ["no-preference", true]]) {
    await made.visit(
      async (page) => {
        await page.locator("#model option").first().waitFor({ state: "attached" });
        await page.getByLabel("Message").fill("Hi [[simulate: stall after=0]]");
        await page.keyboard.press("Enter");
        await page.locator(".foot.waiting").waitFor();
        const moving = await page.evaluate(() => document.getAnimations().length > 0);
        assert.equal(moving, moves, reducedMotion);
        await page.keyboard.press("Escape");
      },
      { reducedMotion },
    );
  }
});

for (const colorScheme of ["light", "dark"]) {
  for (const [name, size] of [["desktop", { viewport: { width: 1280, height: 900 } }], ["phone", PHONE]]) {
    test(`everybody can use it: ${colorScheme}, ${name}`, () =>
      made.visit(
        async (page) => {
          await filled(page);
          await page.getByText("Hourly table").click();
          await page.locator(".turn details summary").first().click();
          await audit(page, "filled");
          await page.getByLabel("Client", { exact: true }).selectOption("cursor");
          await audit(page, "another client");
        },
        { figures: figures(), said, colorScheme, reducedMotion: "reduce", ...size },
      ));
  }
}

test("everybody can use it: empty, locked, and gone", async () => {
  await made.visit(
    async (page) => {
      await page.getByText("None since").waitFor();
      await page.getByText("Not known yet").waitFor();
      await audit(page, "empty");
    },
    { figures: { usage: usage(), activity: activity() } },
  );
  const other = await serve({ settings: `[server]\napi_keys = ["${KEY}"]\n` });
  let stopped = false;
  try {
    await made.visit(
      async (page) => {
        await page.getByLabel("Key", { exact: true }).fill("wrong");
        await page.keyboard.press("Enter");
        await page.getByText("not one of the daemon’s keys").waitFor();
        await fits(page, "locked");
        await audit(page, "locked");
        stopped = true;
        await other.stop();
        await page.getByText("No answer since").waitFor();
        await fits(page, "gone");
        await audit(page, "gone");
      },
      { url: other.url, said: [/ERR_/], ...PHONE },
    );
  } finally {
    if (!stopped) await other.stop();
  }
});

// To be looked at by people.
for (const [name, options] of [
  ["light-desktop", { viewport: { width: 1280, height: 900 } }],
  ["dark-phone", { ...PHONE, colorScheme: "dark", deviceScaleFactor: 2 }],
]) {
  test(`a picture: ${name}`, () =>
    made.visit(
      async (page) => {
        await page.locator("#model option").first().waitFor({ state: "attached" });
        await page.getByLabel("Effort").selectOption("high");
        const answer = "Air scatters blue light more than red, so that blue comes from everywhere.";
        await page.getByLabel("Message").fill(`Why is the sky blue? [[simulate: text "${answer}"]]`);
        await page.keyboard.press("Enter");
        await page.locator(".foot:not(.waiting)").waitFor();
        await page.locator("#plot svg").waitFor();
        await page.screenshot({ path: join(PICTURES, `${name}.png`), fullPage: true });
      },
      { figures: figures(), reducedMotion: "reduce", ...options },
    ));
}
