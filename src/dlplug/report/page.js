"use strict";
// What moves on the page: plots that are drawn when they come into sight, sliders, two toggles, copying,
// pictures that grow.

const COLOURS = ["#3f72e0", "#e0792b", "#2a9d70", "#b5489a", "#d8474b", "#1a9fb5", "#94743f", "#7f8694"];
const DASHES = { train: "solid", val: "dash", test: "dot" };
// Plotly's own default has a button that sends the plot's data to its makers.
const CONFIG = { displaylogo: false, responsive: true, showSendToCloud: false, plotlyServerURL: "" };
const BUTTONS = { modeBarButtons: [["toImage", "resetScale2d"]] };
const root = document.documentElement;
const large = document.getElementById("large");
const logButton = document.getElementById("log");
const darkButton = document.getElementById("dark");
const epochs = JSON.parse(document.getElementById("epochs").textContent);
const drawn = new Set();

const colour = (index) => COLOURS[index % COLOURS.length];
// Plotly reads tags in its texts.
const plain = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

// How many of a run's epochs have started at a step, by bisection.
function epochAt(starts, step) {
  let low = 0;
  let high = starts.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (starts[middle] <= step) low = middle + 1;
    else high = middle;
  }
  return low;
}

// The page's own colours, as the browser resolves them.
function theme(element) {
  const style = getComputedStyle(element);
  return { text: style.color, line: style.borderTopColor, page: getComputedStyle(document.body).backgroundColor };
}

function layoutOf(element) {
  const { text, line, page } = theme(element);
  const axis = { gridcolor: line, zerolinecolor: line, linecolor: line, automargin: true };
  return {
    autosize: true,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: text, family: getComputedStyle(root).fontFamily, size: 12 },
    hoverlabel: { bgcolor: page, bordercolor: line, font: { color: getComputedStyle(document.body).color } },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: text, activecolor: text },
    xaxis: axis,
    yaxis: axis,
  };
}

function curvesOf(element, traces) {
  const several = epochs.length > 1;
  const validated = traces.some((trace) => trace.stage === "val");
  const seen = new Set();
  const data = traces.map((trace) => {
    const name = plain(several ? `${trace.run} ${trace.name}` : trace.name);
    const first = !seen.has(trace.run);
    seen.add(trace.run);
    return {
      type: "scatter",
      mode: trace.x.length > 40 || trace.stage === "test" ? "lines" : "lines+markers",
      name: several ? plain(trace.run) : name,
      legendgroup: several ? trace.run : name,
      showlegend: several ? first : traces.length > 1,
      x: trace.x,
      y: trace.y,
      customdata: trace.x.map((step) => epochAt(epochs[trace.index], step)),
      hovertemplate: `${name} %{y:.5g} (epoch %{customdata})<extra></extra>`,
      line: { color: colour(trace.colour), dash: DASHES[trace.stage] || "solid", width: 1.75 },
      opacity: trace.stage === "train" && validated ? 0.6 : 1,
      marker: { size: 5 },
    };
  });
  const layout = layoutOf(element);
  Object.assign(layout, {
    hovermode: "x unified",
    hoverdistance: 30,
    // A finger that drags scrolls the page.
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    margin: { l: 8, r: 8, t: 8, b: 8 },
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" },
  });
  const axis = plain(root.dataset.axis);
  layout.xaxis = { ...layout.xaxis, title: { text: axis }, rangemode: "tozero", unifiedhovertitle: { text: `${axis} %{x}` } };
  layout.xaxis.showspikes = false;
  const values = traces.flatMap((trace) => trace.y).filter((y) => y !== null);
  const [least, greatest] = values.reduce(([a, b], y) => [Math.min(a, y), Math.max(b, y)], [Infinity, -Infinity]);
  // What does not change is drawn above zero, not in a window of its rounding.
  const rangemode = greatest - least <= 1e-6 * Math.abs(greatest) ? "tozero" : "normal";
  element.dataset.positive = least >= 0 && greatest > 0;
  layout.yaxis = { ...layout.yaxis, type: yType(element), rangemode, exponentformat: "power" };
  return [data, layout];
}

const logarithmic = () => logButton.getAttribute("aria-pressed") === "true";
const yType = (element) => (logarithmic() && element.dataset.positive === "true" ? "log" : "linear");

// The page's colours for a figure that brings its own layout, as changes to it.
function recolour(element, layout) {
  const ours = layoutOf(element);
  const changes = { paper_bgcolor: ours.paper_bgcolor, plot_bgcolor: ours.plot_bgcolor, "font.color": ours.font.color };
  for (const part of ["hoverlabel", "modebar"]) changes[part] = ours[part];
  const axes = new Set(["xaxis", "yaxis", ...Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key))]);
  for (const axis of axes) {
    for (const part of ["gridcolor", "zerolinecolor", "linecolor"]) changes[`${axis}.${part}`] = ours.xaxis[part];
  }
  return changes;
}

async function draw(element) {
  const content = JSON.parse(element.querySelector("script").textContent);
  try {
    if (element.classList.contains("plot")) {
      await Plotly.newPlot(element, ...curvesOf(element, content), { ...CONFIG, ...BUTTONS });
    } else {
      const { width, height, ...layout } = content.layout;
      const margin = { l: 56, r: 16, t: layout.title ? 56 : 16, b: 48 };
      element.style.height = `${Math.min(height || 420, 800)}px`;
      await Plotly.newPlot(element, content.data, { margin, ...layout, autosize: true }, CONFIG);
      await Plotly.relayout(element, recolour(element, element.layout));
    }
    drawn.add(element);
  } catch (error) {
    element.textContent = `This cannot be drawn: ${error.message || error}`;
  }
}

function restyle() {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  darkButton.setAttribute("aria-pressed", dark);
  for (const element of drawn) Plotly.relayout(element, recolour(element, element.layout));
}

darkButton.addEventListener("click", () => {
  root.dataset.theme = darkButton.getAttribute("aria-pressed") === "true" ? "light" : "dark";
  restyle();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", restyle);

logButton.addEventListener("click", () => {
  logButton.setAttribute("aria-pressed", !logarithmic());
  for (const element of drawn) {
    if (element.classList.contains("plot")) Plotly.relayout(element, { "yaxis.type": yType(element), "yaxis.autorange": true });
  }
});

document.addEventListener("input", ({ target }) => {
  if (target.type !== "range") return;
  const viewer = target.closest(".viewer");
  const frames = viewer.querySelectorAll("figure");
  frames.forEach((frame, index) => (frame.hidden = index !== Number(target.value)));
  const step = `${viewer.dataset.unit} ${frames[target.value].dataset.step}`;
  target.setAttribute("aria-valuetext", step);
  viewer.querySelector("output").textContent = step;
});

function enlarge(picture) {
  const copy = picture.cloneNode();
  copy.removeAttribute("tabindex");
  large.replaceChildren(copy);
  large.showModal();
}

for (const picture of document.querySelectorAll("figure img")) picture.tabIndex = 0;
document.addEventListener("keydown", ({ key, target }) => {
  if (key === "Enter" && target.matches("figure img")) enlarge(target);
});
document.addEventListener("click", ({ target }) => {
  if (target.matches("figure img")) enlarge(target);
  else if (large.contains(target)) large.close();
});

document.addEventListener("click", async ({ target }) => {
  if (!target.matches(".copy")) return;
  const text = target.parentElement.querySelector("code");
  try {
    await navigator.clipboard.writeText(text.textContent);
    target.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(text);
    target.textContent = "Selected";
  }
  setTimeout(() => (target.textContent = "Copy"), 1500);
});

for (const swatch of document.querySelectorAll(".swatch")) swatch.style.background = colour(Number(swatch.dataset.colour));

const charts = document.querySelectorAll(".chart");
const observer = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      observer.unobserve(target);
      draw(target);
    }
  },
  { rootMargin: "300px" },
);
for (const element of charts) observer.observe(element);

// On paper: every plot, light, as wide as its card there.
let chosen;
addEventListener("beforeprint", () => {
  chosen = root.dataset.theme;
  root.dataset.theme = "light";
  root.classList.add("printing");
  restyle();
  for (const element of charts) {
    observer.unobserve(element);
    if (!drawn.has(element) && element.clientWidth) draw(element);
  }
  for (const element of drawn) Plotly.relayout(element, { width: element.clientWidth, height: element.clientHeight });
});
addEventListener("afterprint", () => {
  root.classList.remove("printing");
  if (chosen) root.dataset.theme = chosen;
  else delete root.dataset.theme;
  restyle();
  for (const element of drawn) Plotly.relayout(element, { width: null, height: null, autosize: true });
});

// The link to the section that is read is marked, and in sight.
const links = [...document.querySelectorAll("nav a")];
const sections = links.map((link) => document.querySelector(link.hash));
function mark() {
  const read = sections.findLastIndex((section) => section.getBoundingClientRect().top < innerHeight / 3);
  if (read < 0 && links.length) links[0].parentElement.scrollTo({ left: 0 });
  links.forEach((link, index) => {
    if (index === read && !link.hasAttribute("aria-current")) {
      link.setAttribute("aria-current", "true");
      link.parentElement.scrollTo({ left: link.offsetLeft - link.parentElement.offsetLeft - 20 });
    } else if (index !== read) link.removeAttribute("aria-current");
  });
}
addEventListener("scroll", mark, { passive: true });
mark();
restyle();

// While the run is trained the page is written anew now and then; reloading keeps the place that is read.
const live = document.getElementById("live");
let touched = 0;
for (const kind of ["pointermove", "keydown", "wheel", "touchstart"]) {
  addEventListener(kind, () => { touched = Date.now(); }, { passive: true });
}
if (live) {
  setInterval(() => {
    if (!document.hidden && !large.open && Date.now() - touched > 3000) location.reload();
  }, live.dataset.seconds * 1000);
}
