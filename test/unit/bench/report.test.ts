// The report: which plots there are of which rows, and their files.
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { decode } from "fast-png";
import { describe, expect, it } from "vitest";

import { writeReport } from "../../../bench/report/page.js";
import { plotsOf } from "../../../bench/report/plots.js";
import { openRasteriser } from "../../../bench/report/png.js";
import type { Row } from "../../../bench/suite/rows.js";
import { allScenarios, chooseScenarios } from "../../../bench/suite/scenarios.js";

const scenarios = allScenarios();

function rowsOf(names: readonly string[], phases: readonly string[]): Row[] {
  return chooseScenarios(scenarios, names).flatMap(({ name, factor }) =>
    phases.map((phase) => ({
      ...{ scenario: `${name}/${phase}`, factor, system: "weftline", client: "typescript" },
      ...{ storage: "disk", durability: "written", fabric: "tcp" },
      ...{ events_per_second: 1000, bytes_per_second: 256_000, cpu_seconds_per_million_events: 1 },
      latency_us: phase === "acknowledged" ? { p50: 100, p99: 200, p999: 300 } : null,
      ...{ limit_ratio: 0.5, runs: 1, min: 1000, max: 1000 },
    })),
  );
}

async function plotNames(rows: readonly Row[], ratios = {}): Promise<Record<string, string>> {
  const plots = await plotsOf(rows, scenarios, ratios);
  return Object.fromEntries(plots.map(({ name, svg }) => [name, svg]));
}

describe("plotsOf", () => {
  it("shows scaling over partitions, batches and ranks, and leaves out what is no number", async () => {
    const rows = rowsOf(["base", "partitions", "batch", "ranks"], ["produce", "consume"]);
    const plots = await plotNames(rows, { "base/produce": { kafka: 2, "kafka/node": 2 } });
    expect(Object.keys(plots)).toEqual([
      ...["throughput", "scaling-partitions", "scaling-batch", "scaling-ranks", "ratios"],
    ]);
    for (const ranks of ["1 x 1", "4 x 1", "4 x 4"]) expect(plots["scaling-ranks"]).toContain(ranks);
    expect(plots["scaling-batch"]).toContain("batch: 1024");
    expect(plots["scaling-batch"]).not.toContain("adaptive");
  });

  it("shows latency alone where only that was measured", async () => {
    expect(Object.keys(await plotNames(rowsOf(["latency-1000"], ["acknowledged"])))).toEqual(["latency"]);
  });
});

describe("the files", () => {
  const hasRasteriser = async (): Promise<boolean> => typeof (await openRasteriser()) !== "string";

  it("are a page, and each plot as SVG and as PNG", async ({ skip }) => {
    if (!(await hasRasteriser())) skip();
    const directory = mkdtempSync(path.join(tmpdir(), "weftline-report-"));
    try {
      const plots = await plotsOf(rowsOf(["base"], ["produce"]), scenarios, {});
      expect(await writeReport(directory, plots, "<a table>", { missing: {} })).toBeUndefined();
      const names = plots.flatMap(({ name }) => [`${name}.png`, `${name}.svg`]);
      expect(readdirSync(directory).sort()).toEqual([...names, "index.html"].sort());
      expect(readFileSync(path.join(directory, "index.html"), "utf8")).toContain("&lt;a table&gt;");
      const { width, height, data } = decode(readFileSync(path.join(directory, "throughput.png")));
      expect(width).toBeGreaterThan(2 * 460);
      expect(height).toBeGreaterThan(2 * 300);
      expect(new Set(data).size).toBeGreaterThan(2); // it is not blank
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it("say why there is no PNG", async () => {
    const failure = await openRasteriser(() => Promise.reject(new Error("no binary for this machine")));
    expect(failure).toBe("no PNG files: no binary for this machine");
  });
});
