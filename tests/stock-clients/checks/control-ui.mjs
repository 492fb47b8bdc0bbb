// The Control UI as it is built into the npm package, in a real browser: a chat, and what its pages show of us.

import assert from "node:assert/strict";
import { existsSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

import { DEADLINE_MS, eventually } from "../eventually.mjs";
import { servePages } from "../pages.mjs";

const BROWSERS = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"];
const DESK = { width: 1400, height: 1000 };
const JOB = "tidy the harbour";

/** What each page must show of this gateway; the paths are those of the two versions. */
const PAGES = [
  { page: "overview", old: "/overview", shows: /connected/i },
  { page: "sessions", new: "/sessions", old: "/sessions", shows: /agent:main:main|\bmain\b[\s\S]*direct/ },
  { page: "cron", new: "/automations", old: "/cron", shows: new RegExp(JOB) },
  { page: "channels", new: "/settings/channels", old: "/channels", shows: /channels/i },
  { page: "config", new: "/settings/advanced", old: "/config", shows: /gateway/i },
  { page: "nodes", new: "/settings/devices", old: "/nodes", shows: /operator/ },
  { page: "agents", new: "/agents", old: "/agents", shows: /\bmain\b/ },
  { page: "instances", old: "/instances", shows: /webchat/ },
  { page: "skills", new: "/skills", old: "/skills", shows: /skills/i },
  { page: "models", new: "/settings/model-providers", shows: /echo/ },
  { page: "usage", new: "/usage", old: "/usage", shows: /usage/i },
  { page: "debug", new: "/debug", old: "/debug", shows: /"ok": true|heartbeat/ },
  { page: "logs", new: "/logs", old: "/logs", shows: /INFO|info[\s\S]*(ready|starts|listening)/ },
];

/** Opens the page, chats, and looks at every other page. */
export async function controlUi({ check, home, recorder, folder, installed, clientFolder, token, isNew, atEnd }) {
  const { chromium } = createRequire(path.join(installed, "tools", "package.json"))("playwright-core");
  const executablePath = BROWSERS.find((file) => file && existsSync(file));
  assert.ok(executablePath, "Chromium is missing: install it, or name it in CHROMIUM");
  const shots = path.join(folder, "shots");
  mkdirSync(shots);
  const site = await servePages({
    folder: path.join(clientFolder, "node_modules", "openclaw", "dist", "control-ui"),
    port: recorder.port,
  });
  atEnd(() => site.stop());
  // Something to show on the page of jobs.
  await home("home").run("cron", "add", "--name", JOB, "--every", "1h", "--system-event", "tick", "--session", "main");
  const browser = await chromium.launch({ executablePath, args: FLAGS });
  atEnd(() => browser.close());
  const page = await browser.newPage({ viewport: DESK });
  page.setDefaultTimeout(DEADLINE_MS);
  const failures = [];
  page.on("pageerror", (error) => failures.push(error.message));

  const text = () => page.evaluate(() => document.body.innerText);
  const shows = async (pattern) => {
    const found = await eventually(`${pattern} on the page`, async () => pattern.exec(await text())).catch(
      async (error) => {
        throw new Error(`${error.message}; it shows:\n${await text()}`);
      },
    );
    return found[0];
  };
  const composer = page.getByPlaceholder(/^Message /);
  const say = async (message) => {
    await composer.fill(message);
    await composer.press("Enter");
  };

  await check("opens with the token and connects", async () => {
    recorder.during = "open";
    await page.goto(`${site.url}/chat${isNew ? "#" : "?session=main&"}token=${token}`);
    await composer.waitFor();
    await eventually("a composer that can be written in", () => composer.isEditable());
    assert.ok(!page.url().includes(token), "the token leaves the address bar");
    return recorder.asked.map(([method]) => method).join(", ");
  });
  await check("chats", async () => {
    recorder.during = "chat";
    await say("hello from the browser");
    const seen = await shows(/You said: hello from the browser/);
    await page.screenshot({ path: path.join(shots, "chat.png") });
    return seen;
  });
  await check("shows an answer while it is being written", async () => {
    await say("SLOW auk");
    await shows(/auk3\b/);
    const seen = await text();
    await page.screenshot({ path: path.join(shots, "streaming.png") });
    assert.doesNotMatch(seen, /aukEND/, "the answer is shown only once it is whole");
    await shows(/aukEND/);
    return "the third word before the last";
  });
  await check("shows the same after a reload", async () => {
    await page.reload();
    await shows(/You said: hello from the browser/);
    await page.screenshot({ path: path.join(shots, "reload.png") });
    return "the history";
  });
  for (const { page: name, shows: pattern, ...paths } of PAGES) {
    const where = isNew ? paths.new : paths.old;
    if (!where) continue;
    await check(`page ${name}`, async () => {
      recorder.during = name;
      await page.goto(site.url + where);
      try {
        const seen = await shows(pattern);
        await settled(recorder);
        assert.doesNotMatch(await text(), /unknown method/);
        return `${seen.slice(-60)} (${[...new Set(recorder.asked.map(([method]) => method))].length} methods)`;
      } finally {
        await page.screenshot({ path: path.join(shots, `${name}.png`) });
      }
    });
  }
  await check("no script of the page fails", async () => {
    assert.deepEqual([...new Set(failures)], []);
    return "none";
  });
  await check("nothing is unknown that the page lives on", () => refusals(recorder));
}

/** Waits until every request has its answer. */
function settled(recorder) {
  return eventually("an answer to every request", () => {
    const frames = recorder.now.map(({ frame }) => frame).filter(Boolean);
    const answered = new Set(frames.filter(({ type }) => type === "res").map(({ id }) => id));
    const open = frames.filter(({ type, id }) => type === "req" && !answered.has(id));
    return open.length === 0;
  });
}

/** Methods that we declined, for the table: the page tolerates each of them. */
function refusals(recorder) {
  const texts = recorder.entries.map(({ frame }) => frame?.error?.message ?? "");
  const names = texts.map((text) => /^unknown method: (.*)$/.exec(text)?.[1]).filter(Boolean);
  return `declined: ${[...new Set(names)].sort().join(", ") || "none"}`;
}
