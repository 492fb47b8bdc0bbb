// The parts of the WebChat page that need no browser: Markdown and the conversation. Run with `node --test`.

import assert from "node:assert/strict";
import { test } from "node:test";

const page = new URL("../../services/control-plane/webchat/", import.meta.url);
const { parse, readInline, safeHref } = await import(new URL("markdown.js", page));
const { Conversation } = await import(new URL("conversation.js", page));

const kinds = (text) => parse(text).map(({ kind }) => kind);
const user = (text, key = "", id = `u-${text}`) => ({
  role: "user",
  content: text,
  timestamp: 1,
  idempotencyKey: key && `${key}:user`,
  __openclaw: { id },
});
const agent = (text, runId = "", id = `a-${text}`) => ({
  role: "assistant",
  content: [{ type: "text", text }],
  timestamp: 2,
  __openclaw: { id, runId },
});
const lines = ({ entries }) => entries.map(({ text }) => text);

function conversation() {
  return new Conversation(() => {});
}

test("blocks are told apart", () => {
  assert.deepEqual(kinds("# a\n\nb\nc\n- d\n  - e\n\n> f\n\n| g | h |\n|--|:-:|\n| 1 | 2 |\n\n---\n```js\nopen"), [
    "heading",
    "paragraph",
    "list",
    "quote",
    "table",
    "rule",
    "code",
  ]);
});

test("code keeps every character", () => {
  assert.equal(parse("```make\nall:\n\techo **no** <b>\n\n```")[0].text, "all:\n\techo **no** <b>\n");
});

test("only addresses that are safe to click become links", () => {
  for (const address of [
    "javascript:alert(1)",
    "JaVaScRiPt:1",
    "data:text/html,x",
    "vbscript:x",
    "//evil",
    "/path",
    "file:///etc",
    "java\nscript:1",
  ]) {
    assert.equal(safeHref(address), null, address);
    assert.ok(
      readInline(`[x](${address})`).every((node) => node.kind !== "link"),
      address,
    );
  }
  assert.equal(safeHref("https://a.example/?q=1"), "https://a.example/?q=1");
  assert.equal(safeHref("mailto:a@b.example"), "mailto:a@b.example");
});

test("an address ends before the sentence does", () => {
  const found = readInline("(see https://a.example/b_(c).)").filter(({ kind }) => kind === "link");
  assert.deepEqual(
    found.map(({ href }) => href),
    ["https://a.example/b_(c)"],
  );
});

test("snake_case stays as it is", () => {
  assert.deepEqual(readInline("a_b_c and 2 * 3 * 4"), ["a_b_c and 2 * 3 * 4"]);
});

test("hostile input is read in a blink", () => {
  const hostile = ["*a ", "**_", "[", "[a](", ">", "- ", "|", "<", "*a_b~~c", "[](<", "`a``b"].map((part) =>
    part.repeat(20_000),
  );
  for (const text of [...hostile, `http://${")".repeat(50_000)}`, `${"*a ".repeat(20_000)}${"b*".repeat(20_000)}`]) {
    const before = performance.now();
    parse(text);
    assert.ok(performance.now() - before < 1_000, text.slice(0, 12));
  }
});

test("history takes the place of what was shown before it, once", () => {
  const chat = conversation();
  chat.mark(chat.say("k", "hi", 1), "sent");
  chat.begin("k", 1);
  chat.hear({ runId: "k", state: "delta", deltaText: "he", seq: 1 }, 2);
  chat.hear({ runId: "k", state: "delta", deltaText: "llo", seq: 2 }, 2);
  assert.deepEqual(lines(chat), ["hi", "hello"]);
  chat.hear({ runId: "k", state: "final", message: agent("hello"), seq: 3 }, 3);
  chat.merge({ messages: [user("hi", "k"), agent("hello", "k")] }, 4);
  chat.merge({ messages: [user("hi", "k"), agent("hello", "k")] }, 5);
  assert.deepEqual(lines(chat), ["hi", "hello"]);
});

test("a replica's own name for a run leaves neither a double nor an endless wait", () => {
  const chat = conversation();
  chat.mark(chat.say("k", "hi", 1), "sent");
  chat.begin("k", 1);
  chat.hear({ runId: "turn", state: "final", message: agent("hello"), seq: 1 }, 2);
  chat.merge({ messages: [user("hi"), agent("hello", "turn")] }, 3);
  assert.deepEqual(lines(chat), ["hi", "hello"]);
  assert.deepEqual(chat.active(), []);
  chat.hear({ runId: "k", state: "final", message: agent("hello"), seq: 1 }, 4);
  assert.deepEqual(lines(chat), ["hi", "hello"]);
});

test("an unsent line is never taken for an older one with the same words", () => {
  const chat = conversation();
  chat.restore([{ key: "k", text: "hi", at: 9, state: "queued" }]);
  chat.merge({ messages: [user("hi"), agent("hello")] }, 10);
  assert.deepEqual(lines(chat), ["hi", "hello", "hi"]);
  assert.equal(chat.nextQueued().key, "k");
});

test("late and repeated events of a run change nothing, a last word always counts", () => {
  const chat = conversation();
  chat.hear({ runId: "r", state: "delta", deltaText: "a", seq: 5 }, 1);
  chat.hear({ runId: "r", state: "delta", deltaText: "zzz", seq: 5 }, 1);
  chat.hear({ runId: "r", state: "aborted", message: agent("a b"), seq: 4 }, 2);
  chat.hear({ runId: "r", state: "delta", deltaText: "c", seq: 6 }, 3);
  assert.deepEqual(lines(chat), ["a b"]);
  assert.equal(chat.entries[0].state, "aborted");
});

test("older pages go on top without doubles, and a new start forgets them", () => {
  const chat = conversation();
  chat.merge({ messages: [user("3"), agent("4")], hasMore: true, nextOffset: 2 }, 1);
  chat.prepend({ messages: [user("1"), agent("2"), user("3")], hasMore: false });
  assert.deepEqual(lines(chat), ["1", "2", "3", "4"]);
  chat.merge({ messages: [agent("4"), user("5")], hasMore: true, nextOffset: 2 }, 2);
  assert.deepEqual(lines(chat), ["1", "2", "3", "4", "5"]);
  assert.equal(chat.earlier.more, false);
  chat.merge({ messages: [], hasMore: false }, 3);
  assert.deepEqual(lines(chat), []);
});

test("a run that was let go comes back when it speaks again", () => {
  const chat = conversation();
  chat.hear({ runId: "r", state: "delta", deltaText: "a", seq: 1 }, 1);
  chat.letGo();
  assert.equal(chat.entries[0].state, "aborted");
  chat.hear({ runId: "r", state: "final", message: agent("a b") }, 2);
  assert.deepEqual(lines(chat), ["a b"]);
  assert.equal(chat.entries[0].state, "final");
});
