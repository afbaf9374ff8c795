"use strict";
// Without this script everything is on the page, unfolded; the script folds, sorts and filters.
document.documentElement.classList.add("js");
const all = (selector, where = document) => [...where.querySelectorAll(selector)];

// Rows open and close.
for (const button of all(".open")) {
  const more = document.getElementById(button.getAttribute("aria-controls"));
  const show = (open) => {
    button.setAttribute("aria-expanded", String(open));
    more.hidden = !open;
  };
  show(false);
  button.addEventListener("click", () => show(more.hidden));
}

// A click on a header sorts, best first; a second one turns round. Missing values stay last.
for (const table of all("table")) {
  const heads = all(".sort", table).map((button) => button.closest("th"));
  heads.forEach((head, column) => {
    head.querySelector(".sort").addEventListener("click", () => {
      const now = head.getAttribute("aria-sort");
      const first = head.dataset.first;
      const other = first === "ascending" ? "descending" : "ascending";
      const order = now === first ? other : first;
      heads.forEach((h) => h.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const numeric = head.classList.contains("num");
      const key = (body) => body.rows[0].cells[column].dataset.value;
      const bodies = [...table.tBodies].sort((a, b) => {
        const x = key(a), y = key(b);
        if (x === "" || y === "") return (x === "") - (y === "");
        return sign * (numeric ? x - y : x.localeCompare(y, "en"));
      });
      table.append(...bodies);
    });
  });
}

// One data set at a time; the address names it.
const sections = all(".board");
const tabs = all(".tab");
const bar = document.querySelector(".bar");
const choose = () => {
  const wanted = decodeURIComponent(location.hash.slice(1));
  if (document.getElementById(wanted) && !sections.some((s) => s.id === wanted)) return;
  const shown = sections.find((s) => s.id === wanted) || sections[0];
  sections.forEach((s) => { s.hidden = s !== shown; });
  tabs.forEach((t) => {
    if (shown && t.hash === "#" + shown.id) {
      t.setAttribute("aria-current", "true");
      t.scrollIntoView({ block: "nearest", inline: "center" });
    } else t.removeAttribute("aria-current");
  });
};
const go = (tab) => {
  history.pushState(null, "", tab.hash);
  choose();
  if (scrollY > bar.offsetTop) sections.find((s) => !s.hidden).scrollIntoView();
};
tabs.forEach((tab, index) => {
  tab.addEventListener("click", (event) => { event.preventDefault(); go(tab); });
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(index + step + tabs.length) % tabs.length];
    event.preventDefault();
    next.focus();
    go(next);
  });
});
addEventListener("hashchange", choose);
addEventListener("popstate", choose);
choose();
if (!location.hash) scrollTo(0, 0);

// Every word that is typed must be in the row.
const filter = document.getElementById("filter");
const filtered = document.getElementById("filtered");
const sift = () => {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  const bodies = all("tbody[data-words]");
  for (const body of bodies) {
    body.hidden = !words.every((word) => body.dataset.words.includes(word));
  }
  const own = bodies.filter((body) => !body.closest("[hidden].board"));
  filtered.value = words.length ? `${own.filter((b) => !b.hidden).length} of ${own.length}` : "";
};
if (filter) {
  filter.addEventListener("input", sift);
  tabs.forEach((tab) => tab.addEventListener("click", sift));
  sift();
}

// Pictures side by side: one frame at a time.
for (const side of all(".side")) {
  const pick = side.querySelector(".pick");
  const show = () => all(".frame", side).forEach((f) => { f.hidden = f.dataset.frame !== pick.value; });
  pick.addEventListener("change", show);
  show();
}
