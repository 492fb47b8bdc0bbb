// A port before the gateway that lets every byte through unchanged and writes down every frame that passes.

import { createWriteStream } from "node:fs";
import net from "node:net";

import { eventually } from "./eventually.mjs";
import { Messages } from "./frames.mjs";

/** Records what goes between clients and the gateway. */
export class Recorder {
  /** Every frame: `{atMs, during, connection, from, frame}`, or `{…, close, reason}`; `from` is `client` or `gateway`. */
  entries = [];
  /** What the client is being asked to do; it labels the entries. */
  during = "";
  port = 0;

  #server;
  #sockets = new Set();
  #connections = 0;
  #file;

  /**
   * Starts one on a port of its own; `file` gets one line of JSON for each entry. With `from`, an IP address, clients
   * come to the gateway as if through a proxy from there.
   */
  static async start({ gatewayPort, file, from = "" }) {
    const recorder = new Recorder();
    recorder.#file = createWriteStream(file);
    recorder.#server = net.createServer((client) => recorder.#pass(client, gatewayPort, from));
    await new Promise((done) => recorder.#server.listen(0, "127.0.0.1", done));
    recorder.port = recorder.#server.address().port;
    return recorder;
  }

  /** Where clients connect. */
  get url() {
    return `ws://127.0.0.1:${this.port}`;
  }

  /** Entries since `during` last changed to what it is. */
  get now() {
    return this.entries.filter(({ during }) => during === this.during);
  }

  /** Requests of the current section: `[method, params]`. */
  get asked() {
    const requests = this.now.filter(({ from, frame }) => from === "client" && frame?.type === "req");
    return requests.map(({ frame }) => [frame.method, frame.params]);
  }

  /** Waits until the gateway has sent a frame that `wanted` is true for, from now on, and returns it. */
  sees(what, wanted) {
    const begin = this.entries.length;
    return eventually(what, () => {
      const fresh = this.entries.slice(begin).filter(({ from, frame }) => from === "gateway" && frame);
      return fresh.map(({ frame }) => frame).find(wanted);
    });
  }

  /** Cuts every connection that is open. */
  cut() {
    for (const socket of this.#sockets) socket.destroy();
  }

  async stop() {
    this.#server.close();
    this.cut();
    await new Promise((done) => this.#file.end(done));
  }

  #pass(client, gatewayPort, from) {
    this.#connections += 1;
    const connection = this.#connections;
    const gateway = net.connect(gatewayPort, "127.0.0.1");
    const heard = { client: new Messages(), gateway: new Messages() };
    const listen = (side, chunk) => {
      for (const message of heard[side].push(chunk)) this.#note(connection, side, message);
    };
    let opening = true;
    client.on("data", (chunk) => {
      listen("client", chunk);
      gateway.write(opening && from ? withProxy(chunk, from) : chunk);
      opening = false;
    });
    gateway.on("data", (chunk) => {
      listen("gateway", chunk);
      client.write(chunk);
    });
    for (const [one, other] of [[client, gateway], [gateway, client]]) {
      this.#sockets.add(one);
      one.setNoDelay(true);
      one.on("end", () => other.end());
      one.on("error", () => other.destroy());
      one.on("close", () => this.#sockets.delete(one) && other.destroySoon());
    }
  }

  #note(connection, from, { text, close, reason }) {
    const entry = { atMs: Date.now(), during: this.during, connection, from };
    if (text === undefined) Object.assign(entry, { close, reason });
    else entry.frame = parsed(text);
    this.entries.push(entry);
    this.#file.write(`${JSON.stringify(entry)}\n`);
  }
}

/** The opening of a request as a proxy would pass it on for a client at `address`. */
function withProxy(chunk, address) {
  const text = chunk.toString("latin1");
  return Buffer.from(text.replace("\r\n", `\r\nX-Forwarded-For: ${address}\r\n`), "latin1");
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
