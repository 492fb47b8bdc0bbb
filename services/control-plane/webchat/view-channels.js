// Channels: accounts on platforms, whether they stand, and what can be done.

import { button, chip, figure, keyed, when } from "./parts.js";
import { element } from "./prose.js";
import { View } from "./view.js";

const TONES = {
  connected: "good",
  connecting: "busy",
  reconnecting: "busy",
  disconnected: "",
  error: "bad",
  permanently_failed: "bad",
};
const DONE = {
  reconnect: "It connects anew.",
  drain: "The account was given away.",
  resume: "It takes part again.",
};

export class Channels extends View {
  static view = "channels";
  static title = "Channels";
  static picture = "channels";
  static about = "Accounts on platforms: whether each is reached, and since when.";
  static needs = "ops.connections.list";
  static hears = ["health"];
  static everyMs = 10_000;
  #list = element("ul", { className: "cards" });
  #none = this.nothing("No channels yet", "Set up an account in the settings, such as [telegram.main], and start its adapter.");

  constructor(gateway) {
    super(gateway);
    this.body.append(this.#list, this.#none);
  }

  load() {
    return this.gateway.request("ops.connections.list");
  }

  draw({ connections }) {
    this.#none.hidden = connections.length > 0;
    keyed(
      this.#list,
      connections,
      ({ connection }) => `${connection.platform}.${connection.account}`,
      (line) => this.#card(line),
    );
  }

  #card({ connection, code, advice }) {
    const { platform, account, state, displayName, via, sinceMs, received, sent, failed, error, provedAtMs } = connection;
    const drained = error.startsWith("drained");
    const name = account === "main" ? platform : `${platform} / ${account}`;
    const words = drained ? "drained" : state.replaceAll("_", " ");
    const card = element(
      "li",
      { className: "card" },
      element(
        "header",
        {},
        element("h3", {}, name, displayName ? element("span", { className: "soft" }, ` ${displayName}`) : ""),
        chip(words, drained ? "busy" : TONES[state]),
      ),
      element(
        "dl",
        { className: "figures" },
        figure("Heard", received),
        figure("Sent", sent),
        figure("Failed", failed, failed > 0 ? "bad" : ""),
        figure("Since", when(sinceMs)),
        figure("Last proof", when(provedAtMs)),
        figure("Hears by", via || "–"),
      ),
    );
    if (error) {
      const text = [code, error].filter(Boolean).join(": ");
      card.append(element("p", { className: "why" }, text, advice ? element("small", {}, advice) : ""));
    }
    if (this.gateway.may("admin")) {
      const verbs = drained ? ["resume"] : ["reconnect", "drain"];
      card.append(element("div", { className: "acts" }, ...verbs.map((verb) => this.#verb(verb, connection, name))));
    }
    return card;
  }

  #verb(verb, { platform, account }, name) {
    const words = { reconnect: "Reconnect", drain: "Drain", resume: "Resume" }[verb];
    const act = async () => {
      const sure =
        verb !== "drain" ||
        (await this.gateway.confirm({
          title: `Drain ${name}?`,
          text: "This process stops hearing, finishes what it is sending, and gives the account away. If no other process runs it, messages wait until you resume.",
          yes: "Drain",
        }));
      if (!sure) return;
      await this.attempt(() => this.gateway.request(`ops.connections.${verb}`, { platform, account }), DONE[verb]);
    };
    return button(words, act, { label: `${words} ${name}`, name: verb });
  }
}
