// Words of the glossary show their meaning on hover and focus: the first of each in a tab.
const meanings = JSON.parse(document.getElementById("glossary").textContent);
const byLength = Object.keys(meanings).sort((a, b) => b.length - a.length);
const words = new RegExp(`(?<![\\w-])(?:${byLength.join("|")})(?![\\w-])`, "g");
const NOT_IN = "a, button, summary, th, td, h1, h2, h3, h4, svg, script, code, pre, label, select, .verdict, .term";

for (const tab of document.querySelectorAll(".tab")) {
  const said = new Set();
  const texts = [];
  const walker = document.createTreeWalker(tab, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) if (walker.currentNode.parentElement.closest("p, li, dd, figcaption")) texts.push(walker.currentNode);
  for (const text of texts) if (!text.parentElement.closest(NOT_IN)) explain(text, said);
}

function explain(text, said) {
  const found = [...text.data.matchAll(words)].find(([word]) => !said.has(meanings[word]));
  if (!found) return;
  said.add(meanings[found[0]]);
  const start = text.splitText(found.index);
  const rest = start.splitText(found[0].length);
  const term = document.createElement("dfn");
  Object.assign(term, { className: "term", tabIndex: 0, title: meanings[found[0]] });
  term.dataset.meaning = meanings[found[0]];
  start.replaceWith(term);
  term.append(start);
  explain(rest, said);
}
