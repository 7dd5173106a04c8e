// Shows the request that the form makes while it is filled in. Without this script the buttons do the same.
"use strict";

const form = document.getElementById("request");
const place = document.getElementById("url");
const size = document.getElementById("size");
const copy = document.getElementById("copy");
const index = /^\s*\[?\s*(\d+)(?:\s*:\s*(\d+))?(?:\s*:\s*(\d+|\*))?\s*\]?\s*$/;

function variables() {
  return Array.from(form.querySelectorAll(".variable"), (item) => ({
    item,
    box: item.querySelector("[name=v]"),
    fields: Array.from(item.querySelectorAll(".indices input")),
    width: Number(item.dataset.width),
  }));
}

function hyperslab(fields) {
  const texts = fields.map((field) => field.value.trim().replace(/^\[|\]$/g, ""));
  return texts.some(Boolean) ? texts.map((text, axis) => `[${text || fields[axis].placeholder}]`).join("") : "";
}

// How many indices a field asks for; all of them where it is empty or not yet an index.
function count(field) {
  const whole = Number(field.dataset.size);
  const match = index.exec(field.value);
  if (!match) return whole;
  const [, first, second, third] = match;
  if (second === undefined) return 1;
  const last = third === undefined ? second : third;
  const stride = third === undefined ? 1 : Number(second);
  const end = last === "*" ? whole - 1 : Math.min(Number(last), whole - 1);
  return Math.max(0, Math.floor((end - Number(first)) / Math.max(1, stride)) + 1);
}

function constraint(calls) {
  const chosen = variables().filter(({ box }) => box.checked);
  const names = chosen.map(({ box, fields }) => box.value + hyperslab(fields));
  const filters = form.elements.filters.value.trim().replace(/^&/, "");
  return [...names, ...(calls ? [calls] : [])].join(",") + (filters ? `&${filters}` : "");
}

function encoded(text) {
  return encodeURIComponent(text).replace(/%(2F|2C|3A|3D|26|21|2A|28|29)/g, (code) => decodeURIComponent(code));
}

function inUnits(bytes) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let step = 0;
  while (bytes >= 1000 && step < units.length - 1) {
    bytes /= 1000;
    step += 1;
  }
  return `${bytes.toFixed(step && bytes < 100 ? 1 : 0)} ${units[step]}`;
}

function show() {
  const all = variables();
  const some = all.filter(({ box }) => box.checked);
  const calls = form.elements.calls.value.trim();
  const asked = some.length || calls ? some : all;
  const bytes = asked.reduce((sum, { fields, width }) => sum + fields.reduce((n, field) => n * count(field), width), 0);
  const at = (text) => form.dataset.url + (text ? `?${text}` : "");
  place.textContent = at(encoded(constraint(calls)));
  const opened = at(constraint(""));  // netCDF's library knows no functions
  document.querySelectorAll(".live").forEach((live) => { live.textContent = opened; });
  size.textContent = bytes ? `${form.elements.filters.value.trim() ? "at most " : ""}${inUnits(bytes)} over DAP2` : "";
  size.classList.toggle("too-much", bytes > Number(form.dataset.limit));
  all.forEach(({ item, box }) => item.classList.toggle("chosen", box.checked));
}

form.addEventListener("input", (event) => {
  if (event.target.closest(".indices") && event.target.value) {
    event.target.closest(".variable").querySelector("[name=v]").checked = true;
  }
  show();
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const answer = event.submitter ? event.submitter.value : ".ascii";
  const text = encoded(constraint(form.elements.calls.value.trim()));
  window.location.assign(form.dataset.url + answer + (text ? `?${text}` : ""));
});

if (navigator.clipboard) {
  copy.hidden = false;
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(place.textContent);
    copy.textContent = "Copied";
    setTimeout(() => { copy.textContent = "Copy"; }, 1500);
  });
}

window.addEventListener("pageshow", show);
