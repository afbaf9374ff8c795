"use strict";
// The page holds the first rows of every table. This script loads all rows of the data set that is
// looked at, and draws, sorts, filters and pages them. Whatever comes from a run is set as text.
document.documentElement.classList.add("js");
const PAGE = 100;
const all = (selector, where = document) => [...where.querySelectorAll(selector)];
const el = (tag, facts = {}, ...inside) => {
  const made = document.createElement(tag);
  for (const [key, fact] of Object.entries(facts)) {
    if (fact === undefined || fact === null || fact === false || fact === "") continue;
    if (key === "on") for (const [name, run] of Object.entries(fact)) made.addEventListener(name, run);
    else made.setAttribute(key, fact === true ? "" : String(fact));
  }
  made.append(...inside.flat(9).filter((part) => part !== null && part !== undefined && part !== ""));
  return made;
};
const web = (address) => /^https?:\/\//.test(address);
const outside = (address, text) => web(address)
  ? el("a", { href: address, rel: "noreferrer" }, text) : document.createTextNode(text);

// Data: each data set's script calls `board` with its rows.
const data = {}, asked = {};
window.board = (found) => { data[found.id] = found; };
const load = (id, file) => asked[id] ??= new Promise((done, failed) => {
  const tag = el("script", { src: file });
  tag.onload = () => (data[id] ? done(data[id]) : failed());
  tag.onerror = failed;
  document.head.append(tag);
});

// Tables.
const MISSING = "–";
const sortable = (column, table) => {
  const arrow = column.sign && el("span", {
    class: "arrow", role: "img", "aria-label": column.sign === "↑" ? "higher is better" : "lower is better",
  }, column.sign);
  return el("th", { scope: "col", class: column.kind, rowspan: column.rows },
    el("button", { type: "button", class: "sort", title: column.title,
      on: { click: () => table.sort(column) } }, column.name, arrow ? [" ", arrow] : null));
};

class Table {
  // columns: {name, kind, best, value(row), cell(row), sign, title}; rows: {words, …}
  constructor({ caption, label, kind, columns, rows, more, over }) {
    Object.assign(this, { columns, rows, more, page: 0, order: null, seen: rows });
    this.heads = columns.map((column) => sortable(column, this));
    this.bodies = [];
    this.table = el("table", { class: kind }, el("caption", { class: "hidden" }, caption),
      el("thead", {}, over, el("tr", {}, this.heads)));
    this.pager = el("nav", { class: "pager", "aria-label": `Pages of ${label}`, hidden: true });
    this.empty = el("p", { class: "quiet none", hidden: true });
    this.node = el("div", {}, el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label },
      this.table), this.empty, this.pager);
  }
  sort(column) {
    const other = { ascending: "descending", descending: "ascending" };
    this.order = this.order?.column === column
      ? { column, way: other[this.order.way] } : { column, way: column.best };
    this.heads.forEach((head, i) => {
      if (this.columns[i] === column) head.setAttribute("aria-sort", this.order.way);
      else head.removeAttribute("aria-sort");
    });
    this.draw();
  }
  // `keep(row)` says what is shown; `first(row)` is the order before a header is clicked.
  draw(keep = this.keep, first = this.first) {
    if (keep !== this.keep || first !== this.first) this.page = 0;
    Object.assign(this, { keep, first });
    let seen = this.rows.filter((row) => !keep || keep(row));
    const by = (value, sign) => (a, b) => {
      const x = value(a), y = value(b);
      const noX = x === null || x === undefined || x === "", noY = y === null || y === undefined || y === "";
      if (noX || noY) return noX - noY;
      return sign * (typeof x === "number" ? x - y : String(x).localeCompare(String(y), "en"));
    };
    if (first) seen = seen.slice().sort(by(first, 1));
    if (this.order) {
      seen = seen.slice().sort(by(this.order.column.value, this.order.way === "ascending" ? 1 : -1));
    }
    this.seen = seen;
    const pages = Math.max(1, Math.ceil(seen.length / PAGE));
    this.page = Math.min(this.page, pages - 1);
    this.bodies.forEach((body) => body.remove());
    this.bodies = seen.slice(this.page * PAGE, (this.page + 1) * PAGE).map((row) => this.body(row));
    this.table.append(...this.bodies);
    this.empty.hidden = seen.length > 0;
    this.empty.textContent = this.rows.length
      ? "No row fits the filter and the hidden marks." : "There is nothing here yet.";
    this.turn(pages);
  }
  turn(pages) {
    this.pager.hidden = pages === 1;
    if (pages === 1) return;
    const step = (by, text) => el("button", {
      type: "button", disabled: this.page + by < 0 || this.page + by >= pages,
      on: { click: () => {
        this.page += by;
        this.draw();
        this.node.scrollIntoView({ block: "start" });
        const turners = all("button", this.pager);
        (turners.find((turner) => turner.textContent === text && !turner.disabled)
          || turners.find((turner) => !turner.disabled))?.focus();
      } },
    }, text);
    const from = this.page * PAGE;
    this.pager.replaceChildren(step(-1, "Previous"),
      el("span", { "aria-live": "polite" },
        `rows ${from + 1}–${Math.min(from + PAGE, this.seen.length)} of ${this.seen.length}`),
      step(1, "Next"));
  }
  body(row) {
    const cells = this.columns.map((column) => el(column.header ? "th" : "td", {
      class: column.kind, scope: column.header && "row" }, column.cell(row)));
    const line = el("tr", { class: "line" }, cells);
    if (!this.more) return el("tbody", {}, line);
    const body = el("tbody", {}, line);
    const button = line.querySelector(".open");
    let more = null;
    button.addEventListener("click", () => {
      if (!more) {
        more = el("tr", { class: "more", id: button.getAttribute("aria-controls"), hidden: true },
          el("td", { colspan: this.columns.length }, this.more(row)));
        body.append(more);
      }
      more.hidden = !more.hidden;
      button.setAttribute("aria-expanded", String(!more.hidden));
    });
    return body;
  }
}

// Cells.
const marked = (mark, text) => mark === "best" ? el("b", { class: "best" }, text)
  : mark === "second" ? el("span", { class: "second" }, text) : text;
const number = (cell, mark) => !cell || !cell.length ? el("span", { class: "absent" }, MISSING) : [
  marked(mark, cell[1]),
  cell[2] || cell[3] ? el("small", { class: "interval" },
    cell[2] ? el("span", { title: "standard deviation over seeds" }, cell[2], " ") : null,
    cell[3] ? el("span", { class: cell[4] ? "hint" : "",
      title: cell[4] ? "95 % interval over few frames: a hint only" : "95 % interval over frames" }, cell[3]) : null) : null,
];
const badge = (place) => place ? el("span", { class: place === 1 ? "place first" : "place" }, place) : MISSING;
const under = (network, parts) => {
  const text = parts.filter(Boolean);
  return network || text.length ? el("small", { class: "under" },
    network && el("span", { class: "narrow" }, network, text.length ? " · " : ""), text.join(" · ")) : null;
};
const chip = (text, meaning, quiet) => el("span", { class: quiet ? "chip plain" : "chip", title: meaning }, text);
const FLAGS = new Map(JSON.parse(document.getElementById("boards").dataset.flags));

// One data set.
let serial = 0;
const sectionTables = (found, family, rule) => {
  const has = (key) => found.entries.some((entry) => entry[key]);
  const networks = has("network"), times = has("ms");
  const chosen = family.rules[rule];
  const rows = (lines) => lines.map(([index, standings, best, second]) => {
    const entry = found.entries[index];
    entry.words ??= [entry.method, entry.network, entry.options, ...entry.flags,
      ...entry.marks.map((m) => m[0]), entry.id].join(" ").toLowerCase();
    const [place, score] = standings[rule] || [null, null];
    return { entry, words: entry.words, place, score, best, second, standings,
      marks: [...entry.flags.map((flag) => flag.split(":")[0]), ...entry.marks.map((m) => m[0])] };
  });
  const columns = (ranked) => [
    ranked && { name: "#", kind: "num rank", best: "ascending", value: (r) => r.place, cell: (r) => badge(r.place) },
    { name: "method", kind: "text pin", header: true, best: "ascending", value: (r) => r.entry.method, cell: (r) => [
      el("button", { type: "button", class: "open", "aria-expanded": "false", "aria-controls": `more-${++serial}` },
        el("span", { class: "tick", "aria-hidden": "true" }), el("bdi", {}, r.entry.method)),
      under(r.entry.network, [r.entry.options, r.entry.seeds && `${r.entry.seeds.length} seeds`]),
    ] },
    networks && { name: "network", kind: "text wide", best: "ascending", value: (r) => r.entry.network,
      cell: (r) => r.entry.network || MISSING },
    ...family.columns.map((column) => ({
      name: column.name, sign: column.sign, title: column.title, kind: "num",
      best: column.sign === "↓" ? "ascending" : "descending",
      value: (r) => r.entry.values[column.name]?.[0],
      cell: (r) => number(r.entry.values[column.name],
        r.best.includes(column.name) ? "best" : r.second.includes(column.name) ? "second" : ""),
    })),
    ranked && chosen.score && { name: chosen.title, kind: "num", best: chosen.best, value: (r) => r.score,
      cell: (r) => r.score === null ? MISSING : r.score.toFixed(chosen.digits) },
    !ranked && { name: "frames", kind: "num", best: "descending", value: (r) => r.entry.frames, cell: (r) => r.entry.frames },
    times && { name: "ms / frame", kind: "num", best: "ascending", value: (r) => r.entry.ms,
      cell: (r) => r.entry.ms ? r.entry.ms.toFixed(0) : MISSING },
    { name: "marks", kind: "text", best: "ascending", value: (r) => r.marks.join(", "), cell: (r) => el("span", { class: "chips" },
      r.entry.flags.map((flag) => chip(flag, FLAGS.get(flag.split(":")[0]) || "Shown, but not ranked.")),
      r.entry.marks.map(([name, meaning, caution]) => chip(name, found.texts[meaning], !caution))) },
  ].filter(Boolean);
  const more = (row) => detail(found, row, family);
  const made = family.tables.map(({ caption, lines }, i) => ({
    title: family.tables.length > 1
      ? [i ? "Ranked apart: other data, metrics or protocol " : "Ranked ", el("small", {}, caption)] : null,
    table: new Table({ caption: `Ranked runs on ${found.dataset}`, kind: "runs", columns: columns(true), rows: rows(lines),
      label: `${found.dataset}, ranked runs${i ? `, group ${i + 1}` : ""}`, more }),
    first: (r) => r.place,
  }));
  if (family.unranked.length) made.push({
    title: ["Shown, not ranked ", el("small", {}, "not comparable with ranked rows")],
    table: new Table({ caption: `Unranked runs on ${found.dataset}`, kind: "runs", columns: columns(false), rows: rows(family.unranked),
      label: `${found.dataset}, runs that are not ranked`, more }),
  });
  if (family.reported.length) made.push({ reported: true, table: reportedTable(found, family),
    title: ["Reported by others, never ranked ", el("small", {},
      "split, label policy, resizing and the definition of a metric may differ; a small name below a value is the definition")] });
  return made;
};

const reportedTable = (found, family) => new Table({
  caption: `Published figures on ${found.dataset}`, kind: "reported", label: `${found.dataset}, published figures`,
  rows: family.reported.map((row) => ({ ...row, marks: ["reported"],
    words: [row.method, row.network, row.set || "", row.part, row.protocol[0], row.source, "reported"].join(" ").toLowerCase() })),
  columns: [
    { name: "method", kind: "text pin", header: true, best: "ascending", value: (r) => r.method, cell: (r) => [
      el("b", {}, el("bdi", {}, r.method)), " ", chip("reported", r.notes || "Printed in the source; not measured here.", true), under("", [r.network]) ] },
    found.id === "reported" && { name: "data set", kind: "text", best: "ascending", value: (r) => r.set, cell: (r) => r.set },
    ...family.columns.filter((c) => family.reported.some((r) => r.values[c.name])).map((column) => ({
      name: column.name, sign: column.sign, title: column.title, kind: "num",
      best: column.sign === "↓" ? "ascending" : "descending", value: (r) => r.values[column.name]?.[0],
      cell: (r) => {
        const cell = r.values[column.name];
        if (!cell) return el("span", { class: "absent" }, MISSING);
        return [cell[1], cell[2] || cell[3] ? el("small", { class: "interval" }, `${cell[2]} ${cell[3]}`.trim()) : null];
      },
    })),
    { name: "split", kind: "text", best: "ascending", value: (r) => r.part, cell: (r) => r.part },
    { name: "evaluated by", kind: "text", best: "ascending", value: (r) => r.protocol[0],
      cell: (r) => el("span", { title: r.protocol[1], class: "explained" }, r.protocol[0]) },
    { name: "source", kind: "text source", best: "ascending", value: (r) => r.source, cell: (r) => [
      outside(r.address, r.source), under("", [r.place]),
      r.notes ? el("details", {}, el("summary", {}, "what differs"), r.notes) : null ] },
  ].filter(Boolean),
});

const onlyReported = (found, family) => [{ title: null, table: reportedTable(found, family) }];

const detail = (found, { entry, standings }, family) => {
  const text = (index) => index < 0 ? "" : found.texts[index];
  const line = (what, said, full) => el("div", {}, el("dt", {}, what), el("dd", { title: full },
    said.length > 240 ? el("details", {}, el("summary", {}, `${said.slice(0, 60)} …`), said) : said));
  const places = family.rules.map((rule, i) => [rule.title, standings[i]?.[0]])
    .filter(([, place]) => place).map(([title, place]) => `${title}: ${place}`).join(", ");
  const seeds = entry.seeds && el("div", { class: "seeds", tabindex: 0, role: "region", "aria-label": "Its runs" }, el("table", {},
    el("caption", {}, "Its runs: the row shows their mean ± standard deviation"),
    el("thead", {}, el("tr", {}, ["seed", ...family.columns.map((c) => c.name), "run"].map((name) =>
      el("th", { scope: "col", class: name === "run" ? "text" : "num" }, name)))),
    el("tbody", {}, entry.seeds.map((one) => el("tr", {}, el("th", { scope: "row", class: "num" }, one.seed),
      family.columns.map((c) => el("td", { class: "num" }, number(one.values[c.name]))),
      el("td", { class: "text" }, one.id))))));
  const heats = (entry.heats || []).map((heat) => el("div", { class: "heats", tabindex: 0, role: "region", "aria-label": heat.title },
    el("table", {}, el("caption", {}, heat.title),
      el("thead", {}, el("tr", {}, ["", ...heat.columns].map((name) => el("th", { scope: "col", class: name ? "num" : "text" }, name)))),
      el("tbody", {}, heat.rows.map(([name, cells]) => el("tr", {}, el("th", { scope: "row", class: "text" }, name),
        cells.map(([shown, good]) => el("td", { class: "num", style: good === undefined ? "" : `--good: ${good}` }, shown))))))));
  const meta = (entry.meta || []).map((one) => el("div", { class: "heats", tabindex: 0, role: "region", "aria-label": one.title },
    el("table", {}, el("caption", {}, one.badge ? [el("span", { class: "chip" }, one.badge), " "] : null, `${one.title}: ${one.about}`),
      el("thead", {}, el("tr", {}, one.columns.map((name, i) => el("th", { scope: "col", class: i ? "num" : "text" }, name)))),
      el("tbody", {}, one.rows.map(([name, ...cells]) => el("tr", {}, el("th", { scope: "row", class: "text" }, name),
        cells.map((shown) => el("td", { class: "num" }, shown)))))),
    el("small", { class: "quiet" }, one.notes.join(" "))));
  const strips = entry.strips ? el("div", { class: "strips" }, entry.strips.map((strip) => el("div", { class: "strip" },
      el("p", { class: "frame-name" }, strip.frame), el("div", { class: "trio" }, strip.pictures.map((p) =>
        picture(p, `${({ image: "Image", label: "Label", score: "Score heat map" })[p.part]} of frame ${strip.frame}`))))), legend())
    : el("p", { class: "quiet" }, found.withheld || "No pictures of this run are on the page.");
  return el("div", { class: "detail" }, el("div", { class: "facts" },
    el("dl", {}, places && line("places", places),
      entry.facts.map(([what, said, full]) => line(text(what), text(said), text(full))),
      entry.paper && line("paper", outside(entry.paper, entry.paper))),
    el("p", { class: "again" }, el("span", {}, "Make it again"), " ",
      el("code", {}, entry.command.map((word) => [el("span", {}, text(word)), " "])))),
    el("div", { class: "beside" }, seeds, heats, meta, strips));
};

const picture = (p, alt) => el("figure", {}, el("a", { href: p.file },
  el("img", { src: p.file, width: p.width, height: p.height, loading: "lazy", decoding: "async", alt })));
const legend = () => document.getElementById("legend").content.cloneNode(true);

// Pictures of the best rows side by side, one frame at a time.
const sideBySide = (found, family) => {
  const lines = (family.tables[0]?.lines || []).slice(0, 12);
  const frames = new Map();
  for (const [index, standings] of lines) {
    for (const strip of found.entries[index].strips || []) {
      if (!frames.has(strip.frame)) frames.set(strip.frame, []);
      frames.get(strip.frame).push([found.entries[index], standings[0]?.[0], strip]);
    }
  }
  const names = [...frames.keys()].filter((name) => frames.get(name).length > 1
    && frames.get(name).length >= lines.length / 2).sort();
  if (!names.length) return null;
  const grid = el("div", { class: "grid" });
  const show = (name) => grid.replaceChildren(
    ...frames.get(name)[0][2].pictures.filter((p) => p.part !== "score").map((p) => {
      const figure = picture(p, `${p.part === "image" ? "Image" : "Label"} of frame ${name}`);
      figure.append(el("figcaption", {}, p.part));
      return figure;
    }),
    ...frames.get(name).flatMap(([entry, place, strip]) => strip.pictures.filter((p) => p.part === "score").map((p) => {
      const figure = picture(p, `Score heat map of ${entry.method} on frame ${name}`);
      figure.append(el("figcaption", {}, place ? [el("b", { class: "place" }, place), " "] : null,
        el("bdi", {}, entry.method), entry.network ? [" ", el("small", {}, entry.network)] : null,
        entry.options ? [" ", el("small", {}, entry.options)] : null));
      return figure;
    })));
  const pick = el("select", { class: "pick", on: { change: () => show(pick.value) } },
    names.map((name) => el("option", { value: name }, name)));
  show(names[0]);
  return el("div", { class: "side", role: "group", "aria-label": "Pictures side by side" },
    el("div", { class: "side-head" }, el("h3", {}, "Side by side"), el("label", {}, "Frame ", pick)), grid, legend());
};

// All data sets.
const overallTables = (found, family, rule) => {
  const chosen = family.rules[rule];
  const rows = family.lines.map((line) => ({ ...line, marks: [], place: line.standings[rule][0], score: line.standings[rule][1],
    words: [line.method, line.network, line.options].join(" ").toLowerCase() }));
  const width = family.columns.length;
  const over = el("tr", { class: "over" }, el("td", { colspan: chosen.score ? 3 : 2 }), family.datasets.map(([name, anchor]) =>
    el("th", { scope: "colgroup", colspan: width, class: "group" }, el("a", { href: `#${anchor}` }, name))), el("td", {}));
  const columns = [
    { name: "#", kind: "num rank", best: "ascending", value: (r) => r.place, cell: (r) => badge(r.place) },
    { name: "method", kind: "text pin", header: true, best: "ascending", value: (r) => r.method, cell: (r) => [
      el("b", {}, el("bdi", {}, r.method)), under("", [r.network, r.options]) ] },
    chosen.score && { name: chosen.title, kind: "num", best: chosen.best, value: (r) => r.score,
      cell: (r) => r.score === null ? MISSING : r.score.toFixed(2) },
    ...family.datasets.flatMap(([dataset], i) => family.columns.map((column, j) => ({
      name: column.name, sign: column.sign, title: `${column.title}, ${dataset}`, kind: j ? "num" : "num group",
      best: column.sign === "↓" ? "ascending" : "descending",
      value: (r) => r.cells[i * width + j]?.[0],
      cell: (r) => { const c = r.cells[i * width + j]; return number(c ? [c[0], c[1], c[2]] : null, c?.[3]); },
    }))),
    { name: "data sets", kind: "num", best: "descending", value: (r) => r.sets, cell: (r) => `${r.sets} of ${family.datasets.length}` },
  ].filter(Boolean);
  return [{ title: null, first: (r) => r.place,
    table: new Table({ caption: "Methods over all data sets", kind: "overall", label: "Overall ranks", columns, rows, over }) }];
};

// What a reader has chosen in a section, and the drawing of it.
const sections = all(".board").map((node) => ({
  node, id: node.id, file: node.dataset.file, family: 0, rule: 0, reported: true, hide: new Set(), tables: [],
  live: node.querySelector(".live"), stated: node.querySelector(".stated"), ruled: node.querySelector(".ruled"),
}));
const filter = document.getElementById("filter");
const filtered = document.getElementById("filtered");

const sift = (section) => {
  const words = (filter?.value || "").toLowerCase().split(/\s+/).filter(Boolean);
  const keep = (row) => !row.marks.some((mark) => section.hide.has(mark)) && words.every((word) =>
    word.length > 1 && word[0] === "-" ? !row.words.includes(word.slice(1)) : row.words.includes(word));
  section.tables.forEach(({ table, first }) => table.draw(keep, first));
  const counted = section.tables.filter((t) => !t.reported);
  const sum = (of) => counted.reduce((n, { table }) => n + of(table), 0);
  if (filtered) filtered.value = words.length || section.hide.size ? `${sum((t) => t.seen.length)} of ${sum((t) => t.rows.length)}` : "";
};

const draw = (section) => {
  const found = data[section.id];
  if (!found) return;
  const family = found.families[section.family];
  const make = { overall: overallTables, reported: onlyReported }[found.id] || sectionTables;
  section.tables = make(found, family, section.rule);
  if (section.stated) section.stated.textContent = family.rules[section.rule].stated
    + (found.id === "overall" ? " Over data sets it is the mean." : "");
  const shown = section.tables.filter((t) => !t.reported || section.reported);
  const ranked = !found.entries || family.tables.length;
  const nothing = ranked ? null : el("p", { class: "quiet" }, "Nothing is ranked here yet: every run below carries a flag.");
  section.live.replaceChildren(...[nothing, ...shown.flatMap(({ title, table }) =>
    [title && el("h3", {}, title), table.node]), found.withheld ? el("p", { class: "withheld" }, found.withheld)
    : found.entries && sideBySide(found, family)].filter(Boolean));
  sift(section);
};

const choices = (section) => {
  const found = data[section.id];
  const family = found.families[section.family];
  section.ruled?.replaceChildren(...(family.rules || []).map((rule, i) => el("option", { value: i }, rule.title)));
  if (section.ruled) section.ruled.value = String(section.rule);
  all(".family", section.node).forEach((link, i) => {
    if (i === section.family) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  });
  const toggle = section.node.querySelector(".with-reported");
  if (toggle) toggle.hidden = !family.reported?.length;
};

const open = async (section) => {
  try {
    await load(section.id, section.file);
  } catch {
    if (!section.node.querySelector("[role=alert]")) section.live.before(el("p", { class: "withheld", role: "alert" },
      `The rows could not be loaded: ${section.file} is missing beside this page. Below are the first ones.`));
    return;
  }
  choices(section);
  draw(section);
};

for (const section of sections) {
  section.ruled?.addEventListener("change", () => { section.rule = Number(section.ruled.value); draw(section); });
  section.node.querySelector(".with-reported input")?.addEventListener("change", (event) => {
    section.reported = event.target.checked;
    draw(section);
  });
  for (const button of all(".hide-mark", section.node)) button.addEventListener("click", () => {
    const mark = button.dataset.mark;
    if (!section.hide.delete(mark)) section.hide.add(mark);
    button.setAttribute("aria-pressed", String(section.hide.has(mark)));
    sift(section);
  });
}

// One data set at a time; the address names it and the metric family: #road_anomaly/component.
const tabs = all(".tab");
const bar = document.querySelector(".bar");
let now = null;
const choose = () => {
  const [wanted, family] = location.hash.slice(1).split("/"); // anchors are plain letters
  if (document.getElementById(wanted) && !sections.some((s) => s.id === wanted)) return;
  const shown = sections.find((s) => s.id === wanted) || sections[0];
  if (!shown) return;
  sections.forEach((s) => { s.node.hidden = s !== shown; });
  tabs.forEach((t) => {
    if (t.hash === "#" + shown.id) {
      t.setAttribute("aria-current", "true");
      t.scrollIntoView({ block: "nearest", inline: "center" });
    } else t.removeAttribute("aria-current");
  });
  const names = all(".family", shown.node).map((link) => link.dataset.family);
  const index = Math.max(0, names.indexOf(family));
  if (index !== shown.family) Object.assign(shown, { family: index, rule: 0 });
  now = shown;
  open(shown);
};
const go = (link) => {
  history.pushState(null, "", link.hash);
  choose();
  if (bar && scrollY > bar.offsetTop && link.classList.contains("tab")) now.node.scrollIntoView();
};
for (const row of [tabs, ...sections.map((s) => all(".family", s.node))]) {
  row.forEach((link, index) => {
    link.addEventListener("click", (event) => { event.preventDefault(); go(link); });
    link.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = row[(index + step + row.length) % row.length];
      event.preventDefault();
      next.focus();
      go(next);
    });
  });
}
addEventListener("hashchange", choose);
addEventListener("popstate", choose);
choose();
if (!location.hash) scrollTo(0, 0);
let typing = 0;
filter?.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(() => now && sift(now), 80); });
