const COLOURS = ["#0072B2", "#D55E00", "#009E73", "#A6477F", "#8A6100", "#1F78A8", "#000000", "#6E6E6E"];
const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3]];
const GRID = Array.from({ length: 51 }, (_, i) => i / 50);
const form = document.getElementById("chooser");

async function text(packed) {
  const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

function choose(select, items) {
  const before = select.value;
  select.replaceChildren(...items.map(([value, label]) => new Option(label, value)));
  if (items.some(([value]) => String(value) === before)) select.value = before;
}

// Wilson's score limits of a proportion of `size` independent trials.
function wilson(value, size, z) {
  if (!(size > 0) || !Number.isFinite(value)) return [null, null];
  const square = (z * z) / size;
  const half = Math.sqrt(square * value * (1 - value) + (square * square) / 4);
  return [-half, half].map((end) => (value + square / 2 + end) / (1 + square));
}

// True and false positives of a group at a threshold; exact where a bin of the group begins there.
function counts(group, edges, threshold) {
  const limits = group.at.map((place) => edges[place]);
  let k = limits.length - 1;
  while (k > 0 && limits[k] > threshold) k -= 1;
  const end = k + 1 < limits.length ? limits[k + 1] : 1;
  const part = end > limits[k] ? Math.min(1, Math.max(0, (threshold - limits[k]) / (end - limits[k]))) : 0;
  const above = (cells) => cells.slice(k).reduce((a, b) => a + b, 0) - part * cells[k];
  return { tp: above(group.pos), fp: above(group.neg), exact: part === 0 };
}

function cells(group, found) {
  const positives = group.pos.reduce((a, b) => a + b, 0);
  const negatives = group.neg.reduce((a, b) => a + b, 0);
  return { ...found, positives, negatives, fn: positives - found.tp, tn: negatives - found.fp };
}

function atThreshold(group, edges, threshold) {
  return cells(group, counts(group, edges, threshold));
}

function atAudit(group) {
  return cells(group, { tp: group.audit[0], fp: group.audit[2], exact: true });
}

const ratio = (part, whole) => (whole > 0 ? part / whole : NaN);

// Value and effective number of patients of a measure.
function measure(name, c, group) {
  const [positive, negative] = group.inflation;
  const both = Math.max(positive, negative);
  const all = c.positives + c.negatives;
  return {
    tpr: () => [ratio(c.tp, c.positives), c.positives / positive],
    fpr: () => [ratio(c.fp, c.negatives), c.negatives / negative],
    tnr: () => [ratio(c.tn, c.negatives), c.negatives / negative],
    ppv: () => [ratio(c.tp, c.tp + c.fp), (c.tp + c.fp) / both],
    npv: () => [ratio(c.tn, c.tn + c.fn), (c.tn + c.fn) / both],
    rate: () => [ratio(c.tp + c.fp, all), all / both],
    base: () => [ratio(c.positives, all), all / both],
  }[name]();
}

// Linear interpolation of rising `x`, null outside.
function interpolate(x, y, at) {
  return at.map((want) => {
    const k = x.findIndex((value) => value >= want - 1e-12);
    if (k < 0 || want < x[0] - 1e-12) return null;
    if (k === 0 || x[k] === x[k - 1]) return y[k];
    if (y[k] === null || y[k - 1] === null) return null;
    return y[k - 1] + ((y[k] - y[k - 1]) * (want - x[k - 1])) / (x[k] - x[k - 1]);
  });
}

// One point per bin limit of the group, from the highest threshold to the lowest.
function points(group, edges) {
  const found = group.at.map((place) => atThreshold(group, edges, edges[place])).reverse();
  return [cells(group, { tp: 0, fp: 0, exact: true }), ...found];
}

function along(group, edges, z, of, against) {
  const all = points(group, edges);
  const x = [], y = [], low = [], high = [];
  for (const c of all) {
    const [place] = measure(against, c, group);
    const [value, size] = measure(of, c, group);
    if (!Number.isFinite(value)) continue;
    const ends = wilson(value, size, z);
    if (x.length && place <= x.at(-1)) x.pop(), y.pop(), low.pop(), high.pop();
    x.push(place), y.push(value), low.push(ends[0]), high.push(ends[1]);
  }
  return [y, low, high].map((values) => interpolate(x, values, GRID));
}

// Observed share of the finding against the mean score, in up to eight classes of bins.
function reliability(group, edges, z) {
  const total = group.pos.map((value, k) => value + group.neg[k]);
  const share = total.reduce((a, b) => a + b, 0) / 8;
  const x = [], y = [], low = [], high = [];
  let pos = 0, neg = 0, sum = 0;
  total.forEach((value, k) => {
    pos += group.pos[k], neg += group.neg[k], sum += value * (group.mean[k] ?? 0);
    if (pos + neg < share && k + 1 < total.length) return;
    if (pos + neg > 0) {
      const [rate, size] = measure("base", { positives: pos, negatives: neg }, group);
      const ends = wilson(rate, size, z);
      x.push(sum / (pos + neg)), y.push(rate), low.push(ends[0]), high.push(ends[1]);
    }
    pos = neg = sum = 0;
  });
  return [y, low, high].map((values) => interpolate(x, values, GRID));
}

function benefit(group, edges, z) {
  const rows = edges.filter((edge) => edge < 1).map((edge) => {
    const c = atThreshold(group, edges, edge);
    const odds = edge / (1 - edge);
    const n = c.positives + c.negatives;
    const value = (c.tp - odds * c.fp) / n;
    const spread = Math.max(0, (c.tp + odds * odds * c.fp) / n - value * value);
    const half = z * Math.sqrt(spread / (n / Math.max(...group.inflation)));
    return [value, value - half, value + half];
  });
  return [0, 1, 2].map((k) => rows.map((row) => row[k]));
}

function everybody(groups, edges) {
  const sum = (name) => groups.reduce((a, g) => a + g[name].reduce((b, c) => b + c, 0), 0);
  const share = sum("pos") / (sum("pos") + sum("neg"));
  return edges.filter((edge) => edge < 1).map((edge) => share - (1 - share) * (edge / (1 - edge)));
}

const charts = new Map();

function draw(name, x, lines, labels, range, extra) {
  const place = document.querySelector(`[data-chart="${name}"]`);
  charts.get(name)?.destroy();
  const series = [{}], data = [x], bands = [];
  for (const { values, colour, dash } of lines) {
    const k = series.length;
    series.push({ stroke: colour, width: 2, dash, spanGaps: false, points: { show: false } });
    for (let end = 0; end < 2; end += 1) series.push({ stroke: "transparent", points: { show: false } });
    bands.push({ series: [k + 2, k + 1], fill: `${colour}22` });
    data.push(...values);
  }
  for (const values of extra ?? []) {
    series.push({ stroke: "#767676", width: 1.5, dash: [4, 4], points: { show: false } });
    data.push(values);
  }
  const options = {
    width: Math.max(240, place.clientWidth),
    height: 260,
    legend: { show: false },
    cursor: { show: false },
    scales: { x: { time: false, range: labels.range ?? [0, 1] }, y: { range } },
    axes: [labels.x, labels.y].map((label) => ({ label, labelSize: 22, size: 44, font: "12px system-ui", labelFont: "12px system-ui" })),
    series,
    bands,
  };
  charts.set(name, new uPlot(options, data, place));
}

function start(data) {
  const { elements } = form;
  let audit = true;
  const cohort = () => data.cohorts[elements.cohort.value];
  const task = () => cohort().runs[elements.run.value].tasks[elements.task.value];

  function fill() {
    choose(elements.run, cohort().runs.map((run, k) => [k, run.label]));
    choose(elements.attribute, cohort().attributes.map((attribute, k) => [k, attribute.label]));
    fillTasks();
  }

  function fillTasks() {
    choose(elements.task, Object.keys(cohort().runs[elements.run.value].tasks).map((name) => [name, name]));
    toAudit();
  }

  function toAudit() {
    const { edges, threshold } = task();
    elements.threshold.max = edges.length - 1;
    audit = true;
    const aim = threshold ?? 0.5;
    const nearest = edges.reduce((best, edge, k) => (Math.abs(edge - aim) < Math.abs(edges[best] - aim) ? k : best), 0);
    elements.threshold.value = nearest;
    show();
  }

  function groupsOf() {
    const attribute = cohort().attributes[elements.attribute.value];
    const found = task().groups[attribute.name] ?? {};
    return attribute.groups
      .map(([name, label], k) => ({ label, bins: found[name], colour: COLOURS[k % 8], dash: DASHES[Math.floor(k / 8 + k) % 4] }))
      .filter((group) => group.bins);
  }

  function row(group, limit) {
    const c = audit && group.bins.audit ? atAudit(group.bins) : atThreshold(group.bins, task().edges, limit);
    const sign = c.exact ? "" : "≈ ";
    const whole = (value) => sign + (Number.isInteger(value) ? value : value.toFixed(1));
    const hundred = (name, flip) => {
      const [value, size] = measure(name, c, group.bins);
      if (!Number.isFinite(value)) return "not estimable: nobody";
      let [low, high] = wilson(value, size, data.z);
      const at = flip ? 1 - value : value;
      if (flip) [low, high] = [1 - high, 1 - low];
      return `${sign}${(100 * at).toFixed(0)} (${(100 * low).toFixed(0)}–${(100 * high).toFixed(0)})`;
    };
    const cellsOf = [
      c.positives, whole(c.fn), hundred("tpr", true), c.negatives, whole(c.fp), hundred("fpr"), hundred("ppv"),
    ];
    const line = document.createElement("tr");
    const head = document.createElement("th");
    head.scope = "row";
    const mark = document.createElement("span");
    mark.className = "mark";
    mark.style.background = group.colour;
    head.append(mark, group.label);
    line.append(head, ...cellsOf.map((value) => Object.assign(document.createElement("td"), { className: "number", textContent: value })));
    return line;
  }

  function show() {
    const { edges } = task();
    const limit = edges[elements.threshold.value];
    const groups = groupsOf();
    const single = audit && groups.some((group) => group.bins.audit);
    const exactly = task().threshold ?? NaN;
    const said = single ? (Number.isFinite(exactly) ? `the audit's: ${Number(exactly.toPrecision(3))}` : "the audit's decision: the most probable class") : String(Number(limit.toPrecision(3)));
    elements.shown.textContent = said;
    elements.threshold.setAttribute("aria-valuetext", said);
    document.getElementById("explore-note").textContent =
      (cohort().classes ? "One class against the rest. " : "") +
      (cohort().weighted ? "Counts are sums of importance weights. " : "") +
      (groups.length ? "" : "No group of this attribute is large enough.");
    document.querySelector("#explore-counts tbody").replaceChildren(...groups.map((group) => row(group, limit)));
    curves(groups, edges);
  }

  function curves(groups, edges) {
    if (!document.getElementById("charts").clientWidth) return;
    const { z } = data;
    const name = elements.measure.value;
    const label = elements.measure.selectedOptions[0].textContent;
    const lines = (make) => groups.map((group) => ({ ...group, values: make(group.bins) }));
    const bounds = [0, Math.max(...edges.filter((edge) => edge < 1)) || 1];
    const thresholds = lines((bins) => {
      const rows = edges.map((edge) => {
        const [value, size] = measure(name, atThreshold(bins, edges, edge), bins);
        return Number.isFinite(value) ? [value, ...wilson(value, size, z)] : [null, null, null];
      });
      return [0, 1, 2].map((k) => rows.map((r) => r[k]));
    });
    draw("measure", edges, thresholds, { x: "threshold", y: label.replace(/ \(.*/, ""), range: bounds }, [0, 1]);
    draw("roc", GRID, lines((bins) => along(bins, edges, z, "tpr", "fpr")), { x: "false positive rate", y: "sensitivity" }, [0, 1], [GRID]);
    draw("pr", GRID, lines((bins) => along(bins, edges, z, "ppv", "tpr")), { x: "sensitivity (recall)", y: "precision" }, [0, 1]);
    draw("reliability", GRID, lines((bins) => reliability(bins, edges, z)), { x: "mean score", y: "share with the finding" }, [0, 1], [GRID]);
    const gains = lines((bins) => benefit(bins, edges, z));
    const top = Math.max(0.05, ...gains.flatMap((line) => line.values[0]));
    const inside = edges.filter((edge) => edge < 1);
    draw("benefit", inside, gains, { x: "threshold", y: "net benefit", range: bounds }, [-top / 3, 1.15 * top], [everybody(groups.map((g) => g.bins), edges), inside.map(() => 0)]);
  }

  elements.cohort.addEventListener("change", fill);
  elements.run.addEventListener("change", fillTasks);
  elements.task.addEventListener("change", toAudit);
  elements.attribute.addEventListener("change", show);
  elements.measure.addEventListener("change", show);
  elements.audit.addEventListener("click", toAudit);
  elements.threshold.addEventListener("input", () => {
    audit = false;
    show();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  let width = 0;
  new ResizeObserver(([entry]) => {
    const now = Math.round(entry.contentRect.width);
    if (now && now !== width) show();
    width = now;
  }).observe(document.getElementById("charts"));
  choose(elements.cohort, data.cohorts.map((one, k) => [k, one.label]));
  fill();
}

if (form) {
  start(JSON.parse(await text(form.dataset.gzip)));
  form.dataset.ready = "yes";
}
