// Effects of interventions: a heatmap a property, and a window with the pictures of one cell.

const WARM = ["#fff7ec", "#fee8c8", "#fdd49e", "#fdbb84", "#fc8d59", "#ef6548", "#d7301f", "#990000"];

function effectSource(set, property) {
  const { effects } = set;
  const cell = (row, column) => property.cells[row * effects.windows.length + column];
  const title = (row, column) => `${effects.names[row]} · steps ${effects.windows[column]}`;
  return {
    set, property, columns: effects.windows, names: effects.names, groups: effects.groups, best: property.best, scale: [0, 1],
    colours: WARM.map((colour, k) => [k / (WARM.length - 1), colour]),
    label: `${property.title}: effects of ${effects.names.length} places (down) in ${effects.windows.length} windows of steps (across). Arrow keys move, Enter opens the pictures, Escape closes them.`,
    value: (row, column) => cell(row, column)?.effect ?? null,
    unclear: (row, column) => cell(row, column) !== null && !(cell(row, column).low > 0),
    title, path: (row) => (effects.sites[row] === effects.names[row] ? "" : effects.sites[row]),
    facts: (row, column) => effectFacts(effects, cell(row, column)),
    open: (row, column) => cell(row, column) && effectWindow.open(set, property, cell(row, column), title(row, column), effects.sites[row]),
    head: () => {
      const [row, column] = property.best;
      return [
        element("h3", {}, property.title),
        element("p", { class: "best" }, `largest ${number(cell(row, column).effect)} at ${title(row, column)}`),
        element("div", { class: "bar effect", "aria-hidden": "true" }, element("span", { class: "gradient" }),
          element("span", { class: "ends" }, element("span", {}, "none 0"), element("span", {}, ".50"), element("span", {}, "as A 1.00"))),
      ];
    },
  };
}

function effectFacts(effects, cell) {
  if (cell === null) return [["not tried", ""]];
  const spread = (name) => `${number(cell[name])} (${number(cell[`${name}_low`])} to ${number(cell[`${name}_high`])})`;
  const known = (name) => cell[name] !== undefined && cell[name] !== null;
  return [
    ["effect", number(cell.effect)],
    [effects.interval, `${number(cell.low)} to ${number(cell.high)}`],
    ...(known("over_control") ? [["over its controls", spread("over_control")]] : []),
    ...(known("necessity") ? [["away from B", spread("necessity")]] : []),
    ...(known("donor") ? [["shows A's, B's, neither", ["donor", "receiver", "neither"].map((name) => number(cell[name])).join(", ")]] : []),
    ["pairs", String(cell.n)],
    ...(known("q_value") ? [["q-value", small(cell.q_value)]] : []),
  ];
}

const effectWindow = {
  dialog: find("#effect"),

  open(set, property, cell, title, path) {
    find("h2", this.dialog).textContent = `${property.title}: ${title}`;
    find(".path", this.dialog).textContent = path;
    const list = element("dl");
    for (const [name, text] of effectFacts(set.effects, cell)) list.append(element("dt", {}, name), element("dd", {}, text));
    find(".numbers", this.dialog).replaceChildren(list);
    const { study } = set.effects;
    find(".of-pairs", this.dialog).hidden = !study;
    find(".pairs", this.dialog).replaceChildren(...(study ? range(study.count).map((pair) => this.pair(study, cell.cell, pair)) : []));
    this.dialog.showModal();
  },

  // The pictures A, B and C of one pair; tiles are A, B, then C of cell after cell.
  pair(study, cell, pair) {
    const { count, pairs } = study;
    const shown = [["A", pair, pairs.a[pair]], ["B", count + pair, pairs.b[pair]], ["C", (2 + cell) * count + pair, "B, changed"]];
    const part = element("div", { class: "pair" });
    for (const [name, place, text] of shown) {
      part.append(element("span", { class: "of" }, picture({ pictures: study.pictures, alt: `${name}: ${text}` }, place, 96), name));
    }
    part.append(element("span", {}, `A: ${pairs.a[pair]}`, element("br"), `B: ${pairs.b[pair]}`));
    return part;
  },
};

find(".close", effectWindow.dialog).addEventListener("click", () => effectWindow.dialog.close());
effectWindow.dialog.addEventListener("click", (event) => event.target === effectWindow.dialog && effectWindow.dialog.close());

function addEffects() {
  for (const holder of findAll("[data-effects]")) {
    const set = page.sets[Number(holder.dataset.effects)];
    addMaps(holder, set.effects.properties.map((property) => effectSource(set, property)));
  }
}
