// The table at the end, and what the schemas had to say.

/** Characters of a cell that are shown. */
const WIDTH = 90;
/** Violations shown in full; beyond that a run needs mending before reading. */
const MOST = 40;

/** Prints everything; returns whether all is well. */
export function printReport(results, judge) {
  const rows = results.map(({ client, version, check, ok, seen, tookMs }) => [
    client,
    version,
    check,
    ok ? "pass" : "FAIL",
    `${(tookMs / 1000).toFixed(1)} s`,
    short(seen),
  ]);
  printTable([["client", "version", "check", "", "took", "seen"], ...rows]);
  const failed = results.filter(({ ok }) => !ok).length;
  console.log(`\n${results.length - failed} of ${results.length} checks passed`);
  const broken = judge ? printSchemas(judge) : skipped();
  return failed === 0 && broken === 0;
}

function printTable(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  console.log("");
  for (const [index, row] of rows.entries()) {
    console.log(row.map((cell, column) => cell.padEnd(widths[column])).join("  ").trimEnd());
    if (index === 0) console.log(widths.map((width) => "-".repeat(width)).join("  "));
  }
}

function printSchemas({ seen, judged, violations, undefined: without }) {
  console.log(`\n${seen} frames held against the official schemas, ${judged} of them against one of their own`);
  if (without.size) console.log(`no official definition, envelope only: ${[...without.keys()].sort().join("; ")}`);
  console.log(`${violations.size} kinds of violation`);
  for (const [text, { count, clients, example }] of [...violations].slice(0, MOST)) {
    console.log(`  ${text} (${count} times, ${[...clients].join(", ")})\n    ${short(JSON.stringify(example), 300)}`);
  }
  return violations.size;
}

function skipped() {
  console.log("\nSKIPPED: the official schemas are not beside the project (../shared/schemas); no frame was held against them");
  return 0;
}

function short(text, width = WIDTH) {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length > width ? `${line.slice(0, width - 1)}…` : line;
}
