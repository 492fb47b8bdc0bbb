// Keeps the newest line in view as long as the reader wants that, and stays out of the way otherwise.

const NEAR_PX = 48;
const FAR_PX = 320;

export class Follow {
  #scroller;
  #pill;
  #pinned = true;
  #unseen = 0;
  #top = 0;
  #height = 0;

  /** `pill` is the button that leads back to the newest line; its last element takes the wording. */
  constructor(scroller, content, pill) {
    this.#scroller = scroller;
    this.#pill = pill;
    scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    pill.addEventListener("click", () => this.jump());
    const observer = new ResizeObserver(() => this.#settle());
    observer.observe(scroller);
    observer.observe(content);
  }

  /** Goes to the newest line and stays there. */
  jump(smooth = true) {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const far = this.#distance() > 2 * this.#scroller.clientHeight;
    this.#pinned = true;
    this.#unseen = 0;
    this.#scroller.scrollTo({
      top: this.#scroller.scrollHeight,
      behavior: smooth && !still && !far ? "smooth" : "instant",
    });
    this.#show();
  }

  /** Says that something new stands at the end. */
  arrive() {
    if (!this.#pinned) this.#unseen += 1;
    this.#show();
  }

  /** Runs `grow`, which puts lines on top, without moving what the reader looks at. */
  hold(grow) {
    const fromEnd = this.#scroller.scrollHeight - this.#scroller.scrollTop;
    grow();
    this.#scroller.scrollTop = this.#scroller.scrollHeight - fromEnd;
  }

  #distance() {
    return this.#scroller.scrollHeight - this.#scroller.scrollTop - this.#scroller.clientHeight;
  }

  // The smallest movement up lets go: whoever reads must not be pulled down.
  #scrolled() {
    const { scrollTop, scrollHeight } = this.#scroller;
    const up = scrollTop < this.#top - 1 && scrollHeight >= this.#height;
    const distance = this.#distance();
    if (up) this.#pinned = distance < 2;
    else if (distance < NEAR_PX) this.#pinned = true;
    this.#top = scrollTop;
    this.#height = scrollHeight;
    if (this.#pinned) this.#unseen = 0;
    this.#show();
  }

  #settle() {
    if (this.#pinned) this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#top = this.#scroller.scrollTop;
    this.#height = this.#scroller.scrollHeight;
    this.#show();
  }

  #show() {
    this.#pill.hidden = this.#pinned || (this.#unseen === 0 && this.#distance() < FAR_PX);
    this.#pill.lastElementChild.textContent = this.#unseen > 0 ? "New messages" : "Latest";
  }
}
