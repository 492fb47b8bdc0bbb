// The conversation of one session: what was said, what is being answered, what waits to be sent. No DOM, no socket.
//
// An entry is one line of it:
//   key      ours, stable while the page lives (a user entry: its idempotency key)
//   id       the gateway's, once history has shown it
//   role     "user" | "assistant" | "error"
//   state    user: "queued" | "sending" | "sent" | "failed"; assistant: "waiting" | "streaming" | "final" | "aborted"
//   text, at (ms since 1970), runId, note (why it failed, or what the run does just now)

const OPEN = new Set(["queued", "sending", "failed", "waiting", "streaming"]);
const MAX_ENDED_RUNS = 500;

/** What a gateway message says in words: text parts joined, other parts named in brackets, thoughts left out. */
export function textOf(message) {
  const content = message?.content ?? message?.text ?? "";
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  const words = content.map((part) => {
    if (typeof part === "string") return part;
    if (typeof part?.text === "string" && part.type !== "thinking") return part.text;
    return ["image", "audio", "video", "file"].includes(part?.type)
      ? `[${part.type}${part.fileName ? `: ${part.fileName}` : ""}]`
      : "";
  });
  return words.filter(Boolean).join("\n\n");
}

export class Conversation {
  entries = [];
  /** Whether older lines are there, and what to ask for them with. */
  earlier = { more: false, offset: 0 };
  loaded = false;
  #runs = new Map();
  #ended = new Set();
  #doubtful = new Set();
  #changed;

  /** `changed(entry)` is called when the text or state of one entry changed, `changed(null)` when the list did. */
  constructor(changed) {
    this.#changed = changed;
  }

  /** Takes up what was unsent when the page went away. */
  restore(saved) {
    for (const { key, text, at, state } of saved) {
      this.entries.push({
        key,
        id: null,
        role: "user",
        state: state === "failed" ? "failed" : "queued",
        text,
        at,
        runId: key,
        note: "",
      });
    }
    this.#changed(null);
  }

  /** What must survive a reload. */
  unsent() {
    return this.entries
      .filter(({ role, state }) => role === "user" && state !== "sent")
      .map(({ key, text, at, state }) => ({ key, text, at, state }));
  }

  /** Puts `text` in line to be sent. */
  say(key, text, at) {
    const entry = { key, id: null, role: "user", state: "queued", text, at, runId: key, note: "" };
    this.entries.push(entry);
    this.#changed(null);
    return entry;
  }

  nextQueued() {
    return this.entries.find(({ state }) => state === "queued");
  }

  mark(entry, state, note = "") {
    entry.state = state;
    entry.note = note;
    this.#changed(entry);
  }

  remove(entry) {
    this.entries = this.entries.filter((other) => other !== entry);
    this.#changed(null);
  }

  /** Entries of runs that have not ended, oldest first. */
  active() {
    return this.entries.filter(({ state }) => state === "waiting" || state === "streaming");
  }

  /** Waits for the answer of a run; false if it is known to have ended. */
  begin(runId, now) {
    return !this.#ended.has(runId) && Boolean(this.#run(runId, now));
  }

  /** Takes a `chat` event; says whether the run was not ours to expect, and whether it ended. */
  hear(event, now) {
    const { runId, state } = event;
    if (this.#ended.has(runId)) return { foreign: false, ended: false };
    if (this.#doubtful.has(runId) && state === "final" && this.#shows(textOf(event.message))) {
      this.#ended.add(runId);
      return { foreign: false, ended: true };
    }
    const foreign =
      !this.#runs.has(runId) && !this.entries.some((entry) => entry.role === "user" && entry.key === runId);
    const run = this.#run(runId, now);
    run.heardAt = now;
    const late = Number.isInteger(event.seq) && event.seq <= run.seq;
    if (Number.isInteger(event.seq) && !late) run.seq = event.seq;
    if (state === "status" && !late) this.#phase(run.entry, event.phase);
    else if (state === "delta" && !late) this.#grow(run.entry, event);
    else if (state === "final" || state === "aborted" || state === "error") this.#end(run.entry, event, now);
    return { foreign, ended: this.#ended.has(runId) };
  }

  /** Milliseconds since the longest silent run was last heard, 0 if none is active. */
  silence(now) {
    return [...this.#runs.values()].reduce((longest, { heardAt }) => Math.max(longest, now - heardAt), 0);
  }

  /** Waits no longer for any answer; an event of one brings it back. */
  letGo() {
    for (const { entry } of this.#runs.values()) {
      if (entry.text) entry.state = "aborted";
      else this.entries = this.entries.filter((other) => other !== entry);
    }
    this.#runs.clear();
    this.#changed(null);
  }

  /**
   * Merges the newest page of the gateway's history: its lines are the truth and its order is the order. Lines loaded
   * before stay if the page joins them, unsent and unfinished entries stay at the end, nothing appears twice.
   */
  merge({ messages, hasMore, nextOffset, inFlightRun }, now) {
    const before = this.entries;
    const taken = new Set();
    let joined = false;
    const page = rows(messages).map((row) => {
      const old = this.#match(row, before, taken);
      if (!old) return fresh(row);
      taken.add(old);
      joined ||= old.id !== null;
      this.#settle(old, row);
      return old;
    });
    const first = before.findIndex((entry) => taken.has(entry));
    const older = new Set(joined ? before.slice(0, first).filter(({ id }) => id !== null) : []);
    this.entries = [...older, ...page];
    if (older.size === 0) this.earlier = { more: Boolean(hasMore), offset: nextOffset ?? page.length };
    this.loaded = true;
    // What history does not have yet stands behind everything that it stood behind.
    let place = 0;
    for (const entry of before) {
      if (taken.has(entry) || older.has(entry)) place = Math.max(place, this.entries.indexOf(entry) + 1);
      else if (entry.id === null && OPEN.has(entry.state)) this.entries.push(entry);
      else if (entry.id === null) this.entries.splice(place++, 0, entry);
    }
    this.#dropAnswered();
    if (inFlightRun?.runId && this.begin(inFlightRun.runId, now)) {
      const { entry } = this.#runs.get(inFlightRun.runId);
      const text = typeof inFlightRun.text === "string" ? inFlightRun.text : textOf(inFlightRun.message);
      if (text.length > entry.text.length) Object.assign(entry, { text, state: "streaming" });
    }
    this.#changed(null);
  }

  /** Puts an older page before what is shown. */
  prepend({ messages, hasMore, nextOffset }) {
    const known = new Set(this.entries.map(({ id }) => id));
    const page = rows(messages)
      .map(fresh)
      .filter(({ id }) => !known.has(id));
    this.entries = [...page, ...this.entries];
    this.earlier = {
      more: Boolean(hasMore) && rows(messages).length > 0,
      offset: nextOffset ?? this.earlier.offset + rows(messages).length,
    };
    this.#changed(null);
  }

  #run(runId, now) {
    let run = this.#runs.get(runId);
    if (!run) {
      const known = this.entries.find(({ key, id }) => key === `run:${runId}` && id === null);
      const entry = known ?? {
        key: `run:${runId}`,
        id: null,
        role: "assistant",
        state: "waiting",
        text: "",
        at: now,
        runId,
        note: "",
      };
      run = { entry, seq: -1, heardAt: now };
      this.#runs.set(runId, run);
      if (!known) this.entries.push(entry);
      this.#changed(null);
    }
    return run;
  }

  #phase(entry, phase) {
    if (entry.state !== "waiting" || typeof phase !== "string") return;
    entry.note = phase.replaceAll("_", " ");
    this.#changed(entry);
  }

  // The cumulative message wins over the piece: it heals whatever was missed.
  #grow(entry, { message, deltaText = "", replace = false }) {
    const whole = textOf(message);
    entry.text = whole || (replace ? deltaText : entry.text + deltaText);
    entry.note = "";
    if (entry.text) entry.state = "streaming";
    this.#changed(entry);
  }

  #end(entry, { state, message, errorMessage }, now) {
    this.#close(entry);
    const text = textOf(message);
    if (text) entry.text = text;
    entry.at = Number.isFinite(message?.timestamp) ? message.timestamp : now;
    entry.state = state === "final" ? "final" : "aborted";
    entry.note = "";
    const at = this.entries.indexOf(entry);
    const error = {
      key: `${entry.key}:error`,
      id: null,
      role: "error",
      state: "final",
      at: now,
      runId: entry.runId,
      note: "",
    };
    error.text = errorMessage || "The answer failed. Nothing more is known.";
    const rest = state === "error" ? [error] : [];
    // A stop before the first word leaves a trace; a run that had nothing to say leaves none.
    if (entry.text || state === "aborted") rest.unshift(entry);
    this.entries.splice(at, 1, ...rest);
    this.#changed(null);
  }

  #close({ runId }) {
    this.#runs.delete(runId);
    this.#ended.add(runId);
    if (this.#ended.size > MAX_ENDED_RUNS) this.#ended.delete(this.#ended.values().next().value);
  }

  #match(row, before, taken) {
    const free = before.filter((entry) => !taken.has(entry));
    const byId = free.find(({ id }) => id === row.id);
    if (byId) return byId;
    const ours = free.filter(({ id, role }) => id === null && role === row.role);
    if (row.role === "user") {
      const byKey = ours.find(({ key }) => key === row.key);
      return (
        byKey ??
        (row.key ? undefined : ours.find(({ state, text }) => state === "sent" && text.trim() === row.text.trim()))
      );
    }
    return (
      ours.find(({ runId }) => row.runId && runId === row.runId) ??
      ours.find(({ text }) => text.trim() === row.text.trim()) ??
      ours.find(({ state, text }) => state === "streaming" && row.text.startsWith(text))
    );
  }

  #settle(entry, row) {
    if (entry.role === "assistant" && entry.id === null) {
      this.#close(entry);
      if (OPEN.has(entry.state)) entry.state = "final";
    }
    if (entry.role === "user") entry.state = "sent";
    Object.assign(entry, { id: row.id, text: row.text, at: row.at, note: "" });
  }

  #shows(text) {
    return this.entries.some(
      ({ id, role, text: other }) => id !== null && role === "assistant" && other.trim() === text.trim(),
    );
  }

  // A replica that does not know our name for a run calls it by its own. If history has as many answers as lines from
  // ours on, ours has probably ended; if it has not after all, its next event brings it back.
  #dropAnswered() {
    for (const entry of this.active()) {
      const said = this.entries.findIndex(({ role, key, id }) => role === "user" && id !== null && key === entry.runId);
      if (said < 0 || entry.text) continue;
      const after = this.entries.slice(said).filter(({ id }) => id !== null);
      if (2 * after.filter(({ role }) => role === "assistant").length < after.length) continue;
      this.#runs.delete(entry.runId);
      this.#doubtful.add(entry.runId);
      this.entries = this.entries.filter((other) => other !== entry);
    }
  }
}

// Lines of people and agents with words in them; a gateway that gives no ids gets ids made from what it gives.
function rows(messages) {
  const seen = new Map();
  return (Array.isArray(messages) ? messages : []).flatMap((message) => {
    const text = textOf(message);
    if ((message?.role !== "user" && message?.role !== "assistant") || !text) return [];
    const about = message.__openclaw ?? {};
    const at = Number.isFinite(message.timestamp) ? message.timestamp : 0;
    const key = (message.idempotencyKey ?? about.idempotencyKey ?? "").replace(/:user$/, "");
    const name = String(about.id ?? message.id ?? `${message.role}:${at}:${text.slice(0, 80)}`);
    const times = (seen.get(name) ?? 0) + 1;
    seen.set(name, times);
    const id = times > 1 ? `${name}#${times}` : name;
    return [
      { id, role: message.role, text, at, key, runId: about.runId ?? "", aborted: message.stopReason === "aborted" },
    ];
  });
}

function fresh({ id, role, text, at, key, runId, aborted }) {
  const state = role === "user" ? "sent" : aborted ? "aborted" : "final";
  return { key: (role === "user" && key) || id, id, role, state, text, at, runId, note: "" };
}
