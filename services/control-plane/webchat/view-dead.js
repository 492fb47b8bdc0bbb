// Dead letters: what was given up, why, and what becomes of it.

import { button, bytes, chip, choice, count, facts, keyed, link, when } from "./parts.js";
import { element } from "./prose.js";
import { View } from "./view.js";

const PAGE = 50;
const STREAMS = [
  ["", "Every stream"],
  ["IN", "IN: from platforms"],
  ["TURN", "TURN: to the agent"],
  ["OUT", "OUT: to platforms"],
  ["LATER", "LATER: for later"],
];

export class Dead extends View {
  static view = "dead";
  static title = "Dead letters";
  static picture = "dead";
  static about = "Messages that were given up, kept whole with the reason. Replay puts one back where it was.";
  static needs = "ops.dead.list";
  static hears = ["ops.changed:dead"];
  static everyMs = 15_000;
  #list = element("ul", { className: "rows" });
  #none = this.nothing("Nothing was given up", "Every message has ended as it should, or was decided about.");
  #stream = choice(STREAMS);
  #reason = element("input", { type: "search", placeholder: "Filter by reason", ariaLabel: "Filter by reason" });
  #bar = element("div", { className: "selection" });
  #all = element("input", { type: "checkbox", ariaLabel: "Choose all that are shown" });
  #chosen = new Set();
  #words = element("span", { role: "status" });
  #more;
  #limit = PAGE;
  #typing = 0;

  constructor(gateway) {
    super(gateway);
    this.#stream.setAttribute("aria-label", "Stream");
    this.tool(this.#stream, this.#reason);
    this.#stream.addEventListener("change", () => this.refresh());
    this.#reason.addEventListener("input", () => {
      clearTimeout(this.#typing);
      this.#typing = setTimeout(() => this.refresh(), 250);
    });
    this.#all.addEventListener("change", () => {
      for (const { sequence } of this.data.letters) {
        if (this.#all.checked) this.#chosen.add(sequence);
        else this.#chosen.delete(sequence);
      }
      for (const box of this.#list.querySelectorAll('input[type="checkbox"]')) box.checked = this.#all.checked;
      this.#count();
    });
    this.#more = button("Show more", () => {
      this.#limit = Math.min(this.#limit + PAGE, 1000);
      return this.refresh();
    });
    this.#bar.append(element("label", {}, this.#all, this.#words));
    if (gateway.may("admin")) {
      this.#bar.append(
        button("Replay", () => this.#decide("replay"), { kind: "solid small", name: "replay-all" }),
        button("Drop", () => this.#decide("drop"), { kind: "danger", name: "drop-all" }),
      );
    }
    this.body.append(this.#bar, this.#list, this.#more, this.#none);
  }

  load() {
    const [stream, reason] = [this.#stream.value, this.#reason.value.trim()];
    return this.gateway.request("ops.dead.list", { stream, reason, limit: this.#limit });
  }

  draw({ letters, total, nextBefore }) {
    const here = new Set(letters.map(({ sequence }) => sequence));
    for (const sequence of this.#chosen) if (!here.has(sequence)) this.#chosen.delete(sequence);
    const filtered = this.#stream.value || this.#reason.value.trim();
    this.#none.hidden = letters.length > 0;
    this.#none.querySelector("h3").textContent = filtered && total > 0 ? "None of this kind" : "Nothing was given up";
    this.#bar.hidden = letters.length === 0;
    this.#more.hidden = !nextBefore || this.#limit >= 1000;
    keyed(this.#list, letters, ({ sequence }) => sequence, (letter) => this.#row(letter));
    const asked = Number(this.params.get("letter"));
    if (asked && here.has(asked)) this.#list.querySelector(`[data-key="${asked}"] details`).open = true;
    this.#count();
  }

  #row({ sequence, stream, reason, code, advice, attempts, replays, traceId, deadAtMs, sizeBytes }) {
    const box = element("input", { type: "checkbox", checked: this.#chosen.has(sequence) });
    box.setAttribute("aria-label", `Choose letter ${sequence}`);
    box.dataset.name = "choose";
    box.addEventListener("change", () => {
      if (box.checked) this.#chosen.add(sequence);
      else this.#chosen.delete(sequence);
      this.#count();
    });
    const inside = element("div", { className: "inside" });
    const details = element(
      "details",
      {},
      element(
        "summary",
        {},
        element("h3", {}, reason || "without a reason"),
        facts(
          when(deadAtMs),
          stream,
          count(attempts, "attempt"),
          replays ? `replayed ${count(replays, "time")}` : "",
          bytes(sizeBytes),
          code ? chip(code) : "",
        ),
      ),
      inside,
    );
    details.querySelector("summary").dataset.name = "open";
    details.addEventListener("toggle", () => details.open && this.#inside(inside, sequence, advice, traceId));
    return element("li", { className: "row" }, box, element("div", { className: "row-main" }, details));
  }

  async #inside(inside, sequence, advice, traceId) {
    if (inside.childElementCount > 0) return;
    inside.append(element("p", { className: "loading" }, "Fetching…"));
    try {
      const { content, subject } = await this.gateway.request("ops.dead.show", { sequence });
      inside.replaceChildren(
        advice ? element("p", { className: "advice" }, advice) : "",
        element("pre", { className: "content", tabIndex: 0 }, content || "It cannot be shown as text."),
        element("p", { className: "mono soft" }, subject),
        element(
          "div",
          { className: "acts" },
          ...(this.gateway.may("admin")
            ? [
                button("Replay this one", () => this.#do("replay", [sequence]), { name: "replay" }),
                button("Drop this one", () => this.#drop([sequence]), { kind: "danger", name: "drop" }),
              ]
            : []),
          traceId ? link("Trace", { view: "trace", about: turnOf(content) }, { className: "plain", hidden: !turnOf(content) }) : "",
        ),
      );
    } catch (error) {
      inside.replaceChildren(element("p", { className: "trouble" }, error.message));
    }
  }

  #count() {
    const shown = this.data?.letters.length ?? 0;
    const chosen = this.#chosen.size;
    const total = this.data?.total ?? 0;
    this.#words.textContent = chosen > 0 ? `${chosen} chosen` : `${count(total, "letter")}${shown < total ? `, ${shown} shown` : ""}`;
    this.#all.checked = chosen > 0 && chosen === shown;
    this.#all.indeterminate = chosen > 0 && chosen < shown;
    for (const node of this.#bar.querySelectorAll("button")) node.disabled = chosen === 0;
  }

  #decide(verb) {
    const sequences = [...this.#chosen];
    return verb === "drop" ? this.#drop(sequences) : this.#do("replay", sequences);
  }

  async #drop(sequences) {
    const sure = await this.gateway.confirm({
      title: `Drop ${count(sequences.length, "letter")}?`,
      text: "What they say is gone for good. Nothing is sent to anybody.",
      yes: "Drop for good",
    });
    if (sure) await this.#do("drop", sequences);
  }

  async #do(verb, sequences) {
    const past = { replay: "Replayed", drop: "Dropped" }[verb];
    await this.attempt(
      () => this.gateway.request(`ops.dead.${verb}`, { sequences }),
      ({ done, failed }) => {
        this.#chosen.clear();
        const bad = failed.length > 0 ? ` ${failed.length} failed: ${failed[0].error}` : "";
        return `${past} ${count(done, "letter")}.${bad}`;
      },
    );
  }
}

/** The turn that a letter is about, as its text names it. */
function turnOf(content) {
  return /\b(?:turn|id)\b[^0-9a-f]{1,4}([0-9a-f]{32})\b/.exec(content)?.[1] ?? "";
}
