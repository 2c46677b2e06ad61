// @ts-check
// <sample-chart>: what a dispenser's sensors say, as lines: what was (thinned by the gateway), then each SAMPLE live.
// It hears them in the page's stream, which rests while nobody sees it, and holds a span of time and no more.

/**
 * @typedef {import("../api").components["schemas"]["Thin"]["channel"]} Channel
 * @typedef {import("../api").components["schemas"]["Readings"]} Readings
 * @typedef {[number, number, [number, number, number[]][]]} Samples
 * @typedef {{nozzle: number, name: string, band: number | null}} Line
 */

/** @type {any} */
const uPlot = Reflect.get(window, "uPlot");

/** @type {Record<number, Channel>} */
const CHANNELS = { 1: "flow", 2: "level", 3: "temperature" };
const GAP_S = 15; // an idle dispenser tells ten seconds at a time
const MAX_POINTS = 9_000; // ten minutes at 10 Hz, and what lies before
const DASHES = [[], [8, 4], [2, 4], [12, 4, 2, 4]]; // lines of one heat are told apart by them

/** One plot's columns: times in s, and for each line its values. Old points go from the front, many at a time. */
class Columns {
  /** @param {number[]} nozzles @param {number} seconds */
  constructor(nozzles, seconds) {
    this.nozzles = nozzles;
    this.seconds = seconds;
    /** @type {number[]} */
    this.times = [];
    /** @type {(number | null)[][]} */
    this.values = nozzles.map(() => []);
  }

  get last() {
    return this.times.at(-1) ?? 0;
  }

  /** @param {number} time @param {(number | null)[]} row */
  add(time, row) {
    if (time <= this.last) return;
    if (this.times.length && time - this.last > Math.max(GAP_S, this.seconds / 200)) this.#push(time - 0.001, row.map(() => null));
    this.#push(time, row);
    if (this.times.length > MAX_POINTS || (this.times[0] ?? time) < time - 1.1 * this.seconds) this.#trim(time - this.seconds);
  }

  /** @param {number} time @param {(number | null)[]} row */
  #push(time, row) {
    this.times.push(time);
    row.forEach((value, line) => this.values[line]?.push(value));
  }

  /** @param {number} since */
  #trim(since) {
    const old = Math.max(this.times.findIndex((time) => time >= since), this.times.length - MAX_POINTS, 0);
    for (const column of [this.times, ...this.values]) column.splice(0, old);
  }
}

class SampleChart extends HTMLElement {
  #seconds = 600;
  /** @type {Line[]} */
  #lines = [];
  /** @type {Map<Channel, {columns: Columns, plot: any, box: HTMLElement}>} */
  #plots = new Map();
  #frame = 0;
  /** @type {AbortController | null} */
  #ends = null;

  connectedCallback() {
    this.#seconds = Number(this.dataset.seconds);
    this.#lines = JSON.parse(this.dataset.lines ?? "[]");
    this.#ends = new AbortController();
    const until = { signal: this.#ends.signal };
    this.#hear("snapshot", (/** @type {Readings} */ readings) => this.#fill(readings), until);
    this.#hear("samples", (/** @type {Samples} */ samples) => this.#take(samples), until);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#build(), until);
    const sizes = new ResizeObserver(() => this.#draw());
    sizes.observe(this);
    this.#ends.signal.addEventListener("abort", () => sizes.disconnect());
    for (const channel of /** @type {Channel[]} */ (["level", "flow", "temperature"])) {
      const nozzles = channel === "temperature" ? [0] : this.#lines.map((line) => line.nozzle);
      const box = this.appendChild(document.createElement("div"));
      this.#plots.set(channel, { columns: new Columns(nozzles, this.#seconds), plot: null, box });
    }
    this.#build();
  }

  disconnectedCallback() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.#ends?.abort();
    for (const each of this.#plots.values()) each.plot?.destroy();
    this.#plots.clear();
    this.replaceChildren();
  }

  // -- what comes -----------------------------------------------------------------------------------------------------

  /** @param {string} name @param {(told: any) => void} take @param {AddEventListenerOptions} until */
  #hear(name, take, until) {
    const told = (/** @type {Event} */ event) => take(JSON.parse(/** @type {CustomEvent} */ (event).detail.data));
    document.querySelector("#live")?.addEventListener(name, told, until);
  }

  /** @param {Readings} readings */
  #fill({ begin_ms, step_ms, count, series }) {
    for (const [channel, each] of this.#plots) {
      const { columns } = each;
      each.columns = new Columns(columns.nozzles, this.#seconds);
      const thin = columns.nozzles.map((nozzle) => series.find((one) => one.channel === channel && one.nozzle === nozzle));
      for (let i = 0; i < count; i++) {
        if (thin.every((one) => (one?.least[i] ?? null) === null)) continue;
        const time = (begin_ms + i * step_ms) / 1000;
        each.columns.add(time, thin.map((one) => one?.least[i] ?? null));
        if (thin.some((one) => one && one.least[i] !== one.most[i])) {
          each.columns.add(time + step_ms / 2000, thin.map((one) => one?.most[i] ?? null));
        }
      }
    }
    this.#drawSoon();
  }

  /** @param {Samples} samples */
  #take([lastMs, periodMs, series]) {
    this.dataset.at = String(lastMs);
    const length = Math.max(...series.map(([, , values]) => values.length), 0);
    for (const [channel, { columns }] of this.#plots) {
      const shown = columns.nozzles.map((nozzle) => series.find((one) => CHANNELS[one[0]] === channel && one[1] === nozzle)?.[2]);
      const scale = channel === "flow" ? 1000 / periodMs : channel === "temperature" ? 0.01 : 1;
      for (let i = 0; i < length; i++) {
        const row = shown.map((values) => (values?.[i] === undefined ? null : Number(values[i]) * scale));
        columns.add((lastMs - (length - 1 - i) * periodMs) / 1000, row);
      }
    }
    this.#drawSoon();
  }

  // -- what is drawn --------------------------------------------------------------------------------------------------

  #build() {
    const tokens = getComputedStyle(this);
    const token = (/** @type {string} */ name) => tokens.getPropertyValue(`--${name}`).trim();
    const axis = { stroke: token("soft"), grid: { stroke: token("line"), width: 1 }, ticks: { show: false } };
    const time = new Intl.DateTimeFormat(document.documentElement.lang, { timeStyle: "short", timeZone: this.dataset.zone });
    /** @type {Map<number | null, number>} */
    const before = new Map();
    const lines = this.#lines.map(({ nozzle, name, band }) => {
      const nth = before.get(band) ?? 0;
      before.set(band, nth + 1);
      return { label: `${nozzle} ${name}`, stroke: token(band === null ? "glass" : `heat-${band}`), dash: DASHES[nth % DASHES.length] };
    });
    for (const [channel, each] of this.#plots) {
      each.plot?.destroy();
      const label = this.dataset[channel] ?? "";
      const own = channel === "temperature" ? [{ label, stroke: token("ink"), dash: [] }] : lines;
      each.plot = new uPlot(
        {
          title: label,
          width: this.clientWidth || 300,
          height: 220,
          legend: { show: channel === "level", live: false },
          cursor: { drag: { x: false, y: false } },
          scales: { x: { time: true, range: () => this.#range() } },
          axes: [
            { ...axis, values: (/** @type {any} */ _, /** @type {number[]} */ splits) => splits.map((at) => time.format(at * 1000)), space: 70 },
            { ...axis, size: 56 },
          ],
          series: [{}, ...own.map((line) => ({ ...line, width: 2, points: { show: false } }))],
        },
        [each.columns.times, ...each.columns.values],
        each.box,
      );
    }
  }

  /** @returns {[number, number]} */
  #range() {
    const last = Math.max(...[...this.#plots.values()].map(({ columns }) => columns.last)) || Date.now() / 1000;
    return [last - this.#seconds, last];
  }

  #drawSoon() {
    this.#frame ||= requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#frame = 0;
    for (const { plot, columns, box } of this.#plots.values()) {
      box.hidden = columns.times.length === 0; // nothing to see takes no room
      if (plot.width !== this.clientWidth && this.clientWidth) plot.setSize({ width: this.clientWidth, height: plot.height });
      plot.setData([columns.times, ...columns.values]);
    }
  }
}

customElements.define("sample-chart", SampleChart);
