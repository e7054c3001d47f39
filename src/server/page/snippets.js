// What to put into clients, with the address that the page was opened at.

import { CLIENTS } from "./clients.js";
import { byId, copies, element, say } from "./dom.js";

const ORIGIN = location.origin;
const BASE = `${ORIGIN}/v1`;

/** The client that is shown first. */
const FIRST = "python";

/** What models may be called here: these texts are pasted into shells and programs. */
const PLAIN_NAME = /^[A-Za-z0-9][A-Za-z0-9._:/-]*$/;

/** What is put in. Never the key itself: what is shown and copied is easily passed on. */
const values = { ORIGIN, BASE, KEY: CLIENTS.any, MODEL: "default" };

/** Makes the list of clients. */
export function start() {
  say(byId("base"), BASE);
  copies(byId("copy-base"), () => BASE);
  const choice = byId("client");
  for (const { title, clients } of CLIENTS.groups) {
    const options = clients.map(({ name, title }) => element("option", { value: name }, title));
    choice.append(element("optgroup", { label: title }, ...options));
  }
  choice.value = FIRST;
  choice.addEventListener("change", show);
  copies(byId("copy-snippet"), () => byId("snippet").textContent);
  show();
}

/** Writes the settings anew, for the first of the models whose name is harmless. */
export function fill(models, needsKey) {
  values.MODEL = models.find((name) => PLAIN_NAME.test(name)) ?? "default";
  values.KEY = needsKey ? CLIENTS.placeholder : CLIENTS.any;
  show();
}

/** Shows the chosen client's settings. */
function show() {
  const all = CLIENTS.groups.flatMap(({ clients }) => clients);
  const { note, text } = all.find(({ name }) => name === byId("client").value);
  const filled = text.replace(/<(ORIGIN|BASE|KEY|MODEL)>/g, (_, name) => values[name]);
  say(byId("snippet"), filled);
  byId("snippet-note").replaceChildren(...withCode(note));
}

/** A text as elements: code is between backticks. */
const withCode = (text) =>
  text.split("`").map((part, index) => (index % 2 ? element("code", {}, part) : part));
