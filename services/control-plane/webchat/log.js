// Draws the entries of a conversation and keeps the drawing in step with them.

import { element, icon, showProse } from "./prose.js";

const DAY_MS = 86_400_000;
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const date = new Intl.DateTimeFormat(undefined, { dateStyle: "long" });

const SPEAKER = { user: "You", assistant: "OpenClaw", error: "The gateway" };

export class Log {
  #place;
  #shown = new Map();
  #days = new Map();
  #act;

  /** `act` holds what the buttons of a message do: retry(entry), remove(entry). Keys of the drawing are entry keys. */
  constructor(place, act) {
    this.#place = place;
    this.#act = act;
    place.addEventListener("click", (event) => this.#click(event));
  }

  /** Shows these entries, touching only what differs from what is shown. */
  draw(entries, { online, now }) {
    const waiting = entries.findLast(({ state }) => state === "waiting");
    const speaking = entries.some(({ state }) => state === "streaming");
    const last = entries.findLast(({ state }) => state !== "waiting");
    const wanted = new Set();
    const shown = new Map();
    let day = "";
    for (const entry of entries) {
      if (entry.state === "waiting" && (entry !== waiting || speaking)) continue;
      const today = new Date(entry.at || now).toDateString();
      if (today !== day) wanted.add(this.#dayNode(today, now));
      day = today;
      const view = this.#shown.get(entry.key) ?? this.#messageNode(entry);
      this.#refresh(view, entry, stateOf(entry, online, entry === last));
      shown.set(entry.key, view);
      wanted.add(view.article);
    }
    this.#shown = shown;
    this.#arrange(wanted);
  }

  /** What a screen reader is to say of an entry. */
  spoken({ key }) {
    return this.#shown.get(key)?.body.textContent ?? "";
  }

  #arrange(wanted) {
    for (const node of [...this.#place.children]) if (!wanted.has(node)) node.remove();
    let next = this.#place.firstElementChild;
    for (const node of wanted) {
      if (node === next) next = next.nextElementSibling;
      else this.#place.insertBefore(node, next);
    }
  }

  #dayNode(day, now) {
    let node = this.#days.get(day);
    if (!node) {
      node = element("div", { className: "day" }, element("span"));
      node.setAttribute("role", "separator");
      this.#days.set(day, node);
    }
    const name = dayName(new Date(day), now);
    if (node.firstChild.textContent !== name) {
      node.firstChild.textContent = name;
      node.setAttribute("aria-label", name);
    }
    return node;
  }

  #messageNode(entry) {
    const body = element("div", { className: "body" });
    const time = element("time");
    const state = element("span", { className: "state" });
    const buttons = element("span", { className: "buttons" });
    const meta = element("footer", { className: "meta" }, time, state, buttons);
    const speaker = element("h2", { className: "unseen" }, SPEAKER[entry.role]);
    const mark = entry.role === "assistant" ? [icon("claw", "mark")] : [];
    const article = element("article", { className: `message by-${entry.role}` }, ...mark, speaker, body, meta);
    article.dataset.key = entry.key;
    return { article, body, time, state, buttons, text: null, look: null, at: null };
  }

  #refresh(view, entry, state) {
    view.entry = entry;
    if (view.at !== entry.at) {
      view.at = entry.at;
      const at = new Date(entry.at);
      Object.assign(
        view.time,
        entry.at
          ? { dateTime: at.toISOString(), title: full.format(at), textContent: clock.format(at) }
          : { textContent: "" },
      );
    }
    const look = `${entry.state}|${state}`;
    const changedState = view.look !== look;
    if (view.text !== entry.text || (changedState && !entry.text)) {
      view.text = entry.text;
      if (entry.role === "user") view.body.textContent = entry.text;
      else if (entry.text) showProse(view.body, entry.text);
    }
    if (!changedState) return;
    view.look = look;
    view.article.dataset.state = entry.state;
    view.article.setAttribute("aria-busy", String(entry.state === "waiting" || entry.state === "streaming"));
    if (entry.state === "waiting" && !view.body.firstChild) view.body.append(...typing());
    else if (entry.state !== "waiting") view.body.querySelector(":scope > .typing")?.remove();
    view.state.replaceChildren(...(state ? [state] : []));
    view.buttons.replaceChildren(...buttonsOf(entry));
  }

  async #click({ target }) {
    const button = target.closest("button");
    const key = button?.closest("article")?.dataset.key;
    const entry = this.#shown.get(key)?.entry;
    if (!entry) return;
    if (button.classList.contains("copy-code"))
      copied(button, await copy(button.closest("figure").querySelector("code").textContent));
    else if (button.dataset.act === "copy") copied(button, await copy(entry.text));
    else this.#act[button.dataset.act]?.(entry);
  }
}

function stateOf({ role, state, note }, online, last) {
  if (role === "user") {
    if (state === "queued") return online ? "Sending…" : "Waiting for the connection";
    if (state === "sending") return "Sending…";
    if (state === "failed") return note || "Not sent";
    return last ? "Sent" : "";
  }
  if (state === "waiting") return note ? `${note}…` : "";
  return state === "aborted" ? "Stopped" : "";
}

function buttonsOf({ role, state, text }) {
  if (state === "failed") {
    return [button("retry", "retry", "Try again", true), button("remove", "close", "Remove", true)];
  }
  return text && role !== "error" && state !== "streaming" ? [button("copy", "copy", "Copy message", false)] : [];
}

function button(act, picture, label, worded) {
  const node = element(
    "button",
    { type: "button", className: "quiet", title: label },
    icon(picture),
    element("span", { className: worded ? "" : "unseen" }, label),
  );
  node.dataset.act = act;
  return node;
}

function typing() {
  const jaws = element(
    "span",
    { className: "typing" },
    icon("jaw-upper"),
    icon("jaw-lower"),
    element("span", { className: "unseen" }, "OpenClaw is thinking"),
  );
  return [jaws];
}

function dayName(day, now) {
  const days = Math.round((new Date(now).setHours(0, 0, 0, 0) - day.getTime()) / DAY_MS);
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  return days > 1 && days < 180 ? weekday.format(day) : date.format(day);
}

// Outside secure contexts there is no clipboard object, but the old command still works.
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const focused = document.activeElement;
    const area = element("textarea", { value: text, className: "unseen" });
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    focused?.focus();
    return done;
  }
}

function copied(button, done) {
  const label = button.querySelector("span");
  const [before, shown] = [label.textContent, button.querySelector("svg")];
  if (button.dataset.copied) return;
  button.dataset.copied = done ? "yes" : "no";
  label.textContent = done ? "Copied" : "Could not copy";
  if (done) shown.replaceWith(icon("check"));
  setTimeout(() => {
    delete button.dataset.copied;
    label.textContent = before;
    button.querySelector("svg").replaceWith(shown);
  }, 1600);
}
