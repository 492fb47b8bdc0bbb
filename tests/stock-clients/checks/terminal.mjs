// The terminal interface, driven at a terminal: connects, sends, streams, aborts, and comes back after a cut.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";

import { eventually } from "../eventually.mjs";
import { Terminal } from "../tmux.mjs";

/** Plays a conversation as a person has it. */
export async function terminal({ check, home, recorder, folder, atEnd }) {
  const here = home("home");
  const [program, ...first] = here.program;
  recorder.during = "tui";
  const tui = new Terminal({ program, args: [...first, "tui"], folder: here.folder, environment: here.environment });
  atEnd(() => {
    writeFileSync(path.join(folder, "screen.txt"), tui.screen);
    tui.close();
  });

  await check("connects", async () => {
    const [seen] = await tui.shows(/gateway connected|connected \| idle/);
    return seen;
  });
  await check("sends, and shows the answer", async () => {
    tui.enter("hello from the terminal");
    const [seen] = await tui.shows(/You said: hello from the terminal/);
    return seen;
  });
  await check("shows an answer that comes at once, and is ready for more", async () => {
    for (const which of ["first", "second", "third"]) {
      tui.enter(`AT ONCE ${which}`);
      await tui.shows(new RegExp(`You said: AT ONCE ${which}`));
    }
    return "three in a row";
  });
  await check("shows an answer while it is being written", async () => {
    tui.enter("SLOW tern");
    await tui.shows(/tern3\b/);
    assert.doesNotMatch(tui.screen, /ternEND/, "the answer is shown only once it is whole");
    await tui.shows(/ternEND/);
    return "the third word before the last";
  });
  await check("aborts a run", async () => {
    tui.enter("VERYSLOW gull");
    await tui.shows(/gull2\b/);
    tui.press("Escape");
    const [seen] = await tui.shows(/run aborted|aborted/);
    assert.ok(
      recorder.asked.some(([method]) => method === "chat.abort"),
      "chat.abort was asked for",
    );
    return seen;
  });
  await check("connects again after its connection is cut", async () => {
    const before = recorder.entries.filter(({ frame }) => frame?.method === "connect").length;
    recorder.cut();
    await eventually("another connect", () => {
      const hellos = recorder.entries.filter(({ frame }) => frame?.payload?.type === "hello-ok");
      return hellos.length > before;
    });
    // It takes no message before it says so itself.
    await tui.shows(/gateway reconnected|connected \| idle/);
    tui.enter("hello again");
    const [seen] = await tui.shows(/You said: hello again/);
    return seen;
  });
  await check("shows its conversation when it is started again", async () => {
    const again = new Terminal({ program, args: [...first, "tui"], folder: here.folder, environment: here.environment });
    atEnd(() => again.close());
    await again.shows(/You said: hello from the terminal/);
    return "the history";
  });
  await check("misses no event", async () => {
    assert.doesNotMatch(tui.screen, /event gap/);
    return "no gap reported";
  });
}
