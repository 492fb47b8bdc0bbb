// Holds every frame that the gateway sent against the official schemas of the protocol version that was agreed on.

import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

/** Newest last: where two files define the same, the later one is the one that the client was built with. */
const FILES = { 3: ["2026.1.29.json"], 4: ["2026.9.1.json", "2026.9.6.json"] };

const list = (key, definition) => ({ list: key, definition });
const field = (key, definition) => ({ field: key, definition });

/** Results whose definition is not called after their method, or lies somewhere within the result. */
const RESULTS = {
  connect: "HelloOk",
  "agent.identity.get": "AgentIdentityResult",
  "config.schema": "ConfigSchemaResponse",
  "cron.get": "CronJob",
  "cron.list": list("jobs", "CronJob"),
  "cron.runs": list("entries", "CronRunLogEntry"),
  "cron.update": "CronJob",
  "exec.approvals.get": "ExecApprovalsSnapshot",
  "exec.approvals.set": "ExecApprovalsSnapshot",
  "sessions.describe": field("session", "SessionRow"),
  "sessions.list": list("sessions", "SessionRow"),
  "sessions.viewers.set": "SessionsViewerPresenceSetResult",
  "system-presence": list("", "PresenceEntry"),
};
const EVENTS = {
  health: "Health",
  presence: list("presence", "PresenceEntry"),
  "task.suggestion": "TaskSuggestionEvent",
};

/**
 * What the reference gateway itself sends beyond its own schemas, as recorded from it, and its clients go by: they tell
 * the events of their session by the key in them.
 */
const BEYOND = {
  3: { AgentEvent: ["sessionKey"] },
  4: { AgentEvent: ["sessionKey", "sessionId", "agentId"], PresenceEntry: ["clientId"] },
};

/** Judges frames; `null` where the schemas are not on this machine. */
export function openJudge(folder, tools) {
  const files = Object.values(FILES).flat().map((file) => path.join(folder, file));
  if (!files.every((file) => existsSync(file))) return null;
  const { default: Ajv } = createRequire(path.join(tools, "package.json"))("ajv");
  const versions = Object.entries(FILES).map(([version, names]) => [Number(version), new Version(Ajv, folder, names, version)]);
  return new Judge(new Map(versions));
}

/** The definitions of one protocol version. */
class Version {
  #definitions = {};
  #compiled = new Map();
  #ajv;

  constructor(Ajv, folder, names, version) {
    this.#ajv = new Ajv({ strict: false, allErrors: true });
    for (const name of names) {
      Object.assign(this.#definitions, JSON.parse(readFileSync(path.join(folder, name), "utf8")).definitions);
    }
    for (const [name, keys] of Object.entries(BEYOND[version])) {
      for (const key of keys) this.#definitions[name].properties[key] ??= { type: "string", minLength: 1 };
    }
    const { presence } = this.#definitions.Snapshot.properties;
    this.#definitions.HelloOk.properties.snapshot.properties.presence = presence;
    presence.items = this.#definitions.PresenceEntry;
    this.#definitions.Health = this.#definitions.Snapshot.properties.health;
  }

  /** Name of the definition, or where within the value it applies; `undefined` where the schemas have none. */
  expected(table, name, suffix) {
    const entry = table[name] ?? `${pascal(name)}${suffix}`;
    return this.#definitions[entry.definition ?? entry] ? entry : undefined;
  }

  /** What is wrong with `value`, each as "at /path: text". */
  errors(expected, value) {
    if (expected.list !== undefined) {
      const items = expected.list ? value?.[expected.list] : value;
      if (!Array.isArray(items)) return [`at /${expected.list}: must be an array`];
      return items.flatMap((item) => this.errors(expected.definition, item));
    }
    if (expected.field) {
      const inner = value?.[expected.field];
      return inner === null || inner === undefined ? [] : this.errors(expected.definition, inner);
    }
    const valid = this.#validator(expected);
    return valid(value) ? [] : described(valid.errors);
  }

  #validator(name) {
    if (!this.#compiled.has(name)) this.#compiled.set(name, this.#ajv.compile(this.#definitions[name]));
    return this.#compiled.get(name);
  }
}

class Judge {
  /** Frames held against a definition of their own, beyond that of the envelope. */
  judged = 0;
  /** Frames seen. */
  seen = 0;
  /** Methods and events for which the official schemas define no result or payload. */
  undefined = new Map();
  /** What was wrong, by its text: `{count, example}`. */
  violations = new Map();
  #versions;

  constructor(versions) {
    this.#versions = versions;
  }

  /** Judges all that one recorder has written down. */
  judge(entries, client) {
    const connections = Map.groupBy(entries.filter(({ frame }) => frame), ({ connection }) => connection);
    for (const own of connections.values()) this.#connection(own, client);
  }

  #connection(entries, client) {
    const hello = entries.find(({ frame }) => frame.payload?.type === "hello-ok")?.frame;
    const asked = entries.find(({ frame }) => frame.method === "connect")?.frame.params;
    const version = hello?.payload.protocol ?? Math.min(asked?.maxProtocol ?? 4, 4);
    const schema = this.#versions.get(version);
    const requests = new Map();
    for (const { from, frame } of entries) {
      if (from === "client") requests.set(frame.id, frame);
      else if (!schema) this.#violation(`protocol ${version} was agreed on, which has no schema`, client, frame);
      else this.#frame(schema, version, frame, requests, client);
    }
  }

  #frame(schema, version, frame, requests, client) {
    this.seen += 1;
    const response = frame.type === "res";
    const request = response ? requests.get(frame.id) : undefined;
    const name = response ? (request?.method ?? "an answer to nothing") : `event ${frame.event}`;
    const wrong = (part) => (text) => this.#violation(`protocol ${version}, ${name}${part}: ${text}`, client, frame);
    schema.errors(response ? "ResponseFrame" : "EventFrame", frame).forEach(wrong(", envelope"));
    if (response && frame.ok !== true) return;
    const params = request?.params ?? {};
    const expected = response
      ? params.cursor && request.method === "chat.history"
        ? "ChatHistoryCursorResult"
        : schema.expected(RESULTS, request?.method ?? "", "Result")
      : schema.expected(EVENTS, frame.event, "Event");
    if (!expected) {
      const key = `protocol ${version}, ${name}`;
      this.undefined.set(key, (this.undefined.get(key) ?? 0) + 1);
      return;
    }
    this.judged += 1;
    schema.errors(expected, frame.payload).forEach(wrong(""));
  }

  #violation(text, client, example) {
    const known = this.violations.get(text) ?? { count: 0, clients: new Set(), example };
    known.count += 1;
    known.clients.add(client);
    this.violations.set(text, known);
  }
}

/** `sessions.files.list` as `SessionsFilesList`. */
function pascal(name) {
  return name
    .split(/[.-]/)
    .map((part) => part.charAt(0).toUpperCase() + part.slice(1))
    .join("");
}

/** Errors of the validator without those that only say that no branch of a choice fits, if a branch says why. */
function described(errors) {
  const leaves = errors.filter(({ keyword }) => !["anyOf", "oneOf", "if"].includes(keyword));
  const shown = leaves.length ? leaves : errors;
  const texts = shown.map(({ instancePath, message, params }) => {
    const more = params.additionalProperty ?? params.allowedValue ?? params.allowedValues;
    return `at ${instancePath.replace(/\/\d+(?=\/|$)/g, "/*") || "/"}: ${message}${more === undefined ? "" : ` (${more})`}`;
  });
  return [...new Set(texts)];
}
