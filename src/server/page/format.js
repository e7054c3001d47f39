// Numbers and times as text.

/** 950, 1.2k, 34k, 1.2M. */
export function short(number) {
  for (const [unit, letter] of [[1e6, "M"], [1e3, "k"]]) {
    // What would be rounded up to the next unit already belongs to it.
    if (number >= unit * 0.9995) {
      const units = number / unit;
      return `${units < 9.95 ? units.toFixed(1).replace(".0", "") : Math.round(units)}${letter}`;
    }
  }
  return String(Math.round(number));
}

/** 312 ms, 2.2 s, 3 min 5 s. */
export function elapsed(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 9950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** The two largest units of a time in seconds: 6 d 2 h, 1 h 48 min, 12 min, less than a minute. */
export function span(seconds) {
  const minutes = Math.round(seconds / 60);
  if (minutes < 1) return "less than a minute";
  const parts = [
    [Math.floor(minutes / 1440), "d"],
    [Math.floor(minutes / 60) % 24, "h"],
    [minutes % 60, "min"],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  const shown = parts.slice(first, first + 2).filter(([count]) => count > 0);
  return shown.map(([count, unit]) => `${count} ${unit}`).join(" ");
}

/** What a limit's window is called. */
export function windowName(minutes, fallback) {
  if (!minutes) return fallback;
  for (const [unit, one, many] of [[1440, "day", "days"], [60, "hour", "hours"]]) {
    if (minutes % unit === 0) {
      const count = minutes / unit;
      return count === 1 ? `1 ${one}` : `${count} ${many}`;
    }
  }
  return `${minutes} minutes`;
}

/** The share of a whole, as 42 %; nothing of nothing is a dash. */
export const share = (part, whole) => (whole > 0 ? `${Math.round((part / whole) * 100)} %` : "–");

const CLOCK = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };

/** The time of day, with seconds. */
export const clock = (seconds) =>
  new Date(seconds * 1000).toLocaleTimeString([], { ...CLOCK, second: "2-digit" });

/** The time of day, without. */
export const hourMinute = (seconds) => new Date(seconds * 1000).toLocaleTimeString([], CLOCK);

/** When something will be: the time of day, with the day unless it is today's. */
export function moment(seconds) {
  const when = new Date(seconds * 1000);
  if (when.toDateString() === new Date().toDateString()) return hourMinute(seconds);
  const day = when.toLocaleDateString([], { weekday: "short", day: "numeric", month: "short" });
  return `${day}, ${hourMinute(seconds)}`;
}

/** A name such as `plus`, as it is written. */
export const title = (name) => name.charAt(0).toUpperCase() + name.slice(1);
