// Pairing: people on platforms and devices that ask to be let in.

import { button, chip, facts, keyed, place, when } from "./parts.js";
import { element } from "./prose.js";
import { View } from "./view.js";

export class Pairing extends View {
  static view = "pairing";
  static title = "Pairing";
  static picture = "pairing";
  static about = "Who asks to be let in. Nobody is, until you say so.";
  static needs = "ops.people.list";
  static hears = ["ops.changed:people", "device.pair.requested", "device.pair.resolved", "device.pair.changed"];
  static everyMs = 20_000;
  #asking = element("ul", { className: "rows" });
  #people = element("ul", { className: "rows" });
  #devices = element("ul", { className: "rows" });
  #none = this.nothing("Nobody asks", "A stranger who writes to an account of yours gets a code, and stands here for an hour.");
  #peopleHead = element("h3", { className: "part" });
  #devicesHead = element("h3", { className: "part" });

  constructor(gateway) {
    super(gateway);
    this.body.append(
      element("h3", { className: "part" }, "Waiting for you"),
      this.#asking,
      this.#none,
      this.#devicesHead,
      this.#devices,
      this.#peopleHead,
      this.#people,
    );
  }

  async load() {
    const people = await this.gateway.request("ops.people.list");
    const devices = this.gateway.serves("device.pair.list") ? await this.gateway.request("device.pair.list") : {};
    return { people, devices: { pending: devices.pending ?? [], paired: devices.paired ?? [] } };
  }

  draw({ people, devices }) {
    const asking = [
      ...devices.pending.map((device) => ({ device })),
      ...people.pending.map((person) => ({ person })),
    ];
    this.#none.hidden = asking.length > 0;
    keyed(
      this.#asking,
      asking,
      ({ device, person }) => device?.requestId ?? person.code,
      ({ device, person }) => (device ? this.#deviceAsks(device) : this.#personAsks(person)),
    );
    this.#devicesHead.textContent = `Devices that may connect (${devices.paired.length})`;
    this.#devicesHead.hidden = devices.paired.length === 0;
    keyed(this.#devices, devices.paired, ({ deviceId }) => deviceId, (device) => this.#paired(device));
    this.#peopleHead.textContent = `People who were let in (${people.approved.length})`;
    this.#peopleHead.hidden = people.approved.length === 0;
    const newest = [...people.approved].sort((a, b) => b.decidedAtMs - a.decidedAtMs);
    keyed(this.#people, newest, ({ platform, account, senderId }) => `${platform}.${account}.${senderId}`, approved);
  }

  #personAsks({ code, platform, account, senderId, senderName, askedAtMs, expiresAtMs }) {
    const name = senderName || senderId;
    const decide = (verb, done) => () => this.attempt(() => this.gateway.request(`ops.people.${verb}`, { code }), done);
    return element(
      "li",
      { className: "row" },
      element(
        "div",
        { className: "row-main" },
        element("h3", {}, name, " ", chip("person"), " ", element("code", {}, code)),
        facts(`${place({ platform, account })} ${senderId}`, span("asked ", when(askedAtMs)), span("ends ", when(expiresAtMs))),
        element("p", { className: "soft" }, "Let in only who told you this code."),
      ),
      this.#decision(name, decide("approve", `${name} was let in.`), decide("reject", `${name} was not let in.`)),
    );
  }

  #deviceAsks(device) {
    const { requestId, deviceId = "", displayName, platform, role, roles, scopes = [], remoteIp, ts } = device;
    const name = displayName || deviceId.slice(0, 12);
    const decide = (verb, done) => () =>
      this.attempt(() => this.gateway.request(`device.pair.${verb}`, { requestId }), done);
    return element(
      "li",
      { className: "row" },
      element(
        "div",
        { className: "row-main" },
        element("h3", {}, name, " ", chip(role ?? roles?.join(", ") ?? "device")),
        facts(platform, remoteIp, ts ? span("asked ", when(ts)) : "", element("span", { className: "mono" }, deviceId.slice(0, 16))),
        scopes.length > 0 ? element("p", { className: "soft" }, `Wants: ${scopes.map(short).join(", ")}`) : "",
      ),
      this.#decision(name, decide("approve", `${name} may connect.`), decide("reject", `${name} may not connect.`)),
    );
  }

  #decision(name, approve, reject) {
    if (!this.gateway.may("pairing")) return "";
    return element(
      "div",
      { className: "acts" },
      button("Let in", approve, { kind: "solid small", label: `Let ${name} in`, name: "approve" }),
      button("Refuse", reject, { kind: "danger", label: `Refuse ${name}`, name: "reject" }),
    );
  }

  #paired({ deviceId, displayName, platform, role, roles, scopes = [], approvedAtMs, createdAtMs }) {
    const name = displayName || deviceId.slice(0, 12);
    const remove = async () => {
      const sure = await this.gateway.confirm({
        title: `Remove ${name}?`,
        text: "Its token no longer works, and it is disconnected. It can ask again.",
        yes: "Remove",
      });
      if (sure) await this.attempt(() => this.gateway.request("device.pair.remove", { deviceId }), `${name} was removed.`);
    };
    const may = this.gateway.may("pairing") && this.gateway.serves("device.pair.remove");
    return element(
      "li",
      { className: "row" },
      element(
        "div",
        { className: "row-main" },
        element("h3", {}, name, " ", chip(role ?? roles?.join(", ") ?? "device")),
        facts(platform, span("since ", when(approvedAtMs ?? createdAtMs)), scopes.map(short).join(", ")),
      ),
      may ? element("div", { className: "acts" }, button("Remove", remove, { kind: "danger", label: `Remove ${name}` })) : "",
    );
  }
}

function approved({ platform, account, senderId, senderName, decidedAtMs }) {
  return element(
    "li",
    { className: "row" },
    element(
      "div",
      { className: "row-main" },
      element("h3", {}, senderName || senderId),
      facts(`${place({ platform, account })} ${senderId}`, span("since ", when(decidedAtMs))),
    ),
  );
}

function span(words, node) {
  return element("span", {}, words, node);
}

function short(scope) {
  return scope.replace("operator.", "");
}
