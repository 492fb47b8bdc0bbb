// The form that asks for the gateway's token.

export class Gate {
  #dialog;
  #page;
  #form;
  #input;
  #remember;
  #error;
  #submit;
  #unlocking = 0;

  /** `page` is out of reach while the form is open. `on`: { token(token, remember) }, called when one is offered. */
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
      if (token) on.token(token, this.#remember.checked);
      else this.#say("Paste the token first.");
    });
  }

  get open() {
    return !this.#dialog.hidden;
  }

  /** `why`: "" asks, "wrong" says that the last one failed, "locked" counts down to `until`. */
  show({ why, until }, remember) {
    if (!this.open) this.#remember.checked = remember;
    this.#dialog.hidden = false;
    this.#page.inert = true;
    this.#busy(false);
    this.#say(why === "wrong" ? "The gateway does not know this token. Look again: it may have changed." : "");
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
