// The bridges that editors (ACP) and tools (MCP) start and speak to over stdio.

import assert from "node:assert/strict";

import { JsonRpc } from "../json-rpc.mjs";

/** Starts each bridge the way its users do. */
export async function bridges({ check, home, recorder, token, isNew, folder, atEnd }) {
  const here = home("home");
  const at = ["--url", recorder.url, "--token", token];
  await acp({ check, here, at, recorder, folder, atEnd });
  if (isNew) await mcp({ check, here, at, recorder, atEnd });
}

async function acp({ check, here, at, recorder, folder, atEnd }) {
  recorder.during = "acp";
  const bridge = here.start("acp", ...at, "--session", "agent:main:acp");
  atEnd(() => bridge.stop());
  const editor = new JsonRpc(bridge);
  let sessionId = "";
  await check("acp initialize", async () => {
    const { protocolVersion, agentInfo } = await editor.call("initialize", {
      protocolVersion: 1,
      clientCapabilities: { fs: { readTextFile: false, writeTextFile: false }, terminal: false },
    });
    assert.equal(protocolVersion, 1);
    return JSON.stringify(agentInfo ?? {});
  });
  await check("acp session/new", async () => {
    ({ sessionId } = await editor.call("session/new", { cwd: folder, mcpServers: [] }));
    assert.ok(sessionId);
    return sessionId;
  });
  await check("acp session/prompt", async () => {
    const prompt = [{ type: "text", text: "SLOW coot" }];
    const { stopReason } = await editor.call("session/prompt", { sessionId, prompt });
    assert.equal(stopReason, "end_turn");
    const updates = editor.heard.filter(({ method }) => method === "session/update").map(({ params }) => params.update);
    const chunks = updates.filter(({ sessionUpdate }) => sessionUpdate === "agent_message_chunk");
    const text = chunks.map(({ content }) => content.text).join("");
    assert.match(text, /^coot1 .*cootEND$/);
    assert.ok(chunks.length > 3, `${chunks.length} chunks`);
    return `${chunks.length} chunks, ${stopReason}`;
  });
  await check("acp session/cancel", async () => {
    const prompt = [{ type: "text", text: "VERYSLOW rail" }];
    const asked = editor.call("session/prompt", { sessionId, prompt });
    await recorder.sees("a delta", ({ event, payload }) => event === "chat" && payload.state === "delta");
    editor.notify("session/cancel", { sessionId });
    const { stopReason } = await asked;
    assert.equal(stopReason, "cancelled");
    return stopReason;
  });
  await check("acp session/load", async () => {
    await editor.call("session/load", { sessionId, cwd: folder, mcpServers: [] });
    return "loaded";
  });
  await bridge.stop();
}

async function mcp({ check, here, at, recorder, atEnd }) {
  recorder.during = "mcp serve";
  const bridge = here.start("mcp", "serve", ...at);
  atEnd(() => bridge.stop());
  const tools = new JsonRpc(bridge);
  const use = async (name, input) => {
    const { content, structuredContent, isError } = await tools.call("tools/call", { name, arguments: input });
    assert.ok(!isError, JSON.stringify(content));
    return structuredContent ?? JSON.parse(content[0].text);
  };
  await check("mcp initialize", async () => {
    const { serverInfo } = await tools.call("initialize", {
      protocolVersion: "2025-06-18",
      capabilities: {},
      clientInfo: { name: "stock-clients", version: "1" },
    });
    tools.notify("notifications/initialized");
    return JSON.stringify(serverInfo);
  });
  await check("mcp tools/list", async () => {
    const list = await tools.call("tools/list");
    return list.tools.map(({ name }) => name).join(", ");
  });
  let conversation;
  await check("mcp conversations_list", async () => {
    const { conversations } = await use("conversations_list", { limit: 5 });
    assert.ok(Array.isArray(conversations), JSON.stringify(conversations));
    [conversation] = conversations;
    return `${conversations.length} conversations`;
  });
  await check("mcp conversation_get", async () => {
    const key = conversation?.sessionKey ?? "agent:main:main";
    const { conversation: found } = await use("conversation_get", { session_key: key });
    return JSON.stringify(found).slice(0, 80);
  });
  await check("mcp messages_read", async () => {
    const key = conversation?.sessionKey ?? "agent:main:main";
    const { messages } = await use("messages_read", { session_key: key, limit: 2 });
    assert.ok(Array.isArray(messages));
    return `${messages.length} messages`;
  });
  await check("mcp permissions_list_open", async () => JSON.stringify(await use("permissions_list_open", {})));
  await bridge.stop();
}
