// What to put into clients, with the address that the page was opened at.

import { byId, copies, element, say } from "./dom.js";

const BASE = `${location.origin}/v1`;

/** What models may be called here: these texts are pasted into shells and programs. */
const PLAIN_NAME = /^[A-Za-z0-9][A-Za-z0-9._:/-]*$/;

const SNIPPETS = [
  {
    id: "python",
    name: "Python",
    text: (model, key) => `from openai import OpenAI

client = OpenAI(
    base_url="${BASE}",
    api_key="${key}",
)
answer = client.chat.completions.create(
    model="${model}",
    messages=[{"role": "user", "content": "Hello!"}],
)
print(answer.choices[0].message.content)
`,
  },
  {
    id: "node",
    name: "Node",
    text: (model, key) => `import OpenAI from "openai";

const client = new OpenAI({
  baseURL: "${BASE}",
  apiKey: "${key}",
});
const answer = await client.chat.completions.create({
  model: "${model}",
  messages: [{ role: "user", content: "Hello!" }],
});
console.log(answer.choices[0].message.content);
`,
  },
  {
    id: "curl",
    name: "curl",
    text: (model, key, needsKey) => `curl ${BASE}/chat/completions \\
  -H 'content-type: application/json' \\
${needsKey ? `  -H 'authorization: Bearer ${key}' \\\n` : ""}  -d '{"model": "${model}",
       "messages": [{"role": "user", "content": "Hello!"}]}'
`,
  },
  {
    id: "variables",
    name: "Variables",
    text: (model, key) => `# the OpenAI SDKs, and most that is built with them
export OPENAI_BASE_URL=${BASE}
export OPENAI_API_KEY=${key}

# Aider
export OPENAI_API_BASE=${BASE}
export AIDER_MODEL=openai/${model}

# OpenHands
export LLM_BASE_URL=${BASE}
export LLM_API_KEY=${key}
export LLM_MODEL=openai/${model}

# Goose
export GOOSE_PROVIDER=openai
export GOOSE_MODEL=${model}
export OPENAI_HOST=${location.origin}
`,
  },
];

/** Makes the tabs and their panels. */
export function start() {
  say(byId("base"), BASE);
  copies(byId("copy-base"), () => BASE);
  const tabs = SNIPPETS.map(({ id, name }) => {
    const attributes = { type: "button", role: "tab", id: `tab-${id}`, "aria-controls": `snippet-${id}` };
    const tab = element("button", attributes, name);
    tab.addEventListener("click", () => select(id));
    return tab;
  });
  byId("snippet-tabs").append(...tabs);
  byId("snippet-tabs").addEventListener("keydown", turn);
  for (const { id, name } of SNIPPETS) {
    const code = element("pre", { tabindex: 0, role: "region", "aria-label": `${name}: what to copy` });
    const button = element("button", { type: "button", class: "copy", "aria-label": `Copy: ${name}` }, "Copy");
    copies(button, () => code.textContent);
    const attributes = { role: "tabpanel", id: `snippet-${id}`, "aria-labelledby": `tab-${id}` };
    byId("snippets").append(element("div", attributes, code, button));
  }
  fill([], false);
  select(SNIPPETS[0].id);
}

/** Writes the texts, for the first of the models whose name is harmless. */
export function fill(models, needsKey) {
  const model = models.find((name) => PLAIN_NAME.test(name)) ?? "default";
  // Never the key itself: what is shown and copied is easily passed on.
  const key = needsKey ? "YOUR_KEY" : "any";
  for (const { id, text } of SNIPPETS) {
    say(byId(`snippet-${id}`).querySelector("pre"), text(model, key, needsKey));
  }
}

function select(chosen) {
  for (const { id } of SNIPPETS) {
    const tab = byId(`tab-${id}`);
    tab.setAttribute("aria-selected", String(id === chosen));
    tab.tabIndex = id === chosen ? 0 : -1;
    byId(`snippet-${id}`).hidden = id !== chosen;
  }
}

/** The arrows turn from tab to tab. */
function turn(event) {
  const at = SNIPPETS.findIndex(({ id }) => event.target.id === `tab-${id}`);
  const end = SNIPPETS.length - 1;
  const next = {
    ArrowRight: at === end ? 0 : at + 1,
    ArrowLeft: at === 0 ? end : at - 1,
    Home: 0,
    End: end,
  }[event.key];
  if (at < 0 || next === undefined) return;
  event.preventDefault();
  select(SNIPPETS[next].id);
  byId(`tab-${SNIPPETS[next].id}`).focus();
}
