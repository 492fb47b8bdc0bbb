// Sessions: whose context there is, and how much.

import { address, chip, count, facts, keyed, link, number, when } from "./parts.js";
import { element } from "./prose.js";
import { View } from "./view.js";

export class Sessions extends View {
  static view = "sessions";
  static title = "Sessions";
  static picture = "sessions";
  static about = "Every conversation that the agent has a memory of, the one used last first.";
  static needs = "sessions.list";
  static hears = ["sessions.changed", "health"];
  #list = element("ul", { className: "rows" });
  #none = this.nothing("No sessions yet", "A session begins with the first message of a conversation.");
  #filter = element("input", { type: "search", placeholder: "Filter by name", ariaLabel: "Filter sessions" });
  #total = element("p", { className: "soft", role: "status" });

  constructor(gateway) {
    super(gateway);
    this.tool(this.#filter);
    this.#filter.addEventListener("input", () => this.data && this.draw(this.data));
    this.body.append(this.#total, this.#list, this.#none);
  }

  load() {
    return this.gateway.request("sessions.list", { limit: 500 });
  }

  draw({ sessions, totalCount = sessions.length }) {
    const words = this.#filter.value.trim().toLowerCase();
    const found = sessions.filter(({ key, displayName = "" }) => `${key} ${displayName}`.toLowerCase().includes(words));
    this.#none.hidden = sessions.length > 0;
    this.#total.textContent = words ? `${found.length} of ${count(totalCount, "session")}` : count(totalCount, "session");
    this.#total.hidden = sessions.length === 0;
    keyed(this.#list, found, ({ key }) => key, row);
  }
}

function row({ key, displayName, updatedAt, totalTokens = 0, model, kind }) {
  const { title, platform, agent } = read(key);
  return element(
    "li",
    { className: "row" },
    element(
      "div",
      { className: "row-main" },
      element(
        "h3",
        {},
        link(displayName || title, { session: key }, { title: `Open ${key}` }),
        " ",
        chip(platform),
        kind === "group" ? chip("group") : "",
      ),
      facts(
        when(updatedAt),
        agent === "main" ? "" : `agent ${agent}`,
        totalTokens ? `${number(totalTokens)} tokens` : "",
        model,
      ),
    ),
    element(
      "div",
      { className: "acts" },
      element("a", { className: "plain", href: address({ session: key }) }, "Open"),
      element("a", { className: "plain", href: address({ view: "trace", about: key }) }, "Trace"),
    ),
  );
}

/** `agent:main:telegram:dm:5` for people. */
function read(key) {
  const [, agent = "main", rest = key] = /^agent:([^:]+):(.+)$/.exec(key) ?? [];
  const [platform, kind, ...id] = rest.split(":");
  if (id.length > 0) return { agent, platform: platform === "cron" ? "job" : platform, title: `${kind} ${id.join(":")}` };
  return { agent, platform: "chat", title: rest };
}
