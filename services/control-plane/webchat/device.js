// This browser's Ed25519 identity: made once, kept in IndexedDB, its private half never readable by any script.

const DATABASE = "openclaw";
const STORE = "identity";
const NAME = "device";
const STORE_PATIENCE_MS = 3_000;

/**
 * Signs a `connect` for the gateway's challenge.
 *
 * Returns the `device` object, or null where the browser has no Ed25519 or no secure context: the gateway then decides
 * on the token alone.
 */
export async function signConnect({ client, role, scopes, auth }, { nonce, ts }) {
  try {
    const pair = await Promise.race([identity(), new Promise((_, reject) => setTimeout(reject, STORE_PATIENCE_MS))]);
    const raw = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
    const id = [...new Uint8Array(await crypto.subtle.digest("SHA-256", raw))]
      .map((byte) => byte.toString(16).padStart(2, "0"))
      .join("");
    const signedAt = Number.isSafeInteger(ts) && ts >= 0 ? ts : Date.now();
    const platform = client.platform.trim().replace(/[A-Z]/g, (letter) => letter.toLowerCase());
    const statement = [
      "v3",
      id,
      client.id,
      client.mode,
      role,
      scopes.join(","),
      signedAt,
      auth.token ?? auth.bootstrapToken ?? "",
      nonce,
      platform,
      "",
    ].join("|");
    const signature = new Uint8Array(
      await crypto.subtle.sign("Ed25519", pair.privateKey, new TextEncoder().encode(statement)),
    );
    return { id, publicKey: base64url(raw), signature: base64url(signature), signedAt, nonce };
  } catch {
    return null;
  }
}

/** A new random id in UUID form, also where `crypto.randomUUID` is kept to secure contexts. */
export function newId() {
  if (typeof crypto.randomUUID === "function") return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

let known = null;

function identity() {
  known ??= openIdentity().catch((error) => {
    known = null;
    throw error;
  });
  return known;
}

async function openIdentity() {
  const database = await settled(indexedDB.open(DATABASE, 1), (request) => request.result.createObjectStore(STORE));
  const stored = await settled(database.transaction(STORE).objectStore(STORE).get(NAME));
  if (stored) return stored;
  const pair = await crypto.subtle.generateKey("Ed25519", false, ["sign", "verify"]);
  const store = database.transaction(STORE, "readwrite").objectStore(STORE);
  // Two tabs may get here at once: the first one's key stands.
  const first = await settled(store.get(NAME));
  if (first) return first;
  await settled(store.put(pair, NAME));
  return pair;
}

function settled(request, upgrade) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new Error("The identity store is in use."));
    if (upgrade) request.onupgradeneeded = () => upgrade(request);
  });
}

function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}
