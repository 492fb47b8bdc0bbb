// What all views have in common: a head, the state of what is shown, and looking again without losing one's place.

import { Interrupted } from "./connection.js";
import { button, tick } from "./parts.js";
import { element } from "./prose.js";

const AGAIN_MS = 250;
const TICK_MS = 5_000;

/**
 * A view of the gateway. One that is derived says what it is with `static` fields `view`, `title`, `about`, `needs`
 * (the method without which it shows nothing), `picture`, `hears` (events after which it looks again, as `name` or
 * `name:what`) and `everyMs`; and implements `load()` and `draw(data)`.
 */
export class View {
  static hears = [];
  static everyMs = 0;
  root = element("section", { className: "view" });
  body = element("div", { className: "view-body" });
  tools = element("div", { className: "tools" });
  data = null;
  params = new Map();
  #trouble = element("p", { className: "trouble", role: "alert", hidden: true });
  #loading = element("p", { className: "loading" }, "Fetching…");
  #round = 0;
  #again = 0;
  #timers = [];

  /** `gateway`: { request, serves, may, say, confirm, go }. */
  constructor(gateway) {
    this.gateway = gateway;
    const { title, about } = this.constructor;
    this.heading = element("h2", { tabIndex: -1 }, title);
    const head = element(
      "header",
      { className: "view-head" },
      element("div", {}, this.heading, element("p", { className: "soft" }, about)),
      this.tools,
    );
    this.root.append(head, this.#trouble, this.#loading, this.body);
  }

  /** Shows itself with the `params` of the address. */
  open(params) {
    this.params = params;
    const { everyMs } = this.constructor;
    this.#timers = [setInterval(() => tick(this.body), TICK_MS)];
    if (everyMs) this.#timers.push(setInterval(() => document.hidden || this.refresh(), everyMs));
    this.opened?.();
    this.refresh();
  }

  /** Another view takes its place. */
  close() {
    for (const timer of this.#timers) clearInterval(timer);
    clearTimeout(this.#again);
    this.#round += 1;
    this.closed?.();
  }

  /** The address names other things of the same view. */
  moved(params) {
    this.params = params;
    this.refresh();
  }

  /** Something happened. */
  hear(name, payload) {
    const wanted = this.constructor.hears;
    if (!wanted.includes(name) && !wanted.includes(`${name}:${payload.what}`)) return;
    clearTimeout(this.#again);
    this.#again = setTimeout(() => this.refresh(), AGAIN_MS);
  }

  /** Looks again. What is shown stays until there is something newer. */
  async refresh() {
    const { needs, title } = this.constructor;
    if (!this.gateway.online()) return;
    if (needs && !this.gateway.serves(needs)) {
      this.#say(`This gateway does not serve “${title}” (${needs}).`);
      return;
    }
    this.#round += 1;
    const round = this.#round;
    try {
      const data = await this.load();
      if (round !== this.#round) return;
      this.data = data;
      this.#say("");
      this.draw(data);
    } catch (error) {
      if (round !== this.#round || error instanceof Interrupted) return;
      this.#say(`This could not be loaded: ${error.message}`, true);
    }
  }

  /** A button of the head, above what is shown. */
  tool(...nodes) {
    this.tools.append(...nodes);
  }

  /** Does `act`, says how it went, and looks again. */
  async attempt(act, done) {
    try {
      const result = await act();
      const text = typeof done === "function" ? done(result) : done;
      if (text) this.gateway.say(text);
    } catch (error) {
      this.gateway.say(error.message, "bad");
    }
    await this.refresh();
  }

  /** What is shown where there is nothing to show. */
  nothing(title, text) {
    return element("div", { className: "nothing" }, element("h3", {}, title), element("p", {}, text));
  }

  #say(text, again = false) {
    this.#loading.hidden = true;
    this.#trouble.hidden = !text;
    this.#trouble.replaceChildren(text);
    if (again) this.#trouble.append(" ", button("Try again", () => this.refresh()));
  }
}
