// Installs the stock clients and what drives them, as pinned in `packages`, below the folder that is named.
//
// node install.mjs <folder>
//
// What is there already, and from the same pins, is left alone. Ends with 77 where the registries cannot be reached.

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";

const SKIPPED = 77;
const PACKAGES = path.join(import.meta.dirname, "packages");
const NPM = path.join(path.dirname(process.execPath), "npm");
/** How npm and pip say that there is no way to their registry. */
const UNREACHABLE = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|NewConnectionError|NameResolutionError/;
/** No script of a package runs: what is installed is read and driven, never trusted with this machine. */
const NPM_OPTIONS = ["ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--loglevel=error"];

const folder = path.resolve(process.argv[2]);
for (const name of ["tools", "2026.9.6", "2026.2.9"]) {
  install(name, "package-lock.json", (own) => {
    for (const file of ["package.json", "package-lock.json"]) cpSync(path.join(PACKAGES, name, file), path.join(own, file));
    run(NPM, NPM_OPTIONS, own);
  });
}
install("python", "requirements.txt", (own) => {
  const pip = path.join(own, "bin", "pip");
  run("python3", ["-m", "venv", own], folder);
  run(pip, ["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:"].concat(
    ["--requirement", path.join(PACKAGES, "python", "requirements.txt")],
  ), own);
});

/** Installs one package into a folder of its own, unless that has been done from the same pins. */
function install(name, pins, fetch) {
  const own = path.join(folder, name);
  const note = path.join(own, "installed");
  const pinned = createHash("sha256").update(readFileSync(path.join(PACKAGES, name, pins))).digest("hex");
  if (existsSync(note) && readFileSync(note, "utf8") === pinned) return;
  console.error(`==> installing ${name} into ${path.relative(process.cwd(), own)}`);
  rmSync(own, { recursive: true, force: true });
  mkdirSync(own, { recursive: true });
  fetch(own);
  writeFileSync(note, pinned);
}

function run(program, args, cwd) {
  try {
    // npm is a script that finds Node in PATH.
    const PATH = `${path.dirname(process.execPath)}:${process.env.PATH}`;
    execFileSync(program, args, { cwd, stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, PATH } });
  } catch (error) {
    const said = `${error.stderr ?? error.message}`;
    console.error(said);
    process.exit(UNREACHABLE.test(said) ? SKIPPED : 1);
  }
}
