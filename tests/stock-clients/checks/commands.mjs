// One-shot commands of the command line: exit codes and output as the reference gateway makes them come out.

import assert from "node:assert/strict";

import { parse, refused as refusal, succeeded } from "../output.mjs";

/** Plays every command that talks to a gateway, in the order of what it needs from it. */
export async function commands({ check, home, recorder, isNew, model }) {
  const here = home("home");
  const run = (...args) => here.run(...args);
  /** Runs a command that must succeed. */
  const plain = async (...args) => succeeded(await run(...args));
  /** Runs a command that must succeed and print JSON. */
  const json = async (...args) => parse(await plain(...args));
  /** Runs a command that must fail, and tell why. */
  const refused = async (why, ...args) => refusal(why, await run(...args));
  const call = (method, params = {}) => json("gateway", "call", method, "--params", JSON.stringify(params), "--json");

  // Level 0: a connection.
  await check("gateway call health", async () => {
    assert.match(await plain("gateway", "call", "health"), /"ok": true/);
    return `asked ${recorder.asked.map(([method]) => method).join(", ")}`;
  });
  await check("health --json", async () => {
    const health = await json("health", "--json");
    assert.equal(health.ok, true);
    return `ok, agent ${health.defaultAgentId}`;
  });
  await check("health", async () => plain("health"));
  await check("gateway call no.such.method", () =>
    refused(/unknown method: no\.such\.method/, "gateway", "call", "no.such.method"),
  );
  await check("gateway call health with a wrong token", async () => {
    const stranger = home("stranger", { token: "not-the-token-of-this-gateway" });
    return refusal(/unauthorized: gateway token mismatch/, await stranger.run("gateway", "call", "health"));
  });

  // Level 1: what a gateway says of itself.
  await check("status --json", async () => {
    const { gateway } = await json("status", "--json");
    assert.equal(gateway.reachable, true, JSON.stringify(gateway));
    return `reachable, ${gateway.connectLatencyMs} ms`;
  });
  await check("status", async () => plain("status"));
  await check("gateway probe --json", async () => {
    const { ok, targets } = await json("gateway", "probe", "--json");
    assert.equal(ok, true);
    return `${targets?.length} targets`;
  });
  await check("channels status --json", async () => {
    const { channelOrder } = await json("channels", "status", "--json");
    assert.ok(Array.isArray(channelOrder));
    return `channels ${channelOrder.join(", ")}`;
  });
  await check("system presence --json", async () => {
    const presence = await json("system", "presence", "--json");
    assert.ok(presence.length > 0);
    return presence.map(({ mode, host }) => mode ?? host).join(", ");
  });
  await check("system heartbeat last --json", async () => JSON.stringify(await json("system", "heartbeat", "last", "--json")));
  await check("system event --mode now --json", async () =>
    JSON.stringify(await json("system", "event", "--text", "an event", "--mode", "now", "--json")),
  );
  await check("logs --limit 5 --plain", async () => {
    const out = await plain("logs", "--limit", "5", "--plain");
    assert.ok(out.trim(), "it printed nothing");
    return out;
  });
  if (isNew) {
    await check("models list --json", async () => {
      const { models } = await json("models", "list", "--json");
      assert.ok(models.some((entry) => JSON.stringify(entry).includes("echo")), JSON.stringify(models));
      return `${models.length} models`;
    });
  }
  await check("skills list --json", async () => {
    const { skills } = await json("skills", "list", "--json");
    return `${skills.length} skills`;
  });
  await check("approvals get --gateway --json", async () =>
    Object.keys(await json("approvals", "get", "--gateway", "--json")).join(", "),
  );

  // Jobs.
  let job = "";
  await check("cron status --json", async () => JSON.stringify(await json("cron", "status", "--json")));
  await check("cron add --json", async () => {
    const job_ = await json(
      ...["cron", "add", "--name", "stock-job", "--every", "1h", "--system-event", "tick", "--session", "main", "--json"],
    );
    job = job_.id;
    assert.ok(job, JSON.stringify(job_));
    return `job ${job}`;
  });
  await check("cron list --json", async () => {
    const { jobs } = await json("cron", "list", "--json");
    assert.ok(jobs.some(({ id, name }) => id === job && name === "stock-job"));
    return `${jobs.length} jobs`;
  });
  await check("cron list", async () => {
    const out = await plain("cron", "list");
    assert.match(out, /stock-job/);
    return out.split("\n")[1];
  });
  await check("cron disable, list --all, enable", async () => {
    await plain("cron", "disable", job);
    const { jobs } = await json("cron", "list", "--all", "--json");
    assert.equal(jobs.find(({ id }) => id === job)?.enabled, false);
    await plain("cron", "enable", job);
    return "enabled: false in the list";
  });
  await check("cron run", async () => plain("cron", "run", job));
  await check("cron runs", async () => {
    const { entries } = await json("cron", "runs", "--id", job, "--limit", "5");
    return `${entries.length} runs`;
  });
  await check("cron rm --json", async () => {
    await plain("cron", "rm", job, "--json");
    const { jobs } = await json("cron", "list", "--all", "--json");
    assert.ok(!jobs.some(({ id }) => id === job));
    return "gone from the list";
  });

  // Devices and nodes.
  await check("devices list --json", async () => {
    const { pending, paired } = await json("devices", "list", "--json");
    return `${pending.length} pending, ${paired.length} paired`;
  });
  await check("nodes list --json", async () => JSON.stringify(await json("nodes", "list", "--json")));
  await check("nodes status --json", async () => {
    const { nodes } = await json("nodes", "status", "--json");
    return `${nodes.length} nodes`;
  });
  await check("nodes pending --json", async () => JSON.stringify(await json("nodes", "pending", "--json")));

  // Level 2: an agent.
  await check("agent --message --json", async () => {
    const said = isNew ? "hello from the new cli" : "hello from the old cli";
    const answer = await json("agent", "--agent", "main", "--message", said, "--json");
    assert.equal(answer.status, "ok");
    const [{ text }] = answer.result.payloads;
    assert.equal(text, `You said: ${said}`);
    assert.ok(model.asked.some((asked) => asked.includes(said)), "the model was asked");
    return text;
  });
  await check("agent --message", async () => {
    const out = await plain("agent", "--agent", "main", "--message", "hello again");
    assert.match(out, /You said: hello again/);
    return out;
  });
  await check("gateway call chat.history", async () => {
    const { messages } = await call("chat.history", { sessionKey: "main", limit: 2 });
    assert.equal(messages.length, 2);
    assert.match(JSON.stringify(messages), /You said: hello again/);
    return messages.map(({ role }) => role).join(", ");
  });
  await check("gateway call sessions.list", async () => {
    const { sessions } = await call("sessions.list", { limit: 5 });
    assert.ok(sessions.some(({ key }) => key === "agent:main:main"), JSON.stringify(sessions));
    return sessions.map(({ key }) => key).join(", ");
  });
  if (isNew) {
    await check("message send to a channel that is not there", async () =>
      refused(/telegram/i, "message", "send", "--channel", "telegram", "--target", "123", "--message", "hi"),
    );
  }
}
