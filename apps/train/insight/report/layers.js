// What is inside the layers: their state over time, histograms of their weights, and maps of their zeros.

// sparsity, dead zone or bits of every layer (rows) over the epochs (columns).
function layerHistory(history, key, title, note, value_format, top) {
  const values = history[key];
  const known_values = values.flat().filter(known);
  if (known_values.length === 0) return null;
  const highest = top || known_values.reduce((a, b) => Math.max(a, b), 0) || 1;
  const { at, unit } = history;
  const wanted = ticks(at[0], at[at.length - 1], 6).concat([at[at.length - 1]]);
  const shown = [];
  for (const place of [...new Set(wanted)]) {
    const c = at.indexOf(place);
    if (c >= 0 && shown.every(([other]) => Math.abs(other - c) > at.length / 12)) shown.push([c, format.plain(place)]);
  }
  return gridChart({
    title, note,
    label: `${title} by layer and ${unit}.`,
    rows: history.names, columns: at.length, cell_height: history.names.length > 40 ? 10 : 15, column_ticks: shown, x_name: unit,
    cell: (r, c) => known(values[r][c]) ? { opacity: Math.min(values[r][c] / highest, 1), color: "var(--accent)",
      tip: [history.names[r], `${unit} ${format.plain(at[c])}`, title + " " + value_format(values[r][c])] } : null,
    extra: element("p", { class: "note" }, "0 ", element("span", { class: "ramp" }), " " + value_format(highest)),
    table: numbers(["layer", ...at.map(format.plain)], () => history.names.map((name, r) => [name, ...values[r].map(value_format)])),
  });
}

// The figures of a quantizer with a dead zone and levels (CoDeQ); null for layers without.
const deadZoneOf = layer => layer.quantizer && known(layer.quantizer.dead_zone) ? layer.quantizer : null;

// Bars of one layer's weights: those that become zero, those that keep a value, those beyond the largest level.
function histogramPicture(layer, width, height, axis) {
  const { low, high, counts } = layer.histogram, quantizer = deadZoneOf(layer);
  const bottom = axis ? height - 42 : height - 1, top = 4, left = axis ? 6 : 0, right = width - left;
  const most = Math.max(...counts, 1), step = (high - low) / counts.length;
  const to_x = v => left + (v - low) / (high - low) * (right - left);
  const to_y = n => bottom - n / most * (bottom - top);
  const parts = [];
  if (quantizer) parts.push(svg("rect", { x: to_x(-quantizer.dead_zone / 2), y: 0, height: bottom, fill: "var(--zero)", "fill-opacity": 0.16,
    width: Math.max(to_x(quantizer.dead_zone / 2) - to_x(-quantizer.dead_zone / 2), 0.75) }));
  const color = v => !quantizer ? "var(--accent)" : Math.abs(v) <= quantizer.dead_zone / 2 ? "var(--zero)"
    : Math.abs(v) > quantizer.range ? "var(--clamped)" : "var(--accent)";
  counts.forEach((n, i) => {
    if (n === 0) return;
    const x = to_x(low + i * step), wide = (right - left) / counts.length;
    parts.push(svg("rect", { x, y: to_y(n), width: Math.max(wide - (wide > 4 ? 1 : 0), 0.5), height: bottom - to_y(n),
      fill: color(low + (i + 0.5) * step) }));
  });
  parts.push(svg("line", { class: "axis", x1: left, x2: right, y1: bottom, y2: bottom }));
  if (!axis) return parts;
  if (quantizer) {
    const levels = [0];
    for (let k = 1; k <= quantizer.top_code && k <= 31; ++k) levels.push(quantizer.shift + k * quantizer.step, -quantizer.shift - k * quantizer.step);
    if (quantizer.top_code <= 31) for (const v of levels)
      parts.push(svg("path", { d: `M${to_x(v).toFixed(1)} ${bottom + 1}l-3.5 7h7z`, fill: "var(--ink)" }));
    for (const side of [-1, 1]) parts.push(svg("line", { class: "cross", x1: to_x(side * quantizer.dead_zone / 2), x2: to_x(side * quantizer.dead_zone / 2), y1: 0, y2: bottom }));
  }
  for (const t of ticks(low, high, Math.max(3, Math.floor(width / 80))))
    parts.push(svg("text", { x: to_x(t), y: bottom + 24, "text-anchor": "middle" }, format.plain(t)));
  parts.push(svg("text", { x: right, y: height - 3, "text-anchor": "end" }, quantizer ? "latent weight" : "weight"));
  return parts;
}

function histogramChart(layer, row) {
  const { low, high, counts, below, above } = layer.histogram, quantizer = deadZoneOf(layer), step = (high - low) / counts.length;
  const height = 250, to_bin = (x, width) => Math.floor((x - 6) / (width - 12) * counts.length);
  const drawing = width => {
    const picture = svg("svg", { height, viewBox: `0 0 ${width} ${height}`, tabindex: 0, role: "img",
      "aria-label": "Histogram of the weights of " + layer.name + ". Arrow keys read single bins." }, histogramPicture(layer, width, height, true));
    const inside = i => i >= 0 && i < counts.length;
    return pointable(picture, {
      pick: x => inside(to_bin(x, width)) ? to_bin(x, width) : null,
      move: (i, dx) => i === null ? counts.length >> 1 : Math.min(Math.max(i + dx, 0), counts.length - 1),
      hide: () => {},
      show: i => ({ x: 6 + (i + 1) / counts.length * (width - 12), y: 60, content: [
        element("b", null, format.count(counts[i]) + (counts[i] === 1 ? " weight" : " weights")),
        element("div", null, "from " + format.plain(low + i * step) + " to " + format.plain(low + (i + 1) * step))] }),
    });
  };
  const outside = below + above;
  const text = (quantizer
    ? `The dead zone, ${format.plain(quantizer.dead_zone)} wide, makes ${format.short_percent(row.sparsity)} of the weights zero; the others go to the nearest of the ` +
      `${2 * quantizer.top_code} levels up to \u00b1${format.plain(quantizer.range)}` + (quantizer.top_code <= 31 ? " (triangles; 0 is one more)." : ".")
    : "Not quantized: the layer computes with these values.") +
    (outside > 0 ? ` ${format.count(outside)} of ${format.count(row.weights)} weights lie beyond the edges.` : "");
  return card("Weights of " + layer.name, quantizer ? legend([{ name: "become zero", color: "var(--zero)", square: true },
    { name: "keep a level", color: "var(--accent)", square: true }, { name: "beyond the largest level", color: "var(--clamped)", square: true }]) : null,
    responsive(drawing), element("p", { class: "note" }, text),
    numbers(["from", "to", "weights"], () => counts.map((n, i) => [format.plain(low + i * step), format.plain(low + (i + 1) * step), format.count(n)])));
}

// Kernel by kernel, a pixel a weight: dark where it is zero, light where it is not, grey between kernels; output channels
// are rows, input channels columns.
function kernelMap(layer, row) {
  const map = layer.map, gap = map.height * map.width > 1 ? 1 : 0;
  const wide = map.columns * (map.width + gap) + gap, high = map.rows * (map.height + gap) + gap;
  if (!(map.rows > 0 && map.columns > 0) || (!layer.quantizer && row.zeros === 0)) return null;
  const mask = Uint8Array.from(atob(map.mask), c => c.charCodeAt(0));
  const scale = Math.min(Math.max(Math.floor(512 / Math.max(wide, high)), 1), 6);
  const zeros = gap
    ? `${format.count(map.zero_kernels)} of ${format.count(map.outputs * map.inputs)} kernels are zero as a whole, ` +
      `${format.count(map.zero_outputs)} of ${format.count(map.outputs)} output channels and ${format.count(map.zero_inputs)} of ${format.count(map.inputs)} input channels.`
    : `${format.count(map.zero_outputs)} of ${format.count(map.outputs)} outputs and ${format.count(map.zero_inputs)} of ${format.count(map.inputs)} inputs have nothing but zeros.`;
  const canvas = element("canvas", { width: wide, height: high, role: "img", style: `width:${wide * scale}px;height:${high * scale}px`,
    "aria-label": `Map of the zero weights of ${layer.name}: ${zeros}` });
  const draw = () => {
    const style = getComputedStyle(document.documentElement);
    const color = name => {
      const hex = style.getPropertyValue(name).trim();
      return [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16));
    };
    const zero = color("--map-zero"), set = color("--map-set"), between = color("--map-gap");
    const context = canvas.getContext("2d"), image = context.createImageData(wide, high);
    const put = (x, y, [r, g, b]) => image.data.set([r, g, b, 255], 4 * (y * wide + x));
    for (let y = 0; y < high; ++y) for (let x = 0; x < wide; ++x) put(x, y, between);
    let bit = 0;
    for (let o = 0; o < map.rows; ++o) for (let i = 0; i < map.columns; ++i)
      for (let y = 0; y < map.height; ++y) for (let x = 0; x < map.width; ++x, ++bit)
        put(gap + i * (map.width + gap) + x, gap + o * (map.height + gap) + y, mask[bit >> 3] & 128 >> bit % 8 ? set : zero);
    context.putImageData(image, 0, 0);
  };
  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  const part = map.rows < map.outputs || map.columns < map.inputs
    ? ` Shown are the first ${map.rows} by ${map.columns}.` : "";
  return card("Zeros of " + layer.name, legend([{ name: "zero", color: "var(--map-zero)", square: "edged" },
    { name: "not zero", color: "var(--map-set)", square: "edged" }]),
    element("div", { class: "map scroll", tabindex: 0, role: "region", "aria-label": "Map of zeros" }, canvas),
    element("p", { class: "note" }, (gap ? `Rows are output channels, columns input channels, blocks kernels of ${map.height} \u00d7 ${map.width}. `
      : "Rows are outputs, columns inputs. ") + zeros + part));
}

// All histograms at a glance, and one layer at a time below.
function layerExplorer(run) {
  const layers = run.weights, rows = run.table.layers;
  const detail = element("div", { class: "cards" });
  const select = element("select", { id: "layer" }, layers.map((layer, i) => element("option", { value: i }, layer.name)));
  const buttons = layers.map((layer, i) => {
    const button = element("button", { type: "button", "aria-pressed": "false" },
      element("strong", { title: layer.name }, layer.name.length > 20 ? "\u2026" + layer.name.slice(-19) : layer.name),
      svg("svg", { viewBox: "0 0 160 54", preserveAspectRatio: "none", "aria-hidden": "true" }, histogramPicture(layer, 160, 54, false)),
      element("span", null, format.short_percent(rows[i].sparsity) + " zero, " + format.bits(rows[i].bits) + " bit"));
    button.addEventListener("click", () => choose(i));
    return button;
  });
  function choose(i) {
    select.value = i;
    buttons.forEach((button, j) => button.setAttribute("aria-pressed", i === j));
    detail.replaceChildren(histogramChart(layers[i], rows[i]), ...[kernelMap(layers[i], rows[i])].filter(Boolean));
  }
  const stepper = (text, name, by) => {
    const button = element("button", { type: "button", class: "step", "aria-label": name }, text);
    button.addEventListener("click", () => choose((Number(select.value) + by + layers.length) % layers.length));
    return button;
  };
  select.addEventListener("change", () => choose(Number(select.value)));
  choose(Math.min(2, layers.length - 1));
  return [
    element("div", { class: "card" }, element("h3", null, "All layers"),
      element("p", { class: "note" }, (layers.some(deadZoneOf) ? "Latent weights; the shaded band is the dead zone. " : "") + "Choose one to see it in full."),
      element("div", { class: "small-multiples" }, buttons)),
    element("div", { class: "picker", style: "margin-top:18px" }, element("label", { for: "layer" }, "Layer"),
      stepper("\u2039", "previous layer", -1), select, stepper("\u203a", "next layer", 1)),
    detail,
  ];
}

// What every method tells of a layer; all else is a figure of one method, a share.
const common = ["name", "shape", "weights", "zeros", "sparsity", "bits", "quantized", "range", "macs", "bops"];

// Layers with what they cost; totals against the same model in dense fp32.
function layerTable(table) {
  const layers = table.layers, totals = table.totals;
  const figures = [...new Set(layers.flatMap(Object.keys))].filter(key => !common.includes(key));
  const has = key => layers.some(l => l[key] !== undefined && l[key] !== null);
  const columns = [
    ["layer", l => l.name, true],
    ["weights", l => format.count(l.weights), has("weights")],
    ["zeros", l => format.percent(l.sparsity), true],
    ["bits", l => format.bits(l.bits), true],
    ...figures.map(key => [key.replaceAll("_", " "), l => known(l[key]) ? format.percent(l[key]) : "\u2013", true]),
    ["range", l => known(l.range) ? fixed(l.range, 4) : "\u2013", has("range")],
    ["MACs", l => format.big(l.macs), has("macs")],
    ["BOPs", l => format.big(l.bops), has("bops")],
    ["of all BOPs", l => totals && totals.bops > 0 ? format.percent(l.bops / totals.bops) : "\u2013", has("bops")],
    ["shape", l => l.shape ? l.shape.join(" \u00d7 ") : "", has("shape")],
  ].filter(c => c[2]);
  const row = layer => element("tr", null, columns.map(([name, text], i) => i === 0
    ? element("th", { scope: "row" }, text(layer))
    : element("td", name === "zeros" && known(layer.sparsity) ? { class: "bar", style: `--part:${(100 * layer.sparsity).toFixed(1)}%` } : null, text(layer))));
  const foot = totals ? [
    { name: "total", weights: totals.weights, sparsity: totals.sparsity, bits: totals.bits, macs: totals.macs, bops: totals.bops },
    { name: "dense fp32", weights: totals.weights, sparsity: 0, bits: 32, macs: totals.macs, bops: totals.macs * 1024 },
  ] : [];
  const node = element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Layer table" }, element("table", null,
    element("thead", null, element("tr", null, columns.map(c => element("th", { scope: "col" }, c[0])))),
    element("tbody", null, layers.map(row)),
    foot.length ? element("tfoot", null, foot.map((f, i) => element("tr", null, columns.map(([name, text], c) => {
      const shown = name === "shape" || name === "range" || figures.includes(name.replaceAll(" ", "_")) ? "" : name === "of all BOPs"
        ? (i === 0 ? "100 %" : "") : text(f);
      return c === 0 ? element("th", { scope: "row" }, shown) : element("td", null, shown);
    })))) : null));
  const words = [];
  if (totals && known(totals.rel_bops)) words.push(`${format.percent(totals.rel_bops)} of the bit operations of dense fp32 ` +
    `(density \u00d7 MACs \u00d7 weight bits \u00d7 activation bits).`);
  if (totals) words.push(`Codes take ${format.big(totals.weights * totals.bits / 8)}B in place of ${format.big(totals.weights * 4)}B, before zeros are packed.`);
  words.push(`State after epoch ${format.count(table.epoch)}.`);
  return element("div", { class: "card wide" }, node, element("p", { class: "note", style: "margin-top:10px" }, words.join(" ")));
}
