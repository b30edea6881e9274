/** The report: a page that needs nothing but itself, and each plot as a file beside it. */
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";

import type { Plot } from "./plots.js";
import { openRasteriser } from "./png.js";

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** `facts` is shown as JSON: machine, versions, what is missing. `table` as it is printed. */
export function pageOf(plots: readonly Plot[], table: string, facts: object): string {
  const figures = plots.map(({ title, svg }) => `<h2>${escaped(title)}</h2>\n${svg}`);
  return [
    "<!doctype html>",
    '<html lang="en"><head><meta charset="utf-8"><title>Weftline: benchmarks</title>',
    "<style>body{font-family:sans-serif;max-width:70rem;margin:2rem auto}pre{overflow-x:auto;font-size:80%}</style>",
    "</head><body><h1>Weftline: benchmarks</h1>",
    ...figures,
    `<h2>Rows</h2><pre>${escaped(table)}</pre>`,
    `<h2>Where and of what</h2><pre>${escaped(JSON.stringify(facts, null, 2))}</pre>`,
    "</body></html>",
    "",
  ].join("\n");
}

/** Resolves with why there are no PNG files, if so. */
export async function writeReport(
  directory: string,
  plots: readonly Plot[],
  table: string,
  facts: object,
): Promise<string | undefined> {
  mkdirSync(directory, { recursive: true });
  writeFileSync(path.join(directory, "index.html"), pageOf(plots, table, facts));
  for (const { name, svg } of plots) writeFileSync(path.join(directory, `${name}.svg`), svg);
  const rasterise = await openRasteriser();
  if (typeof rasterise === "string") return rasterise;
  for (const { name, svg } of plots) writeFileSync(path.join(directory, `${name}.png`), rasterise(svg));
  return undefined;
}
