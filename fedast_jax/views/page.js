"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement, form = document.getElementById("pick");
  const MOST_PANELS = 12;
  const DASHES = ["solid", "dash", "dot", "dashdot"];
  const BORDERS = ["solid", "dashed", "dotted", "double"];
  const RAMP = ["#440154", "#3b528b", "#21918c", "#5ec962", "#c9b400"];
  const varied = data.dimensions.map((one, place) => place).filter(
    place => data.dimensions[place].values.length > 1);

  // --- colours -----------------------------------------------------------------------------
  const variable = name => getComputedStyle(root).getPropertyValue(name).trim();
  const channels = hex => [1, 3, 5].map(at => parseInt(hex.slice(at, at + 2), 16));
  const hex = rgb => "#" + rgb.map(one => Math.round(one).toString(16).padStart(2, "0")).join("");
  const mix = (one, other, share) => one.map((value, at) => value + (other[at] - value) * share);
  const luminance = rgb => {
    const [r, g, b] = rgb.map(one => one / 255).map(
      one => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  // The nearest shade of a colour that stands out from the page: 3 to 1, as for all drawings.
  const legible = colour => {
    const ground = channels(variable("--ground")), text = channels(variable("--text"));
    let shade = channels(colour);
    for (let share = 0; share <= 1 && contrast(shade, ground) < 3; share += 0.1)
      shade = mix(channels(colour), text, share);
    return hex(shade);
  };
  const faded = (colour, alpha) => `rgba(${channels(colour).join(",")},${alpha})`;
  const onRamp = (place, count) => {
    const at = count > 1 ? place / (count - 1) * (RAMP.length - 1) : 0;
    const low = Math.min(Math.floor(at), RAMP.length - 2);
    return hex(mix(channels(RAMP[low]), channels(RAMP[low + 1]), at - low));
  };
  const valueColour = (dimension, value) => legible(
    dimension.colours ? dimension.colours[value] : onRamp(value, dimension.values.length));
  // What a result looks like: its first dimension is its colour, its second its dashes.
  const look = v => {
    const places = data.variants[v].places, [first = 0, second] = varied;
    return {
      color: valueColour(data.dimensions[first], places[first]),
      dash: second === undefined ? "solid" : DASHES[places[second] % DASHES.length],
    };
  };
  const taskLook = m => ({
    color: legible(data.taskColours[m % data.taskColours.length]), dash: DASHES[m % DASHES.length]});

  // --- what is picked ----------------------------------------------------------------------
  const picked = name => new Set(
    [...form.querySelectorAll(`input[name="${name}"]:checked`)].map(box => Number(box.value)));
  const isOn = name => document.getElementById(name).checked;
  const choice = name => document.getElementById(name).value;
  const state = () => {
    const allowed = data.dimensions.map((one, place) =>
      one.values.length > 1 ? picked(`dimension-${place}`) : new Set([0]));
    return {
      tasks: [...picked("task")], seeds: picked("seed"),
      results: data.variants.map((one, v) => v).filter(
        v => data.variants[v].places.every((value, place) => allowed[place].has(value))),
      mean: isOn("mean"), band: isOn("band"), single: isOn("single"), measure: choice("measure"),
      amount: choice("amount"),
    };
  };

  // --- traces ------------------------------------------------------------------------------
  const plain = text => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const line = (x, y, line, name, form, more = {}) => ({
    type: "scatter", mode: "lines", x, y, line, text: plain(name), name: plain(name),
    hovertemplate: `%{text}<br>${form}<extra></extra>`, ...more});
  const band = (t, y, spread, colour) => {
    const stop = spread.findIndex(one => one === null);
    const count = stop < 0 ? spread.length : stop, at = [...Array(count).keys()];
    return {
      type: "scatter", mode: "lines", fill: "toself", fillcolor: faded(colour, 0.18),
      line: {width: 0}, hoverinfo: "skip",
      x: [...at.map(i => t[i]), ...at.toReversed().map(i => t[i])],
      y: [...at.map(i => y[i] + spread[i]), ...at.toReversed().map(i => y[i] - spread[i])],
    };
  };
  const index = rows => {
    const found = new Map();
    for (const row of rows) {
      const key = `${row.v}/${row.m ?? ""}`;
      found.has(key) ? found.get(key).push(row) : found.set(key, [row]);
    }
    return (v, m) => found.get(`${v}/${m ?? ""}`) ?? [];
  };
  const curves = Object.fromEntries(
    Object.entries(data.curves).map(([name, rows]) => [name, index(rows)]));

  const measureTraces = (now, m) => {
    const key = now.measure, unit = key === "a" ? "%" : "", traces = [];
    const form = `${key === "a" ? "accuracy %{y:.2f}%" : "loss %{y:.4g}"}, time %{x:.4g}`;
    for (const v of now.results) {
      const style = look(v), name = data.variants[v].name;
      if (now.single) for (const row of curves.seeds(v, m)) if (now.seeds.has(row.s))
        traces.push(line(row.t, row[key], {...style, width: 1, shape: "hv"},
          `${name}, ${data.seeds[row.s]}`, form, {opacity: 0.55}));
      for (const row of curves.means(v, m)) if (row[key]) {
        const t = row["t" + key];
        if (now.band && row[key + "s"].some(one => one !== null))
          traces.push(band(t, row[key], row[key + "s"], style.color));
        if (now.mean) traces.push(line(t, row[key], {...style, width: 2.5},
          data.variants[v].seeds > 1 ? `${name}, mean of ${data.variants[v].seeds} seeds` : name,
          form));
      }
      for (const row of curves.passages(v, m)) {
        const at = row.s.map((s, i) => i).filter(i => now.seeds.has(row.s[i]) && row[key][i] !== null);
        if (at.length) traces.push({
          type: "scatter", mode: "markers", x: at.map(i => row.t[i]), y: at.map(i => row[key][i]),
          marker: {color: style.color, size: 7, line: {width: 1, color: variable("--ground")}},
          text: at.map(i => plain(`${name}, ${data.seeds[row.s[i]]}`)), name: plain(name),
          hovertemplate: `%{text}<br>target met at time %{x:.6g}, %{y:.4g}${unit}<extra></extra>`});
      }
    }
    return traces;
  };
  const progress = (now, name, m, what) => now.results.flatMap(v => curves[name](v, m).map(row =>
    line(row.t, row.y, {...look(v), width: 2}, data.variants[v].name,
      `${what} %{y:,.0f}, time %{x:.4g}`)));
  const allocated = (now, v) => now.tasks.flatMap(m => curves.allocations(v, m)
    .filter(row => now.seeds.has(row.s)).slice(0, now.single ? undefined : 1).map((row, place) =>
      line(row.t, row[now.amount], {...taskLook(m), shape: "hv", width: place ? 1 : 2.5},
        `${data.tasks[m]}, ${data.seeds[row.s]}`, `${now.amount} = %{y:,}, time %{x:.4g}`,
        {opacity: place ? 0.45 : 1})));
  const distribution = (now, name, m) => now.results.flatMap(v => curves[name](v, m).map(row =>
    line([row.x[0], ...row.x], [0, ...row.y], {...look(v), width: 2, shape: "hv"},
      data.variants[v].name, "%{y:.1f}% have at most %{x:.4g}")));
  const lorenz = now => {
    const traces = now.results.flatMap(v => curves.lorenz(v).map(row => line(
      row.y.map((one, at) => 100 * at / (row.y.length - 1)), row.y, {...look(v), width: 2},
      data.variants[v].name, "the least loaded %{x:.0f}% do %{y:.1f}% of the work")));
    if (traces.length) traces.push({type: "scatter", mode: "lines", x: [0, 100], y: [0, 100],
      line: {color: variable("--muted"), dash: "dash", width: 1}, hoverinfo: "skip"});
    return traces;
  };

  // --- panels ------------------------------------------------------------------------------
  const axis = (title, more = {}) => ({
    title: {text: title, standoff: 6}, gridcolor: variable("--grid"), linecolor: variable("--line"),
    zerolinecolor: variable("--line"), color: variable("--text"), automargin: true, ...more});
  const layout = (x, y, more = {}) => ({
    margin: {l: 56, r: 10, t: 10, b: 44}, showlegend: false, hovermode: "closest",
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    font: {family: getComputedStyle(document.body).fontFamily, size: 13, color: variable("--text")},
    hoverlabel: {bgcolor: variable("--raised"), bordercolor: variable("--muted"), align: "left",
      font: {color: variable("--text"), size: 13}, namelength: -1},
    xaxis: axis(x, {rangemode: "tozero"}), yaxis: axis(y), ...more});
  const targets = (m, now) => now.measure !== "a" ? {} : {
    shapes: data.targets[m].map(one => ({type: "line", xref: "paper", x0: 0, x1: 1, y0: one, y1: one,
      line: {color: variable("--text"), width: 1, dash: "dash"}})),
    annotations: data.targets[m].map(one => ({xref: "paper", x: 0, y: one, xanchor: "left",
      yanchor: "bottom", text: `target ${one}%`, showarrow: false}))};
  const panel = (box, title) => {
    const figure = document.createElement("figure"), plot = document.createElement("div");
    figure.append(Object.assign(document.createElement("h3"), {textContent: title}), plot);
    plot.className = "plot";
    box.append(figure);
    return figure;
  };
  const fill = (id, wanted) => {
    const box = document.getElementById(id);
    if (!box) return;
    const shown = wanted.filter(one => one.traces.length), some = shown.slice(0, MOST_PANELS);
    [...box.children].slice(some.length).forEach(one => {
      Plotly.purge(one.querySelector(".plot"));
      one.remove();
    });
    some.forEach((one, place) => {
      const figure = box.children[place] ?? panel(box, one.title);
      figure.querySelector("h3").textContent = one.title;
      const plot = figure.querySelector(".plot");
      plot.setAttribute("role", "img");
      plot.setAttribute("aria-label", `${one.title}: ${one.what}, ${one.traces.length} lines`);
      Plotly.react(plot, one.traces, one.layout, {displayModeBar: false, responsive: true});
    });
    const note = document.getElementById(`${id}-note`);
    note.textContent = !shown.length ? "Nothing that is picked has anything to draw here." :
      shown.length > some.length ? `${MOST_PANELS} of ${shown.length} panels: pick fewer.` : "";
  };
  const byTask = (now, make, what, x, y, more = () => ({})) => now.tasks.map(m => ({
    title: data.tasks[m], what, traces: make(m), layout: layout(x, y, more(m))}));

  const TIME = "simulated time";
  const sections = [
    now => {
      const what = now.measure === "a" ? "test accuracy (%)" : "test loss";
      fill("accuracy", byTask(now, m => measureTraces(now, m), `${what} over ${TIME}`, TIME, what,
        m => targets(m, now)));
    },
    now => {
      const what = now.amount === "R" ? "requests in flight, R" : "buffer size, b";
      fill("allocation", now.results.map(v => ({
        title: data.variants[v].name, what: `${what} over ${TIME}`, traces: allocated(now, v),
        layout: layout(TIME, what, {yaxis: axis(what, {rangemode: "tozero"})})})));
    },
    now => fill("progress", [
      {title: "all tasks together", what: `arrivals over ${TIME}`,
        traces: progress(now, "arrivals", undefined, "arrivals"), layout: layout(TIME, "arrivals")},
      ...byTask(now, m => progress(now, "rounds", m, "round"), `rounds over ${TIME}`, TIME, "rounds"),
    ]),
    now => fill("staleness", byTask(now, m => distribution(now, "staleness", m),
      "distribution of staleness", "staleness (rounds)", "at most so much (%)")),
    now => fill("duration", byTask(now, m => distribution(now, "duration", m),
      "distribution of durations", "duration (simulated time)", "at most so much (%)")),
    now => fill("wait", byTask(now, m => distribution(now, "wait", m),
      "distribution of waiting", "waiting (simulated time)", "at most so much (%)")),
    now => fill("lorenz", [{title: "all tasks together", what: "how the work lies on the clients",
      traces: lorenz(now),
      layout: layout("clients, the least loaded first (%)", "work they do (%)")}]),
  ];

  // --- drawing and controls ------------------------------------------------------------------
  const swatches = () => {
    for (const one of form.querySelectorAll(".swatch")) {
      const {dimension, value, task} = one.dataset;
      if (task !== undefined) {
        one.style.borderTop = `3px ${BORDERS[task % BORDERS.length]} ${taskLook(Number(task)).color}`;
        continue;
      }
      const rank = varied.indexOf(Number(dimension));
      const colour = rank === 0 ? valueColour(data.dimensions[dimension], Number(value))
        : variable("--text");
      one.style.borderTop = rank > 1 ? "0" :
        `3px ${rank === 1 ? BORDERS[value % BORDERS.length] : "solid"} ${colour}`;
    }
  };
  let turn = 0;
  const draw = async () => {
    const mine = ++turn, now = state();
    root.dataset.drawn = "no";
    swatches();
    for (const section of sections) {
      section(now);
      await new Promise(done => setTimeout(done));
      if (mine !== turn) return;
    }
    root.dataset.drawn = "yes";
  };
  form.addEventListener("change", draw);
  form.addEventListener("submit", event => event.preventDefault());
  form.addEventListener("click", event => {
    if (!event.target.dataset.every) return;
    for (const box of event.target.closest("fieldset").querySelectorAll("input"))
      box.checked = event.target.dataset.every === "all";
    draw();
  });
  for (const name of ["measure", "amount"])
    document.getElementById(name).addEventListener("change", draw);
  const only = document.getElementById("only-changed");
  only.addEventListener("change", () =>
    document.getElementById("settings").classList.toggle("only-changed", only.checked));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  if (matchMedia("(max-width: 999px)").matches) form.querySelector("details").open = false;
  draw();
})();
