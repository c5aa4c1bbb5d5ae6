// The samples at one site and step as points of a plane.

const FULL = 65535;
const decoded = new Map();

function coordinates(set) {
  if (!decoded.has(set)) {
    const bytes = Uint8Array.from(atob(set.panels.xy), (sign) => sign.charCodeAt(0));
    decoded.set(set, new DataView(bytes.buffer));
  }
  return decoded.get(set);
}

// { samples, x, y, note } of a cell; null where there is no panel.
async function panelOf(set, row, column) {
  if (set.panels === null) return null;
  if (set.panels.url) {
    const { xy, note } = await asked(`${set.panels.url}${row}/${column}`);
    return { samples: set.panels.points, x: xy.map(([x]) => x), y: xy.map(([, y]) => y), note };
  }
  const samples = set.panels.points;
  const cell = row * set.steps.length + column;
  const view = coordinates(set);
  const read = (k, axis) => view.getUint16(4 * (cell * samples.length + k) + 2 * axis, true) / FULL * 2 - 1;
  const axis = (which) => samples.map((_, k) => read(k, which));
  return { samples, x: axis(0), y: axis(1), note: set.panels.notes[cell] };
}

const look = (code) => ({ colour: COLOURS[code % COLOURS.length], symbol: SYMBOLS[(code + Math.floor(code / SYMBOLS.length)) % SYMBOLS.length] });

// One trace a class of the label, in the classes' order.
function panelTraces(set, panel, label) {
  const { classes, codes } = set.samples.labels[label] ?? { classes: ["all"], codes: null };
  return classes.map((name, code) => {
    const own = range(panel.samples.length).filter((k) => codes === null || codes[panel.samples[k]] === code);
    return {
      type: "scatter", mode: "markers", name: plain(name), hoverinfo: "none", x: own.map((k) => panel.x[k]), y: own.map((k) => panel.y[k]),
      customdata: own.map((k) => panel.samples[k]),
      marker: { size: 7, color: look(code).colour, symbol: look(code).symbol, opacity: 0.8, line: { width: 0.5, color: tone("paper") } },
    };
  });
}

async function drawPanel(holder, set, panel, label, side, onSample) {
  const Plotly = await plotting();
  const bare = { visible: false, fixedrange: true, range: [-1.08, 1.08] };
  const layout = {
    width: side, height: side, margin: { l: 0, r: 0, t: 0, b: 0 }, showlegend: false, hovermode: "closest", dragmode: false,
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: tone("card"), xaxis: bare, yaxis: bare, font: { family: FONT },
  };
  await Plotly.react(holder, panelTraces(set, panel, label), layout, { displayModeBar: false });
  holder.removeAllListeners?.("plotly_hover");
  holder.removeAllListeners?.("plotly_click");
  holder.on("plotly_hover", (event) => onSample(event.points[0].customdata));
  holder.on("plotly_click", (event) => onSample(event.points[0].customdata));
}

// The pictures themselves where the points are, without overlaps.
function drawPictures(holder, set, panel, side, onSample) {
  const size = side < 400 ? 30 : 36;
  const taken = [];
  const place = (value) => ((value + 1.08) / 2.16) * side;
  holder.replaceChildren();
  for (const k of range(panel.samples.length)) {
    const at = [clamp(place(panel.x[k]), size / 2, side - size / 2), clamp(side - place(panel.y[k]), size / 2, side - size / 2)];
    if (taken.some(([x, y]) => Math.abs(x - at[0]) < 0.8 * size && Math.abs(y - at[1]) < 0.8 * size)) continue;
    taken.push(at);
    const tile = picture(set, panel.samples[k], size);
    Object.assign(tile.style, { position: "absolute", left: `${at[0] - size / 2}px`, top: `${at[1] - size / 2}px` });
    tile.addEventListener("pointerenter", () => onSample(panel.samples[k]));
    holder.append(tile);
  }
}
