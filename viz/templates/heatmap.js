// A heatmap: the plotting library draws it, a canvas above it the dots, which may be thousands, and a layer above both
// answers the pointer and the keyboard.

const ABOVE = 6;
const BELOW = 22;
const SMALL = 11; // pixels of type

function textWidth(text) {
  const brush = (textWidth.brush ??= document.createElement("canvas").getContext("2d"));
  brush.font = `${SMALL}px ${FONT}`;
  return brush.measureText(text).width;
}

// At most `room` of the indices at one regular interval.
function thin(count, room) {
  const interval = Math.max(1, Math.ceil(count / Math.max(1, room)));
  return range(count).filter((k) => k % interval === 0);
}

// `source` answers: columns (texts), names (all rows), value, low, high, unclear, facts, title, path, open;
// `scale` is [bottom, top]; `best` a [row, column] or null.
class Heatmap {
  constructor(holder, source) {
    this.source = source;
    this.plot = element("div", { class: "canvas", "aria-hidden": "true" });
    this.mark = element("div", { class: "mark" });
    this.mark.hidden = true;
    this.layer = element("div", {
      class: "layer", tabindex: "0", role: "application", "aria-roledescription": "heatmap", "aria-label": source.label,
    });
    this.layer.append(this.mark);
    this.dots = element("canvas", { class: "dots", "aria-hidden": "true" });
    this.frame = element("div", { class: "frame" }, this.plot, this.dots, this.layer);
    holder.append(this.frame);
    this.place = null;
    this.layer.addEventListener("pointermove", (event) => this.show(this.under(event)));
    this.layer.addEventListener("pointerleave", () => this.hide());
    this.layer.addEventListener("click", (event) => this.open(this.under(event)));
    this.layer.addEventListener("keydown", (event) => this.key(event));
    this.layer.addEventListener("focus", () => this.layer.matches(":focus-visible") && this.show(this.start(), true));
    this.layer.addEventListener("blur", () => this.hide());
  }

  // Keep room for the given rows: a plot of `width` pixels, with names of `left` pixels before it (0: without names).
  fit(rows, width, left) {
    const rowHeight = clamp(620 / rows.length, 10, 24);
    const height = Math.round(rowHeight * rows.length);
    const cell = { width: width / this.source.columns.length, height: height / rows.length };
    Object.assign(this, { rows, cell, room: { width, height, left } });
    this.frame.style.cssText = `width:${left + width}px;height:${ABOVE + height + BELOW}px`;
    this.layer.style.cssText = this.dots.style.cssText = `left:${left}px;top:${ABOVE}px;width:${width}px;height:${height}px`;
  }

  async draw() {
    const { rows, room: { width, height, left } } = this;
    const Plotly = await plotting();
    await Plotly.react(this.plot, [this.trace()], this.layout(width, height, left), { staticPlot: true });
    this.drawDots(width, height);
    this.frame.dataset.drawn = String(rows.length);
  }

  trace() {
    const { source, rows } = this;
    const z = rows.map((row) => source.columns.map((_, column) => source.value(row, column)));
    const colorscale = source.colours ?? VIRIDIS.map((colour, k) => [k / (VIRIDIS.length - 1), colour]);
    return { type: "heatmap", z, zmin: source.scale[0], zmax: source.scale[1], showscale: false, hoverinfo: "skip", colorscale };
  }

  // A dot in each cell that is not clear, light on dark cells.
  drawDots(width, height) {
    const { source, rows, cell } = this;
    const sharp = window.devicePixelRatio;
    Object.assign(this.dots, { width: Math.round(width * sharp), height: Math.round(height * sharp) });
    const brush = this.dots.getContext("2d");
    brush.scale(sharp, sharp);
    const radius = clamp(0.12 * Math.min(cell.width, cell.height), 0.8, 2);
    const middle = source.scale[0] + 0.6 * (source.scale[1] - source.scale[0]);
    for (const [y, row] of rows.entries()) {
      for (const x of source.columns.keys()) {
        if (!source.unclear(row, x)) continue;
        brush.fillStyle = source.value(row, x) < middle && !source.colours ? "#ffffffd9" : "#1a1a1ad9";
        brush.beginPath();
        brush.arc((x + 0.5) * cell.width, (y + 0.5) * cell.height, radius, 0, 2 * Math.PI);
        brush.fill();
      }
    }
  }

  layout(width, height, left) {
    const { source, rows } = this;
    const widest = Math.max(...source.columns.map(textWidth));
    const xs = thin(source.columns.length, Math.floor(width / (widest + 9)));
    const ys = left ? thin(rows.length, Math.floor(height / (SMALL + 1))) : [];
    const axis = { fixedrange: true, showgrid: false, zeroline: false, showline: false, automargin: false };
    return {
      width: left + width, height: ABOVE + height + BELOW, margin: { l: left, r: 0, t: ABOVE, b: BELOW }, showlegend: false,
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: tone("absent"),
      font: { family: FONT, size: SMALL, color: tone("ink") },
      xaxis: { ...axis, range: [-0.5, source.columns.length - 0.5], tickvals: xs, ticktext: xs.map((x) => source.columns[x]), ticks: "outside", ticklen: 3, tickcolor: tone("rule"), tickangle: 0, ticklabeloverflow: "allow" },
      yaxis: { ...axis, range: [rows.length - 0.5, -0.5], tickvals: ys, ticktext: ys.map((y) => plain(source.names[rows[y]])), ticks: "", ticklabelstandoff: 5 },
      shapes: this.shapes(),
    };
  }

  // Lines between parts of the network, and an outline around the best cell.
  shapes() {
    const { source, rows } = this;
    const last = source.columns.length - 0.5;
    const lines = rows.slice(1).flatMap((row, k) => (source.groups[row] === source.groups[rows[k]] ? [] : [k + 0.5]));
    const shapes = lines.map((y) => ({ type: "line", x0: -0.5, x1: last, y0: y, y1: y, line: { color: tone("paper"), width: 2 } }));
    const at = source.best ? rows.indexOf(source.best[0]) : -1;
    if (at >= 0) {
      const box = { type: "rect", x0: source.best[1] - 0.5, x1: source.best[1] + 0.5, y0: at - 0.5, y1: at + 0.5 };
      shapes.push({ ...box, line: { color: "#ffffff", width: 4 } }, { ...box, line: { color: "#1a1a1a", width: 1.6 } });
    }
    return shapes;
  }

  under(event) {
    const box = this.layer.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left) / this.cell.width);
    const row = Math.floor((event.clientY - box.top) / this.cell.height);
    return { row: clamp(row, 0, this.rows.length - 1), column: clamp(column, 0, this.source.columns.length - 1) };
  }

  start() {
    if (this.place && this.place.row < this.rows.length) return this.place;
    const row = this.source.best ? this.rows.indexOf(this.source.best[0]) : -1;
    return row < 0 ? { row: 0, column: 0 } : { row, column: this.source.best[1] };
  }

  show(place, say = false) {
    if (!this.rows) return;
    this.place = place;
    const { width, height } = this.cell;
    this.mark.hidden = false;
    this.mark.style.cssText = `left:${place.column * width}px;top:${place.row * height}px;width:${width}px;height:${height}px`;
    const row = this.rows[place.row];
    const box = this.mark.getBoundingClientRect();
    showTip(this.source.title(row, place.column), this.source.path(row), this.source.facts(row, place.column), box, { say });
  }

  hide() {
    this.mark.hidden = true;
    hideTip();
  }

  open(place) {
    this.hide();
    this.place = place;
    this.source.open?.(this.rows[place.row], place.column);
  }

  key(event) {
    const at = this.place ?? this.start();
    const rows = this.rows.length - 1;
    const columns = this.source.columns.length - 1;
    const moves = {
      ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1],
      PageUp: [-10, 0], PageDown: [10, 0], Home: [0, -columns], End: [0, columns],
    };
    if (event.key === "Escape") this.hide();
    else if (event.key === "Enter" || event.key === " ") this.open(at);
    else if (moves[event.key]) {
      const [down, right] = moves[event.key];
      this.show({ row: clamp(at.row + down, 0, rows), column: clamp(at.column + right, 0, columns) }, true);
    } else return;
    event.preventDefault();
  }
}

// The library reads a few tags in its labels: a site's name is shown as it is.
const plain = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

// Several heatmaps side by side, as many in a row as have room; the first of a row carries the names. Those of one
// property stand together where there are several data sets.
class HeatmapRow {
  constructor(holder, sources) {
    this.holder = holder;
    this.sets = new Set(sources.map(({ set }) => set)).size;
    this.nothing = element("p", { class: "footnote", role: "status" });
    holder.append(this.nothing);
    this.maps = sources.map((source, k) => {
      const head = element("div", { class: "head" }, ...source.head());
      const part = element("div", { class: "part" }, head);
      if (this.sets > 1 && k && source.property.name !== sources[k - 1].property.name) holder.append(element("div", { class: "break" }));
      holder.append(part);
      return { part, head, source, map: new Heatmap(part, source) };
    });
  }

  // Show what is chosen, and keep room for it; says in words why nothing is left.
  fit(chosen) {
    delete this.holder.dataset.drawn;
    const wanted = this.maps.filter(({ source }) => chosen.property(source));
    this.shown = wanted.filter(({ source }) => chosen.rows(source).length > 0);
    for (const one of this.maps) one.part.hidden = !this.shown.includes(one);
    this.nothing.hidden = this.shown.length > 0;
    this.nothing.textContent = wanted.length ? `No place here has ‘${chosen.words.value}’ in its name.` : "None of the properties shown here is ticked above.";
    if (!this.shown.length) return;
    const { shown } = this;
    const room = this.holder.clientWidth;
    const gap = 22;
    const left = clamp(Math.max(...shown.flatMap(({ source }) => source.names.map(textWidth))) + 12, 40, 0.42 * room);
    const each = shown.some(({ source }) => source.names !== shown[0].source.names) ? left : 0; // sets have own sites
    const most = this.sets > 1 ? Math.min(this.sets, shown.length) : shown.length;
    const inRow = clamp(Math.floor((room - left + each) / (each + 230)), 1, most);
    const width = Math.floor(Math.min((room - (each ? inRow * each : left) - (inRow - 1) * gap) / inRow, 460));
    for (const [k, { head, source, map }] of shown.entries()) {
      const before = each || k % inRow === 0 ? left : 0;
      head.style.cssText = `padding-left:${before}px;width:${before + width}px`;
      map.fit(chosen.rows(source), width, before);
    }
  }

  async draw() {
    const turn = (this.turn = (this.turn ?? 0) + 1);
    for (const { map } of this.shown) {
      await new Promise((done) => setTimeout(done)); // the page answers between two maps
      if (turn !== this.turn) return; // asked to draw something else meanwhile
      await map.draw();
    }
    this.holder.dataset.drawn = "true";
  }
}
