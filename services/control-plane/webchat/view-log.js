// The gateway's log as it is written.

import { button, choice } from "./parts.js";
import { element } from "./prose.js";
import { View } from "./view.js";

const MOST_LINES = 2000;
const LEVELS = ["trace", "debug", "info", "warn", "error"];

export class Log extends View {
  static view = "log";
  static title = "Log";
  static picture = "log";
  static about = "What the gateway writes down as it works. Never what people say.";
  static needs = "logs.tail";
  static everyMs = 1_500;
  #lines = element("ol", { className: "tail", tabIndex: 0, ariaLabel: "Log lines" });
  #filter = element("input", { type: "search", placeholder: "Filter", ariaLabel: "Filter the log" });
  #level = choice([
    ["info", "info and worse"],
    ["debug", "everything"],
    ["warn", "warn and worse"],
    ["error", "errors"],
  ]);
  #pause;
  #paused = false;
  #cursor = undefined;
  #pinned = true;

  constructor(gateway) {
    super(gateway);
    this.root.classList.add("tall");
    this.#level.setAttribute("aria-label", "Level");
    this.#pause = button("Pause", () => {
      this.#paused = !this.#paused;
      this.#pause.querySelector("span").textContent = this.#paused ? "Go on" : "Pause";
      if (!this.#paused) return this.refresh();
    });
    this.tool(this.#level, this.#filter, this.#pause);
    this.#level.addEventListener("change", () => this.#sift());
    this.#filter.addEventListener("input", () => this.#sift());
    this.#lines.addEventListener("scroll", () => {
      const { scrollTop, scrollHeight, clientHeight } = this.#lines;
      this.#pinned = scrollHeight - scrollTop - clientHeight < 40;
    });
    this.body.append(this.#lines);
  }

  load() {
    if (this.#paused) return { lines: [] };
    const params = this.#cursor === undefined ? { limit: 500 } : { cursor: this.#cursor, limit: 1000 };
    return this.gateway.request("logs.tail", params);
  }

  draw({ lines, cursor, reset }) {
    if (cursor !== undefined) this.#cursor = cursor;
    if (reset) this.#lines.replaceChildren();
    if (lines.length === 0) return;
    const nodes = lines.map(shown);
    for (const node of nodes) node.hidden = !this.#wants(node);
    this.#lines.append(...nodes);
    while (this.#lines.childElementCount > MOST_LINES) this.#lines.firstElementChild.remove();
    if (this.#pinned) this.#lines.scrollTop = this.#lines.scrollHeight;
  }

  #sift() {
    for (const node of this.#lines.children) node.hidden = !this.#wants(node);
    this.#lines.scrollTop = this.#lines.scrollHeight;
  }

  #wants(node) {
    const loud = LEVELS.indexOf(node.dataset.level) >= LEVELS.indexOf(this.#level.value);
    return loud && node.textContent.toLowerCase().includes(this.#filter.value.trim().toLowerCase());
  }
}

/** A line: JSON as the gateway writes it, or whatever it is. */
function shown(line) {
  let read;
  try {
    read = JSON.parse(line);
  } catch {
    const node = element("li", {}, element("span", { className: "detail" }, line));
    node.dataset.level = LEVELS.find((level) => new RegExp(`\\b${level}\\b`, "i").test(line.slice(0, 60))) ?? "info";
    return node;
  }
  const { timestamp = "", level = "INFO", target = "", fields = {}, message = fields.message ?? "" } = read;
  const rest = Object.entries(fields).filter(([name]) => name !== "message");
  const node = element(
    "li",
    {},
    element("time", { dateTime: timestamp }, new Date(timestamp).toLocaleTimeString()),
    element("b", {}, level.toLowerCase()),
    element("span", { className: "detail" }, message),
    element("span", { className: "soft" }, [target, ...rest.map(([name, value]) => `${name}=${value}`)].join(" ")),
  );
  node.dataset.level = level.toLowerCase();
  return node;
}
