// Shows Markdown as DOM nodes; text only ever becomes text nodes, never markup.

import { parse } from "./markdown.js";

/** Texts longer than this are shown as they are, so that no text can stall the page. */
const MAX_CHARS = 200_000;

const shown = new WeakMap();

/** Makes `container` show `markdown`; blocks that did not change since the last call keep their nodes. */
export function showProse(container, markdown) {
  const old = shown.get(container) ?? [];
  const blocks = markdown.length > MAX_CHARS ? [{ kind: "plain", text: markdown, raw: markdown }] : parse(markdown);
  let same = 0;
  while (same < old.length && same < blocks.length && old[same].raw === blocks[same].raw) same += 1;
  for (const stale of old.splice(same)) stale.node.remove();
  for (const block of blocks.slice(same)) {
    const node = blockNode(block);
    container.append(node);
    old.push({ raw: block.raw, node });
  }
  shown.set(container, old);
}

/** An element with `props` set on it and `children` (nodes or strings) in it. */
export function element(tag, props = {}, ...children) {
  const node = Object.assign(document.createElement(tag), props);
  node.append(...children);
  return node;
}

/** The icon with this name from the sheet in the page. */
export function icon(name, className = "icon") {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("class", className);
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(space, "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

const BLOCKS = {
  plain: ({ text }) => element("p", { className: "verbatim" }, text),
  paragraph: ({ inline }) => element("p", { dir: "auto" }, ...inline.map(inlineNode)),
  heading: ({ level, inline }) => element(`h${Math.min(level + 2, 6)}`, { dir: "auto" }, ...inline.map(inlineNode)),
  rule: () => element("hr"),
  quote: ({ blocks }) => element("blockquote", {}, ...blocks.map(blockNode)),
  code: codeNode,
  list: listNode,
  table: tableNode,
};

function blockNode(block) {
  try {
    return BLOCKS[block.kind](block);
  } catch (error) {
    if (!(error instanceof RangeError) || block.raw === undefined) throw error;
    return BLOCKS.plain({ text: block.raw });
  }
}

function codeNode({ lang, text }) {
  const copy = element(
    "button",
    { type: "button", className: "quiet copy-code" },
    icon("copy"),
    element("span", {}, "Copy"),
  );
  const pre = element("pre", { tabIndex: 0 }, element("code", {}, text));
  pre.setAttribute("aria-label", lang ? `Code, ${lang}` : "Code");
  pre.setAttribute("role", "region");
  return element(
    "figure",
    { className: "code" },
    element("figcaption", {}, element("span", {}, lang || "text"), copy),
    pre,
  );
}

function listNode({ ordered, start, loose, items }) {
  const list = element(ordered ? "ol" : "ul", { className: loose ? "loose" : "" });
  if (ordered && start !== 1) list.start = start;
  for (const { checked, blocks } of items) {
    const entry = element("li", { dir: "auto" });
    if (checked !== null) {
      entry.className = "task";
      const box = element("input", { type: "checkbox", checked, disabled: true });
      box.setAttribute("aria-label", checked ? "Done" : "Not done");
      entry.append(box);
    }
    for (const block of blocks) {
      if (block.kind === "paragraph" && !loose) entry.append(...block.inline.map(inlineNode));
      else entry.append(blockNode(block));
    }
    list.append(entry);
  }
  return list;
}

function tableNode({ align, head, rows }) {
  const row = (tag, cells) =>
    element(
      "tr",
      {},
      ...cells.map((cell, column) =>
        element(tag, { className: `to-${align[column]}`, dir: "auto" }, ...cell.map(inlineNode)),
      ),
    );
  const table = element(
    "table",
    {},
    element("thead", {}, row("th", head)),
    element("tbody", {}, ...rows.map((cells) => row("td", cells))),
  );
  const frame = element("div", { className: "table", tabIndex: 0 }, table);
  frame.setAttribute("role", "region");
  frame.setAttribute("aria-label", "Table");
  return frame;
}

function inlineNode(node) {
  if (typeof node === "string") return document.createTextNode(node);
  switch (node.kind) {
    case "break":
      return element("br");
    case "code":
      return element("code", {}, node.text);
    case "link":
      return linkNode(node);
    default:
      return element(node.kind, {}, ...node.inline.map(inlineNode));
  }
}

// The real address shows on hover, and nothing of this page goes along with a click.
function linkNode({ href, inline }) {
  return element("a", { href, title: href, target: "_blank", rel: "noopener noreferrer" }, ...inline.map(inlineNode));
}
