// The forms before the page: one asks for the gateway's token, one says how this browser is let in.

/** A one-time code as `openclaw pair` prints it, in groups; people type small letters, or blanks between. */
const CODE = /^(?:[A-HJ-NP-Z2-9]{4}[-\s]){3}[A-HJ-NP-Z2-9]{4}$/i;

/** What an operator runs to approve a request, or to see which one to approve. */
export function approvalCommand(requestId) {
  return /^[\w-]+$/.test(requestId) ? `openclaw devices approve ${requestId}` : "openclaw devices list";
}

/** Shows the command that lets this browser in while it waits for somebody to run it. */
export class Approval {
  #dialog;
  #page;
  #command;
  #said;

  /** `page` is out of reach while it is shown. */
  constructor(section, page) {
    this.#dialog = section;
    this.#page = page;
    this.#command = section.querySelector("#approval-command");
    this.#said = section.querySelector("#approval-said");
    section.querySelector("form").addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        await navigator.clipboard.writeText(this.#command.textContent);
        this.#said.textContent = "Copied.";
      } catch {
        getSelection()?.selectAllChildren(this.#command);
        this.#said.textContent = "Marked; copy it with the keyboard.";
      }
    });
  }

  get open() {
    return !this.#dialog.hidden;
  }

  show({ requestId }) {
    const command = approvalCommand(requestId);
    if (this.open && this.#command.textContent === command) return;
    this.#command.textContent = command;
    this.#said.textContent = "";
    this.#dialog.hidden = false;
    this.#page.inert = true;
    this.#dialog.querySelector("#approval-copy").focus();
  }

  hide() {
    if (!this.open) return;
    this.#dialog.hidden = true;
    this.#page.inert = false;
  }
}

const TROUBLE = {
  wrong: "The gateway does not know this token. Look again: it may have changed.",
  claim: "This code is used up or has run out. Make a new one with: openclaw pair",
};

export class Gate {
  #dialog;
  #page;
  #form;
  #input;
  #remember;
  #error;
  #submit;
  #unlocking = 0;

  /** `page` is out of reach while the form is open. `on`: { token(token, remember), claim(code) }, called when one is offered. */
  constructor(section, page, on) {
    this.#dialog = section;
    this.#page = page;
    this.#form = section.querySelector("form");
    this.#input = section.querySelector("#token");
    this.#remember = section.querySelector("#remember");
    this.#error = section.querySelector("#token-error");
    this.#submit = section.querySelector("#token-submit");
    const eye = section.querySelector("#token-show");
    eye.addEventListener("click", () => {
      const shown = this.#input.type === "password";
      this.#input.type = shown ? "text" : "password";
      eye.setAttribute("aria-pressed", String(shown));
    });
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      const token = this.#input.value.trim();
      if (CODE.test(token)) on.claim(token);
      else if (token) on.token(token, this.#remember.checked);
      else this.#say("Paste the token first.");
    });
  }

  get open() {
    return !this.#dialog.hidden;
  }

  /** `why`: "" asks, "wrong" and "claim" say that the last token or code failed, "locked" counts down to `until`. */
  show({ why, until }, remember) {
    if (!this.open) this.#remember.checked = remember;
    this.#dialog.hidden = false;
    this.#page.inert = true;
    this.#busy(false);
    this.#say(TROUBLE[why] ?? "");
    clearInterval(this.#unlocking);
    if (why === "locked") {
      this.#count(until);
      this.#unlocking = setInterval(() => this.#count(until), 1000);
    }
    this.#input.focus();
    this.#input.select();
  }

  /** Shows that an offered token is being tried. */
  trying() {
    this.#say("");
    this.#busy(true);
  }

  hide() {
    clearInterval(this.#unlocking);
    this.#dialog.hidden = true;
    this.#page.inert = false;
    this.#input.value = "";
    this.#input.type = "password";
  }

  #busy(busy) {
    this.#submit.disabled = busy;
    this.#submit.textContent = busy ? "Connecting…" : "Connect";
  }

  #count(until) {
    const left = Math.ceil((until - Date.now()) / 1000);
    this.#submit.disabled = left > 0;
    if (left > 0) {
      this.#say(
        `Too many wrong tokens came from here. Try again in ${left > 90 ? `${Math.ceil(left / 60)} minutes` : `${left} s`}.`,
      );
    } else {
      clearInterval(this.#unlocking);
      this.#say("You can try again now.");
    }
  }

  #say(text) {
    this.#error.textContent = text;
    this.#input.setAttribute("aria-invalid", String(Boolean(text)));
  }
}
