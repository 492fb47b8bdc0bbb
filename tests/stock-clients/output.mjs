// What a command of a stock client printed.

import assert from "node:assert/strict";

/** The output of a command that must have succeeded. */
export function succeeded({ code, out, err }) {
  assert.ok(code === 0, `exit code ${code}: ${reason(out, err)}`);
  return out;
}

/** Why a command failed, which it must have, in words that fit `why`. */
export function refused(why, { code, out, err }) {
  assert.ok(code === 1, `exit code ${code} instead of 1: ${reason(out, err)}`);
  const found = why.exec(out + err);
  assert.ok(found, `${why} is not in: ${reason(out, err)}`);
  return found[0];
}

/** The JSON in an output: some versions print warnings before it. */
export function parse(out) {
  const begin = out.search(/^([[{"]|null$|true$|false$|\d+$)/m);
  assert.ok(begin >= 0, `no JSON in: ${out}`);
  return JSON.parse(out.slice(begin));
}

/** What a command says went wrong: the message of its JSON, else the first line that speaks of it. */
function reason(out, err) {
  const json = /"message": "((?:[^"\\]|\\.)*)"/.exec(out);
  if (json) return json[1];
  const lines = `${err}\n${out}`.split("\n").map((line) => line.trim()).filter(Boolean);
  return lines.find((line) => /error|unknown|missing|unauthorized|fail|refused/i.test(line)) ?? lines[0] ?? "nothing said";
}
