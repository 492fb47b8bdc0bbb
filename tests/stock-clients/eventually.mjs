// Waiting for a state of the world, never for a time.

/** How long any state may take to come: a stock client alone takes up to seven seconds to start on an idle machine. */
export const DEADLINE_MS = 30_000;

/** How long a whole command of a stock client may take. */
export const COMMAND_DEADLINE_MS = 120_000;

const PAUSE_MS = 100;

/**
 * Looks again and again until there is something to see, and returns it.
 *
 * `what` completes the sentence "waited in vain for ...". A look that throws has seen nothing yet; what it last threw
 * is told if the deadline passes.
 */
export async function eventually(what, look, deadlineMs = DEADLINE_MS) {
  const end = Date.now() + deadlineMs;
  let last = "";
  for (;;) {
    try {
      const seen = await look();
      if (seen) return seen;
    } catch (error) {
      last = `: ${error.message}`;
    }
    if (Date.now() > end) throw new Error(`waited in vain for ${what}${last}`);
    await pause(PAUSE_MS);
  }
}

/** Ends after this many milliseconds. Only the waiting above and the slow model may use it. */
export const pause = (ms) => new Promise((done) => setTimeout(done, ms));
