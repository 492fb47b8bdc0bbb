// What outlives a reload: the token, the draft, the unsent messages. Nothing is ever read from the query string.

const TOKEN = "openclaw.token";
const tab = () => sessionStorage;
const device = () => localStorage;

/**
 * What the address fragment names: token, one-time code, session, and the view with what is looked at in it. Secrets
 * leave the address bar at once.
 */
export function fromAddress() {
  const params = new URLSearchParams(location.hash.slice(1));
  const token = params.get("token")?.trim() ?? "";
  const claim = params.get("claim")?.trim().slice(0, 64) ?? "";
  const session = params.get("session")?.trim().slice(0, 256) ?? "";
  if (params.has("token") || params.has("claim")) {
    params.delete("token");
    params.delete("claim");
    const rest = params.size > 0 ? `#${params}` : "";
    history.replaceState(null, "", location.pathname + location.search + rest);
  }
  return { token, claim, session, params };
}

/** The token that worked last, or "". */
export function loadToken() {
  return read(tab, TOKEN) || read(device, TOKEN) || "";
}

/** Keeps a token that worked: for this tab, or on this device if the person asked for that. */
export function keepToken(token, remember) {
  write(tab, TOKEN, token);
  if (remember) write(device, TOKEN, token);
}

export function remembersToken() {
  return Boolean(read(device, TOKEN));
}

export function forgetToken() {
  write(tab, TOKEN, "");
  write(device, TOKEN, "");
}

export function loadDraft(session) {
  return read(tab, `openclaw.draft.${session}`);
}

export function keepDraft(session, text) {
  write(tab, `openclaw.draft.${session}`, text);
}

/** Unsent messages of a session, oldest first: [{ key, text, at, state }]. */
export function loadUnsent(session) {
  try {
    const saved = JSON.parse(read(tab, `openclaw.unsent.${session}`) || "[]");
    return saved.filter(
      ({ key, text, at }) => typeof key === "string" && typeof text === "string" && Number.isFinite(at),
    );
  } catch {
    return [];
  }
}

export function keepUnsent(session, unsent) {
  write(tab, `openclaw.unsent.${session}`, unsent.length > 0 ? JSON.stringify(unsent) : "");
}

// Storage may be switched off or full, even to name it; then the page works on and merely forgets.
function read(storage, name) {
  try {
    return storage().getItem(name) ?? "";
  } catch {
    return "";
  }
}

function write(storage, name, value) {
  try {
    if (value) storage().setItem(name, value);
    else storage().removeItem(name);
  } catch {
    // Said above.
  }
}
