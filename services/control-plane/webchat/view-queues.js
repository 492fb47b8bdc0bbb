// Queues: how much waits, where, and for how long.

import { bytes, chip, count, figure, keyed, link, number, when } from "./parts.js";
import { element } from "./prose.js";
import { View } from "./view.js";

const WORDS = {
  IN: "From platforms, on their way to the router",
  TURN: "Questions, on their way to the agent",
  OUT: "Answers, on their way to platforms",
  LATER: "Messages that wait for their time",
  DEAD: "Given up, with their reasons",
  EVENT: "What happened: the record of it all",
};
const QUEUES = ["IN", "TURN", "OUT"];
const LATE_MS = 60_000;

export class Queues extends View {
  static view = "queues";
  static title = "Queues";
  static picture = "queues";
  static about = "What waits between the services. Empty is healthy; old is not.";
  static needs = "ops.queues.list";
  static hears = ["ops.changed:dead", "ops.changed:schedules"];
  static everyMs = 3_000;
  #flow = element("ul", { className: "cards flow" });
  #rest = element("ul", { className: "cards" });

  constructor(gateway) {
    super(gateway);
    this.body.append(this.#flow, element("h3", { className: "part" }, "Kept"), this.#rest);
  }

  load() {
    return this.gateway.request("ops.queues.list");
  }

  draw({ queues }) {
    const of = (names) => queues.filter(({ stream }) => names.includes(stream));
    keyed(this.#flow, of(QUEUES), ({ stream }) => stream, card);
    keyed(this.#rest, of(["LATER", "DEAD", "EVENT"]), ({ stream }) => stream, card);
  }
}

function card({ stream, messages, sizeBytes, oldestAtMs, depths }) {
  const waits = QUEUES.includes(stream);
  const late = waits && messages > 0 && Date.now() - oldestAtMs > LATE_MS;
  const state = late ? chip("waits long", "bad") : messages > 0 ? chip("at work", "busy") : chip("empty", "good");
  const node = element(
    "li",
    { className: "card" },
    element("header", {}, element("h3", {}, stream), waits ? state : ""),
    element("p", { className: "soft" }, WORDS[stream] ?? ""),
    element(
      "dl",
      { className: "figures" },
      figure("Messages", messages),
      figure("Size", bytes(sizeBytes)),
      figure("Oldest", messages > 0 ? when(oldestAtMs) : "–"),
    ),
  );
  if (depths.length > 0) node.append(bars(depths));
  if (stream === "DEAD") node.append(link("Decide about them", { view: "dead" }, { className: "plain" }));
  if (stream === "LATER") node.append(link("See what is to come", { view: "later" }, { className: "plain" }));
  return node;
}

/** Where it waits: a bar for each shard and priority, the longest first. */
function bars(depths) {
  const sorted = [...depths].sort((a, b) => b.messages - a.messages).slice(0, 8);
  const most = sorted[0].messages;
  const rows = sorted.map(({ shard, priority, messages, oldestAtMs }) => {
    const bar = element("meter", { min: 0, max: most, value: messages });
    bar.setAttribute("aria-label", `${shard}, ${priority}: ${count(messages, "message")}`);
    return element(
      "li",
      {},
      element("span", { className: "shard" }, shard),
      element("span", { className: "soft" }, priority),
      bar,
      element("b", {}, number(messages)),
      when(oldestAtMs),
    );
  });
  const list = element("ul", { className: "bars" }, ...rows);
  if (depths.length > sorted.length) list.append(element("li", { className: "soft" }, `and ${depths.length - sorted.length} more`));
  return list;
}
