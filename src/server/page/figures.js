// The plan's limits and the last requests.

import { byId, element, say } from "./dom.js";
import { clock, elapsed, moment, share, short, span, title, windowName } from "./format.js";

/** From so many per cent on, and what is then said besides the colour. */
const LEVELS = [
  [100, "bad", "used up"],
  [95, "bad", "nearly used up"],
  [80, "warn", "running low"],
];

/** Shows what `/v1/usage` says. */
export function showLimits({ limits, credits, updated_at: updatedAt }) {
  const rows = limits.map(limit);
  if (credits) {
    const text = creditsText(credits);
    if (text) rows.push(element("p", { class: "credits" }, text));
  }
  if (rows.length === 0) {
    const text = "Not known yet: the backend reports them with its answers.";
    rows.push(element("p", { class: "empty" }, text));
  }
  byId("limits-body").replaceChildren(...rows);
  say(byId("limits-note"), updatedAt ? `as of ${clock(updatedAt)}` : "");
}

/** Shows why the limits are not known. */
export function showNoLimits(message) {
  byId("limits-body").replaceChildren(element("p", { class: "bad" }, message));
  say(byId("limits-note"), "");
}

function creditsText({ has_credits: hasCredits, unlimited, balance }) {
  if (unlimited) return "Credits: unlimited";
  return hasCredits && balance ? `Credits: ${balance}` : "";
}

function limit(each) {
  const length = windowName(each.window_minutes, title(each.window));
  const name = each.name ?? (each.id === "codex" ? null : each.id);
  const heading = name ? `${name}, ${length}` : length;
  const used = Math.min(100, Math.max(0, each.used_percent));
  const [, level, word] = LEVELS.find(([from]) => used >= from) ?? [0, "fine", ""];
  const percent = `${Math.round(used)} %`;
  const fill = element("div", { class: "fill" });
  // Not an attribute: the page's policy allows no styles in markup.
  fill.style.width = `${used}%`;
  const text = word ? `${percent} used, ${word}` : `${percent} used`;
  return element(
    "div",
    { class: `limit ${level}` },
    element("p", { class: "what" }, element("span", {}, heading), element("strong", {}, text)),
    element(
      "div",
      {
        class: "bar",
        role: "meter",
        "aria-label": heading,
        "aria-valuemin": 0,
        "aria-valuemax": 100,
        "aria-valuenow": Math.round(used),
        "aria-valuetext": text,
      },
      fill,
    ),
    element("p", { class: "when" }, resetText(each)),
  );
}

function resetText({ resets_at: at, resets_in_seconds: left }) {
  if (left !== null && left !== undefined && left <= 0) return "has been reset since";
  const when = at ?? (left ? Date.now() / 1000 + left : null);
  if (when === null) return "";
  const remaining = left ?? when - Date.now() / 1000;
  return remaining > 0 ? `resets in ${span(remaining)}, ${moment(when)}` : "has been reset since";
}

const MAX_ROWS = 50;

/** Adds requests that have ended, oldest first, to those shown. */
export function addRequests(requests) {
  const body = byId("requests-table").tBodies[0];
  for (const request of requests) body.prepend(row(request));
  while (body.rows.length > MAX_ROWS) body.rows[body.rows.length - 1].remove();
  byId("requests-table").hidden = body.rows.length === 0;
  byId("requests-empty").hidden = body.rows.length > 0;
}

/** Forgets those shown: the daemon that had them is gone. */
export function clearRequests() {
  byId("requests-table").tBodies[0].replaceChildren();
  addRequests([]);
}

/** Says how many requests have not ended yet. */
export function showInFlight(count) {
  say(byId("requests-note"), count > 0 ? `${count} in progress` : "");
}

const OUTCOMES = { answered: "answered", failed: "failed", cancelled: "cancelled" };

function row(request) {
  const outcome = OUTCOMES[request.outcome] ?? String(request.outcome);
  const why = request.outcome === "failed" ? (request.error ?? request.status) : null;
  const how = request.stream ? "streamed" : "not streamed";
  const out = request.tokens_reasoning
    ? `${short(request.tokens_reasoning)} of them for reasoning`
    : null;
  const cells = [
    ["when", clock(request.at)],
    ["model", request.model || "–", how],
    ["outcome", why === null ? outcome : `${outcome}: ${why}`],
    ["number first", request.first_chunk_ms === null ? "–" : elapsed(request.first_chunk_ms)],
    ["number total", elapsed(request.total_ms)],
    ["number in", short(request.tokens_in)],
    ["number cached", share(request.tokens_cached, request.tokens_in)],
    ["number out", short(request.tokens_out), out],
    ["continuity", String(request.continuity)],
  ];
  return element(
    "tr",
    { role: "row", class: OUTCOMES[request.outcome] ?? "failed", title: request.id },
    ...cells.map(([kind, text, hint]) =>
      element("td", { role: "cell", class: kind, title: hint }, text),
    ),
  );
}
