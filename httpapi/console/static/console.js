// What the console's pages do beyond HTML: keys, sorting, copying, charts. All of it
// finds its elements by attributes and classes, again after each change of a page.
"use strict";
(() => {
  const $ = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  document.documentElement.classList.add("js");

  // say tells those who can't see the page what has happened.
  const say = (text) => { $("#said").textContent = text; };

  // Copying. Without a secure context there is no clipboard but that of old.
  async function copy(button) {
    const text = button.dataset.copy;
    let done = true;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      done = document.execCommand("copy");
      area.remove();
      button.focus();
    }
    button.dataset.label ??= button.textContent;
    button.textContent = done ? "Copied" : "Not copied";
    say(button.textContent);
    setTimeout(() => { button.textContent = button.dataset.label; }, 1500);
  }

  // Sorting, by buttons in the headers of table.data[data-sort]. What a cell is sorted
  // by is its data-value or else its text.
  const sorted = new Map(); // by the table's place on the page, so that it outlives a live change
  const tableKey = (table) => table.id || "table" + all("table.data[data-sort]").indexOf(table);

  function sort(table, column, descending) {
    const th = table.tHead.rows[0].cells[column];
    const value = (row) => {
      const cell = row.cells[column];
      const text = (cell?.dataset.value ?? cell?.textContent ?? "").trim();
      if (th.dataset.sort !== "num") return text;
      const n = parseFloat(text.replaceAll(",", ""));
      return Number.isNaN(n) ? -Infinity : n;
    };
    const compare = (a, b) => typeof a === "number" ? a - b : a.localeCompare(b, "en", {numeric: true});
    const sign = descending ? -1 : 1;
    const body = table.tBodies[0];
    body?.append(...[...body.rows].map((row) => [value(row), row]).sort(([a], [b]) => sign * compare(a, b)).map(([, row]) => row));
    for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
    th.setAttribute("aria-sort", descending ? "descending" : "ascending");
    sorted.set(tableKey(table), [column, descending]);
  }

  function makeSortable(table) {
    for (const th of all("th[data-sort]", table.tHead ?? table)) {
      if ($(".sort", th)) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...th.childNodes);
      th.append(button);
      button.addEventListener("click", () => sort(table, th.cellIndex, th.ariaSort === "ascending"));
    }
    const before = sorted.get(tableKey(table));
    if (before) sort(table, ...before);
  }

  // A table scrolls in a box of its own, which the keyboard reaches if it must.
  function box(table) {
    if (table.closest(".scroll")) return;
    const div = document.createElement("div");
    div.className = "scroll";
    table.before(div);
    div.append(table);
  }
  function reachable(element) {
    const scrolls = element.scrollWidth > element.clientWidth + 1 || element.scrollHeight > element.clientHeight + 1;
    if (scrolls && !element.hasAttribute("tabindex")) {
      element.tabIndex = 0;
      if (element.matches(".scroll")) {
        element.setAttribute("role", "region");
        element.setAttribute("aria-label", $("caption", element)?.textContent.trim() || "Table");
      }
    }
  }

  // Charts: data-series holds {"labels": […], "data": [[unix seconds…], [values…], …]}.
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const drawn = new WeakMap();
  function draw(element) {
    let series;
    try { series = JSON.parse(element.dataset.series); } catch { return; }
    if (!series?.data?.[0]?.length || typeof uPlot === "undefined") return;
    drawn.get(element)?.destroy();
    const axis = {stroke: color("--muted"), grid: {stroke: color("--line"), width: 1}, ticks: {stroke: color("--line"), width: 1}, font: "12px system-ui, sans-serif"};
    const clock = (seconds) => seconds == null ? "–" : new Date(seconds * 1e3).toISOString().slice(11, 19);
    const times = series.data[0];
    const strokes = ["--accent", "--bad", "--ok", "--warn"];
    const plot = new uPlot({
      width: Math.max(element.clientWidth, 120), height: Number(element.dataset.height) || 150,
      cursor: {drag: {x: false, y: false}}, legend: {show: series.labels.length > 1},
      axes: [{...axis, values: (_, splits) => splits.map(clock)}, {...axis, size: 56}],
      scales: {x: {range: () => [Math.min(times[0], times.at(-1) - 60), times.at(-1)]}, y: {range: (_, low, high) => [Math.min(0, low ?? 0), Math.max(1, (high ?? 1) * 1.1)]}},
      series: [{label: "UTC", value: (_, seconds) => clock(seconds)}, ...series.labels.map((label, i) => ({label, stroke: color(strokes[i % strokes.length]), width: 1.75, points: {show: series.data[0].length < 2}}))],
    }, series.data, element);
    plot.root.setAttribute("aria-hidden", "true"); // the table beside it says the same
    drawn.set(element, plot);
    element.classList.add("drawn");
  }

  // Times are in UTC; the reader's own is in the tip.
  function localize(time) {
    const at = new Date(time.dateTime);
    if (!Number.isNaN(at.valueOf())) time.title ||= at.toLocaleString();
  }

  function enhance(within) {
    const found = (selector) => [...(within.matches?.(selector) ? [within] : []), ...all(selector, within)];
    found("table.data").forEach(box);
    found("table.data[data-sort]").forEach(makeSortable);
    found(".chart[data-series]").forEach(draw);
    found("time[datetime]").forEach(localize);
    found(".scroll, main pre").forEach(reachable);
  }

  // Keys.
  const rows = () => all("main table.data tbody tr, main details.row > summary").filter((e) => e.getClientRects().length > 0);
  function move(step) {
    const list = rows();
    const at = list.findIndex((row) => row.contains(document.activeElement));
    const row = list[Math.min(Math.max(at < 0 && step < 0 ? list.length - 1 : at + step, 0), list.length - 1)];
    if (!row) return;
    const target = row.matches("summary") ? row : $("a[href], summary, button", row) ?? row;
    if (target === row && !row.matches("summary")) row.tabIndex = -1;
    target.focus();
    row.scrollIntoView({block: "nearest"});
  }
  let going = 0; // until when a letter after g opens a screen
  function key(event) {
    const target = event.target;
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (target.isContentEditable || target.matches?.("input:not([type=checkbox], [type=radio], [type=range]), textarea, select")) {
      if (event.key === "Escape") target.blur();
      return;
    }
    if ($("#keys").open) return;
    const letter = event.key;
    if (Date.now() < going) {
      going = 0;
      const link = all("nav a[data-key]").find((a) => a.dataset.key === letter);
      if (link) { event.preventDefault(); location.assign(link.href); }
      return;
    }
    switch (letter) {
      case "g": going = Date.now() + 1500; return;
      case "j": move(1); break;
      case "k": move(-1); break;
      case "p": $("[data-live-pause]")?.click(); break;
      case "?": $("#keys").showModal(); break;
      case "/": ($("main [data-search]") ?? $("[data-search]"))?.focus(); break;
      default: return;
    }
    event.preventDefault();
  }

  document.addEventListener("keydown", key);
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.(".copy[data-copy], [data-keys]");
    if (button?.matches(".copy")) copy(button);
    else if (button) $("#keys").showModal();
  });
  // A form that was sent is not sent again by a second click.
  document.addEventListener("submit", (event) => {
    if (event.target.method === "post") setTimeout(() => all("button", event.target).forEach((b) => { b.disabled = true; }));
  });
  addEventListener("pageshow", () => all("form[method=post] button:disabled:not([hidden])").forEach((b) => { b.disabled = false; }));
  document.addEventListener("htmx:afterSwap", (event) => enhance(event.target.isConnected ? event.target : document.body));
  const redraw = () => all(".chart[data-series]").forEach(draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  let later = 0;
  addEventListener("resize", () => {
    all(".scroll, main pre").forEach(reachable);
    clearTimeout(later);
    later = setTimeout(redraw, 100);
  });
  enhance(document.body);
})();
