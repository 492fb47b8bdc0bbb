// The WebChat page in a real browser against a running gateway.
//
// node tests/browser/webchat.mjs [http://127.0.0.1:18789] [token]
//
// Address and token also come from OPENCLAW_URL and OPENCLAW_GATEWAY_TOKEN, the browser from CHROMIUM (else the usual
// paths). OPENCLAW_CLAIM is a code of `openclaw pair`, which is used up. Needs playwright-core where Node finds it (NODE_PATH works). Ends with 0 if all promises hold, 1 if one is
// broken, 77 if browser or playwright-core are missing.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";

const SKIPPED = 77;
const PATIENCE_MS = 30_000;
const BROWSERS = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const DESK = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };

const url = new URL("/", process.argv[2] ?? process.env.OPENCLAW_URL ?? "http://127.0.0.1:18789").href;
const claim = process.env.OPENCLAW_CLAIM ?? "";
const token = process.argv[3] ?? process.env.OPENCLAW_GATEWAY_TOKEN ?? "";
const browser = await launch();
let broken = 0;

await promise("the token leaves the address bar and the page connects", DESK, async ({ page, sockets }) => {
  await open(page);
  assert.equal(page.url(), url);
  assert.deepEqual(
    sockets,
    [url.replace(/^http/, "ws")],
    "one socket, to the page's own origin, without a token in it",
  );
});

await promise("token and gateway address in the query string are ignored", DESK, async ({ page, sockets }) => {
  await page.goto(`${url}?token=${encodeURIComponent(token)}&gatewayUrl=ws://evil.invalid/`);
  await page.waitForSelector("#gate:not([hidden])");
  assert.deepEqual(sockets, []);
});

await promise("the page allows no code and no connection but its own", DESK, async ({ page }) => {
  const answer = await page.goto(url);
  const policy = answer.headers()["content-security-policy"] ?? "";
  assert.match(policy, /default-src 'self'/);
  assert.doesNotMatch(policy, /unsafe-inline|unsafe-eval|\*/);
});

await promise("a wrong token is told apart and the right one still opens", DESK, async ({ page }) => {
  await page.goto(`${url}#token=wrong-${randomUUID()}`);
  await page.waitForFunction(() => document.querySelector("#token-error")?.textContent !== "");
  assert.deepEqual(await page.evaluate(() => [sessionStorage.getItem("openclaw.token"), localStorage.length]), [
    null,
    0,
  ]);
  await page.fill("#token", token);
  await page.click("#token-submit");
  await connected(page);
});

await promise("a one-time code leaves the address bar, and one that is good no more is told apart", DESK, async ({ page, sockets }) => {
  const code = "ABCD-EFGH-JKLM-NPQR";
  await page.goto(`${url}#claim=${code}`);
  await page.waitForFunction(() => document.querySelector("#token-error")?.textContent.includes("openclaw pair"));
  assert.equal(page.url(), url);
  assert.ok(sockets.every((socket) => !socket.includes(code)));
  await page.fill("#token", code.toLowerCase());
  await page.click("#token-submit");
  await page.waitForFunction(() => document.querySelector("#token-error")?.textContent.includes("openclaw pair"));
  assert.equal(await page.evaluate(() => localStorage.length + sessionStorage.length), 0);
});

if (claim) {
  await promise("a one-time code gives the browser a token of its own, which outlives the tab", DESK, async ({ page, context }) => {
    await page.goto(`${url}#claim=${claim}`);
    await connected(page);
    assert.equal(page.url(), url);
    const again = await context.newPage();
    await again.goto(url);
    await connected(again);
  });
}

await promise("hi is answered, and a reload shows the same once", DESK, async ({ page }) => {
  await open(page);
  const said = `hi ${randomUUID()}`;
  const answer = await ask(page, said);
  assert.notEqual(answer.text, "");
  await page.reload();
  await connected(page);
  await page.waitForFunction((text) => document.querySelector("#messages").textContent.includes(text), said);
  const lines = await conversation(page);
  assert.equal(lines.filter(({ text }) => text === said).length, 1, "the line is there once");
  if (answer.kind === "by-assistant") {
    const at = lines.findIndex(({ text }) => text === said);
    assert.equal(lines[at + 1]?.text, answer.text, "its answer follows it");
  }
});

await promise("what is typed outlives a reload, and markup stays text", DESK, async ({ page }) => {
  await open(page);
  await page.fill("#input", "half a thought");
  await page.reload();
  await connected(page);
  assert.equal(await page.inputValue("#input"), "half a thought");
  const said = `<img src=x onerror="document.title='owned'"> [x](javascript:alert(1)) ${randomUUID()}`;
  await ask(page, said);
  assert.equal(await page.title(), "OpenClaw");
  assert.ok((await conversation(page)).some(({ text }) => text === said));
  assert.equal(await page.locator("#messages img, #messages script").count(), 0);
  const schemes = await page.$$eval("#messages a", (links) => links.map(({ protocol }) => protocol));
  assert.ok(
    schemes.every((scheme) => ["http:", "https:", "mailto:"].includes(scheme)),
    `${schemes}`,
  );
});

await promise(
  "a line that breaks comes back and what was said meanwhile goes out once",
  DESK,
  async ({ page, context }) => {
    let stop = () => {};
    await context.routeWebSocket(/.*/, (socket) => {
      const server = socket.connectToServer();
      stop = async () => {
        await server.close();
        await socket.close({ code: 1012, reason: "service restart" });
      };
    });
    await open(page);
    await stop();
    await page.waitForFunction(() => document.body.dataset.connection !== "online");
    const said = `meanwhile ${randomUUID()}`;
    await ask(page, said);
    await page.reload();
    await connected(page);
    await page.waitForFunction((text) => document.querySelector("#messages").textContent.includes(text), said);
    assert.equal((await conversation(page)).filter(({ text }) => text === said).length, 1);
  },
);

for (const size of [PHONE, { width: 320, height: 568 }]) {
  await promise(`nothing sticks out sideways at ${size.width} px`, size, async ({ page }) => {
    await open(page);
    await ask(page, `${"a-very-long-word-".repeat(20)} ${randomUUID()}`);
    const [page_, log] = await page.evaluate(() =>
      [document.documentElement, document.querySelector("#log")].map(
        ({ scrollWidth, clientWidth }) => scrollWidth - clientWidth,
      ),
    );
    assert.deepEqual([page_, log], [0, 0]);
    for (const part of ["#input", "#send", "#status"]) {
      const box = await page.locator(part).boundingBox();
      assert.ok(
        box.x >= 0 && box.x + box.width <= size.width && box.y + box.height <= size.height,
        `${part} is on the screen`,
      );
    }
  });
}

await browser.close();
process.exit(broken > 0 ? 1 : 0);

async function launch() {
  const executablePath = BROWSERS.find((path) => path && existsSync(path));
  if (!executablePath) skip("no Chromium here; name one in CHROMIUM");
  try {
    const { chromium } = createRequire(import.meta.url)("playwright-core");
    return await chromium.launch({ executablePath, headless: true, args: FLAGS });
  } catch (error) {
    if (error.code !== "MODULE_NOT_FOUND") throw error;
    return skip("playwright-core is not installed");
  }
}

function skip(why) {
  console.log(`skipped: ${why}`);
  process.exit(SKIPPED);
}

// Runs one promise in a browser profile of its own; a script error on the page breaks it too.
async function promise(name, viewport, check) {
  const touch = viewport.width < 600;
  const context = await browser.newContext({ viewport, hasTouch: touch, isMobile: touch });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const errors = [];
  const sockets = [];
  page.on("pageerror", (error) => errors.push(error.message));
  page.on(
    "console",
    (message) => /Content Security Policy|TrustedScript/.test(message.text()) && errors.push(message.text()),
  );
  page.on("websocket", (socket) => sockets.push(socket.url()));
  try {
    await check({ page, context, sockets });
    assert.deepEqual(errors, [], "no errors on the page");
    console.log(`ok      ${name}`);
  } catch (error) {
    broken += 1;
    console.log(`broken  ${name}\n        ${error.message.replaceAll("\n", "\n        ")}`);
  } finally {
    await context.close();
  }
}

async function open(page) {
  await page.goto(`${url}#token=${encodeURIComponent(token)}`);
  await connected(page);
}

function connected(page) {
  return page.waitForFunction(() => document.body.dataset.connection === "online");
}

// Says something and waits for what follows it: an answer, or the gateway's word that there is none.
async function ask(page, text) {
  await page.fill("#input", text);
  await page.click("#send");
  const found = await page.waitForFunction((said) => {
    const all = [...document.querySelectorAll(".message")];
    const mine = all.findLastIndex((message) => message.querySelector(".body").textContent === said);
    const next =
      mine < 0
        ? undefined
        : all
            .slice(mine + 1)
            .find(({ dataset, classList }) => classList.contains("by-error") || dataset.state === "final");
    return next && { kind: [...next.classList].at(-1), text: next.querySelector(".body").textContent };
  }, text);
  return found.jsonValue();
}

function conversation(page) {
  return page.$$eval(".message", (all) =>
    all.map((message) => ({ kind: [...message.classList].at(-1), text: message.querySelector(".body").textContent })),
  );
}
