// Shows A2UI (version 0.8): surfaces of components that messages describe, one JSON object a message.
//
// Nodes call `openclawA2UI.applyMessages(messages)` and `.reset()`; a file of the canvas is shown with `?file=name.jsonl`.
(() => {
  "use strict";
  const place = document.getElementById("surfaces");
  const surfaces = new Map();
  const MOST_DEEP = 64;

  function surface(id) {
    const name = String(id ?? "main");
    if (!surfaces.has(name)) surfaces.set(name, { id: name, components: new Map(), data: {}, root: null });
    return surfaces.get(name);
  }

  // Own keys only: a path never reaches what all objects have.
  const own = (thing, key) => (thing !== null && typeof thing === "object" && Object.hasOwn(thing, key) ? thing[key] : undefined);

  function steps(path) {
    return String(path ?? "").split("/").filter((step) => step !== "");
  }

  function look(data, path) {
    return steps(path).reduce(own, data);
  }

  function put(data, path, value) {
    const way = steps(path).filter((step) => step !== "__proto__");
    const last = way.pop();
    if (last === undefined) return Object.assign(data, value);
    const at = way.reduce((inner, step) => {
      if (own(inner, step) === null || typeof own(inner, step) !== "object") inner[step] = {};
      return inner[step];
    }, data);
    at[last] = value;
  }

  function content(entry) {
    if ("valueString" in entry) return entry.valueString;
    if ("valueNumber" in entry) return entry.valueNumber;
    if ("valueBoolean" in entry) return entry.valueBoolean;
    if ("valueMap" in entry) return contents(entry.valueMap);
    return null;
  }

  function contents(entries) {
    if (!Array.isArray(entries)) return entries ?? {};
    return Object.fromEntries(entries.map((entry) => [String(entry.key), content(entry)]));
  }

  // What a bound value comes to: said outright, or found in the data, below `base` unless the path begins with "/".
  function value(of, bound, base) {
    if (bound === null || typeof bound !== "object") return bound;
    for (const key of ["literalString", "literalNumber", "literalBoolean", "literal"]) {
      if (key in bound) return bound[key];
    }
    if (typeof bound.path !== "string") return undefined;
    return look(of.data, bound.path.startsWith("/") ? bound.path : `${base}/${bound.path}`);
  }

  function element(name, className, text) {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = String(text ?? "");
    return made;
  }

  function children(of, list, base, deep) {
    if (Array.isArray(list)) return list.map((id) => draw(of, id, base, deep));
    if (Array.isArray(list?.explicitList)) return list.explicitList.map((id) => draw(of, id, base, deep));
    const template = list?.template;
    if (!template) return [];
    const path = String(template.dataBinding ?? "");
    const from = path.startsWith("/") ? path : `${base}/${path}`;
    const items = look(of.data, from) ?? {};
    return Object.keys(items).map((key) => draw(of, template.componentId, `${from}/${key}`, deep));
  }

  function act(of, component, action, base) {
    const context = {};
    for (const entry of action?.context ?? []) context[String(entry.key)] = value(of, entry.value, base);
    const userAction = {
      name: String(action?.name ?? ""), surfaceId: of.id, sourceComponentId: component, context,
      timestamp: new Date().toISOString(),
    };
    window.dispatchEvent(new CustomEvent("a2uiaction", { detail: userAction }));
    const apple = window.webkit?.messageHandlers?.openclawCanvasA2UIAction;
    const android = window.openclawCanvasA2UIAction;
    if (apple) apple.postMessage({ userAction });
    else if (android?.postMessage) android.postMessage(JSON.stringify({ userAction }));
  }

  const box = (className) => (of, props, base, deep) => {
    const made = element("div", className);
    const inner = props.child !== undefined ? [draw(of, props.child, base, deep)] : children(of, props.children, base, deep);
    made.append(...inner);
    return made;
  };

  const KINDS = {
    Column: box("column"),
    Row: box("row"),
    List: box("list"),
    Card: box("card"),
    Text(of, props, base) {
      const hint = String(props.usageHint ?? "body");
      const name = /^h[1-5]$/.test(hint) ? hint : "p";
      return element(name, hint === "caption" ? "text caption" : "text", value(of, props.text, base));
    },
    Image(of, props, base) {
      const made = element("img");
      const url = String(value(of, props.url, base) ?? "");
      if (/^(https:|data:image\/|\.{0,2}\/)/.test(url)) made.src = url;
      made.alt = String(value(of, props.alt ?? props.altText, base) ?? "");
      made.referrerPolicy = "no-referrer";
      return made;
    },
    Icon: (of, props, base) => element("span", "icon", value(of, props.name, base)),
    Divider: () => element("hr"),
    Button(of, props, base, deep, id) {
      const made = element("button");
      made.type = "button";
      if (props.child !== undefined) made.append(draw(of, props.child, base, deep));
      else made.textContent = String(value(of, props.label, base) ?? "");
      made.addEventListener("click", () => act(of, id, props.action, base));
      return made;
    },
    TextField: (of, props, base) => field(of, props.label, props.text, base, "text"),
    CheckBox: (of, props, base) => field(of, props.label, props.value, base, "checkbox"),
  };

  function field(of, label, bound, base, type) {
    const made = element("label");
    const input = element("input");
    input.type = type;
    const now = value(of, bound, base);
    if (type === "checkbox") input.checked = Boolean(now);
    else input.value = String(now ?? "");
    input.addEventListener("change", () => {
      if (typeof bound?.path !== "string") return;
      const path = bound.path.startsWith("/") ? bound.path : `${base}/${bound.path}`;
      put(of.data, path, type === "checkbox" ? input.checked : input.value);
    });
    made.append(element("span", "", value(of, label, base)), input);
    return made;
  }

  function draw(of, id, base, deep) {
    const component = of.components.get(String(id));
    const [kind, props] = Object.entries(component ?? {})[0] ?? [];
    if (!kind || deep > MOST_DEEP) return element("span", "unknown", component ? "…" : "");
    const make = Object.hasOwn(KINDS, kind) ? KINDS[kind] : null;
    return make ? make(of, props ?? {}, base, deep + 1, String(id)) : element("span", "unknown", `(${kind})`);
  }

  function show() {
    const ready = [...surfaces.values()].filter((one) => one.root !== null);
    place.replaceChildren(...ready.map((one) => {
      const made = element("section", "surface");
      made.append(draw(one, one.root, "", 0));
      return made;
    }));
  }

  function apply(message) {
    if (message?.surfaceUpdate) {
      const { surfaceId, components } = message.surfaceUpdate;
      for (const one of components ?? []) surface(surfaceId).components.set(String(one.id), one.component);
    } else if (message?.dataModelUpdate) {
      const { surfaceId, path, contents: entries } = message.dataModelUpdate;
      put(surface(surfaceId).data, path, contents(entries));
    } else if (message?.beginRendering) {
      surface(message.beginRendering.surfaceId).root = String(message.beginRendering.root ?? "root");
    } else if (message?.deleteSurface) {
      surfaces.delete(String(message.deleteSurface.surfaceId ?? "main"));
    } else {
      throw new Error("no A2UI message: surfaceUpdate, dataModelUpdate, beginRendering or deleteSurface is needed");
    }
  }

  globalThis.openclawA2UI = {
    applyMessages(messages) {
      for (const message of messages) apply(message);
      show();
      return { ok: true, surfaces: [...surfaces.keys()] };
    },
    reset() {
      surfaces.clear();
      show();
      return { ok: true };
    },
    getSurfaces: () => [...surfaces.keys()],
  };

  async function read(name) {
    const file = await fetch(`../canvas/${name.split("/").map(encodeURIComponent).join("/")}`, { cache: "no-store" });
    if (!file.ok) throw new Error(`${name}: ${await file.text()}`);
    const lines = (await file.text()).split("\n").filter((line) => line.trim() !== "");
    globalThis.openclawA2UI.reset();
    globalThis.openclawA2UI.applyMessages(lines.map((line) => JSON.parse(line)));
  }

  const file = new URLSearchParams(location.search).get("file");
  if (file) {
    const again = () => read(file).catch((error) => place.replaceChildren(element("p", "unknown", error.message)));
    window.addEventListener("canvaschange", (event) => {
      event.preventDefault();
      again();
    });
    again();
  }
})();
