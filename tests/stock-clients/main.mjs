// Drives the real stock clients against our gateway and tells, in a table, what each of them saw.
//
// ./gateway stock-clients [--only <client>[@<version>][:<check>]]... [--keep]
//
// `./gateway` installs the clients and names the program in OPENCLAW_PROGRAM. Ends with 0 if every check passed and no
// frame broke an official schema, with 1 otherwise. With --keep the folder of the run stays: homes of the clients,
// recorded frames, screenshots and the gateway's log.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";

import { bridges } from "./checks/bridges.mjs";
import { commands } from "./checks/commands.mjs";
import { controlUi } from "./checks/control-ui.mjs";
import { devices } from "./checks/devices.mjs";
import { nodeHost } from "./checks/node-host.mjs";
import { pythonSdk } from "./checks/python-sdk.mjs";
import { terminal } from "./checks/terminal.mjs";
import { startGateway, TOKEN } from "./gateway.mjs";
import { Home } from "./home.mjs";
import { startModel } from "./model.mjs";
import { Recorder } from "./recorder.mjs";
import { printReport } from "./report.mjs";
import { openJudge } from "./schema.mjs";

const NEW = "2026.9.6";
const OLD = "2026.2.9";

/** What is done with each client, one after the other; the two lanes run side by side, each with a gateway of its own. */
const LANES = [
  [
    ["commands", NEW, commands],
    ["devices", NEW, devices],
    ["tui", NEW, terminal],
    ["control-ui", NEW, controlUi],
    ["node", NEW, nodeHost],
    ["bridges", NEW, bridges],
  ],
  [
    ["commands", OLD, commands],
    ["devices", OLD, devices],
    ["tui", OLD, terminal],
    ["control-ui", OLD, controlUi],
    ["node", OLD, nodeHost],
    ["python-sdk", "2.1.0", pythonSdk],
  ],
];

const root = path.resolve(import.meta.dirname, "../..");
const installed = path.join(root, ".gateway", "stock-clients");
const { values: options } = parseArgs({
  options: { only: { type: "string", multiple: true, default: [] }, keep: { type: "boolean", default: false } },
});
const program = process.env.OPENCLAW_PROGRAM;
assert.ok(program, "run this as ./gateway stock-clients, or name the gateway's program in OPENCLAW_PROGRAM");

/** The official schemas stand beside the project, where they stand at all. */
const judge = openJudge(path.join(root, "..", "shared", "schemas"), path.join(installed, "tools"));
const folder = mkdtempSync(path.join(os.tmpdir(), "stock-clients-"));
const results = [];
const model = await startModel();
try {
  await Promise.all(LANES.map(lane));
} finally {
  model.stop();
}
const passed = printReport(results, judge);
if (options.keep) console.log(`\nkept: ${folder}`);
else rmSync(folder, { recursive: true, force: true });
process.exit(passed ? 0 : 1);

/** Tells which checks of a scene are wanted; nothing if none is. */
function wish(client, version) {
  if (options.only.length === 0) return () => true;
  const mine = options.only
    .map((text) => text.split(":"))
    .filter(([name]) => name === client || name === `${client}@${version}`);
  return mine.length ? (check) => mine.some(([, part = ""]) => check.includes(part)) : undefined;
}

/** Plays the wanted scenes of one lane. */
async function lane(scenes, index) {
  const wanted = scenes.map((parts) => [...parts, wish(...parts)]).filter(([, , , wish]) => wish);
  if (wanted.length === 0) return;
  const gateway = await startGateway({
    program: path.resolve(program),
    folder: path.join(folder, `gateway-${index + 1}`),
    modelUrl: model.url,
  });
  try {
    for (const parts of wanted) await scene(gateway, ...parts);
  } finally {
    await gateway.stop();
  }
}

/** Plays one scene with a home and a recorder of its own. */
async function scene(gateway, client, version, play, wanted) {
  const name = `${client}@${version}`;
  const own = path.join(folder, name);
  mkdirSync(own, { recursive: true });
  const recorders = [];
  const record = async (more = {}) => {
    const file = path.join(own, `frames-${recorders.length + 1}.jsonl`);
    const recorder = await Recorder.start({ gatewayPort: gateway.port, file, ...more });
    recorders.push(recorder);
    return recorder;
  };
  const recorder = await record();
  const clientFolder = path.join(installed, version);
  /** A machine of its own; `through` another recorder than the scene's, or with another token. */
  const home = (label, { through = recorder, token = TOKEN } = {}) =>
    new Home({ folder: path.join(own, label), installed: clientFolder, recorder: through, token });
  const check = async (what, run) => {
    if (!wanted(what)) return;
    const began = Date.now();
    const note = (ok, seen) => {
      results.push({ client, version, check: what, ok, seen, tookMs: Date.now() - began });
      console.log(`${ok ? "ok  " : "FAIL"} ${name}: ${what}${ok ? "" : `\n     ${seen}`}`);
    };
    try {
      note(true, String((await run()) ?? ""));
    } catch (error) {
      note(false, gateway.runs ? error.message : `the gateway is gone: ${error.message}`);
    }
  };
  const atEnd = [];
  try {
    const context = { client, version, check, home, record, recorder, gateway, model, installed, clientFolder };
    await play({ ...context, token: TOKEN, folder: own, isNew: version === NEW, atEnd: (end) => atEnd.push(end) });
  } catch (error) {
    results.push({ client, version, check: "is set up", ok: false, seen: error.message, tookMs: 0 });
    console.log(`FAIL ${name}: is set up\n     ${error.stack}`);
  } finally {
    for (const end of atEnd.reverse()) await end();
    for (const one of recorders) {
      await one.stop();
      judge?.judge(one.entries, name);
    }
  }
}
