// @ts-check
// All that is known of htmx 4 outside templates/macros/live.html: how a page's stream is heard and opened anew, and what is
// told when parts come in. What has a name in the stream is an event of its place, whose `detail` has `data` and `id`.

const MAX_ATTEMPT = 3; // of a pause that doubles each time, from half a second on
const SIGNED_OUT = 401;

/** @typedef {{attempt: number, reader: ReadableStreamDefaultReader | null, delayCanceller: (() => void) | null}} Connection */
/** @typedef {"opened" | "heard" | "broken" | "over" | "refused"} State Over: it opens no more by itself. */

/** @type {any} */
const htmx = Reflect.get(window, "htmx");
/** @type {Connection | null} */
let connection = null;

/**
 * Tell what becomes of the stream of a place.
 * @param {Element} place
 * @param {(state: State) => void} tell
 */
export function follow(place, tell) {
  place.addEventListener("htmx:sse:before:connection", (event) => {
    connection = detail(event).connection;
    if (connection) connection.attempt = Math.min(connection.attempt, MAX_ATTEMPT);
  });
  place.addEventListener("htmx:sse:after:connection", () => tell("opened"));
  place.addEventListener("htmx:sse:after:message", () => {
    tell("heard");
    // htmx closes what is open when a page goes to the background, and leaves open what it opens there
    if (document.hidden) document.dispatchEvent(new Event("visibilitychange"));
  });
  place.addEventListener("htmx:sse:error", (event) => tell(detail(event).status === SIGNED_OUT ? "refused" : "broken"));
  place.addEventListener("htmx:response:error", (event) => {
    tell(detail(event).ctx.response.status === SIGNED_OUT ? "refused" : "over");
  });
  for (const end of ["htmx:error", "htmx:sse:close"]) place.addEventListener(end, () => tell("over"));
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) setTimeout(() => connection?.delayCanceller?.()); // it wakes up, too, and pauses before it opens one
  });
}

/** @param {Event} event @returns {any} */
function detail(event) {
  return /** @type {CustomEvent} */ (event).detail;
}

/** Open the stream of a place that is over. @param {Element} place */
export function open(place) {
  htmx.trigger(place, "again");
}

/** End a stream that says nothing any more: another one is opened. */
export function cut() {
  connection?.reader?.cancel();
}

/**
 * Ask, before anything is changed by a part that comes in, whether it may be.
 * @param {(old: Element, young: Element) => boolean} element
 * @param {(old: Element, name: string) => boolean} attribute
 */
export function ask(element, attribute) {
  htmx.registerExtension("picante", {
    htmx_before_morph_node: (/** @type {Element} */ old, /** @type {any} */ { newNode }) => element(old, newNode),
    htmx_before_morph_attr: (/** @type {Element} */ old, /** @type {any} */ { attrName }) => attribute(old, attrName),
  });
}

/**
 * Be told around each change.
 * @param {() => void} before
 * @param {() => void} after
 */
export function around(before, after) {
  document.addEventListener("htmx:before:swap", before);
  document.addEventListener("htmx:after:swap", after);
}
