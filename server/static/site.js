// What all pages do beyond links and forms: menus close, texts are copied, the theme is chosen, keys work.
// Every page works without this script.
"use strict";

const root = document.documentElement;
const COPIED_MILLISECONDS = 2000;

function remember(name, value) {
  try {
    if (value) localStorage.setItem(name, value);
    else localStorage.removeItem(name);
  } catch {
    // no storage: the choice holds for this page
  }
}

function recall(name) {
  try {
    return localStorage.getItem(name) || "";
  } catch {
    return "";
  }
}

function showTheme() {
  const theme = root.dataset.theme || "";
  for (const button of document.querySelectorAll("[data-choose-theme]")) {
    button.setAttribute("aria-pressed", String(button.dataset.chooseTheme === theme));
  }
}

async function copy(button) {
  const source = button.dataset.copy
    ? document.getElementById(button.dataset.copy).textContent
    : button.dataset.copyText || location.href;
  const label = button.querySelector(".label") || button;
  const words = label.textContent;
  try {
    await navigator.clipboard.writeText(source.trim());
    label.textContent = "Copied";
  } catch {
    label.textContent = "Select it and press Ctrl C";
  }
  setTimeout(() => { label.textContent = words; }, COPIED_MILLISECONDS);
}

// Recipes: one tab of several, and the choice is remembered.
function showTab(group, name) {
  for (const tab of group.querySelectorAll("[data-tab]")) {
    const chosen = tab.dataset.tab === name;
    tab.setAttribute("aria-selected", String(chosen));
    tab.tabIndex = chosen ? 0 : -1;
    document.getElementById(tab.getAttribute("aria-controls")).hidden = !chosen;
  }
}

function makeTabs(group) {
  const panels = Array.from(group.querySelectorAll("details.recipe"));
  const list = document.createElement("div");
  list.className = "tabs";
  list.setAttribute("role", "tablist");
  list.setAttribute("aria-label", group.dataset.tabs);
  for (const panel of panels) {
    const tab = document.createElement("button");
    const content = panel.querySelector(".panel");
    tab.type = "button";
    tab.role = "tab";
    tab.id = `tab-${content.id}`;
    tab.dataset.tab = panel.dataset.name;
    tab.textContent = panel.querySelector("summary").textContent;
    tab.setAttribute("aria-controls", content.id);
    content.setAttribute("role", "tabpanel");
    content.setAttribute("aria-labelledby", tab.id);
    list.append(tab);
    panel.replaceWith(content);
  }
  group.prepend(list);
  const wanted = recall("recipe");
  const tabs = Array.from(list.children);
  showTab(group, tabs.some((tab) => tab.dataset.tab === wanted) ? wanted : tabs[0].dataset.tab);
  list.addEventListener("click", (event) => {
    const tab = event.target.closest("[data-tab]");
    if (!tab) return;
    showTab(group, tab.dataset.tab);
    remember("recipe", tab.dataset.tab);
  });
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(tabs.indexOf(document.activeElement) + step + tabs.length) % tabs.length];
    showTab(group, next.dataset.tab);
    next.focus();
    event.preventDefault();
  });
}

document.addEventListener("click", (event) => {
  const theme = event.target.closest("[data-choose-theme]");
  const copied = event.target.closest("[data-copy], [data-copy-text], [data-copy-link]");
  const blink = event.target.closest("[data-blink]");
  if (blink) {
    const pictures = Array.from(document.getElementById(blink.dataset.blink).children);
    const next = (pictures.findIndex((each) => !each.hidden) + 1) % pictures.length;
    pictures.forEach((each, place) => { each.hidden = place !== next; });
  }
  if (theme) {
    root.dataset.theme = theme.dataset.chooseTheme;
    if (!theme.dataset.chooseTheme) delete root.dataset.theme;
    remember("theme", theme.dataset.chooseTheme);
    showTheme();
  }
  if (copied) copy(copied);
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

document.addEventListener("change", (event) => {
  if (event.target.closest("[data-submit-on-change]")) event.target.form.requestSubmit();
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, [role=application]")) return;
  const search = document.querySelector("[role=search] input");
  const link = { "[": "[rel=prev]", "]": "[rel=next]", c: "[data-key=c]", b: "[data-blink], [data-key=b]" }[event.key];
  if (event.key === "/" && search) {
    search.focus();
    search.select();
    event.preventDefault();
  } else if (link && document.querySelector(`main ${link}`)) {
    document.querySelector(`main ${link}`).click();
  } else if (event.key === "P" || event.key === "p") {
    root.classList.toggle("projector");
  }
});

document.querySelectorAll("[data-tabs]").forEach(makeTabs);
showTheme();
const focused = document.querySelector("[data-focus]");
if (focused && matchMedia("(hover: hover) and (pointer: fine)").matches && !location.hash) focused.focus({ preventScroll: true });

export async function fetchPage(address, signal) {
  const answer = await fetch(address, { headers: { Accept: "text/html" }, signal });
  return { answer, page: new DOMParser().parseFromString(await answer.text(), "text/html") };
}

// Attributes with data are the page's, too.
export function replacePart(part, fresh) {
  part.replaceChildren(...fresh.childNodes);
  for (const [name, value] of Object.entries(fresh.dataset)) part.dataset[name] = value;
  part.querySelectorAll("[data-tabs]").forEach(makeTabs);
}

const isInUse = (part) => part.contains(document.activeElement) || part.querySelector("details[open]") !== null;

// A part of the page is made anew by the server; if that is away, or asks to sign in, what is there stays.
async function renewPart(part, address) {
  try {
    const { answer, page } = await fetchPage(address);
    const fresh = answer.ok && page.querySelector(`[data-part="${part.dataset.part}"]`);
    if (!fresh) return;
    replacePart(part, fresh);
    document.title = page.title;
  } catch {
    // the next time
  }
}

// Exports that wait or run are followed: whenever the server tells of a change, the list is made anew.
const RENEWED_MILLISECONDS = 500; // between two looks at the list

function followExports() {
  const part = document.querySelector("[data-part=exports]");
  const active = part?.querySelector("[data-events]");
  if (!active) return;
  const events = new EventSource(active.dataset.events);
  let timer = 0;
  const renewSoon = () => {
    timer ||= setTimeout(async () => {
      timer = 0;
      if (isInUse(part)) return renewSoon();
      await renewPart(part, location.pathname);
      if (events.readyState === EventSource.CLOSED) followExports();
    }, RENEWED_MILLISECONDS);
  };
  events.addEventListener("progress", renewSoon);
  events.addEventListener("end", () => {
    events.close();
    renewSoon();
  });
}
followExports();

// A part that is made anew at all times, while somebody looks at it.
for (const part of document.querySelectorAll("[data-renew]")) {
  setInterval(() => document.hidden || isInUse(part) || renewPart(part, location.href), 1000 * part.dataset.renew);
}

// The viewer changes the address of an image's page. Recipes, downloads and origins are fetched anew from the server for
// that address, so that there is one place that makes them.
const SETTLED_MILLISECONDS = 400; // the viewer writes the address 250 ms after the last change
let following = { timer: 0, address: location.href, controller: null };

async function followView() {
  if (location.href === following.address) return;
  following.address = location.href;
  following.controller?.abort();
  following.controller = new AbortController();
  try {
    const { answer, page } = await fetchPage(location.href, following.controller.signal);
    for (const part of document.querySelectorAll("[data-follows]")) {
      const fresh = answer.ok && page.querySelector(`[data-follows="${part.dataset.follows}"]`);
      part.hidden = !fresh; // no recipe is better than one of something else
      if (fresh) replacePart(part, fresh);
    }
  } catch (error) {
    if (error.name !== "AbortError") following.address = "";
  }
}

document.addEventListener("shotdap-view", () => {
  clearTimeout(following.timer);
  following.timer = setTimeout(followView, SETTLED_MILLISECONDS);
});
