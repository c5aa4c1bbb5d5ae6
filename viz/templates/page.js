// Putting it together: heatmaps in their places, the filter, the theme.

function probeSource(set, property) {
  const several = page.sets.length > 1;
  return {
    set, property, columns: set.steps, names: set.names, groups: set.groups, best: property.best,
    scale: [property.bottom, property.top],
    label: `${property.title}${several ? `, ${set.title}` : ""}: accuracy at ${set.sites.length} sites (down) and ${set.steps.length} steps (across). Arrow keys move, Enter opens a cell, Escape closes it.`,
    value: (row, column) => entry(set, property, "value", row, column),
    unclear: (row, column) => unclear(set, property, row, column),
    title: (row, column) => `${set.names[row]} · ${stepText(set, column)}`,
    path: (row) => (set.names[row] === set.sites[row] ? "" : set.sites[row]),
    facts: (row, column) => facts(set, property, row, column),
    open: (row, column) => cellWindow.open(set, property, row, column),
    head: () => [
      element("h3", {}, property.title, ...(several ? [element("span", { class: "of" }, ` ${set.title}`)] : [])),
      element("p", { class: "best" }, bestText(set, property)),
      colourBar(property),
    ],
  };
}

function bestText(set, property) {
  const [row, column] = property.best;
  return `best ${number(entry(set, property, "value", row, column))} at ${stepText(set, column)}, ${set.names[row]}`;
}

function colourBar(property) {
  const bar = element("span", { class: "gradient" });
  const at = (property.majority - property.bottom) / (property.top - property.bottom);
  const below = at < 0; // then it has no place on the scale
  if (!below) bar.append(element("span", { class: "majority", style: `left:${100 * Math.min(at, 1)}%` }));
  const side = at < 0.5 ? `padding-left:${100 * Math.max(at, 0)}%` : `padding-right:${100 * (1 - Math.min(at, 1))}%;text-align:right`;
  const level = element("span", { class: "level", style: side }, `majority ${number(property.majority)}${below ? ", below chance" : ""}`);
  const ends = element("span", { class: "ends" }, element("span", {}, `chance ${number(property.bottom)}`), element("span", {}, number(property.top)));
  return element("div", { class: "bar", "aria-hidden": "true" }, level, bar, ends);
}

// The rows that a text asks for: every word must occur in the path, the name or the part; * stands for anything.
function matching(texts, words) {
  const patterns = words.toLowerCase().split(/\s+/).filter(Boolean).map((word) =>
    new RegExp(word.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&")).join(".*")));
  return range(texts.length).filter((k) => patterns.every((pattern) => pattern.test(texts[k].toLowerCase())));
}

const filter = {
  words: find("#filter"),
  count: find("#count"),
  get hidden() {
    return new Set(findAll("#properties input:not(:checked)").map((box) => box.value));
  },
  property(source) {
    return !this.hidden.has(source.property.name);
  },
  rows(source) {
    source.texts ??= source.names.map((name, k) => `${name} ${source.path(k)}`);
    return matching(source.texts, this.words.value);
  },
};

const rowsOfMaps = [];

function addMaps(holder, sources) {
  const row = new HeatmapRow(holder, sources);
  rowsOfMaps.push(row);
  row.fit(filter);
  const seen = new IntersectionObserver((entries) => {
    if (!entries.some((one) => one.isIntersecting)) return;
    seen.disconnect();
    row.near = true;
    row.draw();
  }, { rootMargin: "600px" });
  seen.observe(holder);
}

function redraw() {
  hideTip();
  for (const row of rowsOfMaps) {
    row.fit(filter);
    if (row.near) row.draw();
  }
  const set = page.sets[0];
  const shown = filter.rows({ names: set.names, path: (row) => set.sites[row] }).length;
  filter.count.textContent = filter.words.value ? `${shown} of ${set.sites.length} sites` : "";
  for (const line of findAll("tr[data-site]")) {
    const outside = matching([line.dataset.site], filter.words.value).length === 0;
    line.hidden = outside || filter.hidden.has(line.dataset.property);
  }
}

function start() {
  document.documentElement.classList.add("live");
  const names = [...new Set(page.sets.flatMap((set) => set.properties.map((property) => property.name)))];
  const sources = names.flatMap((name) =>
    page.sets.flatMap((set) => set.properties.filter((property) => property.name === name).map((property) => probeSource(set, property))));
  addMaps(find("#maps"), sources);
  addEffects();
  filter.words.addEventListener("input", redraw);
  findAll("#properties input").forEach((box) => box.addEventListener("change", redraw));
  let width = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth === width) return;
    width = window.innerWidth;
    redraw();
  });
  find("#theme").addEventListener("click", () => {
    const dark = document.documentElement.dataset.theme
      ? document.documentElement.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    document.documentElement.dataset.theme = dark ? "light" : "dark";
    redraw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}

start();
