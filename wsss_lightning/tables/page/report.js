"use strict";
// What the page can do beside being read: order tables, filter and enlarge images, read curves. Without it all is there.
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const stored = (read) => { try { return read(localStorage); } catch { return null; } };

  // Light, dark, or as the system has it.
  const theme = document.getElementById("theme");
  const themes = ["", "light", "dark"];
  function setTheme(name) {
    document.documentElement.style.colorScheme = name || "light dark";
    if (name) document.documentElement.dataset.theme = name;
    else delete document.documentElement.dataset.theme;
    theme.textContent = `colours: ${name || "system"}`;
    theme.dataset.now = name;
  }
  theme.hidden = false;
  setTheme(themes.includes(stored((box) => box.getItem("theme"))) ? stored((box) => box.getItem("theme")) : "");
  theme.addEventListener("click", () => {
    setTheme(themes[(themes.indexOf(theme.dataset.now) + 1) % themes.length]);
    stored((box) => box.setItem("theme", theme.dataset.now));
  });

  // Tables: a click orders by a column, numbers from the highest; the third one restores the order.
  const shown = (row, column) => row.cells[column].dataset.v ?? row.cells[column].textContent.trim();
  const number = (text) => (/^[-+]?\d*\.?\d+(?![\w.])/.test(text) ? parseFloat(text) : NaN); // no id such as 2007_000042
  function order(rows, column, down) {
    const keys = new Map(rows.map((row) => [row, shown(row, column)]));
    const numeric = rows.some((row) => !isNaN(number(keys.get(row))));
    return [...rows].sort((one, other) => {
      const [a, b] = [keys.get(one), keys.get(other)];
      const [x, y] = [number(a), number(b)];
      if (numeric && (isNaN(x) || isNaN(y))) return isNaN(x) - isNaN(y); // what has no number comes last
      return (down ? -1 : 1) * (numeric ? x - y : a.localeCompare(b, undefined, { numeric: true }));
    });
  }
  for (const table of all("table.sortable")) {
    const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells], before = [...body.rows];
    heads.forEach((head, column) => {
      const button = document.createElement("button"), numeric = head.classList.contains("num");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const ways = [numeric ? "descending" : "ascending", numeric ? "ascending" : "descending", "none"];
        const way = ways[(ways.indexOf(head.getAttribute("aria-sort") ?? "none") + 1) % 3];
        heads.forEach((each) => each.removeAttribute("aria-sort"));
        if (way !== "none") head.setAttribute("aria-sort", way);
        body.append(...(way === "none" ? before : order(before, column, way === "descending")));
        alike(table);
      });
    });
  }
  // Bars per class stand in the order of their table.
  function alike(table) {
    for (const figure of all(`[data-with="${table.id}"]`)) {
      const bars = new Map(all("li[data-name]", figure).map((bar) => [bar.dataset.name, bar]));
      figure.querySelector(".groups").append(...[...table.tBodies[0].rows].map((row) => bars.get(row.dataset.name)));
    }
  }

  // Images: by class, by how well they were found, more than the first few.
  const FIRST = 6;
  const mean = (values) => values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : NaN;
  for (const tools of all("div.tools")) {
    const section = tools.closest("section"), use = (name) => section.querySelector(`[data-use=${name}]`);
    const list = section.querySelector(".panels"), panels = all(".panel", list);
    const scores = new Map(panels.map((panel) => [panel, JSON.parse(panel.dataset.scores ?? "null")]));
    let everything = false;
    const values = (panel) => {
      const score = scores.get(panel), name = use("class").value;
      return score ? (name ? score.byClass[name] ?? [] : score.mean) : [];
    };
    const rank = (panel) => {
      const row = use("row").value, found = values(panel);
      return row === "" ? mean(found.filter((value) => value !== null)) : found[row] ?? NaN;
    };
    function ranked(panels) {
      const way = { worst: 1, best: -1 }[use("order").value];
      if (!way) return panels;
      return [...panels].sort((a, b) => isNaN(rank(a)) - isNaN(rank(b)) || way * (rank(a) - rank(b)) || 0);
    }
    function show() {
      const name = use("class").value, fitting = panels.filter((panel) => !name || scores.get(panel)?.shown.includes(name));
      const inOrder = ranked(fitting), count = everything ? inOrder.length : Math.min(FIRST, inOrder.length);
      panels.forEach((panel) => { panel.hidden = true; });
      inOrder.forEach((panel, place) => { panel.hidden = place >= count; });
      list.append(...inOrder, ...panels.filter((panel) => !fitting.includes(panel)));
      for (const span of all(".score", list)) {
        const value = values(span.closest(".panel"))[span.dataset.row];
        span.textContent = `IoU ${name ? `of ${name.replaceAll("_", " ")} ` : ""}${value?.toFixed(1) ?? "-"}`;
      }
      section.querySelector("output").textContent = `${count} of ${inOrder.length} images${name ? ` with ${name.replaceAll("_", " ")}` : ""}`;
      use("more").textContent = `show all ${inOrder.length}`;
      use("more").hidden = count === inOrder.length;
    }
    all(".tools", section).forEach((each) => { each.hidden = false; });
    if (![...scores.values()].some(Boolean)) ["class", "order", "row"].forEach((name) => { use(name).parentElement.hidden = true; });
    ["class", "order", "row"].forEach((name) => use(name).addEventListener("change", show));
    use("over").addEventListener("input", () => list.style.setProperty("--over", use("over").value / 100));
    use("more").addEventListener("click", () => {
      const next = panels.filter((panel) => !panel.hidden).length;
      everything = true;
      show();
      all(".panel:not([hidden])", list)[next].querySelector("button").focus();
    });
    show();
  }

  // A picture, enlarged; arrow keys go on to its neighbours and to the same one of other images.
  const viewer = document.getElementById("viewer"), stage = viewer.querySelector(".stage");
  const over = viewer.querySelector("input"), colours = viewer.querySelector(".legend");
  let current = null;
  function enlarge(tile) {
    current = tile;
    const panel = tile.closest(".panel"), image = tile.querySelector("img"), group = tile.closest(".group");
    stage.replaceChildren((tile.querySelector(".stack") ?? image).cloneNode(true));
    colours.replaceChildren(...tile.closest("section").querySelector(".legend").cloneNode(true).childNodes);
    colours.hidden = !tile.classList.contains("labels");
    stage.className = `stage ${tile.classList.contains("labels") ? "labels" : tile.classList.contains("wide") ? "wide" : ""}`;
    stage.style.setProperty("--ratio", image.naturalWidth / image.naturalHeight || 1);
    over.parentElement.style.visibility = tile.querySelector(".stack") ? "" : "hidden";
    const of = group?.querySelector(".of").textContent.trim().replace(/\s+/g, " ");
    viewer.querySelector(".said").textContent =
      [panel.dataset.image, of, tile.querySelector("figcaption").textContent].filter(Boolean).join(" \u00b7 ");
    if (!viewer.open) viewer.showModal();
  }
  const tilesOf = (panel) => all(".tile", panel);
  function step(way) {
    if (way === "close") return viewer.close();
    const panel = current.closest(".panel"), tiles = tilesOf(panel), place = tiles.indexOf(current);
    const panels = all(".panel:not([hidden])", panel.parentElement);
    const side = { left: -1, right: 1 }[way], level = { up: -1, down: 1 }[way];
    const next = side ? tiles[place + side] : alikeIn(panels[panels.indexOf(panel) + level], current, tiles);
    if (next) enlarge(next);
  }
  function alikeIn(panel, tile, tiles) {
    if (!panel) return null;
    const key = (each) => each.querySelector("img").alt.replace(each.closest(".panel").dataset.image, "");
    return tilesOf(panel).find((each) => key(each) === key(tile)) ?? tilesOf(panel)[0];
  }
  for (const button of all(".tile button")) button.addEventListener("click", () => {
    const slider = button.closest("section").querySelector("[data-use=over]");
    over.value = slider.value;
    viewer.style.setProperty("--over", over.value / 100);
    enlarge(button.closest(".tile"));
  });
  for (const button of all("[data-go]", viewer)) button.addEventListener("click", () => step(button.dataset.go));
  over.addEventListener("input", () => viewer.style.setProperty("--over", over.value / 100));
  viewer.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down" }[event.key];
    if (!way || event.target === over) return;
    event.preventDefault();
    step(way);
  });
  viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
  viewer.addEventListener("close", () => { stage.replaceChildren(); current?.querySelector("button").focus(); });

  // Curves: what they say where the pointer is; arrow keys move along.
  for (const chart of all("svg.traced")) {
    const lines = all("polyline.curve", chart).map((line) => JSON.parse(line.dataset.values));
    const steps = [...new Map(lines.flat().map(([x, place]) => [x, place]))].sort((a, b) => a[0] - b[0]);
    const figure = chart.closest("figure"), readout = figure.querySelector(".readout");
    const names = all("[data-line]", figure).map((key) => key.textContent);
    const cursor = document.createElementNS("http://www.w3.org/2000/svg", "line");
    let at = -1;
    cursor.setAttribute("class", "cursor");
    cursor.setAttribute("y2", chart.viewBox.baseVal.height - 26);
    function read(index) {
      at = Math.max(0, Math.min(index, steps.length - 1));
      const [x, place] = steps[at];
      ["x1", "x2"].forEach((end) => cursor.setAttribute(end, place));
      chart.append(cursor);
      const found = lines.map((line, index) => [names[index], line.find((point) => point[0] === x)?.[2]]);
      readout.textContent = `at ${x}: ${found.filter((each) => each[1] !== undefined).map((each) => each.join(" ")).join(", ")}`;
    }
    chart.addEventListener("pointermove", (event) => {
      const box = chart.getBoundingClientRect(), place = (event.clientX - box.left) * chart.viewBox.baseVal.width / box.width;
      const distances = steps.map((step) => Math.abs(step[1] - place));
      read(distances.indexOf(Math.min(...distances)));
    });
    chart.addEventListener("pointerleave", () => { cursor.remove(); readout.textContent = ""; });
    chart.addEventListener("keydown", (event) => {
      const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!way) return;
      event.preventDefault();
      read(at + way);
    });
  }

  // What a row's link leads to is opened; commands can be copied.
  function openTarget() {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target instanceof HTMLDetailsElement) { target.open = true; target.scrollIntoView(); }
  }
  addEventListener("hashchange", openTarget);
  for (const link of all(".results a")) link.addEventListener("click", () => setTimeout(openTarget)); // a second time, too
  openTarget();
  for (const button of all(".copy")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const code = button.parentElement.querySelector("code");
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "copied";
      } catch { // without the right to the clipboard it is at least marked
        getSelection().selectAllChildren(code);
        button.textContent = "marked";
      }
    });
  }
})();
