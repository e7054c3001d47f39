// The tokens of the last hours, drawn.

import { byId, element, say, shape } from "./dom.js";
import { hourMinute, share, short } from "./format.js";

const BUCKET = 5 * 60;
const COUNT = 72;

/** Where things stand, from the top. */
const TOP = 8;
const BARS = 110;
const GAP = 26;
const CACHE = 36;
const BOTTOM = 22;
const LEFT = 44;
const HEIGHT = TOP + BARS + GAP + CACHE + BOTTOM;

/** What was drawn last; it is drawn again in another width. */
let last = { buckets: [], now: 0 };
let drawn = "";

/** All buckets up to `now`, those without requests too, oldest first. */
export function spread(tokens, now) {
  const end = (Math.floor(now / BUCKET) + 1) * BUCKET;
  const start = end - COUNT * BUCKET;
  const buckets = Array.from({ length: COUNT }, (_, index) => ({
    at: start + index * BUCKET,
    input: 0,
    cached: 0,
    output: 0,
    requests: 0,
  }));
  for (const each of tokens) {
    const bucket = buckets[Math.floor((each.at - start) / BUCKET)];
    if (!bucket) continue;
    for (const name of ["input", "cached", "output", "requests"]) bucket[name] += each[name];
  }
  return buckets;
}

/** The sums of some buckets. */
export function sum(buckets) {
  const total = { input: 0, cached: 0, output: 0, requests: 0 };
  for (const bucket of buckets) for (const name in total) total[name] += bucket[name];
  return total;
}

/** The least number with one digit and zeros that is not below and has a round half. */
export function ceiling(number) {
  const power = 10 ** Math.floor(Math.log10(Math.max(number, 10)));
  return [1, 2, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((round) => round >= number);
}

/** Draws what `/v1/activity` says, in text too. */
export function draw(tokens, now) {
  last = { buckets: spread(tokens, now), now };
  redraw();
  const { input, cached, output, requests } = sum(last.buckets);
  say(
    byId("plot-text"),
    requests === 0
      ? "No requests in the last 6 hours."
      : `${requests} ${requests === 1 ? "request" : "requests"}: ${short(input)} tokens in, ` +
          `${share(cached, input)} of them from the cache, and ${short(output)} out.`,
  );
  table();
}

function table() {
  const rows = [];
  for (let from = 0; from < COUNT; from += 12) {
    const { input, cached, output, requests } = sum(last.buckets.slice(from, from + 12));
    const cells = [short(input), share(cached, input), short(output), String(requests)];
    const row = element("tr", {}, element("th", { scope: "row" }, hourMinute(last.buckets[from].at)));
    row.append(...cells.map((text) => element("td", {}, text)));
    rows.push(row);
  }
  byId("plot-table").tBodies[0].replaceChildren(...rows);
}

/** Draws again as wide as there is room, if anything would be different. */
export function redraw() {
  const room = byId("plot");
  const width = Math.floor(room.clientWidth);
  const content = JSON.stringify([width, last.buckets]);
  if (width < 100 || last.now === 0 || content === drawn) return;
  drawn = content;
  room.replaceChildren(picture(last.buckets, width));
}

function picture(buckets, width) {
  const svg = shape("svg", {
    role: "img",
    "aria-labelledby": "tokens-title plot-text",
    width,
    height: HEIGHT,
    viewBox: `0 0 ${width} ${HEIGHT}`,
  });
  const step = (width - LEFT - 1) / COUNT;
  const bar = Math.max(1, step - 1);
  const most = ceiling(Math.max(...buckets.map(({ input, output }) => input + output)));
  const floor = TOP + BARS;
  for (const part of [0, 0.5, 1]) {
    const y = floor - part * BARS;
    svg.append(rule(y, width), label(LEFT - 6, y + 4, "end", short(part * most)));
  }
  const ground = floor + GAP + CACHE;
  svg.append(
    rule(ground - CACHE, width),
    rule(ground, width),
    label(LEFT - 6, ground - CACHE + 4, "end", "100 %"),
    label(LEFT - 6, ground + 4, "end", "0"),
    label(LEFT, ground - CACHE - 6, "start", "share of the input from the cache"),
  );
  buckets.forEach(({ input, cached, output }, index) => {
    const x = LEFT + index * step;
    let y = floor;
    for (const [kind, count] of [["cached", cached], ["fresh", input - cached], ["out", output]]) {
      if (count <= 0) continue;
      // However little it is, it is to be seen.
      const height = Math.max(1, (count / most) * BARS);
      y -= height;
      svg.append(shape("rect", { class: kind, x, y, width: bar, height }));
    }
    if (input > 0) {
      const height = Math.max(1, (cached / input) * CACHE);
      svg.append(shape("rect", { class: "cached", x, y: ground - height, width: bar, height }));
    }
    // Whole hours of the clock; few of them where there is little room.
    const hours = width < 420 ? 2 : 1;
    const when = new Date(buckets[index].at * 1000);
    if (when.getMinutes() === 0 && when.getHours() % hours === 0 && x < width - 18) {
      svg.append(
        shape("line", { class: "tick", x1: x, x2: x, y1: ground, y2: ground + 4 }),
        label(x, ground + 18, index < 3 ? "start" : "middle", hourMinute(buckets[index].at)),
      );
    }
  });
  return svg;
}

const rule = (y, width) => shape("line", { class: "rule", x1: LEFT, x2: width, y1: y, y2: y });

const label = (x, y, anchor, text) => shape("text", { x, y, "text-anchor": anchor }, text);
