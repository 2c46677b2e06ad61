// @ts-check
/**
 * Moves sauces between nozzles: with a finger or a mouse, and with the keyboard. The form around it is what is saved, and
 * works without this: a move exchanges what two of its selects say.
 */

const EDGE_PX = 72;
/** px from an edge of the window within which it scrolls under what is carried. */
const SCROLL_PX = 12;

class NozzleMap extends HTMLElement {
  /** @type {HTMLElement | null} What is carried. */
  #carried = null;
  /** @type {HTMLElement | null} Where it would land. */
  #target = null;
  /** @type {number | null} The finger or mouse that carries. */
  #pointer = null;

  connectedCallback() {
    for (const place of this.#places()) {
      const select = this.#select(place);
      select.dataset.was ??= select.value;
      select.addEventListener("change", () => this.#mark(place));
      const grip = place.querySelector("button.grip");
      if (!(grip instanceof HTMLButtonElement) || !grip.hidden) continue;
      grip.hidden = false;
      grip.addEventListener("pointerdown", (event) => this.#down(event, place));
      grip.addEventListener("pointermove", (event) => this.#move(event));
      grip.addEventListener("pointerup", (event) => this.#up(event));
      grip.addEventListener("pointercancel", () => this.#leave());
      grip.addEventListener("keydown", (event) => this.#key(event, place));
      grip.addEventListener("blur", () => this.#pointer === null && this.#leave());
    }
  }

  /** @returns {HTMLElement[]} */
  #places() {
    /** @type {NodeListOf<HTMLElement>} */
    const places = this.querySelectorAll("li[data-nozzle]");
    return [...places].filter((place) => place.querySelector("select") !== null);
  }

  /** @param {HTMLElement} place @returns {HTMLSelectElement} */
  #select(place) {
    return /** @type {HTMLSelectElement} */ (place.querySelector("select"));
  }

  /** @param {HTMLElement} place */
  #sauce(place) {
    return this.#select(place).selectedOptions[0]?.text ?? "";
  }

  /** @param {"taken" | "over" | "dropped" | "left"} what @param {string} sauce @param {HTMLElement} place */
  #say(what, sauce, place) {
    const text = this.dataset[what] ?? "";
    const said = text.replace("[sauce]", sauce).replace("[nozzle]", place.dataset.nozzle ?? "");
    const live = this.querySelector("[aria-live]");
    if (live) live.textContent = said;
  }

  /** @param {HTMLElement} place */
  #take(place) {
    this.#carried = place;
    place.classList.add("carried");
    this.#say("taken", this.#sauce(place), place);
  }

  /** @param {HTMLElement | null} place */
  #over(place) {
    if (place === this.#target) return;
    this.#target?.classList.remove("over");
    this.#target = place === this.#carried ? null : place;
    this.#target?.classList.add("over");
    if (this.#target) this.#say("over", this.#sauce(this.#target), this.#target);
  }

  #drop() {
    const from = this.#carried;
    const to = this.#target;
    if (!from || !to) return this.#leave();
    const a = this.#select(from);
    const b = this.#select(to);
    const sauce = this.#sauce(from);
    this.#has(a, b);
    this.#has(b, a);
    [a.value, b.value] = [b.value, a.value];
    this.#mark(from);
    this.#mark(to);
    this.#end();
    this.#say("dropped", sauce, to);
  }

  /** What is not in the catalogue is a choice of its own nozzle alone. @param {HTMLSelectElement} one @param {HTMLSelectElement} other */
  #has(one, other) {
    const chosen = other.selectedOptions[0];
    if (chosen && ![...one.options].some((option) => option.value === chosen.value)) {
      one.add(new Option(chosen.text, chosen.value));
    }
  }

  /** @param {HTMLElement} place */
  #mark(place) {
    const select = this.#select(place);
    place.classList.toggle("changed", select.value !== select.dataset.was);
  }

  #leave() {
    const carried = this.#carried;
    if (!carried) return;
    this.#end();
    this.#say("left", "", carried);
  }

  #end() {
    this.#carried?.classList.remove("carried");
    this.#target?.classList.remove("over");
    this.#carried = this.#target = this.#pointer = null;
  }

  // -- a finger, or a mouse

  /** @param {PointerEvent} event @param {HTMLElement} place */
  #down(event, place) {
    if (this.#carried || event.button !== 0) return;
    this.#pointer = event.pointerId;
    /** @type {HTMLElement} */ (event.currentTarget).setPointerCapture(event.pointerId);
    this.#take(place);
  }

  /** @param {PointerEvent} event */
  #move(event) {
    if (event.pointerId !== this.#pointer) return;
    if (event.clientY < EDGE_PX) scrollBy(0, -SCROLL_PX);
    if (event.clientY > innerHeight - EDGE_PX) scrollBy(0, SCROLL_PX);
    const below = document.elementFromPoint(event.clientX, event.clientY)?.closest("li[data-nozzle]");
    this.#over(below instanceof HTMLElement && this.contains(below) ? below : null);
  }

  /** @param {PointerEvent} event */
  #up(event) {
    if (event.pointerId === this.#pointer) this.#drop();
  }

  // -- keys

  /** @param {KeyboardEvent} event @param {HTMLElement} place */
  #key(event, place) {
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (event.key === "Enter" || event.key === " ") {
      if (this.#carried) this.#drop();
      else this.#take(place);
    } else if (event.key === "Escape" && this.#carried) {
      this.#leave();
    } else if (step && this.#carried) {
      const places = this.#places();
      const at = places.indexOf(this.#target ?? this.#carried);
      const next = places[(at + step + places.length) % places.length] ?? null;
      this.#over(next);
      next?.scrollIntoView({ block: "nearest" });
    } else {
      return;
    }
    event.preventDefault();
  }
}

customElements.define("nozzle-map", NozzleMap);
