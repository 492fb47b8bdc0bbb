// A headless node: connects, is approved, is invoked, and is gone when it ends.

import assert from "node:assert/strict";

import { eventually } from "../eventually.mjs";
import { parse, succeeded } from "../output.mjs";

/** Runs `node run` on one machine and operates it from another. */
export async function nodeHost({ check, home, record, version, isNew, atEnd }) {
  const name = `StockNode${version.replaceAll(".", "")}`;
  const wire = await record();
  const machine = home("machine", { through: wire });
  wire.during = "node run";
  const operator = home("operator");
  const json = async (...args) => parse(succeeded(await operator.run(...args)));
  const start = () =>
    machine.start("node", "run", "--host", "127.0.0.1", "--port", String(wire.port), "--display-name", name);
  let node = start();
  atEnd(() => node.stop());
  const hellos = () => wire.entries.filter(({ frame }) => frame?.payload?.type === "hello-ok").length;
  const listed = async () => (await json("nodes", "status", "--json")).nodes.find(({ displayName }) => displayName === name);

  await check("connects", async () => {
    await eventually("hello", hellos);
    const { params } = wire.entries.find(({ frame }) => frame?.method === "connect").frame;
    assert.equal(params.role, "node");
    return `${params.commands.length} commands, protocol ${params.minProtocol} to ${params.maxProtocol}`;
  });
  await check("is in nodes status", async () => {
    const { connected, paired } = await eventually(`${name} in the list`, listed);
    assert.equal(connected, true);
    return `connected, paired: ${paired}`;
  });
  if (isNew) {
    await check("waits for approval of what it can do", async () => {
      const pending = await json("nodes", "pending", "--json");
      const request = pending.find(({ displayName }) => displayName === name);
      assert.ok(request, JSON.stringify(pending));
      const { code, out, err } = await operator.run(
        ...["nodes", "invoke", "--node", name, "--command", "system.which", "--params", '{"bins":["sh"]}', "--json"],
      );
      assert.notEqual(code, 0, `it could be invoked before: ${out}${err}`);
      const approved = await json("nodes", "approve", request.requestId, "--json");
      return `request ${request.requestId}, approved ${approved.node?.displayName ?? approved.requestId ?? ""}`;
    });
  }
  await check("nodes list names it", async () => {
    const { paired } = await json("nodes", "list", "--json");
    assert.ok(isNew ? paired.some(({ displayName }) => displayName === name) : Array.isArray(paired), JSON.stringify(paired));
    return `${paired.length} paired`;
  });
  await check("nodes describe tells its commands", async () => {
    const { commands, connected } = await json("nodes", "describe", "--node", name, "--json");
    assert.equal(connected, true);
    assert.ok(commands.includes("system.which"), JSON.stringify(commands));
    return commands.join(", ");
  });
  await check("nodes invoke runs a command on it", async () => {
    const { payload } = await json(
      ...["nodes", "invoke", "--node", name, "--command", "system.which", "--params", '{"bins":["sh"]}', "--json"],
    );
    assert.match(payload.bins.sh, /\/sh$/);
    return JSON.stringify(payload);
  });
  await check("nodes rename", async () => {
    await json("nodes", "rename", "--node", name, "--name", `${name}B`, "--json");
    const { nodes } = await json("nodes", "status", "--json");
    assert.ok(nodes.some(({ displayName }) => displayName === `${name}B`));
    await json("nodes", "rename", "--node", `${name}B`, "--name", name, "--json");
    return `${name}B and back`;
  });
  await check("is known again after its connection is cut", async () => {
    const before = hellos();
    wire.cut();
    if (!isNew) {
      // This version ends with its connection, and is started anew by whatever keeps it running.
      await node.ended();
      node = start();
    }
    await eventually("another hello", () => hellos() > before);
    const again = await eventually("it to be connected", async () => (await listed())?.connected);
    return `connected: ${again}`;
  });
  await check("is shown as gone when it has ended", async () => {
    await node.stop();
    await eventually("it to be gone", async () => !(await listed())?.connected);
    return "not connected";
  });
}
