// One lasting connection to the gateway that served this page, in its WebSocket protocol v4.
//
// Its state, given to `onState`, is { name, ... }:
//   "connecting" { again }          "online"
//   "waiting"    { until, why }     the next attempt comes at `until` (ms since 1970)
//   "stopping"   { why }            the gateway says that it shuts down
//   "token"      { why, until }     the token is missing, wrong, or locked out until then; `offerToken` goes on
//   "pairing"    { requestId, until }  an operator must approve this browser
//   "refused"    { why }            only a reload or an operator can help

import { newId, signConnect } from "./device.js";

const CLIENT = { id: "webchat-ui", displayName: "WebChat", version: "1.0.0", mode: "webchat" };
const ROLE = "operator";
// Whoever has the gateway's token operates it; who was let in for less asks again for that.
const SCOPES = ["operator.read", "operator.write", "operator.admin", "operator.pairing"];
const FEWER_SCOPES = ["operator.read", "operator.write"];
const HANDSHAKE_MS = 15_000;
const REQUEST_MS = 30_000;
const FIRST_PAUSE_MS = 800;
const PAUSE_GROWTH = 1.7;
const LONGEST_PAUSE_MS = 15_000;
const PAIRING_PAUSE_MS = 5_000;
const TICK_MS = 30_000;

/** The gateway answered a request with an error. */
export class Refusal extends Error {
  constructor({
    code = "UNAVAILABLE",
    message = "The gateway gave no reason.",
    details = {},
    retryable = false,
    retryAfterMs = 0,
  }) {
    super(message);
    Object.assign(this, { code, details: details ?? {}, retryable, retryAfterMs });
  }
}

/** The connection ended before the answer came; the request may or may not have been done. */
export class Interrupted extends Error {}

/** The gateway stayed silent on this request. */
export class TimedOut extends Error {}

export class Connection {
  state = { name: "idle" };
  hello = null;
  #socket = null;
  #token = "";
  #claim = "";
  #waiting = new Map();
  #attempts = 0;
  #timer = 0;
  #watchdog = 0;
  #seq = null;
  #heardAt = 0;
  #verdict = null;
  #withDevice = true;
  // How far we know what happened: the gateway tells what came after it when we connect again.
  #cursor = "";
  #scopes = SCOPES;
  #on;

  /** `on`: { state(state), hello(payload, resumed), event(name, payload), gap() }. */
  constructor(on) {
    this.#on = on;
    addEventListener("online", () => this.#hurry());
    addEventListener("pageshow", () => this.#hurry());
    document.addEventListener("visibilitychange", () => document.hidden || this.#hurry());
  }

  /** Whether the token that worked belongs to this browser alone. */
  get ownToken() {
    return Boolean(this.#token) && this.#token === this.hello?.auth?.deviceToken;
  }

  /** Connects with this token, dropping whatever connection there is. */
  offerToken(token) {
    this.#offer(token, "");
  }

  /** Connects with a one-time code; the gateway then gives this browser a token of its own. */
  offerClaim(code) {
    this.#offer("", code);
  }

  #offer(token, claim) {
    this.#token = token;
    this.#claim = claim;
    this.#attempts = 0;
    this.#drop();
    if (token || claim) this.#connect();
    else this.#become({ name: "token", why: "", until: 0 });
  }

  get token() {
    return this.#token;
  }

  /** Tries now instead of at the end of the pause. */
  tryNow() {
    if (["waiting", "pairing", "refused"].includes(this.state.name)) this.#connect();
  }

  /** Largest message the gateway takes, in bytes. */
  get maxBytes() {
    return this.hello?.policy?.maxPayload ?? 512 * 1024;
  }

  /**
   * Asks the gateway; resolves to the payload of its answer.
   *
   * Throws `Refusal`, `Interrupted` or `TimedOut`.
   */
  request(method, params, patienceMs = REQUEST_MS) {
    return new Promise((resolve, reject) => {
      if (this.#socket?.readyState !== WebSocket.OPEN) {
        reject(new Interrupted("Not connected."));
        return;
      }
      const id = newId();
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new TimedOut("The gateway did not answer."));
      }, patienceMs);
      this.#waiting.set(id, { resolve, reject, timer });
      this.#socket.send(JSON.stringify({ type: "req", id, method, params }));
    });
  }

  #connect() {
    this.#drop();
    this.#become({ name: "connecting", again: this.#attempts > 0 });
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/`);
    this.#socket = socket;
    this.#seq = null;
    this.#verdict = null;
    this.#timer = setTimeout(() => socket.close(), HANDSHAKE_MS);
    socket.onmessage = ({ data }) => this.#take(socket, data);
    socket.onclose = ({ code }) => this.#closed(socket, code);
  }

  // Lets go of the socket without hearing from it again.
  #drop() {
    clearTimeout(this.#timer);
    clearTimeout(this.#watchdog);
    const socket = this.#socket;
    this.#socket = null;
    if (socket) {
      socket.onmessage = socket.onclose = null;
      socket.close(socket.readyState === WebSocket.OPEN ? 4000 : undefined);
    }
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(new Interrupted("The connection ended."));
    }
    this.#waiting.clear();
  }

  #take(socket, data) {
    this.#heard();
    let frame;
    try {
      frame = JSON.parse(data);
    } catch {
      return;
    }
    if (frame?.type === "res") this.#answer(frame);
    else if (frame?.type === "event" && frame.event === "connect.challenge") this.#shake(socket, frame.payload ?? {});
    else if (frame?.type === "event") this.#happen(frame);
  }

  #answer({ id, ok, payload, error }) {
    const asked = this.#waiting.get(id);
    if (!asked) return;
    this.#waiting.delete(id);
    clearTimeout(asked.timer);
    if (ok) asked.resolve(payload ?? {});
    else asked.reject(new Refusal(error ?? {}));
  }

  #happen({ event, payload = {}, seq }) {
    if (Number.isInteger(seq)) {
      const gap = this.#seq !== null && seq > this.#seq + 1;
      this.#seq = seq;
      if (gap && this.hello) this.#on.gap();
    }
    if (payload.cursor) this.#cursor = payload.cursor;
    // What was missed has been told; if some of it is gone, the history has it.
    if (event === "events.resumed") payload.complete || this.#on.gap();
    else if (event === "shutdown") this.#become({ name: "stopping", why: payload.reason ?? "" });
    else if (event !== "tick") this.#on.event(event, payload);
  }

  async #shake(socket, challenge) {
    const client = { ...CLIENT, platform: navigator.userAgentData?.platform || navigator.platform || "web" };
    const params = {
      minProtocol: 4,
      maxProtocol: 4,
      client: { ...client, timeZone: Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC" },
      role: ROLE,
      scopes: this.#scopes,
      caps: [],
      resume: this.#cursor,
      auth: this.#claim ? { bootstrapToken: this.#claim } : { token: this.#token },
      locale: navigator.language || "en",
      userAgent: navigator.userAgent,
    };
    const device = this.#withDevice && challenge.nonce ? await signConnect(params, challenge) : null;
    if (device) params.device = device;
    if (socket !== this.#socket) return;
    try {
      const resumed = this.#cursor !== "";
      const hello = await this.request("connect", params, HANDSHAKE_MS);
      if (socket !== this.#socket) return;
      clearTimeout(this.#timer);
      this.hello = hello;
      this.#attempts = 0;
      if (this.#claim && hello.auth?.deviceToken) {
        this.#token = hello.auth.deviceToken;
        this.#claim = "";
      }
      this.#heard();
      this.#become({ name: "online" });
      this.#on.hello(hello, resumed);
    } catch (error) {
      if (socket !== this.#socket) return;
      this.#verdict = error instanceof Refusal ? this.#judge(error) : null;
      socket.close();
      this.#closed(socket, 0);
    }
  }

  // What a refused `connect` means for what comes next; null: try again later.
  #judge(error) {
    const code = error.details.code ?? "";
    const text = error.message.toLowerCase();
    if (code === "AUTH_RATE_LIMITED") {
      return { name: "token", why: "locked", until: Date.now() + (error.retryAfterMs || 60_000) };
    }
    if (code === "PAIRING_REQUIRED" || text.startsWith("pairing required")) {
      const until = error.details.pauseReconnect ? 0 : Date.now() + (error.retryAfterMs || PAIRING_PAUSE_MS);
      return { name: "pairing", requestId: error.details.requestId ?? "", until };
    }
    if (code === "AUTH_BOOTSTRAP_TOKEN_INVALID") {
      this.#claim = "";
      return { name: "token", why: "claim", until: 0 };
    }
    if (code === "AUTH_SCOPE_MISMATCH" && this.#scopes === SCOPES) {
      this.#scopes = FEWER_SCOPES;
      return { name: "waiting", why: "", until: Date.now() };
    }
    if (code === "AUTH_SCOPE_MISMATCH") {
      return { name: "refused", why: `The gateway gives this browser less than the page needs: ${error.message}` };
    }
    if (code === "PROTOCOL_MISMATCH" || code === "CLIENT_VERSION_MISMATCH" || text.includes("protocol mismatch")) {
      return { name: "refused", why: "This page and the gateway are not of the same version. Reload the page." };
    }
    if (code.includes("ORIGIN") || text.includes("origin not allowed")) {
      return {
        name: "refused",
        why: `The gateway does not accept pages from ${location.origin}. Its operator can allow this address.`,
      };
    }
    if (code.startsWith("DEVICE_AUTH") && this.#withDevice) {
      this.#withDevice = false;
      return null;
    }
    if (code.includes("DEVICE_IDENTITY_REQUIRED")) {
      return {
        name: "refused",
        why: "The gateway wants to know this browser, which works over HTTPS or from localhost only.",
      };
    }
    if (code.startsWith("AUTH_") || text.startsWith("unauthorized")) {
      return { name: "token", why: code === "AUTH_TOKEN_MISSING" ? "" : "wrong", until: 0 };
    }
    if (error.retryable || error.code === "UNAVAILABLE") {
      return { name: "waiting", why: error.message, until: Date.now() + (error.retryAfterMs || FIRST_PAUSE_MS) };
    }
    return { name: "refused", why: `The gateway refused this page: ${error.message}` };
  }

  #closed(socket, code) {
    if (socket !== this.#socket) return;
    const was = this.state.name;
    const verdict = this.#verdict;
    this.#drop();
    if (verdict) {
      this.#become(verdict);
      if (verdict.name === "waiting" || verdict.name === "pairing") this.#wakeAt(verdict.until);
      return;
    }
    const pause =
      Math.min(FIRST_PAUSE_MS * PAUSE_GROWTH ** this.#attempts, LONGEST_PAUSE_MS) * (0.85 + Math.random() * 0.3);
    this.#attempts += 1;
    const until = Date.now() + pause;
    this.#become({
      name: "waiting",
      until,
      why: was === "stopping" || code === 1012 || code === 1013 ? "restart" : "",
      tooBig: code === 1009,
    });
    this.#wakeAt(until);
  }

  #wakeAt(until) {
    if (until) this.#timer = setTimeout(() => this.#connect(), Math.max(until - Date.now(), 0));
  }

  // Silence for two ticks means that the line is dead, whatever the socket says.
  #heard() {
    this.#heardAt = Date.now();
    if (!this.hello) return;
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => this.#dead(), this.#patience());
  }

  #patience() {
    return 2 * (this.hello?.policy?.tickIntervalMs ?? TICK_MS);
  }

  #dead() {
    const socket = this.#socket;
    if (!socket) return;
    socket.onmessage = null;
    socket.close(4000, "tick timeout");
    this.#closed(socket, 4000);
  }

  // The page is looked at again, or the network is back: no reason to wait on.
  #hurry() {
    if (this.state.name === "waiting") this.#connect();
    else if (this.state.name === "online" && Date.now() - this.#heardAt > this.#patience()) this.#dead();
  }

  #become(state) {
    this.state = state;
    this.#on.state(state);
  }
}
