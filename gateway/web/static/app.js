// Keeps the page true: takes its parts from /live as they change, lets ages grow, and says when the line is dead.

const QUIET_MS = 12_000; // the gateway says something every 5 s
const AGAIN_MS = 2_000;
const UNITS = [[86_400, "d"], [3_600, "h"], [60, "min"], [1, "s"]];

const connection = document.querySelector("#connection");
let clockOffset = Date.parse(document.body.dataset.now) - Date.now(); // the gateway's clock, less this device's
let heardAt = Date.now();
let lostAt = null;
let source = null;

function connect() {
  source?.close();
  source = new EventSource("/live/old");
  for (const section of document.querySelectorAll("section[id]")) {
    source.addEventListener(section.id, (event) => { heard(); replace(section.id, event.data); });
  }
  source.addEventListener("tick", (event) => {
    clockOffset = Date.parse(JSON.parse(event.data).now) - Date.now();
    heard();
  });
  source.onerror = () => {
    lost();
    // a browser does not come back by itself from an answer that was no stream
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, AGAIN_MS);
  };
}

function heard() {
  heardAt = Date.now();
  lostAt = null;
  connection.dataset.state = "live";
  connection.textContent = "live";
}

function lost() {
  lostAt ??= heardAt;
  connection.dataset.state = "lost";
  connection.textContent = `not connected since ${new Date(lostAt).toLocaleTimeString()}`;
}

function replace(id, html) {
  const old = document.getElementById(id);
  const before = new Set(Array.from(old.querySelectorAll("[data-key]"), (element) => element.dataset.key));
  const open = new Set(Array.from(old.querySelectorAll("details[open]"), (element) => element.dataset.key));
  const template = document.createElement("template");
  template.innerHTML = html;
  const section = template.content.firstElementChild;
  for (const element of section.querySelectorAll("[data-key]")) {
    if (before.size > 0 && !before.has(element.dataset.key)) element.classList.add("new");
  }
  for (const details of section.querySelectorAll("details")) details.open = open.has(details.dataset.key);
  tellAges(section);
  old.replaceWith(section);
}

function tellAges(root) {
  const now = Date.now() + clockOffset;
  for (const time of root.querySelectorAll("time[data-age]")) {
    const seconds = (now - Date.parse(time.dateTime)) / 1000;
    const text = time.dataset.age === "for" ? `for ${age(seconds)}` : seconds < 1 ? "now" : `${age(seconds)} ago`;
    if (time.textContent !== text) time.textContent = text;
  }
}

function age(seconds) {
  const whole = Math.max(Math.floor(seconds), 0);
  const [size, unit] = UNITS.find(([size]) => whole >= size) ?? UNITS.at(-1);
  return `${Math.floor(whole / size)} ${unit}`;
}

setInterval(() => {
  tellAges(document);
  if (Date.now() - heardAt > QUIET_MS) {
    lost();
    connect();
    heardAt = Date.now();
  }
}, 1_000);
connect();
