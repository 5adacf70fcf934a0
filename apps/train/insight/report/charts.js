"use strict";
// Charts as inline SVG, drawn at the width they have on the page and again when it changes. Every chart can be read with
// a pointer, a finger or the arrow keys, and has its numbers as a table below. Texts reach the page as text nodes only.

function element(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}
function svg(tag, attributes, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}
function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {}))
    if (value !== undefined && value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  for (const child of children.flat(Infinity))
    if (child !== undefined && child !== null && child !== false) node.append(child);
  return node;
}

const known = v => typeof v === "number" && isFinite(v);
const fixed = (v, digits) => v.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
const format = {
  count: v => known(v) ? Math.round(v).toLocaleString("en-US") : "\u2013",
  percent: v => known(v) ? fixed(100 * v, Math.abs(v) < 0.001 && v !== 0 ? 3 : 2) + "\u00a0%" : "\u2013",
  short_percent: v => known(v) ? fixed(100 * v, 1) + "\u00a0%" : "\u2013",
  loss: v => known(v) ? fixed(v, 4) : "\u2013",
  bits: v => known(v) ? (Number.isInteger(v) ? String(v) : fixed(v, 2)) : "\u2013",
  plain: v => known(v) ? String(Number(v.toPrecision(4))) : "\u2013",
  big: v => {
    if (!known(v)) return "\u2013";
    for (const [size, name] of [[1e12, " T"], [1e9, " G"], [1e6, " M"], [1e3, " k"]])
      if (Math.abs(v) >= size) return Number((v / size).toPrecision(3)) + name;
    return String(Number(v.toPrecision(3)));
  },
  duration: v => {
    if (!known(v)) return "\u2013";
    if (v < 60) return fixed(v, v < 10 ? 1 : 0) + " s";
    if (v < 6000) return Math.round(v / 60) + " min";
    return fixed(v / 3600, 1) + " h";
  },
};

const seriesColor = i => "var(--c" + i % 8 + ")";
const seriesDash = i => ["", "6 4", "2 4"][Math.floor(i / 8) % 3];

// Round numbers that cover [low, high], about `count` of them.
function ticks(low, high, count) {
  const span = high - low;
  if (!(span > 0) || !isFinite(span)) return [low];
  const power = Math.pow(10, Math.floor(Math.log10(span / count)));
  const step = [1, 2, 2.5, 5, 10].map(m => m * power).find(s => span / s <= count) || 10 * power;
  const out = [];
  for (let i = Math.ceil(low / step - 1e-9); i <= Math.floor(high / step + 1e-9) && out.length < 50; ++i)
    out.push(Number((i * step).toPrecision(12)));
  return out;
}

function clipped(text, length) {
  return text.length <= length ? text : text.slice(0, length - 1) + "\u2026";
}
// Paths of layers differ at their ends.
function clippedPath(text, length) {
  return text.length <= length ? text : "\u2026" + text.slice(1 - length);
}

// A place that calls draw(width) now and whenever its width changes; draw returns what stands in it.
function responsive(draw) {
  const holder = element("div", { class: "chart" });
  let last = 0;
  new ResizeObserver(entries => {
    const width = Math.floor(entries[0].contentRect.width);
    if (width < 40 || width === last) return;
    last = width;
    requestAnimationFrame(() => holder.replaceChildren(...[draw(width)].flat()));  // not while sizes are observed
  }).observe(holder);
  return holder;
}

// Shows tips over a picture. pick(x, y) tells what is at a place, or null; move(present, dx, dy) what the arrow keys lead
// to; show(picked) marks it and returns {x, y, content}; hide() takes the mark away.
function pointable(picture, { pick, move, show, hide }) {
  const tip = element("div", { class: "tip", role: "status", hidden: true });
  let present = null;
  const leave = () => {
    present = null;
    tip.hidden = true;
    hide();
  };
  const at = picked => {
    if (picked === null) return leave();
    present = picked;
    const { x, y, content } = show(picked);
    tip.replaceChildren(...content);
    tip.hidden = false;
    const room = picture.clientWidth || picture.getBoundingClientRect().width;
    const width = tip.offsetWidth;
    const left = x + 14 + width <= room ? x + 14 : Math.max(0, Math.min(x - 14 - width, room - width));
    tip.style.left = left + "px";
    tip.style.top = Math.max(0, y - tip.offsetHeight / 2) + "px";
  };
  const from = event => {
    const box = picture.getBoundingClientRect();
    at(pick(event.clientX - box.left, event.clientY - box.top));
  };
  picture.addEventListener("pointermove", from);
  picture.addEventListener("pointerdown", from);
  picture.addEventListener("pointerleave", event => { if (event.pointerType === "mouse") leave(); });
  picture.addEventListener("blur", leave);
  picture.addEventListener("keydown", event => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key === "Escape") return leave();
    if (step === undefined) return;
    event.preventDefault();
    at(move(present, step[0], step[1]));
  });
  return [picture, tip];
}

// A table that is made when it is looked at.
function numbers(columns, rows, summary) {
  const details = element("details", null, element("summary", null, summary || "Numbers"));
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) details.append(tableOf(columns, rows()));
  });
  return details;
}
function tableOf(columns, rows) {
  return element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table" },
    element("table", null,
      element("thead", null, element("tr", null, columns.map(c => element("th", { scope: "col" }, c)))),
      element("tbody", null, rows.map(row => element("tr", null, row.map((cell, i) =>
        i === 0 ? element("th", { scope: "row" }, cell) : element("td", null, cell)))))));
}

function legend(items) {
  return element("ul", { class: "legend" }, items.map(({ name, color, dash, faint, square }) => element("li", null,
    square ? element("span", { class: "swatch" + (square === "edged" ? " edged" : ""), style: "background:" + color, "aria-hidden": "true" })
           : svg("svg", { viewBox: "0 0 22 10", "aria-hidden": "true" },
               svg("path", { class: "line" + (faint ? " faint" : ""), d: "M1 5H21", stroke: color, "stroke-dasharray": dash })),
    element("span", null, name))));
}

function card(title, ...children) {
  return element("figure", { class: "card" }, element("h3", null, title), children);
}

// Lines over a common axis. series: [{name, x, y, color, dash, faint}]; values that are null leave a gap. name_all: a
// legend even for one line.
function lineChart({ title, note, series, x_name, y_format, y_low, y_high, name_all }) {
  series = series.filter(s => s.y.some(known));
  if (series.length === 0) return null;
  series.forEach((s, i) => {
    s.color = s.color || seriesColor(i);
    s.dash = s.dash === undefined ? seriesDash(i) : s.dash;
  });
  const points = series.flatMap(s => s.x.map((x, i) => [x, s.y[i]])).filter(([x, y]) => known(x) && known(y));
  const all_x = [...new Set(points.map(p => p[0]))].sort((a, b) => a - b);
  const low_of = list => list.reduce((a, b) => Math.min(a, b), Infinity);
  const high_of = list => list.reduce((a, b) => Math.max(a, b), -Infinity);
  let x_low = all_x[0], x_high = all_x[all_x.length - 1];
  if (x_low === x_high) { x_low -= 0.5; x_high += 0.5; }
  const values = points.map(p => p[1]);
  let low = y_low !== undefined ? Math.min(y_low, low_of(values)) : low_of(values);
  let high = high_of(values);
  const margin = high > low ? 0.04 * (high - low) : Math.abs(high) * 0.1 || 1;
  if (y_low === undefined || low < y_low) low -= margin;
  high += margin;
  if (y_high !== undefined) high = Math.max(Math.min(high, y_high), high_of(values));
  if (!(high > low)) high = low + 1;
  const y_ticks = ticks(low, high, 5);
  const digits = Math.max(0, ...y_ticks.map(t => (String(t).split(".")[1] || "").length));
  const is_percent = y_format === format.percent || y_format === format.short_percent;
  const y_text = v => is_percent ? fixed(100 * v, Math.max(0, digits - 2)) + "\u00a0%" : digits > 4 ? format.plain(v) : fixed(v, digits);

  const drawing = width => {
    const height = Math.round(Math.min(260, Math.max(190, width * 0.5)));
    const left = 12 + 6.6 * Math.max(...y_ticks.map(t => y_text(t).length)), right = width - 12;
    const top = 8, bottom = height - 36;
    const to_x = x => left + (x - x_low) / (x_high - x_low) * (right - left);
    const to_y = y => bottom - (y - low) / (high - low) * (bottom - top);
    const picture = svg("svg", { height, viewBox: `0 0 ${width} ${height}`, tabindex: 0, role: "img", "aria-label": title + ". " +
      series.map(s => {
        const ys = s.y.filter(known);
        return s.name + " from " + y_format(ys[0]) + " to " + y_format(ys[ys.length - 1]);
      }).join("; ") + ". Arrow keys read single points; the numbers are below." });
    for (const t of y_ticks)
      picture.append(svg("line", { class: "grid", x1: left, x2: right, y1: to_y(t), y2: to_y(t) }),
        svg("text", { x: left - 7, y: to_y(t) + 4, "text-anchor": "end" }, y_text(t)));
    let x_ticks = ticks(x_low, x_high, Math.max(3, Math.floor((right - left) / 64)));
    if (all_x.every(Number.isInteger)) x_ticks = x_ticks.filter(Number.isInteger);
    if (x_ticks.length && to_x(x_ticks[0]) - to_x(x_low) > 40) x_ticks.unshift(all_x[0]);
    for (const t of x_ticks)
      picture.append(svg("text", { x: to_x(t), y: bottom + 17, "text-anchor": "middle" }, format.plain(t)));
    picture.append(svg("line", { class: "axis", x1: left, x2: right, y1: bottom, y2: bottom }),
      svg("text", { x: right, y: height - 3, "text-anchor": "end" }, x_name));
    for (const s of series) {
      let path = "", pen = false;
      s.x.forEach((x, i) => {
        if (!known(s.y[i]) || !known(x)) { pen = false; return; }
        path += (pen ? "L" : "M") + to_x(x).toFixed(1) + " " + to_y(s.y[i]).toFixed(1);
        pen = true;
      });
      picture.append(svg("path", { class: "line" + (s.faint ? " faint" : ""), d: path, stroke: s.color, "stroke-dasharray": s.dash }));
      const shown = s.x.map((x, i) => i).filter(i => known(s.y[i]) && known(s.x[i]));
      const alone = i => !known(s.y[i - 1]) && !known(s.y[i + 1]);
      for (const i of shown)
        if (!s.faint && (shown.length <= 12 || alone(i)) || shown.length === 1)
          picture.append(svg("circle", { cx: to_x(s.x[i]), cy: to_y(s.y[i]), r: 3, fill: s.color }));
    }
    const marks = svg("g", { "aria-hidden": "true" });
    picture.append(marks);
    const nearest = x => all_x.reduce((best, v, i) => Math.abs(v - x) < Math.abs(all_x[best] - x) ? i : best, 0);
    return pointable(picture, {
      pick: px => nearest(x_low + (px - left) / (right - left) * (x_high - x_low)),
      move: (i, dx) => i === null ? all_x.length - 1 : Math.min(Math.max(i + dx, 0), all_x.length - 1),
      hide: () => marks.replaceChildren(),
      show: i => {
        const x = all_x[i];
        marks.replaceChildren(svg("line", { class: "cross", x1: to_x(x), x2: to_x(x), y1: top, y2: bottom }));
        const content = [element("b", null, x_name + " " + format.plain(x))];
        for (const s of series) {
          const at = s.x.indexOf(x);
          if (at < 0 || !known(s.y[at])) continue;
          marks.append(svg("circle", { cx: to_x(x), cy: to_y(s.y[at]), r: 4, fill: s.color, stroke: "var(--card)", "stroke-width": 1.5 }));
          content.push(element("span", { class: "row" }, element("span", { class: "swatch", style: "background:" + s.color }),
            element("span", null, s.name), element("span", null, y_format(s.y[at]))));
        }
        return { x: to_x(x), y: top + 40, content };
      },
    });
  };
  return card(title, series.length > 1 || name_all ? legend(series) : null, responsive(drawing), note ? element("p", { class: "note" }, note) : null,
    numbers([x_name, ...series.map(s => s.name)], () => all_x.map(x => [format.plain(x), ...series.map(s => {
      const i = s.x.indexOf(x);
      return i < 0 ? "" : y_format(s.y[i]);
    })])));
}

// A grid of coloured cells. cell(row, column) gives {opacity, color, text, tip: [strings]}, or null for an empty one.
// column_names stand upright above the cells; column_ticks ([[column, text]]) below.
function gridChart({ title, label, note, rows, columns, cell, cell_height, column_names, column_ticks, x_name, square, extra, table }) {
  const drawing = width => {
    const longest = Math.max(...rows.map(r => r.length), 1);
    const letters = Math.min(longest, width < 480 ? 15 : 26);
    const left = 10 + 6.3 * letters, right = width - 2;
    const size = Math.min((right - left) / columns, square ? 46 : Infinity);
    const down = square ? size : cell_height;
    const head = column_names ? 8 + 6.3 * Math.min(Math.max(...column_names.map(c => c.length)), 14) : 4;
    const height = Math.ceil(head + down * rows.length + (x_name ? 34 : 4));
    const picture = svg("svg", { height, viewBox: `0 0 ${width} ${height}`, tabindex: 0, role: "img",
      "aria-label": label + " Arrow keys read single cells." });
    rows.forEach((name, r) => {
      if (down >= 9) picture.append(svg("text", { class: "name", x: left - 6, y: head + down * (r + 0.5) + 4, "text-anchor": "end" },
        (column_names ? clipped : clippedPath)(name, letters)));
    });
    if (column_names && size >= 9) column_names.forEach((name, c) => picture.append(svg("text", { class: "name",
      transform: `translate(${left + size * (c + 0.5) + 4} ${head - 6}) rotate(-90)` }, clipped(name, 14))));
    const gap = size > 8 && down > 8 ? 1 : 0;
    for (let r = 0; r < rows.length; ++r)
      for (let c = 0; c < columns; ++c) {
        const it = cell(r, c);
        if (it === null) continue;
        if (it.opacity > 0.004) picture.append(svg("rect", { x: left + size * c, y: head + down * r, width: Math.max(size - gap, 0.5),
          height: down - gap, fill: it.color, "fill-opacity": it.opacity.toFixed(3) }));
        if (it.text && size >= 22) picture.append(svg("text", { class: "cell-text" + (it.opacity > 0.85 ? " strong" : it.opacity > 0.55 ? " middle" : ""),
          x: left + size * (c + 0.5), y: head + down * (r + 0.5) + 4 }, it.text));
      }
    for (const [c, text] of column_ticks || [])
      picture.append(svg("text", { x: left + size * (c + 0.5), y: head + down * rows.length + 15, "text-anchor": "middle" }, text));
    if (x_name) picture.append(svg("text", { x: left + size * columns, y: height - 3, "text-anchor": "end" }, x_name));
    const mark = svg("rect", { class: "picked", width: Math.max(size - gap, 1), height: down - gap, visibility: "hidden" });
    picture.append(mark);
    return pointable(picture, {
      pick: (x, y) => {
        const c = Math.floor((x - left) / size), r = Math.floor((y - head) / down);
        return c >= 0 && c < columns && r >= 0 && r < rows.length && cell(r, c) !== null ? [r, c] : null;
      },
      move: (at, dx, dy) => at === null ? [0, 0]
        : [Math.min(Math.max(at[0] + dy, 0), rows.length - 1), Math.min(Math.max(at[1] + dx, 0), columns - 1)],
      hide: () => mark.setAttribute("visibility", "hidden"),
      show: ([r, c]) => {
        mark.setAttribute("x", left + size * c);
        mark.setAttribute("y", head + down * r);
        mark.setAttribute("visibility", "visible");
        const [first, ...more] = (cell(r, c) || { tip: ["nothing recorded"] }).tip;
        return { x: left + size * (c + 1), y: head + down * r, content: [element("b", null, first), ...more.map(t => element("div", null, t))] };
      },
    });
  };
  return card(title, extra, responsive(drawing), note ? element("p", { class: "note" }, note) : null, table);
}
