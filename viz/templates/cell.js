// The window of one cell: its numbers, its samples as a plane, and pictures that the probe named rightly or wrongly.

const cellWindow = {
  dialog: find("#cell"),
  now: null,
  pictures: false,

  open(set, property, row, column) {
    this.now = { set, property, row, column, label: property.name };
    if (!(property.name in set.samples.labels)) this.now.label = Object.keys(set.samples.labels)[0];
    find(".trouble", this.dialog).hidden = true;
    this.fill();
    if (!this.dialog.open) this.dialog.showModal();
    this.panel();
  },

  move(down, right) {
    const { set, property, row, column } = this.now;
    this.open(
      set, property, clamp(row + down, 0, set.sites.length - 1), clamp(column + right, 0, set.steps.length - 1),
    );
  },

  fill() {
    const { set, property, row, column } = this.now;
    find("h2", this.dialog).textContent = `${set.names[row]} · ${stepText(set, column)}`;
    find(".path", this.dialog).textContent = `${page.sets.length > 1 ? `${set.title}: ` : ""}${set.sites[row]}`;
    const head = ["", "accuracy", set.interval, "control", "selectivity", "chance", "images"];
    const table = element("table", {}, element("thead", {}, element("tr", {}, ...head.map((name) => element("th", { scope: "col", class: name ? "n" : "" }, name)))));
    const body = element("tbody");
    for (const other of set.properties) {
      const read = (name) => entry(set, other, name, row, column);
      const texts = [
        number(read("value")), `${number(read("low"))}–${number(read("high"))}`, number(read("control")),
        number(read("selectivity")), number(other.chance), String(read("n") ?? "–"),
      ];
      const line = element("tr", other === property ? { class: "chosen" } : {}, element("th", { scope: "row" }, other.title));
      line.append(...texts.map((text) => element("td", { class: "n" }, text)));
      body.append(line);
    }
    table.append(body);
    find(".numbers", this.dialog).replaceChildren(table);
    this.examples();
  },

  async examples() {
    const now = this.now;
    const { set, property } = now;
    const holder = find(".examples", this.dialog);
    const told = await this.told(now).catch((error) => this.complain(error));
    if (now !== this.now) return;
    const groups = told
      ? [["Named rightly by this probe", told[0]], ["Named wrongly", told[1]]]
      : [["Some of the images", thin(set.samples.ids.length, 6)]];
    holder.replaceChildren();
    if (set.pictures === null) return;
    for (const [title, samples] of groups) {
      holder.append(element("h3", {}, `${title}${told ? `: ${property.title.toLowerCase()}` : ""}`));
      const strip = element("div", { class: "strip" });
      for (const sample of samples) {
        const labels = Object.entries(set.samples.labels).map(([name, { classes, codes }]) => `${name}: ${classes[codes[sample]] ?? "–"}`);
        const words = element("figcaption", {}, set.samples.prompts[sample], element("span", { class: "tag" }, labels.join(", ")));
        strip.append(element("figure", {}, picture(set, sample, 88), words));
      }
      holder.append(samples.length ? strip : element("p", { class: "context" }, "None."));
    }
  },

  // Samples that the cell's probe named rightly and wrongly; undefined where nobody kept them.
  async told({ set, property, row, column }) {
    const { url } = property.examples ?? {};
    return url ? asked(`${url}${row}/${column}`) : property.examples?.[row * set.steps.length + column];
  },

  complain(error) {
    Object.assign(find(".trouble", this.dialog), { textContent: error.message, hidden: false });
  },

  async panel() {
    const now = this.now;
    const part = find(".plane", this.dialog);
    const found = await panelOf(now.set, now.row, now.column).catch((error) => this.complain(error) ?? null);
    part.hidden = found === null;
    if (found === null || now !== this.now) return;
    const side = Math.min(460, find(".stage", part).parentElement.clientWidth);
    const stage = find(".stage", part);
    stage.style.cssText = `width:${side}px;height:${side}px`;
    find(".note", part).textContent = `${found.samples.length} images. ${found.note}`;
    this.choices(part);
    this.legend(find(".legend", part));
    const [points, tiles] = [find(".points", part), find(".tiles", part)];
    points.hidden = this.pictures;
    tiles.hidden = !this.pictures;
    const onSample = (sample) => this.lookAt(sample);
    if (this.pictures) drawPictures(tiles, now.set, found, side, onSample);
    else await drawPanel(points, now.set, found, now.label, side, onSample);
    part.dataset.drawn = `${now.row},${now.column}`;
  },

  // Which label colours the points, and whether points or pictures are shown.
  choices(part) {
    const { set } = this.now;
    const bar = find(".choices", part);
    const button = (text, pressed, act) => {
      const made = element("button", { type: "button", "aria-pressed": String(pressed) }, text);
      made.addEventListener("click", act);
      return made;
    };
    const labels = Object.keys(set.samples.labels).map((name) =>
      button(name.replaceAll("_", " "), !this.pictures && name === this.now.label, () => {
        this.pictures = false;
        this.now.label = name;
        this.panel();
      }));
    const show = set.pictures === null ? [] : [button("pictures", this.pictures, () => { this.pictures = !this.pictures; this.panel(); })];
    const focused = [...bar.children].indexOf(document.activeElement);
    bar.replaceChildren(element("span", {}, "Show by"), ...labels, ...show);
    if (focused >= 0) bar.children[focused]?.focus();
  },

  legend(list) {
    const { set, label } = this.now;
    const { classes } = set.samples.labels[label] ?? { classes: [] };
    const signs = { circle: "●", square: "■", "triangle-up": "▲", diamond: "◆", "triangle-down": "▼", cross: "✚", x: "✖" };
    list.hidden = this.pictures;
    list.replaceChildren(...classes.map((name, code) => {
      const sign = element("span", { style: `color:${look(code).colour}`, "aria-hidden": "true" }, signs[look(code).symbol]);
      return element("li", {}, sign, ` ${name}`);
    }));
  },

  lookAt(sample) {
    const { set } = this.now;
    const labels = Object.entries(set.samples.labels).map(([name, { classes, codes }]) => `${name}: ${classes[codes[sample]] ?? "–"}`);
    const words = element("figcaption", {}, set.samples.prompts[sample], element("span", { class: "tag" }, labels.join(", ")), element("span", { class: "tag" }, `seed ${set.samples.seeds[sample]}`));
    find(".looked", this.dialog).replaceChildren(element("figure", {}, picture(set, sample, 128), words));
  },
};

findAll("[data-move]", cellWindow.dialog).forEach((button) => {
  const [down, right] = button.dataset.move.split(",").map(Number);
  button.addEventListener("click", () => cellWindow.move(down, right));
});
find(".close", cellWindow.dialog).addEventListener("click", () => cellWindow.dialog.close());
cellWindow.dialog.addEventListener("click", (event) => event.target === cellWindow.dialog && cellWindow.dialog.close());
cellWindow.dialog.addEventListener("keydown", (event) => {
  const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  if (!event.altKey || !moves[event.key]) return;
  event.preventDefault();
  cellWindow.move(...moves[event.key]);
});
