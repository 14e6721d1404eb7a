"use strict";

// -- tables: a button in the heading of a column sorts by it: first the largest, then the smallest, then as it was

const order = new WeakMap();

function sort(button) {
  const heading = button.closest("th"), body = heading.closest("table").tBodies[0], column = heading.cellIndex;
  const next = { descending: "ascending", ascending: null }[heading.getAttribute("aria-sort")];
  const direction = next === undefined ? "descending" : next;
  if (!order.has(body)) order.set(body, [...body.rows]);
  for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
  if (direction) heading.setAttribute("aria-sort", direction);
  const key = (row) => row.cells[column].dataset.key;
  const known = order.get(body).filter((row) => key(row)), unknown = order.get(body).filter((row) => !key(row));
  const sign = direction === "ascending" ? 1 : -1;
  const sorted = [...known.sort((one, other) => sign * (key(one) - key(other))), ...unknown];
  body.append(...(direction ? sorted : order.get(body)));
}

for (const button of document.querySelectorAll("th button")) button.addEventListener("click", () => sort(button));

// -- light and dark: as the system has it, until the button says otherwise

const system = matchMedia("(prefers-color-scheme: dark)");
const toggle = document.getElementById("theme");
let paint = () => {}; // what charts have of it

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : system.matches;
}

function themed() {
  toggle.setAttribute("aria-pressed", String(isDark()));
  paint(isDark());
}

toggle.addEventListener("click", () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  themed();
});
system.addEventListener("change", themed);
themed();

// -- charts

async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

async function draw(text) {
  const data = await unpacked(text);
  await Bokeh.embed.embed_items({ charts: data.document }, [
    { docid: "charts", roots: data.roots, root_ids: Object.keys(data.roots) },
  ]);
  const drawn = Bokeh.documents.at(-1);
  const model = (id) => drawn.get_model_by_id(id);
  paint = (dark) => {
    for (const [id, property, ...colours] of data.paints) model(id).setv({ [property]: colours[Number(dark)] });
  };
  if (isDark()) paint(true);
  if (matchMedia("(pointer: coarse)").matches) // else a finger on a chart could not scroll the page
    for (const root of drawn.roots()) for (const tool of root.toolbar.tools) if (tool.type === "BoxZoomTool") tool.active = false;
  steer(Object.entries(data.times).map(([id, unit]) => [model(id), unit]));
  print(drawn.roots(), data.roots);
  document.documentElement.dataset.drawn = "";
}

/** The buttons: all charts over time have the same range, one for each unit. */
function steer(times) {
  const said = document.querySelector(".times output");
  const ranges = times.map(([range]) => range);
  const tell = () => {
    const shown = times.map(([range, unit]) => {
      const digits = Math.max(1 - Math.floor(Math.log10(range.end - range.start)), 0);
      return `${range.start.toFixed(digits)} to ${range.end.toFixed(digits)} ${unit}`;
    });
    said.textContent = shown.join(", ");
  };
  const move = { // by what share of what is shown the two ends go
    in: [0.25, -0.25], out: [-0.5, 0.5], earlier: [-0.5, -0.5], later: [0.5, 0.5], all: [-Infinity, Infinity],
  };
  const act = (name) => {
    for (const range of ranges) {
      const [low, high] = range.bounds, width = range.end - range.start;
      const [first, last] = move[name];
      let start = range.start + first * width, end = range.end + last * width;
      if (first === last) { // as far as there is something, with the width as it is
        const back = Math.max(low - start, 0) - Math.max(end - high, 0);
        start += back;
        end += back;
      }
      range.setv({ start: Math.max(start, low), end: Math.min(end, high) });
    }
  };
  for (const range of ranges) range.change.connect(tell);
  for (const button of document.querySelectorAll(".times button"))
    button.addEventListener("click", () => act(button.dataset.move));
  tell();
}

/** On paper charts are pictures, of what is shown when printing begins, on light paper. */
function print(roots, places) {
  addEventListener("beforeprint", () => {
    paint(false);
    for (const root of roots) {
      const view = Bokeh.index.get_by_id?.(root.id) ?? Bokeh.index[root.id];
      const image = new Image();
      image.src = view.export("png", true).canvas.toDataURL();
      image.alt = "";
      document.getElementById(places[root.id]).append(image);
    }
  });
  addEventListener("afterprint", () => {
    for (const image of document.querySelectorAll(".chart img")) image.remove();
    paint(isDark());
  });
}

const packed = document.getElementById("charts");
if (packed) draw(packed.textContent);
