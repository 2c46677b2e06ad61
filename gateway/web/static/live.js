// @ts-check
// Keeps a page true: says whether its stream lives, lets ages grow, and keeps what somebody is at while parts come in.

import { setNow, tellAges } from "./ages.js";

const QUIET_MS = 12_000; // the gateway says something every 5 s
const GRACE_MS = 3_000; // for a page that wakes, before it is called lost
const AGAIN_MS = 2_000;
const MAX_ATTEMPT = 3; // of a pause that doubles each time, from half a second on

/** @typedef {{attempt: number, reader: ReadableStreamDefaultReader | null, delayCanceller: (() => void) | null}} Connection */

/** @type {any} */
const htmx = Reflect.get(window, "htmx");
const live = document.querySelector("#live");
const badge = /** @type {HTMLElement} */ (document.querySelector("#connection"));

/** @type {Connection | null} */
let connection = null;
let heardAt = Date.now();
let toldAt = Date.now();
let full = false;
/** @type {number | null} */
let lostAt = null;
/** @type {Set<string>} */
let known = new Set();

// -- the stream -------------------------------------------------------------------------------------------------------

function heard() {
  heardAt = toldAt = Date.now();
  lostAt = null;
  const state = full ? "polling" : "live";
  say(state, badge.dataset[state] ?? "");
}

function lost() {
  lostAt ??= heardAt;
  const time = new Date(lostAt).toLocaleTimeString(document.documentElement.lang);
  say("lost", (badge.dataset.lost ?? "").replace("{}", time));
}

/**
 * @param {string} state
 * @param {string} text
 */
function say(state, text) {
  badge.dataset.state = state;
  if (badge.textContent !== text) badge.textContent = text;
}

function again() {
  setTimeout(() => live?.isConnected && htmx.trigger(live, "again"), AGAIN_MS);
}

function follow() {
  if (!live) return;
  live.addEventListener("htmx:sse:before:connection", (event) => {
    connection = /** @type {CustomEvent} */ (event).detail.connection;
    if (connection) connection.attempt = Math.min(connection.attempt, MAX_ATTEMPT);
  });
  live.addEventListener("htmx:sse:after:connection", () => { full = false; });
  live.addEventListener("gone", () => location.reload());
  live.addEventListener("full", () => { full = true; });
  live.addEventListener("htmx:sse:after:message", () => {
    heard();
    // htmx closes what is open when a page goes to the background, and leaves open what it opens there
    if (document.hidden) document.dispatchEvent(new Event("visibilitychange"));
  });
  live.addEventListener("tick", (event) => setNow(JSON.parse(/** @type {CustomEvent} */ (event).detail.data).now));
  live.addEventListener("htmx:sse:error", lost);
  // a stream that could not be opened at all, or that htmx gave up
  for (const end of ["htmx:error", "htmx:response:error", "htmx:sse:close"]) {
    live.addEventListener(end, () => { lost(); again(); });
  }
  window.addEventListener("offline", lost);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    toldAt = Math.max(toldAt, Date.now() - QUIET_MS + GRACE_MS);
    setTimeout(() => connection?.delayCanceller?.()); // htmx wakes up, too, and pauses before it opens a stream
  });
}

setInterval(() => {
  if (document.hidden) return;
  tellAges(document);
  if (live && Date.now() - toldAt > QUIET_MS) {
    lost();
    toldAt = Date.now();
    connection?.reader?.cancel(); // htmx then opens another
  }
}, 1_000);

// -- parts that come in -----------------------------------------------------------------------------------------------

htmx.registerExtension("picante", {
  /**
   * What somebody is at stays as it is: a form with something typed, a list that was opened, an age that grows.
   * @param {Element} old
   * @param {{newNode: Element}} detail
   */
  htmx_before_morph_node(old, { newNode }) {
    if (old instanceof HTMLFormElement) return !(old.contains(document.activeElement) || isFilled(old));
    if (old instanceof HTMLTimeElement && old.dataset.age && newNode instanceof HTMLTimeElement) {
      old.dateTime = newNode.dateTime;
      old.title = newNode.title;
      return false;
    }
    return true;
  },
  /**
   * @param {Element} old
   * @param {{attrName: string}} detail
   */
  htmx_before_morph_attr(old, { attrName }) {
    return !(old instanceof HTMLDetailsElement && attrName === "open");
  },
});

/** @param {HTMLFormElement} form */
function isFilled(form) {
  return Array.from(form.elements).some((control) => {
    if (control instanceof HTMLSelectElement) {
      const standard = Array.from(control.options).findIndex((option) => option.defaultSelected);
      return control.selectedIndex !== Math.max(standard, 0);
    }
    if (control instanceof HTMLInputElement && /checkbox|radio/.test(control.type)) {
      return control.checked !== control.defaultChecked;
    }
    return (control instanceof HTMLInputElement || control instanceof HTMLTextAreaElement)
      && control.value !== control.defaultValue;
  });
}

/** @returns {HTMLElement[]} */
function keyed() {
  return Array.from(document.querySelectorAll("main [data-key]"));
}

document.addEventListener("htmx:before:swap", () => {
  known = new Set(keyed().map((element) => element.dataset.key ?? ""));
});
document.addEventListener("htmx:after:swap", () => {
  tellAges(document);
  for (const element of keyed()) {
    if (known.size > 0 && !known.has(element.dataset.key ?? "")) element.classList.add("new");
  }
});

follow();
tellAges(document);
