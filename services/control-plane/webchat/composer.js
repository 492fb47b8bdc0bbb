// The field in which a message is written, and the buttons beside it.

/** A stop that had no effect may be tried again after this. */
const STOP_PAUSE_MS = 3_000;

export class Composer {
  #form;
  #input;
  #send;
  #stop;
  #on;

  /** `on`: { say(text), stop(), draft(text) }. */
  constructor(form, on) {
    this.#form = form;
    this.#input = form.querySelector("textarea");
    this.#send = form.querySelector("#send");
    this.#stop = form.querySelector("#stop");
    this.#on = on;
    form.addEventListener("submit", (event) => this.#submit(event));
    this.#input.addEventListener("input", () => this.#changed());
    this.#input.addEventListener("keydown", (event) => this.#key(event));
    this.#stop.addEventListener("click", () => this.#halt());
    this.#changed();
  }

  get text() {
    return this.#input.value;
  }

  set text(text) {
    this.#input.value = text;
    this.#changed();
  }

  focus() {
    this.#input.focus({ preventScroll: true });
  }

  /** Shows the stop button while an answer is under way. */
  answering(active) {
    if (this.#stop.hidden !== active) return;
    // Whoever pressed the button with the keyboard must not lose the place.
    if (!active && document.activeElement === this.#stop) this.focus();
    this.#stop.hidden = !active;
    this.#stop.disabled = false;
  }

  #submit(event) {
    event.preventDefault();
    const text = this.text.trim();
    if (!text) return;
    this.#on.say(text);
    this.text = "";
    this.focus();
  }

  // A finger has a button for sending, so its Enter is a new line. Enter that ends the choice of a character is not ours.
  #key(event) {
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === "Escape" && !this.#stop.hidden && !this.#stop.disabled) this.#halt();
    if (event.key !== "Enter" || event.shiftKey || event.altKey) return;
    const touch = matchMedia("(hover: none) and (pointer: coarse)").matches;
    if (touch && !event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    this.#form.requestSubmit();
  }

  #halt() {
    this.#stop.disabled = true;
    this.#on.stop();
    setTimeout(() => (this.#stop.disabled = false), STOP_PAUSE_MS);
  }

  #changed() {
    this.#send.disabled = !this.text.trim();
    this.#on.draft(this.text);
    if (CSS.supports("field-sizing", "content")) return;
    this.#input.style.height = "auto";
    this.#input.style.height = `${this.#input.scrollHeight}px`;
  }
}
