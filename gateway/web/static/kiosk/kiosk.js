// @ts-check
/**
 * A dispenser's screen in a browser. The gateway draws what is shown; here it is put in place when it comes, presses are
 * sent, and nobody is left on the screen: not after 30 s of nothing, and not when the gateway has died meanwhile.
 */

/** ms of nothing after which nobody stands there; the gateway counts the same. */
const IDLE_MS = 30_000;
/** ms without a word of the stream after which its line is dead: it ticks every 2 s. */
const SILENCE_MS = 5_000;
/** ms until a line that broke is tried again: with a start of the daemon in between it is back within 3 s of that. */
const RETRY_MS = 500;
/** ms from one look to the next where this session has its streams: nobody's kiosk, but a technician's tab. */
const POLL_MS = 5_000;
/** ms between two words to the gateway that somebody touches the screen. */
const STAY_MS = 10_000;

class Kiosk extends HTMLElement {
  path = "";
  own = "en";
  language = "en";
  /** What is shown to nobody: kept for when the gateway can't be asked. */
  start = "";
  /** The id of what is on the screen. */
  last = "";
  heard = 0;
  stayed = 0;
  /** @type {EventSource | null} */
  stream = null;
  /** Whether there is no stream for this page. */
  full = false;
  /** What is wrong with the line. @type {"lost" | "refused" | ""} */
  trouble = "";
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  idle;

  connectedCallback() {
    this.path = this.dataset.path ?? "";
    this.own = this.dataset.own ?? "en";
    this.language = this.screen?.lang ?? this.own;
    this.last = this.dataset.last ?? "";
    this.start = document.querySelector("template")?.innerHTML ?? this.innerHTML;
    this.addEventListener("submit", (event) => this.pressed(event));
    this.addEventListener("click", (event) => this.chosen(event));
    for (const touch of ["pointerdown", "keydown"]) document.addEventListener(touch, () => this.touched());
    document.addEventListener("contextmenu", (event) => event.preventDefault());
    document.addEventListener("visibilitychange", () => this.open());
    setInterval(() => this.listen(), RETRY_MS);
    this.open();
    this.wait();
  }

  get screen() {
    return /** @type {HTMLElement | null} */ (this.querySelector("[data-state]"));
  }

  get visit() {
    return this.screen?.dataset.visit ?? "";
  }

  // -- what the gateway says ------------------------------------------------------------------------------------------

  close() {
    this.stream?.close();
    this.stream = null;
  }

  /** Listen, unless nobody can see it. */
  open() {
    this.close();
    this.full = false;
    this.heard = Date.now();
    if (document.hidden) return;
    const query = new URLSearchParams({ lang: this.language, last: this.last });
    const stream = new EventSource(`${this.path}/live?${query}`);
    this.stream = stream;
    for (const name of ["full", "page", "start", "visit", "tick"]) {
      stream.addEventListener(name, (event) => {
        if (stream === this.stream) this.told(name, /** @type {MessageEvent<string>} */ (event));
      });
    }
    stream.addEventListener("error", () => {
      if (stream !== this.stream) return;
      this.close();
      if (this.full) return;
      this.suffer("lost");
      this.ask();
    });
  }

  /** Look whether the line lives, and open another where it does not. */
  listen() {
    const quiet = Date.now() - this.heard;
    if ((this.stream && quiet < SILENCE_MS) || (this.full && quiet < POLL_MS)) return;
    if (this.stream) this.suffer("lost");
    this.open();
  }

  /** @param {string} name @param {MessageEvent<string>} event */
  told(name, event) {
    this.heard = Date.now();
    if (name === "full") {
      this.full = true;
      return;
    }
    if (name === "page") {
      if (event.data !== this.dataset.version && !this.visit) location.reload();
      return;
    }
    this.last = event.lastEventId || this.last;
    this.suffer("");
    if (name === "start" && this.language === this.own) this.start = event.data;
    if (name !== "tick") this.show(event.data);
  }

  /** The line broke: is the gateway gone, or is this browser no kiosk any more? */
  async ask() {
    const answer = await fetch(`/api/v1${this.path}`, { redirect: "manual" }).catch(() => null);
    if (answer && [401, 403].includes(answer.status)) this.suffer("refused");
  }

  // -- what is shown --------------------------------------------------------------------------------------------------

  /** @param {string} html */
  show(html) {
    const before = this.visit;
    const opened = this.querySelector("details[open]")?.id;
    this.innerHTML = html;
    const details = this.querySelector("details");
    if (details && details.id === opened && before === this.visit) details.open = true;
    document.documentElement.lang = this.screen?.lang ?? this.own;
    if (before !== this.visit) scrollTo(0, 0);
    if (this.trouble) this.notice(this.trouble);
    if (before && before !== this.visit) this.speak(this.own);
    this.wait();
  }

  /** @param {"lost" | "refused" | ""} trouble */
  suffer(trouble) {
    if (this.trouble !== trouble) this.notice(trouble);
    this.trouble = trouble;
    this.dataset.line = trouble || (this.full ? "polling" : "open");
  }

  /** @param {"lost" | "refused" | "failed" | ""} which */
  notice(which) {
    for (const notice of /** @type {NodeListOf<HTMLElement>} */ (this.querySelectorAll(".notice"))) {
      notice.hidden = !which || !notice.classList.contains(which);
    }
  }

  /** @param {string} language */
  speak(language) {
    if (language === this.language) return;
    this.language = language;
    this.last = "";
    this.open();
  }

  // -- what people do -------------------------------------------------------------------------------------------------

  touched() {
    this.wait();
    if (this.visit && Date.now() - this.stayed > STAY_MS) {
      this.stayed = Date.now();
      this.send(`${this.path}/visits/${this.visit}/stay`);
    }
  }

  /** Begin to count anew. */
  wait() {
    clearTimeout(this.idle);
    if (this.visit || this.language !== this.own) this.idle = setTimeout(() => this.leave(), IDLE_MS);
  }

  /** Nobody is there: nothing of them stays, and the next one is spoken to as everybody. */
  leave() {
    const visit = this.visit;
    if (visit) this.send(`${this.path}/visits/${visit}/leave`);
    if (visit) {
      this.last = "";
      this.show(this.start);
    }
    this.speak(this.own);
  }

  /** @param {MouseEvent} event */
  chosen(event) {
    const link = /** @type {Element} */ (event.target).closest("a[data-language]");
    if (!(link instanceof HTMLElement)) return;
    event.preventDefault();
    this.speak(link.dataset.language ?? this.own);
    this.wait();
  }

  /** @param {SubmitEvent} event */
  async pressed(event) {
    const form = /** @type {HTMLFormElement} */ (event.target);
    event.preventDefault();
    const values = new URLSearchParams();
    if (event.submitter instanceof HTMLButtonElement && event.submitter.name) {
      values.set(event.submitter.name, event.submitter.value);
    }
    if (!(await this.send(form.action, values))) this.notice("failed");
  }

  /** @param {string} address @param {URLSearchParams} [values] @returns {Promise<boolean>} Whether it was done. */
  async send(address, values) {
    const order = { method: "POST", body: values ?? new URLSearchParams(), redirect: /** @type {const} */ ("manual") };
    const answer = await fetch(address, order).catch(() => null);
    return answer !== null && (answer.ok || answer.type === "opaqueredirect");
  }
}

customElements.define("picante-kiosk", Kiosk);
