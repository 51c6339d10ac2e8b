// Asks Mermaid itself whether graphs are what they should be: it reads and draws each, and the steps, states and
// arrows it found there are the run's own. Input, from the files named or else from standard input: an array of
// {"text", "nodes": [{"name", "state", "needs": [names]}]}, or of texts alone.

import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { JSDOM } from "jsdom";

const { window } = new JSDOM("", { pretendToBeVisual: true });
Object.assign(globalThis, { window, document: window.document, CSSStyleSheet: window.CSSStyleSheet });
globalThis.CSS = { supports: () => false };
// jsdom lays nothing out; every text is taken to be this large.
window.SVGElement.prototype.getBBox = () => ({ x: 0, y: 0, width: 100, height: 20 });
window.SVGElement.prototype.getComputedTextLength = () => 100;

// Only now: Mermaid looks for the window when it is loaded.
const { default: mermaid } = await import("mermaid");
mermaid.initialize({ startOnLoad: false, maxTextSize: 10_000_000, maxEdges: 1_000_000 });

// What a label is made of; a name may add nothing to it.
const ELEMENTS = ["BR", "DIV", "P", "SPAN"];

/** What a reader sees of a text in one line. */
const seen = (text) =>
  text
    .replace(/[\0-\x1f]/g, (c) => String.fromCharCode(0x2400 + c.charCodeAt()))
    .replaceAll("\x7f", "\u2421")
    .replace(/[\x80-\x9f]/g, "\ufffd")
    .replaceAll("\xa0", " ")
    .replaceAll("\u2060", "");

/** A label as Mermaid's parser keeps it: with marks of its own for `#…;`. */
const decoded = (text) => text.replace(/ﬂ°°(\d+)¶ß/g, (_, code) => String.fromCodePoint(Number(code)));

function same(what, found, expected) {
  if (!isDeepStrictEqual(found, expected)) {
    throw new Error(`${what}: found ${JSON.stringify(found)}, expected ${JSON.stringify(expected)}`);
  }
}

/** The lines of a label that was drawn. */
function lines(label) {
  for (const element of label.querySelectorAll("*")) {
    if (!ELEMENTS.includes(element.tagName)) throw new Error(`a label holds ${element.outerHTML}`);
    if (element.tagName === "BR") element.replaceWith("\n");
  }
  return label.textContent.split("\n").map(seen);
}

async function check({ text, nodes }, number) {
  await mermaid.parse(text);
  if (!nodes) return;

  const { db } = await mermaid.mermaidAPI.getDiagramFromText(text);
  const vertices = [...db.getVertices().values()];
  const names = new Map();
  for (const { id, text } of vertices) names.set(id, seen(decoded(text.split("<br>")[0])));
  const steps = vertices.map(({ id, classes }) => [names.get(id), classes]);
  same("steps", steps.sort(), nodes.map(({ name, state }) => [seen(name), [state]]).sort());
  const arrows = db.getEdges().map(({ start, end }) => [names.get(start), names.get(end)]);
  const needs = nodes.flatMap(({ name, needs }) => (needs ?? []).map((need) => [seen(need), seen(name)]));
  same("arrows", arrows.sort(), needs.sort());
  same("subgraphs", db.getSubGraphs(), []);
  for (const { link, haveCallback } of vertices) {
    if (link || haveCallback) throw new Error("a step can be clicked");
  }

  const { svg } = await mermaid.render(`graph${number}`, text);
  const { document } = new JSDOM(svg).window;
  const labels = [...document.querySelectorAll("g.node .nodeLabel")].map(lines);
  same("names drawn", labels.map(([name]) => name).sort(), nodes.map(({ name }) => seen(name)).sort());
  const states = labels.map(([, state]) => state.split(",")[0]);
  same("states drawn", states.sort(), nodes.map(({ state }) => state).sort());
}

const files = process.argv.slice(2);
const graphs = (files.length ? files : [0]).flatMap((file) => JSON.parse(readFileSync(file, "utf8")));
let failed = 0;
for (const [number, graph] of graphs.entries()) {
  const one = typeof graph === "string" ? { text: graph } : graph;
  try {
    await check(one, number);
    console.log(`ok ${number}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED ${number}: ${error.message}\n${one.text}`);
  }
}
console.log(`${graphs.length - failed} passed, ${failed} failed`);
process.exit(failed || !graphs.length ? 1 : 0);
