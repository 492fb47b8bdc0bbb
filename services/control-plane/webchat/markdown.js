// Reads Markdown into a tree of plain objects: no DOM, no HTML, nothing that could run.
//
// A tree is an array of blocks: { kind: "paragraph" | "heading" | "code" | "quote" | "list" | "table" | "rule", ... }.
// Inline content is an array of strings and { kind: "strong" | "em" | "del" | "code" | "link" | "break", ... }.
// HTML in the text stays text. Input of any shape is read in about linear time; nesting stops at MAX_DEPTH.

const MAX_DEPTH = 10;
const FENCE = /^( {0,3})(`{3,}(?=[^`]*$)|~{3,})\s*([^\s`]*)/;
const HEADING = /^ {0,3}(#{1,6})[ \t]+(.*)$/;
const RULE = /^ {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])(?: +(.*)|)$/;
const DESTINATION = /\(\s*(<[^<>\n]*>|[^\s()<]*(?:\([^\s()]*\)[^\s()]*)*)(?:\s+(?:"[^"\n]*"|'[^'\n]*'))?\s*\)/y;
const BARE_URL = /https?:\/\/[^\s<>"'`[\]\\]+/iy;
const ANGLE_URL = /<((?:https?:\/\/|mailto:)[^\s<>]*|[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8})>/iy;
const PUNCTUATION = /[\p{P}\p{S}]/u;
const SCHEMES = new Set(["http:", "https:", "mailto:"]);

/** Blocks of `text`; each carries `raw`, the lines it was read from, so that equal `raw` means an equal block. */
export function parse(text) {
  return readBlocks(text.replace(/\r\n?/g, "\n").split("\n"), 0);
}

/** The address in normal form if a click may open it (http, https, mailto), else null. */
export function safeHref(address) {
  try {
    const url = new URL(address);
    return SCHEMES.has(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

function readBlocks(lines, depth) {
  const blocks = [];
  let at = 0;
  while (at < lines.length) {
    if (!lines[at].trim()) {
      at += 1;
      continue;
    }
    const [block, next] = readBlock(lines, at, depth);
    block.raw = lines.slice(at, next).join("\n");
    blocks.push(block);
    at = next;
  }
  return blocks;
}

function readBlock(lines, at, depth) {
  const line = lines[at];
  if (depth < MAX_DEPTH) {
    const fence = FENCE.exec(line);
    if (fence) return readCode(lines, at, fence);
    const heading = HEADING.exec(line);
    if (heading) {
      const text = heading[2].replace(/\s+#+\s*$/, "").trim();
      return [{ kind: "heading", level: heading[1].length, inline: readInline(text) }, at + 1];
    }
    if (RULE.test(line)) return [{ kind: "rule" }, at + 1];
    if (QUOTE.test(line)) return readQuote(lines, at, depth);
    if (ITEM.test(line)) return readList(lines, at, depth);
    if (startsTable(lines, at)) return readTable(lines, at);
  }
  let end = at + 1;
  while (end < lines.length && lines[end].trim() && !(depth < MAX_DEPTH && interrupts(lines, end))) end += 1;
  const text = lines
    .slice(at, end)
    .map((part) => part.trim())
    .join("\n");
  return [{ kind: "paragraph", inline: readInline(text) }, end];
}

function interrupts(lines, at) {
  const line = lines[at];
  const item = ITEM.exec(line);
  const starts = item && item[3] && (/^[-*+]$/.test(item[2]) || Number.parseInt(item[2], 10) === 1);
  return (
    Boolean(starts) ||
    FENCE.test(line) ||
    HEADING.test(line) ||
    RULE.test(line) ||
    QUOTE.test(line) ||
    startsTable(lines, at)
  );
}

function readCode(lines, at, [, indent, mark, lang]) {
  const closing = new RegExp(`^ {0,3}\\${mark[0]}{${mark.length},} *$`);
  let end = at + 1;
  while (end < lines.length && !closing.test(lines[end])) end += 1;
  const strip = new RegExp(`^ {0,${indent.length}}`);
  const text = lines
    .slice(at + 1, end)
    .map((line) => line.replace(strip, ""))
    .join("\n");
  return [{ kind: "code", lang, text }, Math.min(end + 1, lines.length)];
}

function readQuote(lines, at, depth) {
  let end = at;
  while (end < lines.length && QUOTE.test(lines[end])) end += 1;
  const inside = lines.slice(at, end).map((line) => line.replace(QUOTE, ""));
  return [{ kind: "quote", blocks: readBlocks(inside, depth + 1) }, end];
}

function readList(lines, at, depth) {
  const first = ITEM.exec(lines[at]);
  const ordered = /\d/.test(first[2]);
  const mark = first[2].at(-1);
  const items = [];
  let loose = false;
  let end = at;
  while (end < lines.length) {
    const item = ITEM.exec(lines[end]);
    if (!item || item[2].at(-1) !== mark || /\d/.test(item[2]) !== ordered || RULE.test(lines[end])) break;
    const [inside, next, gap] = readItem(lines, end, item);
    items.push(inside);
    end = next;
    if (gap && end < lines.length && ITEM.test(lines[end])) loose = true;
  }
  const list = { kind: "list", ordered, start: ordered ? Number.parseInt(first[2], 10) : 1, loose, items: [] };
  for (const inside of items) {
    const task = /^\[([ xX])\] /.exec(inside[0]);
    if (task) inside[0] = inside[0].slice(4);
    list.items.push({ checked: task ? task[1] !== " " : null, blocks: readBlocks(inside, depth + 1) });
  }
  return [list, end];
}

// Lines of one item without their indent, the line after it, and whether blank lines end it.
function readItem(lines, at, [, indent, mark, rest = ""]) {
  const nested = indent.length + 2;
  const strip = new RegExp(`^(?:\\t| {0,${indent.length + mark.length + 1}})`);
  const inside = [rest];
  let end = at + 1;
  let blank = 0;
  for (; end < lines.length; end += 1) {
    const line = lines[end];
    if (!line.trim()) {
      blank += 1;
      continue;
    }
    const depth = line.startsWith("\t") ? 4 : line.search(/\S/);
    if (depth < nested && (blank > 0 || ITEM.test(line) || interrupts(lines, end))) break;
    for (; blank > 0; blank -= 1) inside.push("");
    inside.push(line.replace(strip, ""));
  }
  return [inside, end, blank > 0];
}

function startsTable(lines, at) {
  if (!lines[at].includes("|") || at + 1 >= lines.length || !lines[at + 1].includes("-")) return false;
  const marks = readCells(lines[at + 1]);
  return marks.every((mark) => /^:?-+:?$/.test(mark)) && marks.length === readCells(lines[at]).length;
}

function readTable(lines, at) {
  const align = readCells(lines[at + 1]).map((mark) => {
    if (mark.endsWith(":")) return mark.startsWith(":") ? "center" : "end";
    return "start";
  });
  let end = at + 2;
  const rows = [];
  for (; end < lines.length && lines[end].trim() && lines[end].includes("|"); end += 1) {
    const cells = readCells(lines[end]);
    rows.push(align.map((_, column) => readInline(cells[column] ?? "")));
  }
  return [{ kind: "table", align, head: readCells(lines[at]).map(readInline), rows }, end];
}

function readCells(line) {
  const cells = line
    .trim()
    .replace(/^\|/, "")
    .replace(/\|$/, "")
    .split(/(?<!\\)\|/);
  return cells.map((cell) => cell.replaceAll("\\|", "|").trim());
}

/** Inline content of one block. */
export function readInline(source) {
  const nodes = [];
  const brackets = [];
  const withoutEnd = new Set();
  let text = "";
  const push = (node) => {
    if (text) nodes.push(text);
    text = "";
    if (node !== undefined) nodes.push(node);
  };
  let at = 0;
  while (at < source.length) {
    const char = source[at];
    if (char === "\\" && at + 1 < source.length && /[!-/:-@[-`{-~]/.test(source[at + 1])) {
      text += source[at + 1];
      at += 2;
    } else if (char === "`") {
      const run = runLength(source, at, "`");
      const end = withoutEnd.has(run) ? -1 : findRun(source, at + run, run);
      if (end < 0) {
        withoutEnd.add(run);
        text += source.slice(at, at + run);
        at += run;
      } else {
        push({ kind: "code", text: trimCode(source.slice(at + run, end)) });
        at = end + run;
      }
    } else if (char === "\n") {
      text = text.trimEnd();
      push({ kind: "break" });
      at += 1;
    } else if (char === "*" || char === "_" || char === "~") {
      const run = runLength(source, at, char);
      push(delimiter(source, at, char, run));
      at += run;
    } else if (char === "[" || (char === "!" && source[at + 1] === "[")) {
      const mark = char === "[" ? "[" : "![";
      push({ bracket: mark });
      brackets.push(nodes.length - 1);
      at += mark.length;
    } else if (char === "]" && brackets.length > 0) {
      push();
      const opened = brackets.pop();
      const target = matchAt(DESTINATION, source, at + 1);
      if (target) {
        const label = emphasise(nodes.splice(opened + 1)).flatMap((node) =>
          node.kind === "link" ? node.inline : [node],
        );
        nodes.pop();
        nodes.push(...link(target[1].replace(/^<(.*)>$/, "$1"), label));
        brackets.length = 0;
        at += 1 + target[0].length;
      } else {
        text += "]";
        at += 1;
      }
    } else if (char === "<") {
      const angle = matchAt(ANGLE_URL, source, at);
      if (angle) push(...link(angle[1].includes(":") ? angle[1] : `mailto:${angle[1]}`, [angle[1]]));
      else text += "<";
      at += angle ? angle[0].length : 1;
    } else if ((char === "h" || char === "H") && !/\w/.test(source[at - 1] ?? " ")) {
      const found = matchAt(BARE_URL, source, at);
      const url = found ? trimUrl(found[0]) : "";
      if (url) push(...link(url, [url]));
      else text += char;
      at += url.length || 1;
    } else {
      text += char;
      at += 1;
    }
  }
  push();
  return emphasise(nodes);
}

function matchAt(pattern, source, at) {
  pattern.lastIndex = at;
  return pattern.exec(source);
}

function runLength(source, at, char) {
  let end = at;
  while (source[end] === char) end += 1;
  return end - at;
}

function findRun(source, from, length) {
  for (let at = source.indexOf("`", from); at >= 0;) {
    const run = runLength(source, at, "`");
    if (run === length) return at;
    at = source.indexOf("`", at + run);
  }
  return -1;
}

function trimCode(code) {
  const flat = code.replaceAll("\n", " ");
  return flat.startsWith(" ") && flat.endsWith(" ") && flat.trim() ? flat.slice(1, -1) : flat;
}

// Sentence punctuation after an address, and a bracket it did not open, are not part of it.
function trimUrl(found) {
  let spare = found.split(")").length - found.split("(").length;
  let end = found.length;
  for (; end > 0; end -= 1) {
    const last = found[end - 1];
    if (last === ")" && spare > 0) spare -= 1;
    else if (!/[.,;:!?*_~]/.test(last)) break;
  }
  const url = found.slice(0, end);
  return /^https?:\/\/[^/?#]/i.test(url) ? url : "";
}

function link(address, inline) {
  const href = safeHref(address);
  return href ? [{ kind: "link", href, inline: inline.length > 0 ? inline : [href] }] : inline;
}

function delimiter(source, at, char, run) {
  const before = source[at - 1] ?? " ";
  const after = source[at + run] ?? " ";
  const left = !/\s/.test(after) && (!PUNCTUATION.test(after) || /\s/.test(before) || PUNCTUATION.test(before));
  const right = !/\s/.test(before) && (!PUNCTUATION.test(before) || /\s/.test(after) || PUNCTUATION.test(after));
  if (char === "~" && run !== 2) return "~".repeat(run);
  return char === "_"
    ? {
        mark: char,
        run,
        opens: left && (!right || PUNCTUATION.test(before)),
        closes: right && (!left || PUNCTUATION.test(after)),
      }
    : { mark: char, run, opens: left, closes: right };
}

// Pairs opening and closing marks, innermost first; what finds no partner is text again.
function emphasise(nodes) {
  const out = [];
  const open = { "*": [], _: [], "~": [] };
  for (const node of nodes) {
    if (!node.mark) {
      out.push(node.bracket ?? node);
      continue;
    }
    let left = node.run;
    while (node.closes && left > 0 && open[node.mark].length > 0) {
      const start = open[node.mark].at(-1);
      const width = node.mark === "~" ? 2 : Math.min(2, left, out[start].run);
      const inline = settle(out.splice(start + 1));
      for (const others of Object.values(open)) while (others.at(-1) > start) others.pop();
      const kind = node.mark === "~" ? "del" : width === 2 ? "strong" : "em";
      out[start].run -= width;
      left -= width;
      if (out[start].run === 0) {
        out.pop();
        open[node.mark].pop();
      }
      const depth = 1 + inline.reduce((deepest, child) => Math.max(deepest, child.depth ?? 0), 0);
      if (depth > MAX_DEPTH) out.push(node.mark.repeat(width), ...inline, node.mark.repeat(width));
      else out.push({ kind, inline, depth });
    }
    if (left === 0) continue;
    if (node.opens) {
      open[node.mark].push(out.length);
      out.push({ mark: node.mark, run: left });
    } else {
      out.push(node.mark.repeat(left));
    }
  }
  return settle(out);
}

// Marks without a partner become text, and texts side by side become one.
function settle(nodes) {
  const out = [];
  for (const node of nodes) {
    const next = node.mark ? node.mark.repeat(node.run) : node;
    if (typeof next === "string" && typeof out.at(-1) === "string") out[out.length - 1] += next;
    else out.push(next);
  }
  return out;
}
