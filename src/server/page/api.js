// Asking the daemon.

/** Of this page alone, and gone with it: kept nowhere but in this variable. */
let key = "";

export function setKey(value) {
  key = value;
}

export const hasKey = () => key !== "";

/** How long the daemon may take for what it knows itself. */
const PATIENCE_MS = 5000;

/** Why there is no answer, in words for people. */
export class Failure extends Error {
  constructor(message, { status = 0, code = null } = {}) {
    super(message);
    this.status = status;
    this.code = code;
  }

  /** Nobody is there. */
  get isSilence() {
    return this.status === 0 && this.code === null;
  }

  get wantsKey() {
    return this.status === 401 && this.code === "invalid_api_key";
  }

  static of(error, status) {
    const { message = "The daemon gave no reason.", code = null } = error ?? {};
    return new Failure(String(message), { status, code });
  }
}

async function ask(path, options) {
  const headers = { ...options.headers };
  if (key) headers.authorization = `Bearer ${key}`;
  let response;
  try {
    response = await fetch(path, {
      ...options,
      headers,
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
    });
  } catch (error) {
    if (options.signal?.aborted && options.signal.reason?.name !== "TimeoutError") throw error;
    throw new Failure("The daemon does not answer.");
  }
  if (response.ok) return response;
  const body = await response.json().catch(() => null);
  throw Failure.of(body?.error, response.status);
}

/** The JSON at `path`. */
export async function get(path, patienceMs = PATIENCE_MS) {
  const response = await ask(path, { signal: AbortSignal.timeout(patienceMs) });
  try {
    return await response.json();
  } catch {
    throw new Failure("The daemon does not answer.");
  }
}

/** The chunks of an answer, as they come. Leaving the loop or the signal cancels the call. */
export async function* answer(request, signal) {
  const response = await ask("/v1/chat/completions", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ ...request, stream: true, stream_options: { include_usage: true } }),
    signal,
  });
  const cut = () => new Failure("The connection was lost before the answer was complete.");
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const read = eventReader();
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error) => {
        throw signal.aborted ? error : cut();
      });
      if (done) throw cut();
      for (const data of read(value)) {
        if (data === "[DONE]") return;
        const chunk = JSON.parse(data);
        if (chunk.error) throw Failure.of(chunk.error, response.status);
        yield chunk;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** Takes a stream in pieces, cut anywhere; gives the data of the events that are whole by then. */
export function eventReader() {
  let rest = "";
  return (piece) => {
    const events = (rest + piece).split(/\r?\n\r?\n/);
    rest = events.pop();
    return events.flatMap((event) => {
      const lines = event.split(/\r?\n/).filter((line) => line.startsWith("data:"));
      return lines.length ? [lines.map((line) => line.slice(5).trimStart()).join("\n")] : [];
    });
  };
}
