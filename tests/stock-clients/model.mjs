// A model server for the gateway under test: it says back what it was told, as slowly as it is told to.

import http from "node:http";

import { pause } from "./eventually.mjs";

/** Words of a slow answer; long enough for a client to be seen in the middle of it. */
const SLOW_WORDS = 20;
/** An answer that nobody waits for the end of: it is there to be aborted. */
const VERY_SLOW_WORDS = 600;
const PAUSE_MS = 250;

/** The words that a message is answered with, the wait for the first and the pause before each other in milliseconds. */
export function answer(message) {
  const slow = { waitMs: PAUSE_MS, pauseMs: PAUSE_MS };
  // The words are the asker's own, so that they are told from an earlier answer in the same session.
  const [, very, name] = /\b(VERY)?SLOW (\w+)/.exec(message) ?? [];
  if (very) return { words: numbered(name, VERY_SLOW_WORDS), ...slow };
  if (name) return { words: [...numbered(name, SLOW_WORDS), `${name}END`], ...slow };
  const waitMs = message.includes("AT ONCE") ? 0 : PAUSE_MS;
  return { words: ["You", "said:", ...message.split(" ")], waitMs, pauseMs: 0 };
}

const numbered = (name, count) => Array.from({ length: count }, (_, index) => `${name}${index + 1}`);

/** Starts it on a port of its own. It speaks the chat completions API, streaming and whole. */
export async function startModel() {
  const asked = [];
  const server = http.createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    if (request.url === "/v1/models") {
      return json(response, 200, { object: "list", data: [{ id: "echo", object: "model", owned_by: "tests" }] });
    }
    if (request.url !== "/v1/chat/completions") return json(response, 404, { error: { message: "no such path" } });
    const body = JSON.parse(Buffer.concat(chunks).toString("utf8"));
    const last = body.messages.at(-1)?.content ?? "";
    asked.push(last);
    await (body.stream ? stream : whole)(response, body, answer(textOf(last)));
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return {
    url: `http://127.0.0.1:${server.address().port}/v1`,
    /** Last message of each request. */
    asked,
    stop: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

const textOf = (content) =>
  typeof content === "string" ? content : content.map(({ text }) => text ?? "").join(" ");

async function stream(response, body, { words, waitMs, pauseMs }) {
  response.writeHead(200, { "content-type": "text/event-stream" });
  const chunk = (choice, more = {}) =>
    response.write(`data: ${JSON.stringify({ ...envelope(body, "chat.completion.chunk"), choices: choice, ...more })}\n\n`);
  for (const [index, word] of words.entries()) {
    const ms = index ? pauseMs : waitMs;
    if (ms) await pause(ms);
    if (response.destroyed) return;
    chunk([{ index: 0, delta: { content: index ? ` ${word}` : word }, finish_reason: null }]);
  }
  chunk([{ index: 0, delta: {}, finish_reason: "stop" }]);
  if (body.stream_options?.include_usage) chunk([], { usage: usage(words) });
  response.end("data: [DONE]\n\n");
}

async function whole(response, body, { words, waitMs, pauseMs }) {
  await pause(waitMs + pauseMs * words.length);
  const message = { role: "assistant", content: words.join(" ") };
  json(response, 200, {
    ...envelope(body, "chat.completion"),
    choices: [{ index: 0, message, finish_reason: "stop" }],
    usage: usage(words),
  });
}

const envelope = (body, object) => ({ id: "chatcmpl-1", object, created: 1, model: body.model });
const usage = (words) => ({ prompt_tokens: 7, completion_tokens: words.length, total_tokens: 7 + words.length });

function json(response, status, value) {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(value));
}
