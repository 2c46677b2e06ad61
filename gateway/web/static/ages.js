// @ts-check
// Ages of what is shown: they grow while nothing comes, and what is older than three periods is greyed.

const UNITS = /** @type {[number, Intl.RelativeTimeFormatUnit][]} */ ([
  [31_536_000, "year"], [2_592_000, "month"], [604_800, "week"], [86_400, "day"],
  [3_600, "hour"], [60, "minute"], [1, "second"],
]);
const STALE_PERIODS = 3;

const language = document.documentElement.lang;
const ago = new Intl.RelativeTimeFormat(language, { style: "short", numeric: "always" });
let offset = Date.parse(document.body.dataset.now ?? "") - Date.now() || 0; // the gateway's clock, less this device's

/**
 * The gateway's time, as one of its answers tells it.
 * @param {string} moment
 */
export function setNow(moment) {
  offset = Date.parse(moment) - Date.now() || 0;
}

/**
 * Write the age of each <time data-age> below an element.
 * @param {ParentNode} root
 */
export function tellAges(root) {
  const now = Date.now() + offset;
  for (const time of root.querySelectorAll("time[data-age]")) tellAge(/** @type {HTMLTimeElement} */ (time), now);
}

/**
 * @param {HTMLTimeElement} time
 * @param {number} now
 */
function tellAge(time, now) {
  const seconds = Math.max((now - Date.parse(time.dateTime)) / 1000, 0);
  const [size, unit] = UNITS.find(([least]) => seconds >= least) ?? [1, "second"];
  const count = Math.round(seconds / size);
  const form = time.dataset.age ?? "ago";
  const text = form === "ago" ? ago.format(-count, unit) : form.replace("{}", span(count, unit));
  if (time.textContent !== text) time.textContent = text;
  if (time.dataset.period) {
    const stale = seconds > STALE_PERIODS * Number(time.dataset.period);
    (time.closest(".reading") ?? time).classList.toggle("stale", stale);
  }
}

/**
 * @param {number} count
 * @param {Intl.RelativeTimeFormatUnit} unit
 */
function span(count, unit) {
  return new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "short" }).format(count);
}
