// @ts-check
// What the QR code of a gateway's label says stands behind the address's #, which no browser sends and no log has: the
// setup code goes into the form, the name and the root's fingerprint are shown, to be compared with what a browser says.

const label = new URLSearchParams(location.hash.slice(1));
const [code, gateway, root] = ["code", "name", "root"].map((key) => label.get(key) ?? "");
const field = document.querySelector("input[name=code]");
if (code && field instanceof HTMLInputElement && field.value === "" && /^[A-Z0-9-]{8,12}$/.test(code)) field.value = code;
const shown = document.getElementById("label");
if (shown && gateway && root && /^[\w.-]{1,64}$/.test(gateway) && /^[0-9A-F]{64}$/.test(root)) {
  const said = [gateway, root.match(/../g)?.join(":") ?? ""];
  shown.querySelectorAll("dd").forEach((place, at) => (place.textContent = said[at] ?? ""));
  shown.hidden = false;
}
if (root) history.replaceState(null, "", location.pathname + location.search);
