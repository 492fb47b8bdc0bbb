// The page: puts connection, conversation and drawing together.

import { Composer } from "./composer.js";
import { Connection, Interrupted, Refusal } from "./connection.js";
import { Conversation } from "./conversation.js";
import { newId } from "./device.js";
import { Follow } from "./follow.js";
import { Approval, Gate } from "./gate.js";
import * as keep from "./keep.js";
import { Log } from "./log.js";
import { Status } from "./status.js";
import { Views } from "./views.js";

const PAGE_LINES = 60;
const REFRESH_MS = 700;
const QUIET_MS = 20_000;
const GIVE_UP_MS = 15 * 60_000;
const TRIES = 5;
const SPARE_BYTES = 4096;

const find = (selector) => document.querySelector(selector);
const address = keep.fromAddress();
const sessionName = address.session || "main";
let sessionKey = sessionName;
let remember = keep.remembersToken();
let started = false;
let frame = 0;
let refreshing = 0;
let pumping = false;

const conversation = new Conversation((entry) => {
  if (entry?.role !== "assistant") keep.keepUnsent(sessionName, conversation.unsent());
  drawSoon();
});
const log = new Log(find("#messages"), { retry, remove: (entry) => conversation.remove(entry) });
const follow = new Follow(find("#log"), find("#column"), find("#pill"));
const composer = new Composer(find("#composer"), {
  say,
  stop,
  draft: (text) => started && keep.keepDraft(sessionName, text),
});
const status = new Status(document, { again: () => connection.tryNow() });
const gate = new Gate(find("#gate"), find(".page"), { token: offer, claim: redeem });
const approval = new Approval(find("#approval"), find(".page"));
const connection = new Connection({ state: stateChanged, hello: greeted, event: happened, gap: () => refreshSoon() });
const views = new Views(document, connection, { shown });

start();

function start() {
  started = true;
  const unsent = keep.loadUnsent(sessionName);
  if (unsent.length > 0) conversation.restore(unsent);
  composer.text = keep.loadDraft(sessionName);
  find("#earlier").addEventListener("click", loadEarlier);
  find("#again").addEventListener("click", () => {
    find("#details").hidePopover?.();
    connection.offerToken(connection.token);
  });
  find("#forget").addEventListener("click", forget);
  for (const button of document.querySelectorAll("#empty button")) {
    button.addEventListener("click", () => suggest(button.textContent));
  }
  addEventListener("hashchange", moved);
  views.show(address.params);
  document.addEventListener("visibilitychange", () => document.hidden || title(false));
  window.visualViewport?.addEventListener("resize", fit);
  setInterval(watch, 5_000);
  const token = address.token || keep.loadToken();
  if (address.claim) connection.offerClaim(address.claim);
  else connection.offerToken(token);
  if (token && !find(".middle").hidden && matchMedia("(hover: hover)").matches) composer.focus();
}

// Another session, or a token, is another page; another view is not.
function moved() {
  const next = new URLSearchParams(location.hash.slice(1));
  if (next.has("token") || next.has("claim") || (!next.has("view") && (next.get("session") || "main") !== sessionName)) location.reload();
  else views.show(next);
}

// A view takes the place of the chat, or gives it back.
function shown(title) {
  find("#view").hidden = !title;
  find(".middle").hidden = find(".foot").hidden = Boolean(title);
  find("#session").textContent = title || (sessionName === "main" ? "" : sessionName);
  find(".skip").hidden = Boolean(title);
  document.title = title ? `${title} · OpenClaw` : "OpenClaw";
  if (!title) follow.jump(false);
}

function offer(token, onThisDevice) {
  remember = onThisDevice;
  gate.trying();
  connection.offerToken(token);
}

function redeem(code) {
  gate.trying();
  connection.offerClaim(code);
}

function forget() {
  find("#details").hidePopover?.();
  keep.forgetToken();
  remember = false;
  connection.offerToken("");
}

function stateChanged(state) {
  status.show(state);
  document.body.dataset.connection = state.name;
  if (state.name === "pairing") approval.show(state);
  else if (state.name !== "connecting") approval.hide();
  if (state.name === "token") gate.show(state, remember);
  else if (gate.open && (state.name === "refused" || state.name === "waiting" || state.name === "pairing")) gate.hide();
  if (state.name !== "online") {
    for (const entry of conversation.entries.filter((line) => line.state === "sending")) {
      if (state.tooBig) conversation.mark(entry, "failed", "Too long for the gateway");
      else conversation.mark(entry, "queued");
    }
  }
  drawSoon();
}

async function greeted(hello, resumed) {
  // A token is kept only once it has opened the gate; one that opens it for this browser alone, for good.
  keep.keepToken(connection.token, remember || connection.ownToken);
  if (gate.open) {
    gate.hide();
    if (!find(".middle").hidden) composer.focus();
  }
  views.greeted();
  const {
    mainSessionKey = "agent:main:main",
    defaultAgentId = "main",
    mainKey = "main",
  } = hello.snapshot?.sessionDefaults ?? {};
  if (sessionName === "main" || sessionName === mainKey) sessionKey = mainSessionKey;
  else sessionKey = sessionName.startsWith("agent:") ? sessionName : `agent:${defaultAgentId}:${sessionName}`;
  const scopes = (hello.auth?.scopes ?? []).map((scope) => scope.replace("operator.", "")).join(", ");
  status.explain([
    ["Gateway", hello.server?.version],
    ["Session", sessionKey],
    ["May", scopes],
    ["Connection", hello.server?.connId?.slice(0, 8)],
  ]);
  await pump();
  // The gateway tells what was missed; where it cannot, that counts as a gap.
  if (!resumed || !conversation.loaded) await load();
}

function happened(name, payload) {
  views.hear(name, payload);
  if (name !== "chat" || (payload.sessionKey !== sessionKey && payload.sessionKey !== sessionName)) return;
  const known = conversation.entries.length;
  const { foreign, ended } = conversation.hear(payload, Date.now());
  if (conversation.entries.length > known || ended) follow.arrive();
  if (foreign || ended) refreshSoon();
  if (ended && payload.state !== "aborted") announce(payload.runId);
}

function say(text) {
  conversation.say(newId(), text, Date.now());
  follow.jump(false);
  pump();
}

function retry(entry) {
  entry.tries = 0;
  conversation.mark(entry, "queued");
  pump();
}

// Sends what is queued, one after the other, so that the order in which things were said is kept.
async function pump() {
  if (pumping) return;
  pumping = true;
  try {
    let entry = conversation.nextQueued();
    for (; entry && connection.state.name === "online"; entry = conversation.nextQueued()) await deliver(entry);
  } finally {
    pumping = false;
  }
}

async function deliver(entry) {
  const params = { sessionKey, message: entry.text, idempotencyKey: entry.key };
  if (new TextEncoder().encode(JSON.stringify(params)).length > connection.maxBytes - SPARE_BYTES) {
    conversation.mark(entry, "failed", "Too long for the gateway");
    return;
  }
  conversation.mark(entry, "sending");
  try {
    const { runId = entry.key, status: answer } = await connection.request("chat.send", params);
    conversation.mark(entry, "sent");
    if (answer === "started" || answer === "in_flight" || answer === "accepted") conversation.begin(runId, Date.now());
    else refreshSoon();
  } catch (error) {
    entry.tries = (entry.tries ?? 0) + 1;
    if (error instanceof Interrupted) conversation.mark(entry, "queued");
    else if (error instanceof Refusal && error.retryable && entry.tries < TRIES) {
      conversation.mark(entry, "sending");
      await new Promise((resolve) => setTimeout(resolve, error.retryAfterMs || 1000 * entry.tries));
      if (entry.state === "sending") conversation.mark(entry, "queued");
    } else conversation.mark(entry, "failed", `Not sent: ${sentence(error.message)}`);
  }
}

async function stop() {
  try {
    const { aborted } = await connection.request("chat.abort", { sessionKey });
    if (aborted === false) conversation.letGo();
    refreshSoon();
  } catch {
    // The button comes back by itself.
  }
}

async function load() {
  try {
    conversation.merge(await history(), Date.now());
    trouble("");
  } catch (error) {
    if (!(error instanceof Interrupted)) trouble(`The history could not be loaded: ${sentence(error.message)}`);
  }
}

async function history() {
  const params = { sessionKey, limit: PAGE_LINES };
  if (conversation.loaded) return connection.request("chat.history", params);
  try {
    return await connection.request("chat.startup", params);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return connection.request("chat.history", params);
  }
}

async function loadEarlier() {
  const button = find("#earlier");
  if (button.disabled) return;
  button.disabled = true;
  try {
    const page = await connection.request("chat.history", {
      sessionKey,
      limit: PAGE_LINES,
      offset: conversation.earlier.offset,
    });
    follow.hold(() => {
      conversation.prepend(page);
      draw();
    });
  } catch {
    trouble("Earlier messages could not be loaded. Try again.");
  }
  button.disabled = false;
}

function trouble(text) {
  find("#trouble").textContent = text;
  find("#trouble").hidden = !text;
}

function refreshSoon() {
  clearTimeout(refreshing);
  refreshing = setTimeout(() => connection.state.name === "online" && load(), REFRESH_MS);
}

// A lost last word of a run is found in the history; a run of which nothing is ever heard again is given up.
function watch() {
  const silence = conversation.silence(Date.now());
  if (silence > GIVE_UP_MS) conversation.letGo();
  else if (silence > QUIET_MS && connection.state.name === "online") load();
}

function drawSoon() {
  if (!frame) frame = requestAnimationFrame(draw);
}

function draw() {
  cancelAnimationFrame(frame);
  frame = 0;
  log.draw(conversation.entries, { online: connection.state.name === "online", now: Date.now() });
  composer.answering(conversation.active().length > 0 && connection.state.name === "online");
  find("#empty").hidden = !conversation.loaded || conversation.entries.length > 0;
  find("#loading").hidden = conversation.loaded || connection.state.name === "token";
  find("#earlier").hidden = !conversation.earlier.more;
}

// An answer is read aloud once, whole, not word by word as it grows.
function announce(runId) {
  requestAnimationFrame(() => {
    const entry = conversation.entries.findLast((other) => other.runId === runId && other.role !== "user");
    if (entry) find("#spoken").textContent = `OpenClaw: ${log.spoken(entry)}`.slice(0, 4000);
  });
  if (document.hidden) title(true);
}

function title(news) {
  document.title = document.title.replace(/^● /, "").replace(/^/, news ? "● " : "");
}

function suggest(text) {
  composer.text = text.trim();
  composer.focus();
}

function sentence(text) {
  return /[.!?…]$/.test(text) ? text : `${text}.`;
}

// Where the keyboard lies over the page instead of shrinking it, the page shrinks itself.
function fit() {
  const { height, scale } = window.visualViewport;
  if (scale > 1.01) return;
  const covered = window.innerHeight - height > 80;
  document.documentElement.style.setProperty("--page-height", covered ? `${height}px` : "");
  if (covered) window.scrollTo(0, 0);
}
