// All views show one selection: the runs that pass the search and every brush.
const { runs, parallel, progress, texts: words } = JSON.parse(document.getElementById("data").textContent);
const body = document.querySelector("#runs tbody");
const rows = [...body.rows].sort((a, b) => a.dataset.run - b.dataset.run);
const search = document.getElementById("search");
const brushes = { energy: null, parallel: null };
const texts = rows.map((row) =>
  [...row.cells].map((cell, i) => {
    const head = document.querySelectorAll("#runs thead th")[i].textContent;
    return `${cell.textContent} ${head}=${cell.dataset.value ?? ""}`;
  }).join(" ").toLowerCase(),
);

function isSelected(run) {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  return words.every((word) => texts[run].includes(word))
    && Object.values(brushes).every((brush) => brush === null || brush.has(run));
}

const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const palette = ["#2b6cd4", "#c75f10", "#3a8f5c", "#9a4fb5", "#b8962e", "#5b7083"];
const groups = [...new Set(runs.map((run) => run.group))];
const colour = (run) => palette[groups.indexOf(run.group) % palette.length];
const dots = (run) => ["circle", "diamond", "square", "cross", "x", "triangle-up"][groups.indexOf(run.group) % 6];
const settings = { displaylogo: false, responsive: true, displayModeBar: innerWidth > 600 };
// Fractions end where they do; a dot at the end stays whole, as dots are not clipped.
const share = { autorangeoptions: { clipmin: 0, clipmax: 1 } };
const epochs = Math.max(0, ...runs.flatMap((run) => run.epoch));
const wholeEpochs = { title: { text: words.epoch }, dtick: Math.ceil((epochs + 1) / 8) };
const legendOf = (members) => [...new Set(members.map((i) => runs[i].group))].map((group) => ({
  type: "scatter", mode: "lines", name: group, x: [null], y: [null],
  line: { color: palette[groups.indexOf(group) % palette.length], width: 3 },
}));

function layout(x, y) {
  const axis = { gridcolor: ink("line"), linecolor: ink("line"), zeroline: false, automargin: true };
  return {
    paper_bgcolor: "transparent", plot_bgcolor: "transparent", hovermode: "closest",
    font: { color: ink("muted"), family: getComputedStyle(document.body).fontFamily, size: 13 },
    margin: { t: 24, r: 16, b: 48, l: 56 },
    legend: { orientation: "h", y: 1.12 },
    modebar: { bgcolor: "transparent", color: ink("other"), activecolor: ink("ink") },
    xaxis: { ...axis, ...x }, yaxis: { ...axis, ...y },
  };
}

function filled(text, values) {
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

// Names the runs that a plot has no place for.
function leftOut(text, kept) {
  const left = runs.filter((_, i) => !kept.includes(i));
  if (!left.length) return "";
  const names = left.slice(0, 10).map((run) => run.name).join(", ");
  return ` ${filled(text, { left: left.length })} ${names}${left.length > 10 ? ", …" : ""}`;
}

function note(id, text) {
  const place = document.getElementById(`${id}-note`);
  place.textContent = text;
  place.hidden = !text;
}

function hide(...ids) {
  for (const id of ids) document.getElementById(id).hidden = true;
}

// Each plot has a function that draws it and one that shows the selection in it.
const views = [];

const measured = runs.flatMap((run, i) => (run.accuracy !== null && run.energy[0] !== null ? [i] : []));
if (measured.length) {
  note("energy", `${words.drag_runs}${leftOut(words.without_energy, measured)}`);
  const energies = measured.map((i) => runs[i].energy[0]);
  const wide = Math.min(...energies) > 0 && Math.max(...energies) > 50 * Math.min(...energies);
  const shown = groups.filter((group) => measured.some((i) => runs[i].group === group));
  const members = shown.map((group) => measured.filter((i) => runs[i].group === group));
  const plot = document.getElementById("energy");
  views.push({
    draw: () => Plotly.react(plot, members.map((own) => ({
      type: "scatter", mode: "markers", name: runs[own[0]].group, customdata: own, cliponaxis: false,
      x: own.map((i) => runs[i].energy[0]), y: own.map((i) => runs[i].accuracy),
      text: own.map((i) => runs[i].name), hovertemplate: `%{text}<br>${words.at}<extra></extra>`,
      error_x: {
        type: "data", symmetric: false, thickness: 1, width: 0,
        array: own.map((i) => Math.max(0, (runs[i].energy[2] ?? runs[i].energy[0]) - runs[i].energy[0])),
        arrayminus: own.map((i) => Math.max(0, runs[i].energy[0] - (runs[i].energy[1] ?? runs[i].energy[0]))),
      },
      marker: { color: colour(runs[own[0]]), size: 10, symbol: dots(runs[own[0]]) },
      unselected: { marker: { opacity: 0.15 } },
    })), { ...layout({ title: { text: words.energy_bounds }, type: wide ? "log" : "linear", rangemode: "tozero" }, { title: { text: words.accuracy }, tickformat: ".1~%", ...share }), dragmode: "select" }, settings),
    select: (chosen) => Plotly.restyle(plot, {
      selectedpoints: members.map((own) => (chosen.every(Boolean) ? null : own.flatMap((i, at) => (chosen[i] ? [at] : [])))),
    }),
    listen: () => {
      plot.on("plotly_selected", (event) => {
        if (!event?.points?.length) return;  // clearing the frame below says this too
        brushes.energy = new Set(event.points.map((point) => point.customdata));
        Plotly.relayout(plot, { selections: [] });
        update();
      });
      plot.on("plotly_deselect", () => { brushes.energy = null; update(); });
    },
  });
} else {
  note("energy", words.no_energy);
  hide("energy");
}

function curves(id, key, title, format, isShare) {
  const drawn = runs.flatMap((run, i) => (run[key].some((value) => value !== null) ? [i] : []));
  if (!drawn.length) { hide(id); return false; }
  const plot = document.getElementById(id);
  views.push({
    draw: () => Plotly.react(plot, [...drawn.map((i) => ({
      type: "scatter", cliponaxis: false, connectgaps: true, mode: runs[i][key].filter((value) => value !== null).length > 1 ? "lines" : "markers", name: runs[i].name, customdata: [i], showlegend: false,
      x: runs[i].epoch, y: runs[i][key], line: { color: colour(runs[i]), width: 1.5 }, marker: { color: colour(runs[i]) },
      hovertemplate: `%{fullData.name}<br>${words.epoch} %{x}: %{y:${format}}<extra></extra>`,
    })), ...legendOf(drawn)], layout(wholeEpochs, { title: { text: title }, tickformat: format, ...(isShare ? share : {}) }), settings),
    select: (chosen) => Plotly.restyle(plot, { opacity: drawn.map((i) => (chosen[i] ? 1 : 0.07)) }, drawn.map((_, at) => at)),
    listen: () => {},
  });
  return true;
}
const hasRates = curves("rates", "rate", words.rate, ".1~%", true);
const hasProgress = curves("progress", "progress", progress.title, progress.format, progress.share);
note("rates", hasRates || hasProgress ? words.each_line : words.no_history);

const { places, axes } = parallel;
if (axes.length > 1) {
  note("parallel", `${words.drag_axis}${leftOut(words.without_result, places)}`);
  const plot = document.getElementById("parallel");
  plot.style.minWidth = `${8.5 * axes.length}rem`;
  views.push({
    draw: () => Plotly.react(plot, [{
      type: "parcoords", line: { color: places.map(() => 1), cmin: 0, cmax: 1, colorscale: [[0, ink("track")], [1, ink("blue")]] },
      labelfont: { color: ink("ink"), size: 12 }, tickfont: { color: ink("muted"), size: 11 }, rangefont: { color: "transparent", size: 1 },
      unselected: { line: { color: ink("track"), opacity: 0.3 } },
      dimensions: axes.map((axis) => ({
        label: axis.label, values: axis.values,
        ...(axis.names ? { tickvals: axis.names.map((_, at) => at), ticktext: axis.names } : {}),
        ...(axis.ticks ? { tickvals: axis.ticks } : {}),
        ...(axis.share ? { tickformat: ".1~%" } : {}),
      })),
    }], { ...layout({}, {}), margin: { t: 56, r: 88, b: 24, l: 88 } }, { ...settings, displayModeBar: false }),
    select: (chosen) => Plotly.restyle(plot, { "line.color": [places.map((i) => Number(chosen[i]))] }),
    listen: () => plot.on("plotly_restyle", ([change]) => {
      if (!Object.keys(change).some((key) => key.includes("constraintrange"))) return;
      const limits = plot.data[0].dimensions.map(({ constraintrange: range }) =>
        !range?.length ? null : Array.isArray(range[0]) ? range : [range]);
      const inside = (_, at) => limits.every((ranges, axis) => ranges === null
        || ranges.some(([low, high]) => low <= axes[axis].values[at] && axes[axis].values[at] <= high));
      brushes.parallel = limits.every((ranges) => ranges === null) ? null : new Set(places.filter(inside));
      update();
    }),
  });
} else {
  note("parallel", words.nothing_to_compare);
  hide("parallel");
}

function update() {
  const chosen = runs.map((_, i) => isSelected(i));
  rows.forEach((row, i) => { row.hidden = !chosen[i]; });
  document.getElementById("count").textContent = filled(words.shown, { shown: chosen.filter(Boolean).length });
  for (const view of views) view.select(chosen);
}

async function redraw() {
  await Promise.all(views.map((view) => view.draw()));
  update();
}

search.addEventListener("input", update);
search.form.addEventListener("submit", (event) => event.preventDefault());
search.form.addEventListener("reset", () => {
  brushes.energy = brushes.parallel = null;
  const plot = document.getElementById("parallel");
  // Axes keep their brushes when a plot is drawn again, so this one starts from nothing.
  if (plot.data) Plotly.restyle(plot, Object.fromEntries(axes.map((_, i) => [`dimensions[${i}].constraintrange`, null])));
  setTimeout(update);  // the field is emptied after this event
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
redraw().then(() => {
  for (const view of views) view.listen();
  document.documentElement.dataset.ready = "true";
});
