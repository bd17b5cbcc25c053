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
}

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
await Promise.all([...document.querySelectorAll("figure.drawn img")].map(showPicture));
document.documentElement.dataset.ready = "yes";
