// The gateway under test, as a child process with a data folder of its own.

import { spawn } from "node:child_process";
import { createWriteStream, mkdirSync, readFileSync } from "node:fs";
import net from "node:net";
import path from "node:path";

import { eventually } from "./eventually.mjs";

/** Anything but a real secret; long enough to be one. */
export const TOKEN = "stock-clients-token-0123456789abcdef";

/** A port that nothing listened on a moment ago. */
async function freePort() {
  const server = net.createServer();
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

/** Starts `openclaw gateway` and waits until it is ready. */
export async function startGateway({ program, folder, modelUrl }) {
  mkdirSync(folder, { recursive: true });
  const [port, adminPort, healthPort] = [await freePort(), await freePort(), await freePort()];
  const log = path.join(folder, "log");
  const servers = ["OPENCLAW_NATS_SERVER", "OPENCLAW_REDIS_SERVER"].filter((name) => process.env[name]);
  const child = spawn(program, ["gateway"], {
    cwd: folder,
    env: {
      PATH: process.env.PATH,
      HOME: folder,
      OPENCLAW_HOME: folder,
      OPENCLAW_GATEWAY_PORT: String(port),
      OPENCLAW_GATEWAY_TOKEN: TOKEN,
      OPENCLAW_GATEWAY_ADMIN_LISTEN: `127.0.0.1:${adminPort}`,
      OPENCLAW_HEALTH_ADDRESS: `127.0.0.1:${healthPort}`,
      // So that a recorder can pass a client on as one from elsewhere.
      OPENCLAW_GATEWAY_TRUSTED_PROXIES: "127.0.0.1",
      OPENCLAW_AGENT_URL: modelUrl,
      OPENCLAW_AGENT_MODEL: "echo",
      OPENCLAW_LOG_FORMAT: "json",
      ...Object.fromEntries(servers.map((name) => [name, process.env[name]])),
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const file = createWriteStream(log);
  child.stdout.pipe(file, { end: false });
  child.stderr.pipe(file, { end: false });
  const ended = new Promise((done) => child.on("exit", (code, signal) => done(code ?? signal)));
  await eventually("the gateway to be ready", async () => {
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}: ${tail(log)}`);
    return (await fetch(`http://127.0.0.1:${healthPort}/ready`)).ok;
  });
  return {
    port,
    /** Whether it still runs. */
    get runs() {
      return child.exitCode === null && child.signalCode === null;
    },
    /** Ends it; resolves with its exit code. */
    stop: () => {
      child.kill("SIGTERM");
      return ended;
    },
    log,
  };
}

/** The last lines of a log. */
function tail(file) {
  return readFileSync(file, "utf8").trimEnd().split("\n").slice(-5).join("\n");
}
