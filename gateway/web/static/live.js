// @ts-check
// Keeps a page true: says whether its stream lives, lets ages grow, and keeps what somebody is at while parts come in.

import { setNow, tellAges } from "./ages.js";
import * as swaps from "./swaps.js";

const QUIET_MS = 12_000; // the gateway says something every 5 s
const GRACE_MS = 3_000; // for a page that wakes, before it is called lost
const AGAIN_MS = 2_000;

const live = document.querySelector("#live");
const badge = /** @type {HTMLElement} */ (document.querySelector("#connection"));

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

/** @param {swaps.State} state */
function told(state) {
  if (state === "opened") full = false;
  else if (state === "heard") heard();
  else if (state === "refused") location.reload(); // the way to the sign-in, and back
  else lost();
  if (state === "over") setTimeout(() => live?.isConnected && swaps.open(live), AGAIN_MS);
}

function follow() {
  if (!live) return;
  swaps.follow(live, told);
  live.addEventListener("gone", () => location.reload());
  live.addEventListener("full", () => { full = true; });
  live.addEventListener("tick", (event) => setNow(JSON.parse(/** @type {CustomEvent} */ (event).detail.data).now));
  window.addEventListener("offline", lost);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) toldAt = Math.max(toldAt, Date.now() - QUIET_MS + GRACE_MS);
  });
}

setInterval(() => {
  if (document.hidden) return;
  tellAges(document);
  if (live && Date.now() - toldAt > QUIET_MS) {
    lost();
    toldAt = Date.now();
    swaps.cut();
  }
}, 1_000);

// -- parts that come in -----------------------------------------------------------------------------------------------

/**
 * What somebody is at stays as it is: a form with something typed, an age that grows.
 * @param {Element} old
 * @param {Element} young
 */
function mayChange(old, young) {
  if (old instanceof HTMLFormElement) return !(old.contains(document.activeElement) || isFilled(old));
  if (old instanceof HTMLTimeElement && old.dataset.age && young instanceof HTMLTimeElement) {
    old.dateTime = young.dateTime;
    old.title = young.title;
    return false;
  }
  return true;
}

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

function before() {
  known = new Set(keyed().map((element) => element.dataset.key ?? ""));
}

function after() {
  tellAges(document);
  for (const element of keyed()) {
    if (known.size > 0 && !known.has(element.dataset.key ?? "")) element.classList.add("new");
  }
}

swaps.ask(mayChange, (old, name) => !(old instanceof HTMLDetailsElement && name === "open")); // a list that was opened
swaps.around(before, after);
follow();
tellAges(document);
