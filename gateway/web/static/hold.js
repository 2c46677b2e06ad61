// @ts-check
// A button that is held for a second, by finger, mouse or key; a short press shows the word that may be typed instead.

const HOLD_MS = 1_000;

class HoldButton extends HTMLElement {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #sent = false; // whoever lets go afterwards sends nothing more

  connectedCallback() {
    const button = this.querySelector("button");
    if (!button) return;
    button.addEventListener("pointerdown", (event) => {
      this.#sent = false;
      if (event.button === 0) this.#begin();
    });
    for (const end of ["pointerup", "pointercancel", "pointerleave", "blur"]) {
      button.addEventListener(end, () => this.#stop());
    }
    button.addEventListener("contextmenu", (event) => event.preventDefault());
    button.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      if (!event.repeat) this.#begin();
    });
    button.addEventListener("keyup", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      if (this.#timer) this.#type();
      this.#stop();
    });
    button.addEventListener("click", (event) => {
      if (this.#typed && !this.#sent) return;
      event.preventDefault();
      if (!this.#sent) this.#type();
    });
  }

  disconnectedCallback() {
    this.#stop();
  }

  get #field() {
    return /** @type {HTMLInputElement} */ (this.querySelector("input"));
  }

  get #typed() {
    return this.#field.value.trim() !== "";
  }

  #begin() {
    if (this.#typed || this.#timer) return;
    this.classList.add("holding");
    this.#timer = setTimeout(() => {
      this.#stop();
      this.#sent = true;
      this.#field.value = this.dataset.word ?? "";
      this.closest("form")?.requestSubmit(this.querySelector("button"));
    }, HOLD_MS);
  }

  #stop() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.classList.remove("holding");
  }

  #type() {
    this.classList.add("typing");
    this.#field.focus();
  }
}

customElements.define("hold-button", HoldButton);
