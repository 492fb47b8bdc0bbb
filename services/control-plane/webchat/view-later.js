// Messages to platforms, now or later, and what is still to come.

import { newId } from "./device.js";
import { button, choice, count, facts, field, keyed, place, when } from "./parts.js";
import { element } from "./prose.js";
import { View } from "./view.js";

export class Later extends View {
  static view = "later";
  static title = "Send";
  static picture = "later";
  static about = "Write to a conversation on a platform, now or at a time. What is to come is kept by the bus and never early.";
  static needs = "ops.schedules.list";
  static hears = ["ops.changed:schedules", "health"];
  static everyMs = 20_000;
  #list = element("ul", { className: "rows" });
  #head = element("h3", { className: "part" }, "Still to come");
  #none = element("p", { className: "soft" }, "Nothing waits for its time.");
  #account = choice([["", "No account yet"]]);
  #conversation = element("input", { required: true, spellcheck: false, autocapitalize: "off" });
  #text = element("textarea", { required: true, rows: 4, dir: "auto" });
  #at = element("input", { type: "datetime-local" });
  #trouble = element("p", { className: "trouble", role: "alert", hidden: true });
  #submit = element("button", { type: "submit", className: "solid small" }, "Send now");
  // The same until it was taken: a second press sends nothing twice.
  #key = newId();

  constructor(gateway) {
    super(gateway);
    const form = element(
      "form",
      { className: "card form", autocomplete: "off" },
      element(
        "div",
        { className: "pair" },
        field("Account", this.#account),
        field("Conversation", this.#conversation, "The platform's id of it, such as 123456789"),
      ),
      field("Message", this.#text, "Markdown"),
      field("Not before", this.#at, "Empty: now"),
      this.#trouble,
      element("div", { className: "acts" }, this.#submit),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    this.#at.addEventListener("input", () => (this.#submit.textContent = this.#at.value ? "Send then" : "Send now"));
    form.hidden = !gateway.may("write");
    this.body.append(form, this.#head, this.#list, this.#none);
  }

  opened() {
    this.#conversation.value = this.params.get("to") ?? "";
  }

  async load() {
    const [{ schedules, total }, { connections }] = await Promise.all([
      this.gateway.request("ops.schedules.list", { limit: 200 }),
      this.gateway.request("ops.connections.list"),
    ]);
    return { schedules, total, accounts: connections.map(({ connection }) => connection) };
  }

  draw({ schedules, total, accounts }) {
    this.#accounts(accounts);
    this.#head.textContent = total > 0 ? `Still to come: ${count(total, "message")}` : "Still to come";
    this.#none.hidden = total > 0;
    keyed(this.#list, schedules, ({ id }) => id, (schedule) => this.#row(schedule));
  }

  #accounts(accounts) {
    const options = accounts.map(({ platform, account }) => [`${platform}:${account}`, place({ platform, account })]);
    const known = JSON.stringify(options);
    if (this.#account.shows === known) return;
    const chosen = this.#account.value;
    this.#account.shows = known;
    this.#account.replaceChildren(...choice(options.length > 0 ? options : [["", "No account yet"]]).children);
    if (options.some(([value]) => value === chosen)) this.#account.value = chosen;
  }

  #row({ id, atMs, to, text, subject }) {
    const cancel = () =>
      this.attempt(() => this.gateway.request("ops.schedules.cancel", { id }), "It is cancelled; nobody gets it.");
    return element(
      "li",
      { className: "row" },
      element(
        "div",
        { className: "row-main" },
        element("h3", {}, to ? `To ${place(to)}` : subject),
        text ? element("blockquote", { dir: "auto" }, text) : "",
        facts(when(atMs), new Date(atMs).toLocaleString(), element("span", { className: "mono" }, id)),
      ),
      this.gateway.may("write")
        ? element("div", { className: "acts" }, button("Cancel", cancel, { kind: "danger", label: `Cancel ${id}` }))
        : "",
    );
  }

  async #send() {
    const [platform, account] = this.#account.value.split(":");
    const atMs = this.#at.value ? new Date(this.#at.value).getTime() : undefined;
    this.#submit.disabled = true;
    this.#trouble.hidden = true;
    try {
      await this.gateway.request("ops.send", {
        platform,
        account,
        conversation: this.#conversation.value.trim(),
        text: this.#text.value,
        idempotencyKey: this.#key,
        ...(atMs ? { atMs } : {}),
      });
      this.gateway.say(atMs && atMs > Date.now() ? "It goes when it is time." : "It is on its way.");
      this.#key = newId();
      this.#text.value = "";
      this.#at.value = "";
      this.#submit.textContent = "Send now";
    } catch (error) {
      this.#trouble.textContent = error.message;
      this.#trouble.hidden = false;
    }
    this.#submit.disabled = false;
    await this.refresh();
  }
}
