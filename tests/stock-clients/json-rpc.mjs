// JSON-RPC over the input and output of a program, one message a line.

import { eventually } from "./eventually.mjs";

/** Speaks with a client that was started with pipes. */
export class JsonRpc {
  /** Notifications and requests of the other side, in order. */
  heard = [];
  #client;
  #read = 0;
  #answers = new Map();
  #next = 1;

  constructor(client) {
    this.#client = client;
  }

  /** Asks, and waits for the result. */
  async call(method, params = {}) {
    const id = this.#next;
    this.#next += 1;
    this.#send({ id, method, params });
    const { result, error } = await eventually(`an answer to ${method}; stderr: ${this.#client.err}`, () => {
      this.#listen();
      return this.#answers.get(id);
    });
    if (error) throw new Error(`${method}: ${JSON.stringify(error)}`);
    return result;
  }

  /** Tells. */
  notify(method, params = {}) {
    this.#send({ method, params });
  }

  #send(message) {
    this.#client.input.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
  }

  /** Reads the lines that have come whole since. */
  #listen() {
    const end = this.#client.out.lastIndexOf("\n") + 1;
    const lines = this.#client.out.slice(this.#read, end).split("\n");
    this.#read = end;
    for (const line of lines.filter((text) => text.startsWith("{"))) {
      const message = JSON.parse(line);
      if (message.method) this.heard.push(message);
      else this.#answers.set(message.id, message);
    }
  }
}
