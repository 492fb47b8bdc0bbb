// Jobs by the clock: what runs when, what became of it, and a new one.

import { button, chip, choice, facts, field, keyed, link, span, when } from "./parts.js";
import { element } from "./prose.js";
import { View } from "./view.js";

const TONES = { ok: "good", error: "bad", skipped: "busy" };

export class Jobs extends View {
  static view = "jobs";
  static title = "Jobs";
  static picture = "jobs";
  static about = "What the agent does by the clock. Each due time runs once, whatever dies.";
  static needs = "cron.list";
  static hears = ["cron"];
  #list = element("ul", { className: "rows" });
  #none = this.nothing("No jobs yet", "Give the agent something to do every morning.");
  #form = new NewJob((job) => this.#add(job));

  constructor(gateway) {
    super(gateway);
    if (gateway.may("admin")) {
      this.tool(button("New job", () => this.#form.toggle(), { picture: "plus", kind: "solid small" }));
    }
    this.body.append(this.#form.root, this.#list, this.#none);
  }

  load() {
    return this.gateway.request("cron.list", { includeDisabled: true, limit: 200 });
  }

  draw({ jobs }) {
    this.#none.hidden = jobs.length > 0;
    keyed(this.#list, jobs, ({ id }) => id, (job) => this.#row(job));
  }

  #row(job) {
    const { id, name, displayName, enabled, schedule, payload, state, delivery } = job;
    const runs = element("div", { className: "inside" });
    const details = element(
      "details",
      {},
      element(
        "summary",
        {},
        element(
          "h3",
          {},
          displayName || name,
          " ",
          state.runningAtMs ? chip("runs now", "busy") : enabled ? "" : chip("off"),
          state.lastRunStatus ? chip(state.lastRunStatus, TONES[state.lastRunStatus]) : "",
        ),
        facts(
          words(schedule),
          state.nextRunAtMs ? element("span", {}, "next ", when(state.nextRunAtMs)) : "",
          state.lastRunAtMs ? element("span", {}, "last ", when(state.lastRunAtMs)) : "",
          delivery?.mode === "announce" ? `to ${delivery.to ? `${delivery.channel} ${delivery.to}` : delivery.channel}` : "",
        ),
      ),
      runs,
    );
    details.querySelector("summary").dataset.name = "open";
    details.addEventListener("toggle", () => details.open && this.#runs(runs, job));
    const row = element("li", { className: "row" }, element("div", { className: "row-main" }, details));
    if (state.lastError) details.before(element("p", { className: "why" }, state.lastError));
    if (this.gateway.may("admin")) row.append(this.#acts(id, displayName || name, enabled, payload.kind));
    return row;
  }

  #acts(id, name, enabled, kind) {
    const run = () =>
      this.attempt(
        () => this.gateway.request("cron.run", { id, mode: "force" }),
        ({ ran, reason }) => (ran ? `“${name}” runs.` : `It does not run: ${reason}.`),
      );
    const flip = () =>
      this.attempt(
        () => this.gateway.request("cron.update", { id, patch: { enabled: !enabled } }),
        enabled ? `“${name}” is off.` : `“${name}” is on.`,
      );
    const remove = async () => {
      const sure = await this.gateway.confirm({
        title: `Remove “${name}”?`,
        text: "It runs no more. What became of its runs is kept for 30 days.",
        yes: "Remove",
      });
      if (sure) await this.attempt(() => this.gateway.request("cron.remove", { id }), `“${name}” was removed.`);
    };
    return element(
      "div",
      { className: "acts" },
      button("Run now", run, { label: `Run ${name} now`, name: "run" }),
      button(enabled ? "Off" : "On", flip, { label: `Switch ${name} ${enabled ? "off" : "on"}`, name: "flip" }),
      kind === "heartbeat" ? "" : button("Remove", remove, { kind: "danger", label: `Remove ${name}`, name: "remove" }),
    );
  }

  async #runs(inside, { id, payload, sessionTarget }) {
    const text = payload.text ?? payload.message ?? "";
    inside.replaceChildren(element("p", { className: "loading" }, "Fetching…"));
    try {
      const { entries } = await this.gateway.request("cron.runs", { id, limit: 20 });
      const rows = entries.map((entry) =>
        element(
          "li",
          {},
          chip(entry.status, TONES[entry.status]),
          when(entry.ts),
          element("span", { className: "soft" }, span(entry.durationMs ?? 0)),
          element("span", { className: "detail", dir: "auto" }, entry.error ?? entry.summary ?? ""),
        ),
      );
      const session = sessionTarget === "main" ? "main" : `cron:job:${id}`;
      inside.replaceChildren(
        text ? element("blockquote", { dir: "auto" }, text) : "",
        payload.kind === "heartbeat" ? "" : link(`Open its session`, { session }, { className: "plain" }),
        rows.length > 0 ? element("ul", { className: "log-lines" }, ...rows) : element("p", { className: "soft" }, "It has not run yet."),
      );
    } catch (error) {
      inside.replaceChildren(element("p", { className: "trouble" }, error.message));
    }
  }

  async #add(job) {
    try {
      const made = await this.gateway.request("cron.add", job);
      const next = made.state?.nextRunAtMs;
      this.gateway.say(`“${made.name}” is made${next ? `; it runs ${new Date(next).toLocaleString()}` : ""}.`);
      this.#form.done();
    } catch (error) {
      this.#form.fail(error.message);
    }
    await this.refresh();
  }
}

/** The form of a new job. */
class NewJob {
  #name = element("input", { required: true, maxLength: 120, autocomplete: "off" });
  #text = element("textarea", { required: true, rows: 3, dir: "auto" });
  #kind = choice([
    ["cron", "By a cron expression"],
    ["every", "Every so often"],
    ["at", "Once"],
  ]);
  #expr = element("input", { value: "0 9 * * 1-5", spellcheck: false, autocapitalize: "off" });
  #zone = element("input", { value: Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC", spellcheck: false });
  #minutes = element("input", { type: "number", min: 1, value: 60 });
  #at = element("input", { type: "datetime-local" });
  #to = element("input", { placeholder: "last, or telegram:123456789", spellcheck: false, autocapitalize: "off" });
  #trouble = element("p", { className: "trouble", role: "alert", hidden: true });
  #on;

  /** `on(params)` gets what `cron.add` takes. */
  constructor(on) {
    this.#on = on;
    this.cron = element(
      "div",
      { className: "pair" },
      field("Expression", this.#expr, "minute hour day month weekday"),
      field("Time zone", this.#zone),
    );
    this.every = field("Minutes between two runs", this.#minutes);
    this.at = field("When", this.#at);
    this.root = element(
      "form",
      { className: "card form", hidden: true, autocomplete: "off" },
      element("h3", {}, "New job"),
      field("Name", this.#name),
      field("What the agent is asked", this.#text),
      field("When it runs", this.#kind),
      this.cron,
      this.every,
      this.at,
      field("Send the answer to", this.#to, "Empty: it stays in the job's session."),
      this.#trouble,
      element(
        "div",
        { className: "acts" },
        element("button", { type: "submit", className: "solid small" }, "Make it"),
        button("Cancel", () => this.toggle()),
      ),
    );
    this.#kind.addEventListener("change", () => this.#fields());
    this.root.addEventListener("submit", (event) => {
      event.preventDefault();
      this.fail("");
      this.#on(this.#job());
    });
    this.#fields();
  }

  toggle() {
    this.root.hidden = !this.root.hidden;
    if (!this.root.hidden) this.#name.focus();
  }

  done() {
    this.root.reset();
    this.#fields();
    this.root.hidden = true;
  }

  fail(why) {
    this.#trouble.textContent = why;
    this.#trouble.hidden = !why;
  }

  #fields() {
    for (const kind of ["cron", "every", "at"]) this[kind].hidden = this.#kind.value !== kind;
  }

  #job() {
    const schedules = {
      cron: () => ({ kind: "cron", expr: this.#expr.value, tz: this.#zone.value.trim() || undefined }),
      every: () => ({ kind: "every", everyMs: Math.round(Number(this.#minutes.value) * 60_000) }),
      at: () => ({ kind: "at", at: this.#at.value ? new Date(this.#at.value).toISOString() : "" }),
    };
    const [channel, ...rest] = this.#to.value.trim().split(":");
    const to = rest.join(":");
    const delivery = channel ? { mode: "announce", channel, ...(to ? { to } : {}) } : { mode: "none" };
    return {
      name: this.#name.value.trim(),
      schedule: schedules[this.#kind.value](),
      sessionTarget: "isolated",
      wakeMode: "now",
      payload: { kind: "agentTurn", message: this.#text.value },
      delivery,
    };
  }
}

/** A schedule for people. */
function words({ kind, at, everyMs, expr, tz }) {
  if (kind === "at") return `once, ${new Date(at).toLocaleString()}`;
  if (kind === "every") return `every ${span(everyMs).replace(/^1 /, "")}`;
  return `${expr}${tz ? ` in ${tz}` : ""}`;
}
