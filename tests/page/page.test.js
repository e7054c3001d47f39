// The page opens, is protected, and asks nobody else.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";
import { promisify } from "node:util";

import { BINARY, eachClient, fixture } from "./harness.js";

const made = fixture();
const run = promisify(execFile);

/** Another site, with this page on it. */
async function site(html, visit) {
  const server = createServer((_, response) => {
    response.setHeader("content-type", "text/html");
    response.end(html);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const page = await made.browser.newPage();
  try {
    // Not the same host as the daemon's, and so another site.
    await visit(page, `http://localhost:${server.address().port}/`);
  } finally {
    await page.close();
    server.close();
    server.closeAllConnections();
  }
}

test("it opens without a complaint and with its policy", () =>
  made.visit(async (page, response) => {
    assert.equal(response.status(), 200);
    const headers = response.headers();
    const policy = headers["content-security-policy"];
    for (const rule of [
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self'",
      "connect-src 'self'",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
    ]) {
      assert.ok(policy.split("; ").includes(rule), `${rule} in ${policy}`);
    }
    assert.equal(headers["x-content-type-options"], "nosniff");
    assert.equal(headers["referrer-policy"], "no-referrer");
    assert.equal(headers["x-frame-options"], "DENY");
    await page.getByText("Running", { exact: true }).waitFor();
    assert.equal(await page.locator("#login").textContent(), "simulated: answers are not real");
    assert.match(await page.locator("#version").textContent(), /^\d+\.\d+\.\d+/);
    assert.equal(await page.locator("#base").textContent(), `${made.daemon.url}/v1`);
    for (const landmark of ["banner", "main", "contentinfo"]) {
      assert.equal(await page.getByRole(landmark).count(), 1, landmark);
    }
  }));

test("its files are asked about again and not sent again", () =>
  made.visit(async (page) => {
    await page.getByText("Running", { exact: true }).waitFor();
    const answers = [];
    page.on("response", (response) => answers.push(response));
    await page.reload();
    await page.getByText("Running", { exact: true }).waitFor();
    const script = answers.find((answer) => answer.url().endsWith("/ui/app.js"));
    assert.ok([200, 304].includes(script.status()));
    const tag = script.headers().etag;
    const again = await fetch(`${made.daemon.url}/ui/app.js`, {
      headers: { "if-none-match": tag },
    });
    assert.equal(again.status, 304);
  }));

test("neither markup nor code can be made of texts", () =>
  made.visit(
    async (page) => {
      const outcomes = await page.evaluate(() => {
        const attempt = (act) => {
          try {
            act();
            return "done";
          } catch (error) {
            return error.name;
          }
        };
        const style = document.createElement("p");
        style.setAttribute("style", "color: red");
        document.body.append(style);
        return {
          markup: attempt(() => (document.body.innerHTML = "<b>x</b>")),
          document: attempt(() => document.write("<b>x</b>")),
          code: attempt(() => setTimeout("window.pwned = 1")),
          policy: attempt(() => trustedTypes.createPolicy("own", { createHTML: (x) => x })),
          colour: style.style.color,
        };
      });
      assert.deepEqual(outcomes, {
        markup: "TypeError",
        document: "TypeError",
        code: "TypeError",
        policy: "TypeError",
        colour: "",
      });
    },
    { said: [/Content Security Policy|TrustedHTML|TrustedScript|policy/] },
  ));

test("other sites can lead to it and can neither frame nor ask", async () => {
  const { url } = made.daemon;
  await site(`<a href="${url}/">the page</a>`, async (page, address) => {
    await page.goto(address);
    await page.getByRole("link").click();
    await page.getByText("Running", { exact: true }).waitFor();
    assert.equal(page.url(), `${url}/`);
    // What opened it has no hold on it.
    assert.equal(await page.evaluate(() => window.opener), null);
  });
  await site(`<a href="${url}/v1/models">the models</a>`, async (page, address) => {
    await page.goto(address);
    const [answer] = await Promise.all([
      page.waitForResponse(`${url}/v1/models`),
      page.getByRole("link").click(),
    ]);
    assert.equal(answer.status(), 403);
  });
  await site(`<iframe src="${url}/"></iframe>`, async (page, address) => {
    const answered = page.waitForResponse(`${url}/`);
    await page.goto(address);
    assert.equal((await answered).status(), 403);
  });
  await site("<p>evil</p>", async (page, address) => {
    await page.goto(address);
    const outcomes = await page.evaluate(async (target) => {
      const body = JSON.stringify({ model: "default", messages: [] });
      const attempts = [
        [`${target}/health`, {}],
        [`${target}/`, {}],
        [`${target}/ui/app.js`, {}],
        [`${target}/v1/chat/completions`, { method: "POST", body }],
      ];
      const outcomes = attempts.map(([path, options]) =>
        fetch(path, options).then(
          (response) => response.status,
          () => "refused",
        ),
      );
      return Promise.all(outcomes);
    }, url);
    assert.deepEqual(outcomes, ["refused", "refused", "refused", "refused"]);
  });
});

test("hostile names of models stay text, and out of what is pasted into shells", () => {
  const names = [
    "<img src=x onerror=window.pwned=1>",
    "x'; touch pwned; '",
    "$(touch pwned)",
    "`touch pwned`",
    "a\nb",
    "fine-model",
  ];
  const data = names.map((id) => ({ id, object: "model", reasoning_efforts: ["<b>low</b>"] }));
  const check = async (page) => {
    await page.locator("#model option").nth(5).waitFor({ state: "attached" });
    assert.deepEqual(
      await page.locator("#model option").evaluateAll((all) => all.map(({ value }) => value)),
      names,
    );
    assert.equal(await page.locator("#chat img, #chat b").count(), 0);
    let filled = 0;
    await eachClient(page, (_, text) => {
      filled += text.includes("fine-model");
      assert.doesNotMatch(text, /touch|[<>]/);
    });
    assert.ok(filled > 15, `${filled} name the model`);
    assert.equal(await page.evaluate(() => window.pwned), undefined);
  };
  return made.visit(check, { figures: { models: { object: "list", data } } });
});

test("what to put into clients can be chosen by keys and copied", () =>
  made.visit(
    async (page) => {
      await page.locator("#model option").first().waitFor({ state: "attached" });
      const clipboard = () => page.evaluate(() => navigator.clipboard.readText());
      await page.getByRole("button", { name: "Copy the base URL" }).click();
      await page.getByText("Copied.", { exact: true }).waitFor({ state: "attached" });
      assert.equal(await clipboard(), `${made.daemon.url}/v1`);
      const choice = page.getByRole("combobox", { name: "Client", exact: true });
      assert.equal(await choice.inputValue(), "python");
      assert.equal(await choice.locator("optgroup").count(), 2);
      const settings = page.getByRole("region", { name: "Settings to copy" });
      const button = page.getByRole("button", { name: "Copy the settings" });
      await choice.focus();
      for (const [typed, name, expected] of [
        ["", "python", `base_url="${made.daemon.url}/v1"`],
        ["Goose", "goose", `OPENAI_HOST='${made.daemon.url}'`],
        ["curl", "curl", `curl ${made.daemon.url}/v1/chat/completions`],
      ]) {
        await choice.focus();
        await page.keyboard.type(typed);
        assert.equal(await choice.inputValue(), name);
        const text = await settings.textContent();
        assert.ok(text.includes(expected), text);
        // In the order of the page: the choice, the settings, the button.
        await page.keyboard.press("Tab");
        assert.ok(await settings.evaluate((each) => each === document.activeElement));
        await page.keyboard.press("Tab");
        assert.ok(await button.evaluate((each) => each === document.activeElement));
        await page.keyboard.press("Enter");
        await page.waitForFunction(
          async (text) => (await navigator.clipboard.readText()) === text,
          text,
        );
      }
      const note = page.locator("#snippet-note");
      await choice.selectOption("zed");
      assert.match(await note.textContent(), /^In settings\.json\. Put the key/);
      assert.equal(await note.locator("code").first().textContent(), "settings.json");
      await choice.selectOption("python");
      assert.equal(await note.isVisible(), false);
    },
    { permissions: ["clipboard-read", "clipboard-write"] },
  ));

test("the page and the command have the same settings", async () => {
  const { home: HOME, port } = made.daemon;
  const printed = async (name, model) => {
    const options = ["--listen", `127.0.0.1:${port}`, "--model", model];
    const { stdout } = await run(BINARY, ["snippet", name, ...options], { env: { HOME } });
    return stdout;
  };
  await made.visit(async (page) => {
    await page.locator("#model option").first().waitFor({ state: "attached" });
    const model = await page.locator("#model option").first().getAttribute("value");
    await eachClient(page, async (name, text) => {
      assert.equal(text, await printed(name, model), name);
    });
  });
});

test("without the clipboard's own way it is copied by selecting", () =>
  made.visit(
    async (page) => {
      await page.evaluate(() => {
        Object.defineProperty(navigator, "clipboard", { value: undefined });
        document.addEventListener("copy", () => {
          window.copied = document.activeElement.value;
        });
      });
      const button = page.getByRole("button", { name: "Copy the base URL" });
      await button.click();
      await page.getByText("Copied", { exact: true }).waitFor();
      assert.equal(await page.evaluate(() => window.copied), `${made.daemon.url}/v1`);
      assert.ok(await button.evaluate((each) => each === document.activeElement));
      assert.equal(await page.locator("body > textarea").count(), 0);
    },
  ));

test("what is in the snippets works", async () => {
  await made.visit(async (page) => {
    await page.locator("#model option").first().waitFor({ state: "attached" });
    await page.getByLabel("Client", { exact: true }).selectOption("curl");
    const command = await page.locator("#snippet").textContent();
    const { stdout } = await run("sh", ["-c", command]);
    const answer = JSON.parse(stdout);
    assert.match(answer.choices[0].message.content, /simulated answer to: Hello!/);
  });
});
