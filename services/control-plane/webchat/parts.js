// What the views are built from: rows, chips, times, buttons, lists that keep their nodes.

import { element, icon } from "./prose.js";

/** A small label; `tone`: good, busy, bad or "". A lamp goes with a tone, so that colour alone says nothing. */
export function chip(text, tone = "") {
  const label = element("span", { className: "chip" }, text);
  if (tone) {
    label.dataset.tone = tone;
    label.prepend(element("span", { className: "lamp", ariaHidden: "true" }));
  }
  return label;
}

/** A button that does `act` once at a time; `kind`: plain, solid or danger. */
export function button(text, act, { kind = "plain", picture = "", label = "", name = "", disabled = false } = {}) {
  const node = element("button", { type: "button", className: kind, disabled });
  if (picture) node.append(icon(picture));
  if (text) node.append(element("span", {}, text));
  if (label) node.setAttribute("aria-label", label);
  node.dataset.name = name || text;
  node.addEventListener("click", async () => {
    if (node.getAttribute("aria-busy") === "true") return;
    node.setAttribute("aria-busy", "true");
    try {
      await act(node);
    } finally {
      node.removeAttribute("aria-busy");
    }
  });
  return node;
}

/** A link within the page. */
export function link(text, params, props = {}) {
  return element("a", { href: address(params), ...props }, text);
}

/** The fragment that names a view or a session and what is looked at there. */
export function address(params) {
  return `#${new URLSearchParams(Object.entries(params).filter(([, value]) => value))}`;
}

/** A time, told from now on and kept up to date by `tick`. */
export function when(ms) {
  if (!ms) return element("span", { className: "soft" }, "never");
  const date = new Date(ms);
  const node = element("time", { dateTime: date.toISOString(), title: date.toLocaleString() }, fromNow(ms));
  node.dataset.ms = ms;
  return node;
}

/** Brings the times under `root` up to date. */
export function tick(root) {
  for (const node of root.querySelectorAll("time[data-ms]")) {
    const text = fromNow(Number(node.dataset.ms));
    if (node.textContent !== text) node.textContent = text;
  }
}

export function fromNow(ms, now = Date.now()) {
  const away = Math.abs(ms - now);
  if (away < 5_000) return ms > now ? "in a moment" : "just now";
  const text = span(away);
  return ms > now ? `in ${text}` : `${text} ago`;
}

/** A length of time in its largest unit, or two where the first is small. */
export function span(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} days`;
}

export function bytes(count) {
  if (count < 1024) return `${count} B`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let size = count / 1024;
  while (size >= 1024 && units.length > 1) {
    size /= 1024;
    units.shift();
  }
  return `${size < 10 ? size.toFixed(1) : Math.round(size)} ${units[0]}`;
}

export function number(count) {
  return count.toLocaleString("en");
}

/** "1 letter", "3 letters". */
export function count(n, thing) {
  return `${number(n)} ${thing}${n === 1 ? "" : "s"}`;
}

/** A line of facts with dots between them; empty ones are left out. */
export function facts(...all) {
  const line = element("p", { className: "facts" });
  for (const fact of all) if (fact) line.append(element("span", {}, fact));
  return line;
}

/** Words and value, one below the other. */
export function figure(words, value, tone = "") {
  const node = element(
    "div",
    { className: "figure" },
    element("dt", {}, words),
    element("dd", {}, typeof value === "number" ? number(value) : value),
  );
  if (tone) node.dataset.tone = tone;
  return node;
}

/** Where a message goes or comes from, as a person reads it. */
export function place({ platform = "", account = "", conversation = "", thread = "", title = "" } = {}) {
  const where = title || conversation;
  return [platform, account === "main" ? "" : account, where, thread].filter(Boolean).join(" / ");
}

/**
 * Makes `list` show `items`: a node whose item did not change stays as it is, with whatever is open or chosen in it. A
 * node that is built anew stays open, and gets the keyboard's place back.
 */
export function keyed(list, items, keyOf, build) {
  const old = new Map([...list.children].map((node) => [node.dataset.key, node]));
  const nodes = items.map((item) => {
    const key = String(keyOf(item));
    const text = JSON.stringify(item);
    const known = old.get(key);
    if (known?.shows === text) return known;
    const node = build(item);
    node.dataset.key = key;
    node.shows = text;
    if (known?.querySelector("details")?.open) node.querySelector("details").open = true;
    if (known?.contains(document.activeElement)) {
      const name = document.activeElement.dataset.name;
      queueMicrotask(() => node.querySelector(`[data-name="${CSS.escape(name ?? "")}"]`)?.focus());
    }
    return node;
  });
  const same = nodes.length === list.children.length && nodes.every((node, n) => node === list.children[n]);
  if (!same) list.replaceChildren(...nodes);
}

/** A labelled field of a form. */
export function field(words, input, hint = "") {
  const label = element("label", { className: "entry" }, element("span", {}, words), input);
  if (hint) label.append(element("small", {}, hint));
  return label;
}

/** A choice: [[value, words]]. */
export function choice(options, value = "") {
  const node = element("select", {}, ...options.map(([key, words]) => element("option", { value: key }, words)));
  node.value = value || options[0]?.[0] || "";
  return node;
}
