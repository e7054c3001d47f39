// What happens when: the start, the key, and looking again every two seconds while somebody can see
// the page.

import { Failure, get, hasKey, setKey } from "./api.js";
import * as chat from "./chat.js";
import { byId, say } from "./dom.js";
import * as figures from "./figures.js";
import { clock, title } from "./format.js";
import * as plot from "./plot.js";
import * as snippets from "./snippets.js";

const EVERY_MS = 2000;
/** The limits change with answers; now and then is enough if there are none. */
const LIMITS_EVERY_MS = 20_000;
/** How long the daemon may take where it may ask the backend. */
const BACKEND_MS = 20_000;

/** What is known of the daemon that answered last. */
const known = {
  startedAt: null,
  version: null,
  seq: 0,
  limitsAt: -Infinity,
  models: false,
  goneSince: null,
  isLocked: null,
};

let timer;
/** The look that is under way. */
let looking = null;

function pulse(state, text) {
  byId("pulse").dataset.state = state;
  say(byId("pulse"), text);
}

/** Looks once, and again after a while. */
function look() {
  clearTimeout(timer);
  if (document.hidden) return;
  looking ??= lookOnce()
    .then(() => {
      known.goneSince = null;
    })
    .catch(missing)
    .finally(() => {
      looking = null;
      if (!document.hidden) timer = setTimeout(look, EVERY_MS);
    });
}

async function lookOnce() {
  const health = await get("/health");
  // The daemon tells strangers that it runs, and no more.
  if (health.version === undefined) {
    lock();
    return;
  }
  unlock();
  showHealth(health);
  const activity = await get(`/v1/activity?after=${known.seq}`);
  if (activity.started_at !== known.startedAt) {
    await meet(activity);
    return;
  }
  showActivity(activity);
}

/** Another daemon than before, or the first one: what was known of that one is of no use. */
async function meet(activity) {
  figures.clearRequests();
  const whole = known.seq === 0 ? activity : await get("/v1/activity?after=0");
  Object.assign(known, { startedAt: whole.started_at, seq: 0, limitsAt: -Infinity, models: false });
  showActivity(whole);
}

function showActivity(activity) {
  const requests = activity.requests.filter(({ seq }) => seq > known.seq);
  figures.addRequests(requests);
  figures.showInFlight(activity.in_flight);
  plot.draw(activity.tokens, activity.now);
  if (requests.length > 0) {
    known.seq = requests.at(-1).seq;
    known.limitsAt = -Infinity;
  }
  // Both may have to wait for the backend, and nothing else is to wait for them.
  if (performance.now() - known.limitsAt >= LIMITS_EVERY_MS) lookAtLimits();
  if (!known.models) lookAtModels();
}

async function lookAtLimits() {
  known.limitsAt = performance.now();
  try {
    const usage = await get("/v1/usage", BACKEND_MS);
    say(byId("plan"), usage.plan ? title(usage.plan) : "not known");
    figures.showLimits(usage);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    // Of a daemon that is gone, what was known last stays, and the next look tells of it.
    if (!error.isSilence && !error.wantsKey) figures.showNoLimits(error.message);
  }
}

async function lookAtModels() {
  known.models = true;
  try {
    const { data } = await get("/v1/models", BACKEND_MS);
    chat.offer(data);
    snippets.fill(data.map(({ id }) => id), hasKey());
  } catch (error) {
    known.models = false;
    if (!(error instanceof Failure)) throw error;
  }
}

function showHealth({ version, credentials, simulated, login_error: loginError }) {
  known.version ??= version;
  const isOther = version !== known.version;
  const login = byId("login");
  login.dataset.state = simulated || credentials ? "good" : "bad";
  if (simulated) say(login, "simulated: answers are not real");
  else if (loginError) say(login, loginError);
  else say(login, credentials ? "signed in" : "not signed in; run codex-proxy login");
  say(byId("version"), isOther ? `${version}; reload this page` : version);
  pulse("good", "Running");
}

function missing(error) {
  if (error.wantsKey) {
    lock();
    return;
  }
  if (!(error instanceof Failure)) {
    pulse("bad", "This page failed; reload it.");
    throw error;
  }
  if (!error.isSilence) {
    pulse("bad", error.message);
    return;
  }
  known.goneSince ??= Date.now() / 1000;
  pulse("bad", `No answer since ${clock(known.goneSince)}; retrying`);
  // It may be another one that comes back.
  known.models = false;
}

/** Shows the form for the key in place of all that needs one. */
function lock() {
  const wasTried = hasKey();
  setKey("");
  if (known.isLocked !== true) {
    known.isLocked = true;
    known.models = false;
    show();
    snippets.fill([], true);
    for (const id of ["login", "plan", "version"]) say(byId(id), "needs a key");
    byId("login").dataset.state = "";
    byId("key").focus();
  }
  pulse("waiting", "Running; API key required");
  if (wasTried) {
    say(byId("locked-error"), "This is not one of the daemon’s keys.");
    byId("key").focus();
  }
}

function unlock() {
  if (known.isLocked === false) return;
  const wasLocked = known.isLocked;
  known.isLocked = false;
  say(byId("locked-error"), "");
  byId("key").value = "";
  show();
  plot.redraw();
  if (wasLocked) byId("prompt").focus();
}

function show() {
  byId("locked").hidden = !known.isLocked;
  for (const section of document.querySelectorAll(".needs-key")) section.hidden = known.isLocked;
}

byId("locked-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const key = byId("key").value.trim();
  // Nothing else can stand in a header.
  if (!/^[\x21-\x7e]+$/.test(key)) {
    say(byId("locked-error"), "A key has no spaces and no special characters.");
    return;
  }
  say(byId("locked-error"), "");
  // Its answer would be taken for one to the key.
  await looking;
  setKey(key);
  look();
});

document.addEventListener("visibilitychange", look);
new ResizeObserver(plot.redraw).observe(byId("plot"));
snippets.start();
chat.start(lock);
look();
