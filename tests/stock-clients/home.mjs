// A home folder of its own for a stock client, as on the machine of a person who has just installed it.

import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";

import { COMMAND_DEADLINE_MS } from "./eventually.mjs";

/** One person's machine, seen by one stock client. */
export class Home {
  /** Folder of the home. */
  folder;
  #package;
  #recorder;
  #token;

  /** `installed` is the folder of the client's npm package, `recorder` what it takes for the gateway. */
  constructor({ folder, installed, recorder, token }) {
    Object.assign(this, { folder });
    this.#package = path.join(installed, "node_modules", "openclaw");
    this.#recorder = recorder;
    this.#token = token;
    mkdirSync(path.join(folder, ".openclaw"), { recursive: true });
    const gateway = { mode: "local", port: recorder.port, auth: { mode: "token", token } };
    writeFileSync(path.join(folder, ".openclaw", "openclaw.json"), JSON.stringify({ gateway }, null, 2));
  }

  /** The program and its first arguments. */
  get program() {
    return [process.execPath, path.join(this.#package, "openclaw.mjs")];
  }

  /** Nothing but what the client needs: no setting of this machine may reach it. */
  get environment() {
    return {
      PATH: `${path.dirname(process.execPath)}:/usr/bin:/bin`,
      HOME: this.folder,
      TMPDIR: process.env.TMPDIR ?? "/tmp",
      LANG: "C.UTF-8",
      NO_COLOR: "1",
      OPENCLAW_GATEWAY_PORT: String(this.#recorder.port),
      OPENCLAW_GATEWAY_TOKEN: this.#token,
    };
  }

  /** Starts the client with these arguments; its input stays open. */
  start(...args) {
    const [program, ...first] = this.program;
    return new Client(spawn(program, [...first, ...args], { cwd: this.folder, env: this.environment }), args);
  }

  /** Runs one command of the client to its end. */
  async run(...args) {
    this.#recorder.during = args.join(" ");
    const client = this.start(...args);
    client.input.end();
    return client.ended();
  }
}

/** A stock client as a child process. */
export class Client {
  /** What it has said so far. */
  out = "";
  err = "";
  #child;
  #args;
  #end;

  constructor(child, args) {
    this.#child = child;
    this.#args = args;
    child.stdout.on("data", (chunk) => (this.out += chunk));
    child.stderr.on("data", (chunk) => (this.err += chunk));
    child.stdin.on("error", () => {});
    this.#end = new Promise((done, failed) => {
      child.on("error", failed);
      child.on("close", (code, signal) => done({ code: code ?? signal, out: this.out, err: this.err }));
    });
    this.#end.catch(() => {});
  }

  get input() {
    return this.#child.stdin;
  }

  /** Waits for its end; one that does not end is killed. */
  async ended() {
    let timer;
    const late = new Promise((_, failed) => {
      timer = setTimeout(() => {
        this.#child.kill("SIGKILL");
        failed(new Error(`\`${this.#args.join(" ")}\` did not end; it said: ${this.out}${this.err}`));
      }, COMMAND_DEADLINE_MS);
    });
    return Promise.race([this.#end, late]).finally(() => clearTimeout(timer));
  }

  async stop() {
    this.#child.kill("SIGTERM");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 5_000);
    await this.#end.catch(() => {});
    clearTimeout(timer);
  }
}
