// A small chat to try it. The conversation is kept in this file's variables and nowhere else.

import { answer } from "./api.js";
import { byId, element, say } from "./dom.js";
import { elapsed, short } from "./format.js";

/** What has been said, as the API takes it. */
let history = [];
/** What stops the answer that is under way; nothing if there is none. */
let stopping = null;
/** The models by name, with what they offer. */
let models = new Map();

/** Makes it work. `locked` is called when the daemon wants a key. */
export function start(locked) {
  const prompt = byId("prompt");
  byId("model").addEventListener("change", showEfforts);
  byId("chat-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = prompt.value;
    if (stopping || text.trim() === "") return;
    prompt.value = "";
    send(text, locked);
  });
  prompt.addEventListener("keydown", (event) => {
    // Enter may also end the spelling of a word.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    byId("chat-form").requestSubmit();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") stop();
  });
  byId("chat-stop").addEventListener("click", () => {
    stop();
    prompt.focus();
  });
  byId("chat-clear").addEventListener("click", () => {
    clear();
    prompt.focus();
  });
  say(byId("chat-status"), "");
}

function stop() {
  stopping?.abort();
}

/** Forgets the conversation. */
export function clear() {
  stop();
  history = [];
  const empty = element("p", { class: "empty" }, "No messages yet.");
  byId("talk").replaceChildren(empty);
}

/** Takes the list of models; the choice stays if it is still there. */
export function offer(list) {
  models = new Map(list.map((model) => [model.id, model.reasoning_efforts ?? []]));
  choices(byId("model"), [...models.keys()].map((id) => [id, id]));
  showEfforts();
}

function showEfforts() {
  const efforts = models.get(byId("model").value) ?? [];
  choices(byId("effort"), [["", "model default"], ...efforts.map((effort) => [effort, effort])]);
}

function choices(select, options) {
  const chosen = select.value;
  select.replaceChildren(...options.map(([value, text]) => element("option", { value }, text)));
  if (options.some(([value]) => value === chosen)) select.value = chosen;
}

async function send(text, locked) {
  const model = byId("model").value || "default";
  const effort = byId("effort").value;
  const question = { role: "user", content: text };
  const request = { model, messages: [...history, question] };
  if (effort) request.reasoning_effort = effort;
  const conversation = history;
  const talk = byId("talk");
  talk.querySelector(".empty")?.remove();
  talk.append(turn("You", "you", element("p", { class: "text" }, text)));
  const shown = shownAnswer(model);
  talk.append(shown.turn);
  talk.scrollTop = talk.scrollHeight;
  const control = new AbortController();
  busy(control);
  say(byId("chat-status"), "Waiting for the answer.");
  const begun = performance.now();
  let content = "";
  try {
    for await (const chunk of answer(request, control.signal)) {
      const delta = chunk.choices?.[0]?.delta ?? {};
      content += delta.content ?? "";
      shown.add(delta);
      if (chunk.choices?.[0]?.finish_reason) shown.finish(chunk.choices[0].finish_reason);
      if (chunk.usage) shown.usage(chunk.usage, performance.now() - begun);
    }
    say(byId("chat-status"), "The answer is complete.");
  } catch (error) {
    // Without an error object of the daemon's it is our own mistake, and better seen than hidden.
    if (control.signal.aborted) {
      shown.note("Stopped.");
      say(byId("chat-status"), "Stopped.");
    } else {
      content = "";
      shown.fail(error);
      say(byId("chat-status"), `Failed: ${error.message}`);
    }
    if (error.wantsKey) locked();
  } finally {
    shown.end();
    if (stopping === control) busy(null);
  }
  // An answer that failed was never given; the question may be asked again.
  if (content !== "" && conversation === history) {
    history = [...history, question, { role: "assistant", content }];
  }
}

/** Shows whether an answer is under way. */
function busy(control) {
  stopping = control;
  byId("chat-stop").hidden = control === null;
  byId("chat-send").setAttribute("aria-disabled", String(control !== null));
}

function turn(who, kind, ...children) {
  return element("article", { class: `turn ${kind}` }, element("h3", {}, who), ...children);
}

/** Reasoning and text of what a model has said so far; some settings put the former into tags. */
export function parted(content) {
  const open = "<think>";
  if (!content.startsWith(open)) return ["", content];
  const end = content.indexOf("</think>");
  if (end < 0) return [content.slice(open.length), ""];
  return [content.slice(open.length, end), content.slice(end + "</think>".length).trimStart()];
}

/** An answer that grows. Its texts are drawn once per frame, however many pieces come. */
function shownAnswer(model) {
  const thought = element("p", { class: "text" });
  const folded = element("details", { hidden: "" }, element("summary", {}, "Reasoning"), thought);
  const text = element("p", { class: "text" });
  const foot = element("p", { class: "foot waiting" }, "…");
  const shown = turn(model, "model", folded, text, foot);
  const notes = [];
  let [content, reasoning, frame] = ["", "", 0];

  const paint = () => {
    frame = 0;
    const [tagged, said] = parted(content);
    grow(thought, reasoning + tagged);
    grow(text, said);
    folded.hidden = thought.textContent === "";
  };
  const schedule = () => {
    frame ||= requestAnimationFrame(() => following(paint));
  };
  return {
    turn: shown,
    add(delta) {
      content += delta.content ?? delta.refusal ?? "";
      reasoning += delta.reasoning_content ?? delta.reasoning ?? "";
      schedule();
    },
    finish(reason) {
      if (reason === "length") notes.push("Truncated by a length limit.");
      if (reason === "content_filter") notes.push("Stopped by the backend’s content filter.");
    },
    note: (note) => notes.push(note),
    usage(usage, ms) {
      const thinking = usage.completion_tokens_details?.reasoning_tokens ?? 0;
      const extra = thinking ? ` (${short(thinking)} for reasoning)` : "";
      const counts = `${short(usage.prompt_tokens)} in, ${short(usage.completion_tokens)} out${extra}`;
      notes.push(`${counts}, ${elapsed(ms)}`);
    },
    fail(error) {
      const code = error.code ? element("code", {}, error.code) : "";
      const failure = element("p", { class: "failure bad" }, error.message, " ", code);
      following(() => shown.insertBefore(failure, foot));
    },
    end() {
      cancelAnimationFrame(frame);
      following(() => {
        paint();
        foot.classList.remove("waiting");
        foot.textContent = notes.join(" · ");
      });
    },
  };
}

/** Changes what is shown; whoever was at its end stays there, and others are left in peace. */
function following(change) {
  const talk = byId("talk");
  const follows = talk.scrollHeight - talk.scrollTop - talk.clientHeight < 40;
  change();
  if (follows) talk.scrollTop = talk.scrollHeight;
}

/** Makes `node` hold `text`, by adding what is missing where that is enough. */
function grow(node, text) {
  const held = node.firstChild;
  if (held && text.startsWith(held.data)) held.appendData(text.slice(held.data.length));
  else if (text !== "" || held) node.textContent = text;
}
