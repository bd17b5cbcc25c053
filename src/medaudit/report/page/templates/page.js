const TYPES = { csv: "text/csv", tex: "text/x-tex", json: "application/json", bib: "text/x-bibtex", svg: "image/svg+xml" };
const ESCAPES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
const escape = (text) => text.replace(/[&<>"']/g, (character) => ESCAPES[character]);

document.getElementById("old-browser").hidden = "DecompressionStream" in window;

async function unpack(text, type = "") {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Blob([await new Response(stream).arrayBuffer()], { type });
}

async function address(element, type) {
  return URL.createObjectURL(await unpack(element.dataset.gzip, type));
}

async function rowsOf(table) {
  const { text, order } = JSON.parse(await (await unpack(table.dataset.gzip)).text());
  const cell = (k, i) =>
    order[k] ? { shown: escape(text[k][i]), order: order[k][i] } : escape(text[k][i]);
  return text[0].map((_, i) => text.map((_, k) => cell(k, i)));
}

function showTab() {
  const id = decodeURIComponent(location.hash.slice(1));
  const target = id ? document.getElementById(id) : null;
  const tab = target ? target.closest(".tab") : document.querySelector(".tab");
  if (!tab) return;
  document.querySelectorAll(".tab").forEach((one) => one.classList.toggle("current", one === tab));
  document.querySelectorAll("nav.tabs a").forEach((link) => {
    if (link.getAttribute("href") === `#${tab.id}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  });
  for (let fold = target?.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  if (target === tab || !target) scrollTo(0, 0);
  else target.scrollIntoView();
}

const banner = document.querySelector("aside.phantom");
if (banner) {
  const below = () => document.documentElement.style.setProperty("--banner", `${banner.offsetHeight}px`);
  new ResizeObserver(below).observe(banner);
}

document.documentElement.classList.add("tabbed");
addEventListener("hashchange", showTab);
showTab();

// A table that is wider than its place says so, and its name columns stay when it is scrolled.
function mark(box) {
  const room = box.scrollWidth - box.clientWidth - box.scrollLeft;
  box.classList.toggle("more", room > 4);
  const rows = box.querySelectorAll("tr");
  const first = rows[0]?.cells[0]?.offsetWidth ?? 0;
  if (first) box.style.setProperty("--first", `${first}px`);
}

function watch(box) {
  box.tabIndex = 0;
  const again = () => mark(box);
  box.addEventListener("scroll", again, { passive: true });
  new ResizeObserver(again).observe(box);
}

const code = document.getElementById("data-tables");
const bundle = URL.createObjectURL(await unpack(code.textContent.trim(), "text/javascript"));
const { default: DataTable } = await import(bundle);
URL.revokeObjectURL(bundle);
const PAGE = 25;
const enhanced = [];

function columnOf(cell, k, packed) {
  const text = cell.dataset.kind === "text";
  const column = {
    targets: k,
    type: text ? "string" : "num",
    className: text ? "" : "number",
    orderSequence: text ? ["asc", "desc", ""] : ["desc", "asc", ""],
    columnControl: text ? [["searchList"]] : [],
  };
  if (packed && !text) column.render = { _: "shown", sort: "order", type: "order" };
  return column;
}

async function enhance(table) {
  if (table.dataset.begun) return;
  table.dataset.begun = "yes";
  const packed = "gzip" in table.dataset;
  const rows = packed ? await rowsOf(table) : [...table.tBodies[0].rows];
  const long = rows.length > PAGE;
  const made = new DataTable(table, {
    ...(packed ? { data: rows, deferRender: true } : {}),
    order: [],
    pageLength: PAGE,
    paging: long,
    searching: true,
    info: long,
    autoWidth: false,
    columnDefs: [...table.tHead.rows[0].cells].map((cell, k) => columnOf(cell, k, packed)),
    layout: { topStart: null, topEnd: "search", bottomStart: "info", bottomEnd: "paging" },
    language: { search: "Filter rows: " },
  });
  enhanced.push(made);
  const box = table.parentElement;
  watch(box);
  const name = document.getElementById(`${table.id}-title`)?.textContent ?? "table";
  const drawn = () => {
    mark(box);
    made.table().container().querySelector("nav")?.setAttribute("aria-label", `Pages of ${name}`);
  };
  made.on("draw", drawn);
  drawn();
}

addEventListener("beforeprint", () => document.querySelectorAll("details.picture[open] img").forEach(showPicture));
addEventListener("beforeprint", () => enhanced.forEach((table) => table.page.len(-1).draw()));
addEventListener("afterprint", () => enhanced.forEach((table) => table.page.len(PAGE).draw()));

for (const link of document.querySelectorAll("a.packed")) {
  link.addEventListener("click", async (event) => {
    if (link.href.startsWith("blob:")) return;
    event.preventDefault();
    link.href = await address(link, TYPES[link.download.split(".").pop()]);
    link.click();
  });
}

const dialog = document.getElementById("large");
for (const figure of document.querySelectorAll("figure.drawn")) {
  const picture = figure.querySelector("img");
  figure.querySelector("button.enlarge").addEventListener("click", () => {
    const large = dialog.querySelector("img");
    large.src = picture.src;
    large.alt = picture.alt;
    dialog.querySelector("p.large-caption").textContent = figure.querySelector(".said").textContent;
    dialog.showModal();
  });
}

async function showPicture(picture) {
  if (picture.dataset.gzip) picture.src = await address(picture, TYPES.svg);
  picture.closest("figure").querySelector("a.picture").href = picture.src;
}

for (const text of document.querySelectorAll("pre[data-gzip]")) {
  const show = async () => (text.textContent = await (await unpack(text.dataset.gzip)).text());
  text.closest("details").addEventListener("toggle", show, { once: true });
}

for (const details of document.querySelectorAll("details.table:not([open])")) {
  const open = () => details.querySelectorAll("table.data").forEach(enhance);
  details.addEventListener("toggle", open, { once: true });
}
await Promise.all([...document.querySelectorAll("details[open] table.data")].map(enhance));
for (const details of document.querySelectorAll("details.picture")) {
  const open = () => details.querySelectorAll("figure.drawn img").forEach(showPicture);
  details.addEventListener("toggle", open, { once: true });
}
const free = [...document.querySelectorAll("figure.drawn img")].filter((picture) => !picture.closest("details"));
await Promise.all(free.map(showPicture));
document.querySelectorAll(".scroll").forEach((box) => box.querySelector("table.data") ?? watch(box));
document.documentElement.dataset.ready = "yes";
