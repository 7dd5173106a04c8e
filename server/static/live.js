// Follows the stream of changes, and fetches the changed parts of the page from the server, which makes all of it.
// Without this script the page loads itself anew every 15 seconds.
import { fetchPage, replacePart } from "./site.js";

const SETTLED_MILLISECONDS = 250; // an image comes with several changes: its row, then its inspection
const PAUSE_MILLISECONDS = 1000; // between two fetches, while a catalog is built
const MAX_WAIT_SECONDS = 30;
const SLOW_SECONDS = 10; // from a file to this page, from which on the page says so
const IDLE_MILLISECONDS = 3000;
const FOLLOWING = "[data-follows]";

const root = document.documentElement;
const connection = document.querySelector("[data-connection]");
const words = connection.querySelector("[data-connection-text]");
const announcement = document.querySelector("[data-announcement]");
const stream = new URL("../../api/v1/changes/stream", import.meta.url);
const shown = new WeakMap(); // each part as the server has sent it
let token = "";
let source = null;
let failures = 0;
let retryAt = 0;
let seenAt = Date.now(); // when the page was last up to date
let eventAt = 0;
let lag = 0;
let clockOffset = 0; // of the server's clock from this one
let retryTimer = 0;
let refreshTimer = 0;
let isRefreshing = false;
let isStale = false;

function formatElapsed(seconds) {
  const minutes = Math.floor(seconds / 60);
  if (minutes >= 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return minutes ? `${minutes} min ${Math.floor(seconds % 60)} s` : `${Math.floor(seconds)} s`;
}

function showTimes() {
  const now = Date.now();
  for (const time of document.querySelectorAll("[data-since]")) {
    time.textContent = formatElapsed(Math.max(0, (now + clockOffset) / 1000 - Number(time.dataset.since)));
  }
  connection.classList.toggle("lost", failures > 0);
  if (failures) {
    const seen = new Date(seenAt).toLocaleTimeString("en-GB");
    const wait = Math.max(0, Math.ceil((retryAt - now) / 1000));
    words.textContent = `Connection lost. What you see is from ${seen}. Trying again${wait ? ` in ${wait} s` : ""}.`;
  } else if (eventAt) {
    const late = lag > SLOW_SECONDS ? ` The last image was here ${formatElapsed(lag)} after its file.` : "";
    words.textContent = `Connected, last event ${formatElapsed((now - eventAt) / 1000)} ago.${late}`;
  } else if (token) {
    words.textContent = "Connected.";
  }
}

// The shot on the page, and the names of what has arrived of it, a line each.
function readArrivals() {
  const { shot = "", arrivals = "", count = "" } = document.querySelector("[data-shot]")?.dataset ?? {};
  return { shot, count, names: arrivals.split("\n").filter(Boolean) };
}

function announce(before) {
  const { shot, count, names } = readArrivals();
  const fresh = names.filter((name) => shot !== before.shot || !before.names.includes(name));
  if (!fresh.length) return;
  const verb = fresh.length > 1 ? "have" : "has";
  announcement.textContent = `${shot}: ${fresh.join(", ")} ${verb} arrived, ${names.length} of ${count}.`;
}

// Pictures that were not there before fade in, and the focus stays on the same link.
function show(page) {
  const before = readArrivals();
  const pictures = new Set(Array.from(document.images, (image) => image.getAttribute("src")));
  const focused = document.activeElement?.closest("a[href]")?.getAttribute("href");
  for (const part of document.querySelectorAll(FOLLOWING)) {
    if ("atTop" in part.dataset && root.scrollTop > part.offsetTop) continue; // rows do not move while one reads them
    const fresh = page.querySelector(`[data-follows="${part.dataset.follows}"]`);
    if (fresh && fresh.outerHTML !== shown.get(part)) {
      shown.set(part, fresh.outerHTML);
      for (const image of fresh.querySelectorAll("img")) {
        image.classList.toggle("fresh", !pictures.has(image.getAttribute("src")));
      }
      replacePart(part, fresh);
    }
  }
  document.title = page.title;
  if (focused && document.activeElement === document.body) {
    document.querySelector(`main a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }
  announce(before);
}

async function refresh() {
  if (isRefreshing) {
    isStale = true;
    return;
  }
  isRefreshing = true;
  isStale = false;
  try {
    const { answer, page } = await fetchPage(document.querySelector("[data-live]").dataset.live);
    const isOther = page.querySelectorAll(FOLLOWING).length !== document.querySelectorAll(FOLLOWING).length;
    if (answer.redirected || (answer.ok && isOther)) location.reload(); // signed out, or the first shot of all
    if (answer.ok) {
      const sent = Date.parse(answer.headers.get("Date"));
      if (sent) clockOffset = sent - Date.now();
      seenAt = Date.now();
      show(page);
      showTimes();
    }
  } catch {
    isStale = true; // the stream fails, too, and says so
  }
  setTimeout(() => {
    isRefreshing = false;
    if (isStale && !failures) refresh();
  }, PAUSE_MILLISECONDS);
}

function refreshSoon() {
  clearTimeout(refreshTimer);
  refreshTimer = setTimeout(refresh, SETTLED_MILLISECONDS);
}

// A stream ends after a minute, and this script asks again with the token of the last event.
function connect() {
  stream.search = token ? `?since=${encodeURIComponent(token)}` : "";
  source = new EventSource(stream);
  let hasBegun = false;
  source.addEventListener("start", (event) => {
    const isBehind = !token || failures > 0;
    hasBegun = true;
    token = event.lastEventId;
    failures = 0;
    if (isBehind) refreshSoon(); // what changed between the page and the stream
    showTimes();
  });
  source.addEventListener("changes", (event) => {
    token = event.lastEventId;
    eventAt = Date.now();
    lag = JSON.parse(event.data).lag_seconds ?? lag;
    refreshSoon();
  });
  source.addEventListener("outdated", () => location.reload());
  source.addEventListener("error", () => {
    source.close();
    failures = hasBegun ? 0 : failures + 1;
    const wait = 1000 * Math.min(MAX_WAIT_SECONDS, 2 ** Math.max(0, failures - 1));
    retryAt = Date.now() + wait;
    retryTimer = setTimeout(connect, wait);
    showTimes();
  });
}

// A page that nobody sees follows nothing: browsers open only six connections to a server.
function followWhileVisible() {
  clearTimeout(retryTimer);
  source?.close();
  if (document.visibilityState === "visible") connect();
}

// On a wall: no pointer while nobody moves it, and a screen that stays awake.
function watchPointer() {
  let timer = 0;
  document.addEventListener("pointermove", () => {
    root.classList.remove("idle");
    clearTimeout(timer);
    timer = setTimeout(() => root.classList.toggle("idle", root.classList.contains("projector")), IDLE_MILLISECONDS);
  });
}

async function stayAwake() {
  if (!root.classList.contains("projector") || document.visibilityState !== "visible") return;
  try {
    await navigator.wakeLock.request("screen");
  } catch {
    // not over plain http, or not with an empty battery
  }
}

for (const part of document.querySelectorAll(FOLLOWING)) shown.set(part, part.outerHTML);
followWhileVisible();
watchPointer();
stayAwake();
document.addEventListener("visibilitychange", followWhileVisible);
document.addEventListener("visibilitychange", stayAwake);
setInterval(showTimes, 1000);
