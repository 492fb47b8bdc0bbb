// The way of a message: each step with its time, and what it came to.

import { address, button, chip, facts, keyed, place, span, when } from "./parts.js";
import { element } from "./prose.js";
import { View } from "./view.js";

const ENDS = {
  none: ["on its way", "busy"],
  reply: ["answered", "good"],
  silence: ["silence, stated", ""],
  dead: ["given up", "bad"],
  unsure: ["nobody knows", "bad"],
};
const BAD = ["failed", "dead", "unsure", "refused", "aborted"];

export class Trace extends View {
  static view = "trace";
  static title = "Trace";
  static picture = "trace";
  static about = "Where a message has been, step by step: by its id, its platform's id, its conversation or its session.";
  static needs = "ops.trace";
  #about = element("input", {
    type: "search",
    placeholder: "An id, a conversation, or a session such as telegram:dm:123",
    ariaLabel: "What to trace",
    spellcheck: false,
    autocapitalize: "off",
  });
  #list = element("ol", { className: "walks" });
  #none = this.nothing("Nothing to see yet", "Name a message above. Sessions and dead letters lead here too.");
  #live = element("input", { type: "checkbox" });

  constructor(gateway) {
    super(gateway);
    const form = element("form", { className: "search" }, this.#about, button("Trace", () => this.#ask(), { kind: "solid small" }));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#ask();
    });
    this.body.append(form, element("label", { className: "switch" }, this.#live, " Keep looking"), this.#list, this.#none);
  }

  opened() {
    this.#about.value = this.params.get("about") ?? "";
    this.timer = setInterval(() => this.#live.checked && !document.hidden && this.refresh(), 2_000);
    if (!this.#about.value) this.#about.focus();
  }

  closed() {
    clearInterval(this.timer);
  }

  moved(params) {
    this.#about.value = params.get("about") ?? "";
    super.moved(params);
  }

  #ask() {
    const about = this.#about.value.trim();
    const params = new Map([["about", about]]);
    history.replaceState(null, "", address({ view: "trace", about }));
    return this.moved(params);
  }

  async load() {
    const about = this.params.get("about")?.trim();
    if (!about) return { walks: [], asked: "" };
    // A session as clients spell it is a session of the agent's without the agent's name.
    const known = about.replace(/^agent:[^:]+:(?=[a-z]+:)/, "").replace(/^agent:[^:]+:main$/, "webchat:main");
    return { ...(await this.gateway.request("ops.trace", { about: known, limit: 20 })), asked: about };
  }

  draw({ walks, asked }) {
    this.#none.hidden = walks.length > 0;
    if (asked) {
      this.#none.querySelector("h3").textContent = "Nothing is known of that";
      this.#none.querySelector("p").textContent = "The ledger has never seen it, or it is older than what the ledger keeps.";
    }
    keyed(this.#list, [...walks].reverse(), ({ turnId, steps }) => turnId || steps[0]?.outboundId, walk);
  }
}

function walk({ turnId, agent, sessionKey, from, end, steps }) {
  const [words, tone] = ENDS[end] ?? [end, ""];
  const first = steps[0]?.atMs ?? 0;
  const last = steps.at(-1)?.atMs ?? 0;
  const items = steps.map((step, n) => {
    const since = n > 0 ? step.atMs - steps[n - 1].atMs : 0;
    const item = element(
      "li",
      {},
      element("b", {}, step.name),
      element("span", { className: "soft", title: new Date(step.atMs).toLocaleString() }, n > 0 ? `+${span(Math.max(since, 0))}` : clock(step.atMs)),
      element("span", { className: "detail" }, detail(step)),
    );
    if (BAD.includes(step.name)) item.dataset.tone = "bad";
    if (step.goingOn) item.dataset.tone = "busy";
    return item;
  });
  return element(
    "li",
    { className: "card walk" },
    element(
      "header",
      {},
      element("h3", {}, from ? place(from) : "From an operator", " ", chip(words, tone)),
      element("span", { className: "soft" }, last > first ? span(last - first) : ""),
    ),
    facts(when(first), agent ? `agent ${agent}` : "", sessionKey, element("span", { className: "mono" }, turnId)),
    element("ol", { className: "steps" }, ...items),
  );
}

function detail({ detail: text, chunk, outboundId, platformMessageId, goingOn }) {
  const piece = outboundId && chunk > 0 ? `piece ${chunk + 1}` : "";
  const id = platformMessageId ? `as ${platformMessageId}` : "";
  return [text, piece, id, goingOn ? "now" : ""].filter(Boolean).join(", ");
}

function clock(ms) {
  return new Date(ms).toLocaleTimeString("en-GB");
}
