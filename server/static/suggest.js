// Suggestions below the large search box while a reader types. Without this script the box is a plain form.
"use strict";

const WAIT_MILLISECONDS = 150; // after the last key
const input = document.querySelector(".search.large input");
const form = input.form;
const box = document.createElement("div");
const told = document.createElement("p");
let timer = 0;
let controller = null;
let active = -1;

box.className = "suggestions";
box.id = "suggestions";
box.hidden = true;
told.className = "hidden";
told.setAttribute("role", "status");
form.append(box, told);
input.type = "text"; // a box of type search may have no suggestions
input.enterKeyHint = "search";
input.setAttribute("role", "combobox");
input.setAttribute("aria-autocomplete", "list");
input.setAttribute("aria-expanded", "false");
input.setAttribute("aria-controls", box.id);

const listOptions = () => Array.from(box.querySelectorAll("[role=option]"));

function choose(number) {
  active = number;
  listOptions().forEach((option, place) => option.setAttribute("aria-selected", String(place === active)));
  const option = listOptions()[active];
  if (option) {
    input.setAttribute("aria-activedescendant", option.id);
    option.scrollIntoView({ block: "nearest" });
  } else {
    input.removeAttribute("aria-activedescendant");
  }
}

function show(isOpen) {
  box.hidden = !isOpen;
  input.setAttribute("aria-expanded", String(isOpen));
  if (!isOpen) choose(-1);
}

function close() {
  clearTimeout(timer);
  controller?.abort();
  show(false);
}

async function suggest() {
  controller?.abort();
  controller = new AbortController();
  const text = input.value.trim();
  if (!text) return show(false);
  try {
    const url = `${form.action}/suggestions?${new URLSearchParams({ q: text })}`;
    const answer = await fetch(url, { headers: { Accept: "text/html" }, signal: controller.signal });
    if (!answer.ok) return show(false);
    const part = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (text !== input.value.trim()) return; // overtaken
    box.replaceChildren(...part.body.childNodes);
    told.textContent = box.querySelector("[data-status]")?.dataset.status || "";
    show(true);
    choose(-1);
  } catch (error) {
    if (error.name !== "AbortError") show(false);
  }
}

input.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(suggest, WAIT_MILLISECONDS);
});
input.addEventListener("focus", () => {
  if (input.value.trim() && box.hidden) suggest();
});
input.addEventListener("blur", close);
box.addEventListener("pointerdown", (event) => event.preventDefault()); // the focus stays in the box
input.addEventListener("keydown", (event) => {
  const options = listOptions();
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (event.key === "Escape" && !box.hidden) {
    close();
    event.preventDefault();
  } else if (step && !box.hidden && options.length) {
    const places = options.length + 1; // one of them is the box itself
    choose(((active + 1 + step + places) % places) - 1);
    event.preventDefault();
  } else if (event.key === "Enter" && options[active] && !box.hidden) {
    options[active].click();
    event.preventDefault();
  }
});
form.addEventListener("submit", close);
