// The page: one run in full, or several side by side.

const data = JSON.parse(document.getElementById("data").textContent);
const page = document.getElementById("page");
addEventListener("error", event => page.append(element("p", { class: "note" }, "This page could not be drawn in full: " + event.message)));
const section = (title, ...children) => {
  const present = children.flat().filter(Boolean);
  if (present.length) page.append(element("section", null, element("h2", null, title), present));
};
const grid = (name, children) => {
  const present = children.flat().filter(Boolean);
  return present.length ? element("div", { class: name }, present) : null;
};
const cards = (...children) => grid("cards", children);
const small_cards = (...children) => grid("cards small", children);

// Where a row of a run stands, in epochs if it is known how long one is.
function stepsToEpochs(run) {
  const { epoch, step } = run.epochs;
  const long = epoch && step && epoch[0] > 0 ? step[0] / epoch[0] : 0;
  return long > 0 ? s => s / long : null;
}

// Columns that only this run's method has, a chart each.
function further(run) {
  const x = (run.language ? run.epochs.step : run.epochs.epoch) || [];
  return Object.entries(run.further || {}).map(([name, y]) =>
    lineChart({ title: name, x_name: run.language ? "step" : "epoch", y_format: format.plain, y_low: 0, series: [{ name, x, y }] }));
}

function languageCurves(run) {
  const rows = run.epochs, steps = run.steps || {}, x = rows.step || [], x_name = "step", within = steps.step || [];
  const line = (name, key, color) => ({ name, x, y: rows[key] || [], color: seriesColor(color), dash: "" });
  // A perplexity begins near the size of the vocabulary: those beginnings would flatten all that comes later.
  const last = (rows.val_perplexity || rows.train_perplexity || []).filter(known).pop();
  const late = series => ({ ...series, y: series.y.map(v => known(v) && v <= 4 * last ? v : null) });
  return [
    cards(
      lineChart({ title: "Loss", x_name, y_format: format.loss, note: "Nats a token.",
        series: [{ name: "train, since the last measurement", x: within, y: steps.loss || [], color: seriesColor(0), dash: "", faint: true }, line("train", "train_loss", 0), line("validation", "val_loss", 2)] }),
      lineChart({ title: "Perplexity", x_name, y_format: format.plain, note: "Where it is at most four times the last one; the loss shows all.",
        series: [late(line("train", "train_perplexity", 0)), late(line("validation", "val_perplexity", 2))] })),
    small_cards(
      lineChart({ title: "Learning rate", x_name, y_format: format.plain, y_low: 0,
        series: [{ name: "learning rate", x: steps.lr ? within : x, y: steps.lr || rows.lr || [] }] }),
      lineChart({ title: "Tokens per second", x_name, y_format: format.count, y_low: 0, series: [line("tokens/s", "tokens_per_s", 0)] }),
      further(run)),
  ];
}

function samples(run) {
  return element("div", { class: "cards" }, run.samples.map(s => element("div", { class: "card" }, element("h3", null, `After step ${format.count(s.step)}`),
    element("p", { class: "sample" }, s.text))));
}

function curves(run) {
  if (run.language) return languageCurves(run);
  const rows = run.epochs, steps = run.steps || {}, x = rows.epoch || [];
  const scale = stepsToEpochs(run), x_name = scale || !steps.step ? "epoch" : "step";
  const within = steps.step ? steps.step.map(s => scale ? scale(s) : s) : [];
  const line = (name, key, color) => ({ name, x, y: rows[key] || [], color: seriesColor(color), dash: "" });
  const running = (key, color) => ({ name: "train, within the epoch", x: within, y: steps[key] || [], color: seriesColor(color), dash: "", faint: true });
  return [
    cards(
      lineChart({ title: "Loss", x_name, y_format: format.loss, y_low: 0,
        series: [running("loss", 0), line("train", "train_loss", 0), line("validation", "val_loss", 2), line("test", "test_loss", 1)] }),
      lineChart({ title: "Accuracy (top-1)", x_name, y_format: format.percent, y_high: 1,
        series: [running("top1", 0), line("train", "train_top1", 0), line("validation", "val_top1", 2), line("test", "test_top1", 1)] })),
    small_cards(
      lineChart({ title: "Learning rate", x_name, y_format: format.plain, y_low: 0,
        series: [{ name: "learning rate", x: steps.lr ? within : x, y: steps.lr || rows.lr || [] }] }),
      lineChart({ title: "Images per second", x_name, y_format: format.count, y_low: 0, series: [line("images/s", "images_per_s", 0)] }),
      lineChart({ title: "Waiting for data", x_name, y_format: format.percent, y_low: 0, y_high: 1,
        note: "The part of training time in which the next batch was not ready.", series: [line("waiting", "data_wait", 0)] }),
      further(run)),
  ];
}

function compression(run) {
  const rows = run.epochs, x_name = run.language ? "step" : "epoch", x = rows[x_name] || [];
  const line = (name, key) => ({ name, x, y: rows[key] || [] });
  const history = run.layers;
  const still = history && known(history.bits[0] && history.bits[0][0]) && history.bits.flat().every(b => b === history.bits[0][0]);
  const bits_vary = (rows.mean_bits || []).some(b => b !== rows.mean_bits[0]);
  return [
    cards(
      lineChart({ title: "Weights that are zero", x_name, y_format: format.percent, y_low: 0, y_high: 1, series: [line("zeros", "sparsity")] }),
      lineChart({ title: "Mean dead zone", x_name, y_format: format.percent, y_low: 0, y_high: 1,
        note: "d / 2A: the part of a layer's range that becomes zero, mean over layers.", series: [line("dead zone", "dead_zone")] }),
      bits_vary ? lineChart({ title: "Mean bits of a weight", x_name, y_format: format.bits, y_low: 0, series: [line("bits", "mean_bits")] }) : null,
      history ? layerHistory(history, "sparsity", "Zeros of every layer", null, format.short_percent, 1) : null,
      history ? layerHistory(history, "dead_zone", "Dead zone of every layer", null, format.short_percent) : null,
      history && !still ? layerHistory(history, "bits", "Bits of every layer", null, format.bits) : null),
    history && still ? element("p", { class: "note", style: "margin-top:12px" }, `Every layer has ${format.bits(history.bits[0][0])} bits in every epoch.`) : null,
  ];
}

function confusion(evaluation) {
  const { classes, confused } = evaluation, counts = evaluation.confusion;
  const list = confused.length ? element("div", { class: "card" }, element("h3", null, "Most often confused"),
    tableOf(["is", "taken for", "times"], confused.map(p => [classes[p.label], classes[p.predicted], format.count(p.count)]))) : null;
  if (!counts || classes.length === 0) return cards(list);
  const sums = counts.map(row => row.reduce((a, b) => a + b, 0));
  const wrong = counts.flatMap((row, r) => row.filter((_, c) => c !== r).map(n => n / Math.max(sums[r], 1)));
  const most = wrong.reduce((a, b) => Math.max(a, b), 0) || 1;
  return cards(gridChart({
    title: "Confusion matrix", label: "Confusion matrix of " + classes.length + " classes.",
    rows: classes, columns: classes.length, column_names: classes, square: true,
    cell: (r, c) => {
      const n = counts[r][c], part = n / Math.max(sums[r], 1);
      return { text: n > 0 ? String(n) : "", color: r === c ? "var(--accent)" : "var(--bad)", opacity: r === c ? part : 0.8 * Math.sqrt(part / most) * (n > 0),
        tip: [r === c ? classes[r] + ", recognised" : classes[r] + ", taken for " + classes[c], `${format.count(n)} of ${format.count(sums[r])} (${format.short_percent(part)})`] };
    },
    note: "Rows: what the images show. Columns: what the model says. Blue: right. Red: wrong, on a scale of its own.",
    table: numbers(["", ...classes], () => classes.map((name, r) => [name, ...counts[r].map(format.count)])),
  }), list);
}

function mistakes(evaluation) {
  const { classes, worst } = evaluation;
  if (worst.length === 0) return null;
  return element("div", { class: "card" },
    element("p", { class: "note" }, "Wrong answers that the model was surest about: in colour what it said and how sure it was, then what the image is."),
    element("ul", { class: "mistakes" }, worst.map(m => element("li", null, element("figure", null,
      element("img", { src: "data:image/png;base64," + m.png, loading: "lazy",
        alt: `Image ${m.index}: ${classes[m.label]}, taken for ${classes[m.predicted]}` }),
      element("figcaption", null, element("b", null, classes[m.predicted]), ` ${format.short_percent(m.probability)}`,
        element("span", null, `is ${classes[m.label]}, no. ${m.index}`)))))));
}

function pairsTable(pairs) {
  return element("table", { class: "texts pairs" }, element("tbody", null, pairs.map(([key, value]) =>
    element("tr", null, element("th", { scope: "row" }, key), element("td", null, value === "" ? "\u2013" : value)))));
}

function configuration(run) {
  const groups = new Map();
  for (const [key, value] of run.config) {
    const dot = key.indexOf("."), group = dot < 0 ? "run" : key.slice(0, dot);
    if (!groups.has(group)) groups.set(group, []);
    groups.get(group).push([dot < 0 ? key : key.slice(dot + 1), value]);
  }
  const order = [...groups.entries()];
  return cards(order.map(([name, pairs]) => element("div", { class: "card" }, element("h3", null, name), pairsTable(pairs))));
}

function tiles(list) {
  return element("dl", { class: "tiles" }, list.filter(Boolean).map(([name, value, more]) => element("div", { class: "tile" },
    element("dt", null, name), element("dd", null, value, more ? element("small", null, more) : null))));
}

function status(run) {
  const f = run.figures;
  if (run.language)
    return [element("span", { class: "status" + (run.finished ? "" : " open") }, run.finished ? "finished" : "not finished"),
      `${format.count(f.steps)}${run.planned_steps && Number(run.planned_steps) !== f.steps ? ` of ${format.count(Number(run.planned_steps))}` : ""} steps`];
  const of = run.planned_epochs && Number(run.planned_epochs) !== f.epochs ? ` of ${run.planned_epochs}` : "";
  return [element("span", { class: "status" + (run.finished ? "" : " open") }, run.finished ? "finished" : "not finished"),
    `${format.count(f.epochs)}${of} ${f.epochs === 1 && !of ? "epoch" : "epochs"}, ${format.count(f.steps)} steps`];
}

const noWeights = run => `Weights cannot be shown: ${run.weights_problem}.`;

function showRun(run) {
  const f = run.figures, e = run.evaluation, quantized = known(f.mean_bits) && f.mean_bits < 32;
  const about = [run.model, run.methods && (run.methods.join(" and ") || "full precision"), run.dataset && run.dataset !== "auto" ? run.dataset : ""].filter(Boolean).join(", ");
  page.append(element("header", null, element("h1", null, run.name),
    element("p", { class: "lead" }, status(run), about ? " \u00b7 " + about : ""),
    tiles([
      run.language && known(f.val_perplexity) ? ["Perplexity", format.plain(f.val_perplexity), "validation"] : null,
      run.language && known(f.val_loss) ? ["Loss", format.loss(f.val_loss), "validation, nats a token"] : null,
      known(f.bits_per_byte) ? ["Bits a byte", fixed(f.bits_per_byte, 3), "of validation text"] : null,
      known(f.top1) ? ["Top-1 accuracy", format.percent(f.top1), known(f.tested) ? `of ${format.count(f.tested)} test images` : "test images"] : null,
      known(f.top5) ? ["Top-5 accuracy", format.percent(f.top5), "test images"] : null,
      known(f.best_val_top1) ? ["Best validation", format.percent(f.best_val_top1), "top-1"] : null,
      !known(f.top1) && known(f.val_top1) ? ["Validation", format.percent(f.val_top1), "top-1, last epoch"] : null,
      !run.language && !known(f.top1) && known(f.train_top1) ? ["Training", format.percent(f.train_top1), "top-1, last epoch"] : null,
      known(f.sparsity) && quantized ? ["Zero weights", format.percent(f.sparsity), known(f.weights) ? `of ${format.big(f.weights)}` : ""] : null,
      known(f.mean_bits) ? ["Bits of a weight", format.bits(f.mean_bits), quantized ? "mean; fp32 has 32" : "full precision"] : null,
      known(f.rel_bops) && quantized ? ["Bit operations", format.percent(f.rel_bops), "of dense fp32"] : null,
      !quantized && known(f.weights) ? ["Weights", format.big(f.weights), known(f.macs) ? `${format.big(f.macs)} MACs an image` : ""] : null,
      known(f.seconds) ? ["Time", format.duration(f.seconds), run.language ? "to the last measurement" : "complete epochs"] : null,
      known(f.tokens_per_s) ? ["Tokens / second", format.count(f.tokens_per_s), "median"] : null,
      known(f.images_per_s) ? ["Images / second", format.count(f.images_per_s), known(f.data_wait) ? `${format.percent(f.data_wait)} waiting` : "median"] : null,
    ])));
  const missing = [];
  if (!run.epochs.epoch) missing.push(run.language ? "Nothing has been measured yet." : "No epoch is complete yet.");
  if (!run.finished && run.epochs.epoch) missing.push(`The run has not come to its end, or was stopped before; figures are those of its last ${run.language ? "measurement" : "complete epoch"}.`);
  if (run.weights_problem) missing.push(noWeights(run));
  else if (!run.weights) missing.push("There is no checkpoint (last.safetensors), so weights cannot be shown.");
  if (!e && !run.language) missing.push("There is no evaluation of the test images (evaluation.json), which a run writes at its end.");
  if (missing.length) page.append(element("p", { class: "note", style: "margin-top:14px" }, missing.join(" ")));

  section("Training", curves(run));
  if (run.samples) section("What it writes", samples(run));
  if (quantized || run.layers || run.epochs.sparsity) section("Compression", compression(run));
  if (run.weights && run.weights.length) section("Weights", layerExplorer(run));
  if (run.table) section("Layers", layerTable(run.table));
  if (e) section("Mistakes", confusion(e), e.worst.length ? element("h3", { style: "margin:18px 0 8px" }, "Worst mistakes") : null, mistakes(e));
  if (run.config.length) section("Configuration", configuration(run));
  if (run.environment.length) section("Environment", element("div", { class: "card" }, pairsTable(run.environment)));
}

// -- several runs

function figureTable(runs) {
  const rows = [
    ["Top-1 accuracy (test)", "top1", format.percent, 1], ["Top-5 accuracy (test)", "top5", format.percent, 1], ["Loss (test)", "loss", format.loss, -1],
    ["Best validation top-1", "best_val_top1", format.percent, 1],
    ["Perplexity (validation)", "val_perplexity", format.plain, -1], ["Bits a byte (validation)", "bits_per_byte", v => known(v) ? fixed(v, 3) : "\u2013", -1], ["Zero weights", "sparsity", format.percent, 0],
    ["Mean bits of a weight", "mean_bits", format.bits, 0], ["Bit operations against fp32", "rel_bops", format.percent, -1],
    ["Epochs", "epochs", format.count, 0], ["Steps", "steps", format.count, 0], ["Time", "seconds", format.duration, 0], ["Images per second", "images_per_s", format.count, 0],
    ["Tokens per second", "tokens_per_s", format.count, 0],
    ["Waiting for data", "data_wait", format.percent, 0],
  ].filter(([, key]) => runs.some(r => known(r.figures[key])));
  const best = (key, sign) => {
    const values = runs.map(r => r.figures[key]).filter(known);
    return sign === 0 || values.length < 2 ? null : sign > 0 ? Math.max(...values) : Math.min(...values);
  };
  return element("div", { class: "card" }, element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Final figures" }, element("table", null,
    element("thead", null, element("tr", null, element("th", { scope: "col" }, ""), runs.map((r, i) => element("th", { scope: "col" },
      element("span", { class: "swatch", style: "background:" + seriesColor(i), "aria-hidden": "true" }), " ", r.name)))),
    element("tbody", null,
      element("tr", null, element("th", { scope: "row" }, "State"), runs.map(r => element("td", null, r.finished ? "finished" : "not finished"))),
      rows.map(([name, key, text, sign]) => element("tr", null, element("th", { scope: "row" }, name), runs.map(r =>
        element("td", { class: known(r.figures[key]) && r.figures[key] === best(key, sign) ? "best" : null }, text(r.figures[key])))))))),
    element("p", { class: "note", style: "margin-top:8px" }, "Bold: the best of a row that has one."));
}

// Accuracy against cost, a point a run.
function tradeOff(runs) {
  const points = runs.map((r, i) => ({ x: r.figures.rel_bops, y: r.figures.top1, name: r.name, i })).filter(p => known(p.x) && known(p.y));
  if (points.length < 2) return null;
  // Costs that differ by more than a few times stand on a logarithmic axis.
  const most = Math.max(...points.map(p => p.x)), least = Math.min(...points.map(p => p.x)), log = least > 0 && most > 4 * least;
  const x_low = log ? least / 1.3 : 0, x_high = (log ? 1.3 : 1.08) * most || 1;
  const x_ticks = !log ? ticks(x_low, x_high, 6)
    : [-4, -3, -2, -1, 0, 1].flatMap(power => [1, 2, 5].map(m => m * Math.pow(10, power))).filter(t => t >= x_low && t <= x_high);
  let low = Math.min(...points.map(p => p.y)), high = Math.max(...points.map(p => p.y));
  const margin = (high - low) * 0.15 || 0.01;
  low -= margin, high += margin;
  const drawing = width => {
    const height = 260, left = 62, right = width - 14, top = 8, bottom = height - 38;
    const to_y = y => bottom - (y - low) / (high - low) * (bottom - top);
    const part = x => log ? Math.log(x / x_low) / Math.log(x_high / x_low) : x / x_high, to_x = x => left + part(x) * (right - left);
    const percent = v => Number((100 * v).toPrecision(6)) + "\u00a0%";
    const picture = svg("svg", { height, viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: 0, "aria-label": "Accuracy against bit operations. " +
      points.map(p => `${p.name}: ${format.percent(p.y)} at ${format.percent(p.x)}`).join("; ") },
      ticks(low, high, 5).map(t => [svg("line", { class: "grid", x1: left, x2: right, y1: to_y(t), y2: to_y(t) }), svg("text", { x: left - 7, y: to_y(t) + 4, "text-anchor": "end" }, percent(t))]),
      x_ticks.map(t => svg("text", { x: to_x(t), y: bottom + 17, "text-anchor": "middle" }, percent(t))),
      svg("line", { class: "axis", x1: left, x2: right, y1: bottom, y2: bottom }),
      svg("text", { x: right, y: height - 3, "text-anchor": "end" }, "bit operations against fp32"),
      points.map(p => svg("circle", { cx: to_x(p.x), cy: to_y(p.y), r: 6, fill: seriesColor(p.i), stroke: "var(--card)", "stroke-width": 1.5 })));
    return pointable(picture, {
      pick: (x, y) => points.reduce((best, p, i) => Math.hypot(to_x(p.x) - x, to_y(p.y) - y) < Math.hypot(to_x(points[best].x) - x, to_y(points[best].y) - y) ? i : best, 0),
      move: (i, dx, dy) => i === null ? 0 : (i + dx + dy + points.length) % points.length,
      hide: () => {},
      show: i => ({ x: to_x(points[i].x), y: to_y(points[i].y), content: [element("b", null, points[i].name), element("div", null, `${format.percent(points[i].y)} top-1`), element("div", null, `${format.percent(points[i].x)} of fp32 bit operations`)] }),
    });
  };
  return card("Accuracy (top-1) against cost", legend(points.map(p => ({ name: p.name, color: seriesColor(p.i), square: true }))), responsive(drawing),
    numbers(["run", "top-1", "bit operations"], () => points.map(p => [p.name, format.percent(p.y), format.percent(p.x)])));
}

// One value of every layer, a dot a run.
function layerDots(runs, key, title, value_format) {
  const shown = runs.map((r, i) => i).filter(i => runs[i].table && runs[i].figures.mean_bits < 32);
  const tables = runs.map((r, i) => shown.includes(i) ? new Map(r.table.layers.map(l => [l.name, l[key]])) : new Map());
  const names = [...new Set(shown.flatMap(i => runs[i].table.layers.map(l => l.name)))];
  const high = key === "sparsity" ? 1 : Math.max(...tables.flatMap(t => [...t.values()].filter(known)), 0);
  if (names.length === 0 || !(high > 0)) return null;
  const drawing = width => {
    const letters = Math.min(Math.max(...names.map(n => n.length)), width < 480 ? 15 : 26), left = 12 + 6.3 * letters, right = width - 16, line = 18, top = 6;
    const bottom = top + line * names.length, height = bottom + 26, to_x = v => left + v / high * (right - left);
    const picture = svg("svg", { height, viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: 0, "aria-label": title + ". Arrow keys read single layers; the numbers are below." },
      ticks(0, high, Math.max(3, Math.floor((right - left) / 70))).map(t => [svg("line", { class: "grid", x1: to_x(t), x2: to_x(t), y1: top, y2: bottom }),
        svg("text", { x: to_x(t), y: bottom + 17, "text-anchor": "middle" }, key === "sparsity" ? Math.round(100 * t) + "\u00a0%" : format.plain(t))]),
      names.map((name, r) => {
        const y = top + line * (r + 0.5), values = shown.map(i => tables[i].get(name)).filter(known);
        return [svg("text", { class: "name", x: left - 8, y: y + 4, "text-anchor": "end" }, clippedPath(name, letters)),
          values.length > 1 ? svg("line", { class: "axis", x1: to_x(Math.min(...values)), x2: to_x(Math.max(...values)), y1: y, y2: y }) : null,
          shown.filter(i => known(tables[i].get(name))).map(i => svg("circle", { cx: to_x(tables[i].get(name)), cy: y, r: 4.5, fill: seriesColor(i), "fill-opacity": 0.85 }))];
      }));
    const mark = svg("rect", { class: "picked", x: 1, width: width - 2, height: line, rx: 4, visibility: "hidden" });
    picture.append(mark);
    return pointable(picture, {
      pick: (x, y) => y >= top && y < bottom ? Math.floor((y - top) / line) : null,
      move: (r, dx, dy) => r === null ? 0 : Math.min(Math.max(r + dy, 0), names.length - 1),
      hide: () => mark.setAttribute("visibility", "hidden"),
      show: r => {
        mark.setAttribute("y", top + line * r);
        mark.setAttribute("visibility", "visible");
        return { x: left + 20, y: top + line * (r + 2), content: [element("b", null, names[r]), ...shown.map(i => element("span", { class: "row" },
          element("span", { class: "swatch", style: "background:" + seriesColor(i) }), element("span", null, runs[i].name), element("span", null, value_format(tables[i].get(names[r])))))] };
      },
    });
  };
  return card(title, legend(shown.map(i => ({ name: runs[i].name, color: seriesColor(i), square: true }))), responsive(drawing),
    numbers(["layer", ...shown.map(i => runs[i].name)], () => names.map(n => [n, ...shown.map(i => value_format(tables[i].get(n)))])));
}

function showComparison(runs, differences) {
  page.append(element("header", null, element("h1", null, `Comparison of ${runs.length} runs`), element("p", { class: "lead" }, runs.map(r => r.name).join(" \u00b7 ")),
    runs.filter(r => r.weights_problem).map(r => element("p", { class: "note" }, `${r.name}: ${noWeights(r)}`))));
  const x_name = runs.every(r => r.language) ? "step" : "epoch";
  const overlay = (title, key, y_format, limits, note) => lineChart({ title, x_name, y_format, note, name_all: true, ...limits,
    series: runs.map((r, i) => ({ name: r.name, x: r.epochs[x_name] || [], y: r.epochs[key] || [], color: seriesColor(i), dash: seriesDash(i) })) });
  section("Final figures", figureTable(runs), cards(tradeOff(runs)));
  section("Learning", cards(
    overlay("Test accuracy (top-1)", "test_top1", format.percent, { y_high: 1 }), overlay("Test loss", "test_loss", format.loss, { y_low: 0 }),
    overlay("Validation perplexity", "val_perplexity", format.plain, {}),
    overlay("Validation accuracy (top-1)", "val_top1", format.percent, { y_high: 1 }), overlay("Validation loss", "val_loss", format.loss, { y_low: 0 }),
    overlay("Training accuracy (top-1)", "train_top1", format.percent, { y_high: 1 }), overlay("Training loss", "train_loss", format.loss, { y_low: 0 }),
    overlay("Learning rate", "lr", format.plain, { y_low: 0 })));
  section("Compression", small_cards(
    overlay("Weights that are zero", "sparsity", format.percent, { y_low: 0, y_high: 1 }), overlay("Mean dead zone", "dead_zone", format.percent, { y_low: 0, y_high: 1 }),
    overlay("Mean bits of a weight", "mean_bits", format.bits, { y_low: 0 })),
    cards(layerDots(runs, "sparsity", "Zeros of every layer", format.short_percent), layerDots(runs, "bits", "Bits of every layer", format.bits)));
  section("Speed", cards(overlay("Images per second", "images_per_s", format.count, { y_low: 0 }),
    overlay("Tokens per second", "tokens_per_s", format.count, { y_low: 0 }),
    overlay("Waiting for data", "data_wait", format.percent, { y_low: 0, y_high: 1 }, "The part of training time in which the next batch was not ready.")));
  section("Settings that differ", element("div", { class: "card" }, differences.length === 0 ? element("p", null, "None.")
    : element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Settings that differ" }, element("table", { class: "texts" },
      element("thead", null, element("tr", null, element("th", { scope: "col" }, "setting"), runs.map(r => element("th", { scope: "col" }, r.name)))),
      element("tbody", null, differences.map(d => element("tr", null, element("th", { scope: "row" }, d.key), d.values.map(v => element("td", null, v === "" ? "\u2013" : v)))))))));
}

if (data.runs.length === 1) showRun(data.runs[0]);
else showComparison(data.runs, data.differences);
page.append(element("footer", null, "Made by Tern " + data.version + "."));
