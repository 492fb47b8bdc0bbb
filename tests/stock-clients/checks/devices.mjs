// A device from elsewhere: it is refused until an operator approves it, and again once its token is taken back.

import assert from "node:assert/strict";

import { eventually } from "../eventually.mjs";
import { parse, refused, succeeded } from "../output.mjs";

/** An address of the documentation range: nobody's, and surely not this machine's. */
const ELSEWHERE = "203.0.113.7";

/** Plays the life of a device, operated from this machine. */
export async function devices({ check, home, record, isNew, token, atEnd }) {
  const wire = await record({ from: ELSEWHERE });
  const far = home("far", { through: wire });
  const operator = home("operator");
  const json = async (...args) => parse(succeeded(await operator.run(...args)));
  /** Comes by with what always proves a device, until `seen` has been seen; returns that. */
  const visit = async (machine, what, seen) => {
    const come = isNew ? ["mcp", "serve", "--url", wire.url, "--token", token] : ["gateway", "call", "health", "--json"];
    const client = machine.start(...come);
    atEnd(() => client.stop());
    const found = await eventually(what, seen);
    await client.stop();
    return found;
  };
  const refusal = (since) =>
    wire.entries
      .slice(since)
      .map(({ frame }) => frame?.error)
      .find((error) => error?.code === "NOT_PAIRED");
  const hellos = () => wire.entries.filter(({ frame }) => frame?.payload?.type === "hello-ok").length;
  let request;
  let device;

  await check("a device from elsewhere is refused, and told what to do", async () => {
    wire.during = "first visit";
    const { message, details } = await visit(far, "a refusal", () => refusal(0));
    assert.match(message, /^pairing required/);
    request = details.requestId;
    assert.ok(request);
    return message;
  });
  await check("devices list shows the request", async () => {
    const { pending } = await json("devices", "list", "--json");
    const found = pending.find(({ requestId }) => requestId === request);
    assert.ok(found, JSON.stringify(pending));
    device = found.deviceId;
    return `${found.role ?? found.roles}, from ${found.remoteIp}`;
  });
  await check("devices list in words", async () => {
    const out = succeeded(await operator.run("devices", "list"));
    assert.match(out, new RegExp(request.slice(0, 8)));
    return "the request is in the table";
  });
  await check("devices approve", async () => {
    const approved = await json("devices", "approve", request, "--json");
    assert.equal(approved.device?.deviceId ?? approved.deviceId, device, JSON.stringify(approved));
    return `device ${device.slice(0, 12)}…`;
  });
  await check("the approved device connects", async () => {
    const before = hellos();
    wire.during = "second visit";
    await visit(far, "hello", () => hellos() > before);
    const { auth } = wire.entries.filter(({ frame }) => frame?.payload?.type === "hello-ok").at(-1).frame.payload;
    assert.ok(auth.deviceToken, "it gets a token of its own");
    return `scopes ${auth.scopes.join(", ")}`;
  });
  await check("devices list shows it as paired", async () => {
    const { pending, paired } = await json("devices", "list", "--json");
    assert.ok(!pending.some(({ requestId }) => requestId === request));
    const found = paired.find(({ deviceId }) => deviceId === device);
    assert.ok(found, JSON.stringify(paired));
    return `roles ${found.roles ?? found.role}`;
  });
  await check("devices rotate", async () => {
    const rotated = await json("devices", "rotate", "--device", device, "--role", "operator", "--json");
    assert.equal(rotated.deviceId, device);
    return Object.keys(rotated).join(", ");
  });
  await check("devices revoke", async () => {
    const revoked = await json("devices", "revoke", "--device", device, "--role", "operator", "--json");
    assert.equal(revoked.deviceId, device);
    assert.ok(revoked.revokedAtMs > 0, JSON.stringify(revoked));
    return `at ${new Date(revoked.revokedAtMs).toISOString()}`;
  });
  if (isNew) {
    await check("devices remove", async () => {
      await json("devices", "remove", device, "--json");
      const { paired } = await json("devices", "list", "--json");
      assert.ok(!paired.some(({ deviceId }) => deviceId === device));
      return "gone from the list";
    });
  }
  await check("a request can be rejected", async () => {
    const before = wire.entries.length;
    const { details } = await visit(home("other", { through: wire }), "a refusal", () => refusal(before));
    const rejected = succeeded(await operator.run("devices", "reject", details.requestId, "--json"));
    const { pending } = await json("devices", "list", "--json");
    assert.ok(!pending.some(({ requestId }) => requestId === details.requestId));
    return rejected;
  });
  await check("a device that nobody asked for cannot be approved", async () =>
    refused(/unknown requestId|No pending device request matches/i, await operator.run("devices", "approve", "00000000-0000-4000-8000-000000000000", "--json")),
  );
}
