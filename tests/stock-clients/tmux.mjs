// A terminal that a person could sit at, by means of tmux.

import { execFileSync } from "node:child_process";

import { eventually } from "./eventually.mjs";

const COLUMNS = 140;
const ROWS = 50;
let sessions = 0;

/** One terminal with one program in it. */
export class Terminal {
  #server;

  /** Starts `program` with `args` in `folder`, with nothing but `environment` around it. */
  constructor({ program, args, folder, environment }) {
    sessions += 1;
    this.#server = `stock-${process.pid}-${sessions}`;
    const variables = Object.entries({ ...environment, TERM: "xterm-256color" }).map(([key, value]) => `${key}=${value}`);
    const command = ["env", "-i", ...variables, program, ...args];
    const size = ["-x", String(COLUMNS), "-y", String(ROWS)];
    // The last screen stays to be read when the program ends.
    this.#tmux("-f", "/dev/null", "new-session", "-d", ...size, "-c", folder, "sleep infinity");
    this.#tmux("set-option", "-g", "remain-on-exit", "on");
    this.#tmux("respawn-pane", "-k", "-c", folder, command.map(quoted).join(" "));
  }

  /** What is on the screen, with what has scrolled away. */
  get screen() {
    return this.#tmux("capture-pane", "-p", "-J", "-S", "-1000").trimEnd();
  }

  /** Whether the program still runs. */
  get runs() {
    return this.#tmux("display-message", "-p", "#{pane_dead}").trim() === "0";
  }

  /** Types a line and sends it. */
  enter(text) {
    this.#tmux("send-keys", "-l", text);
    this.press("Enter");
  }

  /** Presses one key, by tmux's name for it. */
  press(key) {
    this.#tmux("send-keys", key);
  }

  /** Waits until the screen shows `pattern`; returns what of it. */
  async shows(pattern) {
    try {
      return await eventually(`${pattern} on the screen`, () => pattern.exec(this.screen));
    } catch (error) {
      throw new Error(`${error.message}; it shows:\n${this.screen}`);
    }
  }

  close() {
    try {
      this.#tmux("kill-server");
    } catch {
      // It has ended by itself.
    }
  }

  #tmux(...args) {
    return execFileSync("tmux", ["-L", this.#server, ...args], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  }
}

const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
