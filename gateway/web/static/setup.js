// @ts-check
// The setup code of a label's QR code stands behind the address's #, which no browser sends: it is put into the form.

const field = document.querySelector("input[name=code]");
const code = decodeURIComponent(location.hash.slice(1));
if (field instanceof HTMLInputElement && field.value === "" && /^[A-Z0-9-]{8,12}$/.test(code)) {
  field.value = code;
  history.replaceState(null, "", location.pathname);
}
