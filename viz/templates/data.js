"use strict";
// What every part of the script shares: the data of the page, small builders, colours of the theme, the plotting library.

const page = JSON.parse(document.getElementById("data").textContent);
const VIRIDIS = ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"];
const COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8c8c8c",
  "#7B3FE4", "#9A5B30", "#B0307F", "#C084FF", "#D2B469", "#E1004B", "#3355FF"]; // legible on both themes, so not quite those of the figures
const SYMBOLS = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x"];
const FONT = 'system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';

const find = (selector, root = document) => root.querySelector(selector);
const findAll = (selector, root = document) => [...root.querySelectorAll(selector)];
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const range = (count) => Array.from({ length: count }, (_, k) => k);

// An element with attributes and children; a text is only ever a text, never markup.
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

const tone = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// .97 for 0.97, as in the figures: what lies midway (odd eighths only) goes to the even digit, .12 for 0.125.
function number(value) {
  if (value === null || value === undefined) return "–";
  const midway = Math.abs(8 * value) % 2 === 1;
  const text = (midway ? Math.round(50 * Math.abs(value)) / 50 : Math.abs(value)).toFixed(2);
  const sign = value < 0 && Number(text) !== 0 ? "−" : "";
  return sign + (text.startsWith("0") ? text.slice(1) : text);
}

// .005 for a q-value of 0.005.
const small = (value) => (value < 0.001 ? "< .001" : value.toFixed(3).replace(/^0/, ""));

// A cell's entry in one of the lists of a property; a list of equal entries is stored as one.
function entry(set, property, name, row, column) {
  const values = property.cells[name];
  if (values === undefined || values === null) return null;
  return Array.isArray(values) ? values[row * set.steps.length + column] : values;
}

const stepText = (set, column) => `${set.stepWord} ${set.steps[column]}`;

// What is known of a cell as pairs of a name and a text.
function facts(set, property, row, column) {
  const read = (name) => entry(set, property, name, row, column);
  if (read("value") === null) return [["not probed", ""]];
  const rows = [
    ["accuracy", number(read("value"))],
    [set.interval, `${number(read("low"))} to ${number(read("high"))}`],
    ["chance", number(property.chance)],
    ["majority level", number(property.majority)],
    ["control task", number(read("control"))],
    ["selectivity", number(read("selectivity"))],
    ["images", String(read("n"))],
  ];
  const q = read("q");
  return q === null ? rows : [...rows, ["q-value", small(q)]];
}

const unclear = (set, property, row, column) => {
  const value = entry(set, property, "value", row, column);
  const low = entry(set, property, "low", row, column);
  return value !== null && !(low !== null && low > property.floor);
};

// The plotting library is long: it is read only when something is about to be drawn, after the first paint.
let library;
function plotting() {
  library ??= new Promise((done) => {
    requestAnimationFrame(() => setTimeout(() => {
      const script = document.createElement("script");
      script.textContent = document.getElementById("library").textContent;
      document.head.append(script);
      done(window.Plotly);
    }));
  });
  return library;
}

// What a page that is served asks for. Throws an error that says why there is no answer.
async function asked(address) {
  const answer = await fetch(address).catch(() => null);
  if (answer === null) throw new Error("There is no answer any more. Is outcrop view still running?");
  if (!answer.ok) throw new Error((await answer.text()).trim());
  return answer.json();
}

// A picture of one sample: a tile of a sheet, or, on a page that is served, the picture itself.
function picture(set, sample, size) {
  const alt = set.alt ?? `Generated image for the prompt: ${set.samples.prompts[sample]}`;
  if (set.pictures === null) return element("span", { class: "tile none", style: `width:${size}px;height:${size}px` });
  if (set.pictures.url) {
    const src = `${set.pictures.url}${sample}`;
    return element("img", { class: "tile", src, alt, width: size, height: size, loading: "lazy" });
  }
  const { across, count, first } = set.pictures;
  const sheet = Math.floor(sample / (across * across));
  const place = sample % (across * across);
  const here = Math.min(across * across, count - sheet * across * across);
  const rows = Math.ceil(here / across);
  const at = (index, of) => (of > 1 ? (100 * index) / (of - 1) : 0);
  const tile = element("span", { class: `tile sheet-${first + sheet}`, role: "img", "aria-label": alt });
  Object.assign(tile.style, {
    width: `${size}px`,
    height: `${size}px`,
    backgroundSize: `${100 * across}% ${100 * rows}%`,
    backgroundPosition: `${at(place % across, across)}% ${at(Math.floor(place / across), rows)}%`,
  });
  return tile;
}
