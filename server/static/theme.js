// Applies the reader's choice of theme before the first paint; without one, the system's preference holds.
"use strict";

try {
  const theme = localStorage.getItem("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // no storage: the system's preference holds
}
document.documentElement.classList.add("scripted");
if (new URLSearchParams(location.search).get("projector") === "1") document.documentElement.classList.add("projector");
