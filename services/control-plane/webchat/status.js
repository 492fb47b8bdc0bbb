// Says how the connection stands: in the header in two words, above the composer in a sentence.

import { approvalCommand } from "./gate.js";
import { element } from "./prose.js";

export class Status {
  #label;
  #count;
  #button;
  #strip;
  #sentence;
  #action;
  #facts;
  #live;
  #state = { name: "connecting" };
  #ticking = 0;

  /** `on`: { again() }, called when the person does not want to wait. */
  constructor(page, on) {
    this.#button = page.querySelector("#status");
    this.#label = page.querySelector("#status-label");
    this.#count = page.querySelector("#status-count");
    this.#strip = page.querySelector("#strip");
    this.#sentence = page.querySelector("#strip-text");
    this.#action = page.querySelector("#strip-action");
    this.#facts = page.querySelector("#facts");
    this.#live = page.querySelector("#status-live");
    this.#action.addEventListener("click", () => on.again());
    addEventListener("online", () => this.show(this.#state));
    addEventListener("offline", () => this.show(this.#state));
  }

  show(state) {
    this.#state = state;
    const { label, sentence = "", action = "", tone } = words(state);
    this.#button.dataset.tone = tone;
    this.#label.textContent = label;
    this.#sentence.textContent = sentence;
    this.#action.textContent = action;
    this.#action.hidden = !action;
    this.#strip.hidden = !sentence;
    if (state.name !== "connecting" && this.#live.textContent !== label) this.#live.textContent = label;
    clearInterval(this.#ticking);
    this.#tick();
    if (state.name === "waiting") this.#ticking = setInterval(() => this.#tick(), 250);
  }

  /** Lists what a person asking for help is asked for: [[name, value]]. */
  explain(facts) {
    this.#facts.replaceChildren(
      ...facts
        .filter(([, value]) => value)
        .flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]),
    );
  }

  // The seconds are for eyes only: read aloud each time they would drown everything else.
  #tick() {
    const seconds =
      this.#state.name === "waiting" ? Math.max(Math.ceil((this.#state.until - Date.now()) / 1000), 0) : 0;
    this.#count.textContent = seconds > 0 ? `in ${seconds} s` : "";
  }
}

const KEPT = "What you write is kept and sent later.";

function words({ name, again, why, requestId }) {
  switch (name) {
    case "online":
      return { label: "Connected", tone: "good" };
    case "connecting":
      return {
        label: again ? "Reconnecting" : "Connecting",
        sentence: again ? `No connection to the gateway. ${KEPT}` : "",
        tone: "busy",
      };
    case "stopping":
      return { label: "Gateway shutting down", sentence: `The gateway is shutting down. ${KEPT}`, tone: "busy" };
    case "token":
      return { label: "Needs token", tone: "bad" };
    case "pairing":
      return {
        label: "Needs approval",
        sentence: `This browser waits for approval on the gateway: ${approvalCommand(requestId)}`,
        action: "Check now",
        tone: "busy",
      };
    case "refused":
      return { label: "Not accepted", sentence: why, action: "Try again", tone: "bad" };
    default:
      if (!navigator.onLine)
        return { label: "Offline", sentence: `This device is offline. ${KEPT}`, action: "Try now", tone: "bad" };
      if (why === "restart")
        return {
          label: "Gateway restarting",
          sentence: `The gateway is restarting. ${KEPT}`,
          action: "Try now",
          tone: "busy",
        };
      return {
        label: "Reconnecting",
        sentence: `No connection to the gateway. ${KEPT}`,
        action: "Try now",
        tone: "busy",
      };
  }
}
