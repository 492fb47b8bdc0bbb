// The views beside the chat: which there are, which one the address names, and what of them needs a person.

import { element, icon } from "./prose.js";
import { address } from "./parts.js";
import { Channels } from "./view-channels.js";
import { Dead } from "./view-dead.js";
import { Jobs } from "./view-jobs.js";
import { Later } from "./view-later.js";
import { Log } from "./view-log.js";
import { Pairing } from "./view-pairing.js";
import { Queues } from "./view-queues.js";
import { Sessions } from "./view-sessions.js";
import { Trace } from "./view-trace.js";
import { Unknown } from "./view-unknown.js";

const GROUPS = [
  ["Talk", [Sessions, Later, Jobs]],
  ["Traffic", [Channels, Queues, Trace]],
  ["Decide", [Pairing, Dead, Unknown]],
  ["Look inside", [Log]],
];
const ALL = GROUPS.flatMap(([, views]) => views);
const BADGE_MS = 400;
const SAID_MS = 7_000;

export class Views {
  #connection;
  #nav;
  #frame;
  #said;
  #dialog;
  #links = new Map();
  #open = null;
  #counting = 0;
  #silence = 0;
  #shown = "";
  #params = new URLSearchParams();
  // What the gateway has granted; "" before it has greeted. Views are made for it.
  #granted = "";

  /** `on`: { shown(name) }, called with the view that takes the chat's place, or "" for the chat. */
  constructor(page, connection, on) {
    this.#connection = connection;
    this.#nav = page.querySelector("#nav");
    this.#frame = page.querySelector("#view");
    this.#said = page.querySelector("#said");
    this.#dialog = page.querySelector("#confirm");
    this.on = on;
    this.#build();
    this.#dialog.querySelector("#confirm-no").addEventListener("click", () => this.#dialog.close("no"));
    this.#dialog.querySelector("#confirm-yes").addEventListener("click", () => this.#dialog.close("yes"));
    addEventListener("keydown", (event) => this.#key(event));
  }

  /** Shows what the address names; "" is the chat. */
  show(params) {
    this.#params = params;
    const name = params.get("view") ?? "";
    const View = ALL.find((view) => view.view === name);
    if (View && this.#open instanceof View) this.#open.moved(params);
    else {
      this.#open?.close();
      this.#open = View && this.#granted ? new View(this) : null;
      this.#frame.replaceChildren(...(this.#open ? [this.#open.root] : []));
      this.#frame.scrollTop = 0;
      this.#open?.open(params);
    }
    this.#shown = View ? name : "";
    for (const [view, link] of this.#links) {
      if (view === this.#shown) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    if (this.#nav.matches(":popover-open")) {
      this.#nav.hidePopover();
      this.#open?.heading.focus({ preventScroll: true });
    }
    this.on.shown(View ? View.title : "");
  }

  /** The line to the gateway stands. */
  greeted() {
    for (const View of ALL) {
      this.#links.get(View.view).parentElement.hidden = Boolean(View.needs) && !this.serves(View.needs);
    }
    for (const group of this.#nav.querySelectorAll("ul")) {
      group.parentElement.hidden = [...group.children].every((entry) => entry.hidden);
    }
    const { auth = {}, features = {} } = this.#connection.hello;
    const granted = `may ${auth.scopes} do ${features.methods?.length}`;
    if (granted === this.#granted) this.#open?.refresh();
    else {
      this.#granted = granted;
      this.#open?.close();
      this.#open = null;
      this.show(this.#params);
    }
    this.#countSoon();
  }

  /** The gateway tells something. */
  hear(name, payload) {
    this.#open?.hear(name, payload);
    if (["ops.changed", "health", "device.pair.requested", "device.pair.resolved"].includes(name)) this.#countSoon();
  }

  // What views ask of the page.

  request(method, params = {}) {
    return this.#connection.request(method, params);
  }

  online() {
    return this.#connection.state.name === "online";
  }

  serves(method) {
    return this.#connection.hello?.features?.methods?.includes(method) ?? true;
  }

  /** Whether this page was granted `scope`, such as "admin". */
  may(scope) {
    const granted = this.#connection.hello?.auth?.scopes ?? [];
    return granted.includes("operator.admin") || granted.includes(`operator.${scope}`);
  }

  go(params) {
    location.hash = address(params);
  }

  /** Says how something went, for eyes and for screen readers. */
  say(text, tone = "good") {
    this.#said.dataset.tone = tone;
    this.#said.textContent = text;
    this.#said.hidden = false;
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => (this.#said.hidden = true), SAID_MS + 40 * text.length);
  }

  /** Asks before what cannot be undone; true for yes. */
  confirm({ title, text, yes }) {
    this.#dialog.querySelector("h2").textContent = title;
    this.#dialog.querySelector("p").textContent = text;
    this.#dialog.querySelector("#confirm-yes").textContent = yes;
    this.#dialog.returnValue = "no";
    this.#dialog.showModal();
    return new Promise((resolve) => {
      this.#dialog.addEventListener("close", () => resolve(this.#dialog.returnValue === "yes"), { once: true });
    });
  }

  #build() {
    const entry = (view, title, picture, href) => {
      const link = element("a", { href }, icon(picture), element("span", {}, title));
      link.append(element("b", { className: "badge", hidden: true }));
      this.#links.set(view, link);
      return element("li", {}, link);
    };
    const chat = element("section", {}, element("ul", {}, entry("", "Chat", "chat", "#")));
    const groups = GROUPS.map(([name, views]) =>
      element(
        "section",
        {},
        element("h3", {}, name),
        element("ul", {}, ...views.map((it) => entry(it.view, it.title, it.picture, address({ view: it.view })))),
      ),
    );
    this.#nav.replaceChildren(chat, ...groups);
  }

  // `r` looks again, `/` goes to the filter: keys for whoever lives here, unless they are writing.
  #key(event) {
    const writing = event.target.closest?.("input, textarea, select, [contenteditable]");
    if (!this.#open || writing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "r") this.#open.refresh();
    else if (event.key === "/") {
      event.preventDefault();
      this.#open.root.querySelector('input[type="search"]')?.focus();
    }
  }

  #countSoon() {
    clearTimeout(this.#counting);
    this.#counting = setTimeout(() => this.#count(), BADGE_MS);
  }

  // How much of each view waits for a person.
  async #count() {
    const counts = [
      ["dead", "ops.dead.list", { limit: 1 }, ({ total }) => total],
      ["unknown", "ops.unknown.list", {}, ({ sends }) => sends.filter(({ state }) => state === "unknown").length],
      ["pairing", "ops.people.list", {}, ({ pending }) => pending.length],
      ["pairing", "device.pair.list", {}, ({ pending }) => pending?.length ?? 0],
      ["channels", "ops.connections.list", {}, ({ connections }) => connections.filter(({ code }) => code).length],
    ];
    const totals = new Map();
    await Promise.all(
      counts.map(async ([view, method, params, of]) => {
        if (!this.online() || !this.serves(method)) return;
        try {
          const n = of(await this.request(method, params));
          totals.set(view, (totals.get(view) ?? 0) + n);
        } catch {
          // The view itself says what is wrong.
        }
      }),
    );
    for (const [view, n] of totals) this.#badge(view, n);
    const all = [...totals.values()].reduce((sum, n) => sum + n, 0);
    document.body.classList.toggle("waits", all > 0);
  }

  #badge(view, n) {
    const link = this.#links.get(view);
    const badge = link.querySelector(".badge");
    badge.hidden = n === 0;
    badge.textContent = n > 999 ? "999+" : String(n);
    const title = link.querySelector("span").textContent;
    if (n > 0) link.setAttribute("aria-label", `${title}, ${n} to decide`);
    else link.removeAttribute("aria-label");
  }
}
