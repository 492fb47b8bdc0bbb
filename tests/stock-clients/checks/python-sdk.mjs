// The Python package that third parties use, against our gateway.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import path from "node:path";

import { Client } from "../home.mjs";
import { parse, succeeded } from "../output.mjs";

/** Runs its client once; the script prints what each of its calls came to. */
export async function pythonSdk({ check, recorder, folder, installed, token }) {
  const home = path.join(folder, "home");
  mkdirSync(home);
  recorder.during = "script";
  const python = path.join(installed, "python", "bin", "python");
  const script = path.join(import.meta.dirname, "python-sdk.py");
  const environment = { PATH: "/usr/bin:/bin", HOME: home, LANG: "C.UTF-8" };
  const child = spawn(python, [script, `${recorder.url}/gateway`, token], { env: environment });
  let said = {};
  await check("connects as a device of its own", async () => {
    said = parse(succeeded(await new Client(child, ["python-sdk.py"]).ended()));
    assert.equal(said.connected, true);
    return `health ${JSON.stringify(said.health)}`;
  });
  for (const method of ["status", "system-presence", "models.list", "agents.list", "sessions.list", "cron.list"]) {
    await check(`call ${method}`, () => called(said, method));
  }
  for (const method of ["node.list", "channels.status", "config.get", "chat.history"]) {
    await check(`call ${method}`, () => called(said, method));
  }
  await check("call nope.method", () => {
    assert.match(said.calls["nope.method"].error, /unknown method: nope\.method/);
    return said.calls["nope.method"].error;
  });
  await check("execute", () => {
    assert.equal(said.execute.success, true, JSON.stringify(said.execute));
    assert.equal(said.execute.content, "You said: hello from python");
    return said.execute.content;
  });
  await check("execute_stream", () => {
    const { chat = 0, agent = 0 } = said.stream;
    assert.ok(chat > 3, JSON.stringify(said.stream));
    assert.ok(agent > 0, JSON.stringify(said.stream));
    return `${chat} chat and ${agent} agent events`;
  });
}

function called({ calls }, method) {
  assert.ok(calls?.[method]?.ok, calls?.[method]?.error ?? "it was not called");
  return calls[method].keys.join(", ");
}
