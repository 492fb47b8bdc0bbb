// Sends of which nobody knows whether they arrived: a person looks, and says.

import { button, chip, facts, keyed, link, place, when } from "./parts.js";
import { element } from "./prose.js";
import { View } from "./view.js";

export class Unknown extends View {
  static view = "unknown";
  static title = "Unknown sends";
  static picture = "unknown";
  static about = "The line broke in the middle of sending. Look on the platform, then say what you saw: nothing is repeated unasked.";
  static needs = "ops.unknown.list";
  static hears = ["ops.changed:unknown"];
  static everyMs = 15_000;
  #list = element("ul", { className: "rows" });
  #none = this.nothing("Nothing to decide", "Of every message it is known whether it arrived.");

  constructor(gateway) {
    super(gateway);
    this.body.append(this.#list, this.#none);
  }

  load() {
    return this.gateway.request("ops.unknown.list");
  }

  draw({ sends }) {
    this.#none.hidden = sends.length > 0;
    keyed(this.#list, sends, ({ key }) => key, (send) => this.#row(send));
  }

  #row({ key, to, state, atMs, why, code, attempts, chunk, chunks, text, turnId }) {
    const queued = state === "queued";
    const row = element(
      "li",
      { className: "row" },
      element(
        "div",
        { className: "row-main" },
        element("h3", {}, `To ${place(to ?? {})}`, " ", queued ? chip("is sent again", "busy") : chip("unknown", "bad")),
        text ? element("blockquote", { dir: "auto" }, text) : element("p", { className: "soft" }, "The text was too large to keep."),
        facts(
          when(atMs),
          chunks > 1 ? `piece ${chunk + 1} of ${chunks}` : "",
          attempts > 1 ? `${attempts} attempts` : "",
          why,
          code ? chip(code) : "",
          turnId ? link("trace", { view: "trace", about: turnId }) : "",
        ),
      ),
    );
    if (!queued && this.gateway.may("admin")) row.append(this.#acts(key, to, text));
    return row;
  }

  #acts(key, to, text) {
    const settle = (sent, done) => () =>
      this.attempt(() => this.gateway.request("ops.unknown.settle", { key, sent }), done);
    const resend = async () => {
      const sure = await this.gateway.confirm({
        title: "Send it once more?",
        text: `If it did arrive after all, ${place(to ?? {})} gets it twice.`,
        yes: "Send again",
      });
      if (sure) {
        await this.attempt(() => this.gateway.request("ops.unknown.resend", { key }), "It is on its way again.");
      }
    };
    return element(
      "div",
      { className: "acts" },
      button("It arrived", settle(true, "Noted as arrived."), { name: "arrived" }),
      button("It did not", settle(false, "Noted as not sent."), { name: "not" }),
      text ? button("Send again", resend, { kind: "danger", name: "again" }) : "",
    );
  }
}
