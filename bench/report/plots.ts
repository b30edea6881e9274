/** Plots of a result as SVG texts, drawn by Vega on this side: no browser, no network. */
import * as vega from "vega";
import { type TopLevelSpec, compile } from "vega-lite";

import type { Ratios, Row } from "../suite/rows.js";
import type { Scenario } from "../suite/scenario.js";

export interface Plot {
  readonly name: string;
  readonly title: string;
  readonly svg: string;
}

type Datum = Record<string, string | number>;

const clientName = ({ system, client }: Row): string => `${system} (${client})`;

async function draw(spec: TopLevelSpec): Promise<string> {
  // A system's name with its client is longer than the 160 pixels that a legend has by itself
  const whole = { ...spec, config: { legend: { labelLimit: 0 } } };
  return await new vega.View(vega.parse(compile(whole).spec), { renderer: "none" }).toSVG();
}

/** Lines over a factor. `isNumber`: on a logarithmic axis; else its values stand beside each other as they come. */
function lines(values: Datum[], x: string, y: string, isNumber = true): TopLevelSpec {
  return {
    width: 460,
    height: 300,
    data: { values },
    encoding: {
      x: isNumber
        ? { field: x, type: "quantitative", scale: { type: "log" } }
        : { field: x, type: "ordinal", sort: null, axis: { labelAngle: 0 } },
      y: { field: y, type: "quantitative", scale: { type: "log" } },
      color: { field: "system", type: "nominal" },
    },
    layer: [
      { mark: "line", encoding: { strokeDash: { field: "phase", type: "nominal" } } },
      { mark: { type: "point", filled: true } },
    ],
  };
}

function bars(values: Datum[], x: string, color: string): TopLevelSpec {
  return {
    width: 560,
    data: { values },
    mark: "bar",
    encoding: {
      y: { field: "scenario", type: "nominal", sort: null },
      yOffset: { field: color, type: "nominal" },
      x: { field: x, type: "quantitative", scale: { type: "symlog", constant: 0.1 } },
      color: { field: color, type: "nominal" },
    },
  };
}

const percentileNames = { p50: "p50", p99: "p99", p999: "p99.9" } as const;

export async function plotsOf(rows: readonly Row[], scenarios: readonly Scenario[], ratios: Ratios): Promise<Plot[]> {
  const factorsOf = new Map(scenarios.map((one) => [one.name, one]));
  const phaseOf = (row: Row): string => row.scenario.split("/")[1] ?? "";
  const scenarioOf = (row: Row): Scenario | undefined => factorsOf.get(row.scenario.split("/")[0] ?? "");
  const datum = (row: Row, more: Datum): Datum => ({ system: clientName(row), phase: phaseOf(row), ...more });
  const plots: Plot[] = [];
  const add = async (name: string, title: string, values: Datum[], spec: () => TopLevelSpec): Promise<void> => {
    if (values.length > 0) plots.push({ name, title, svg: await draw(spec()) });
  };
  const rates = rows.filter(({ factor }) => factor !== "latency");

  const bySize = rates.flatMap((row) => {
    const one = scenarioOf(row);
    if (one === undefined || !["base", "metadata", "data"].includes(row.factor)) return [];
    return [datum(row, { bytes: one.metadataBytes + one.dataBytes, MiBs: row.bytes_per_second / 2 ** 20 })];
  });
  await add("throughput", "Throughput by size of an event, MiB/s", bySize, () => lines(bySize, "bytes", "MiBs"));

  /** Events a second by one factor; undefined: not part of it. */
  const scaling = async (name: string, of: (one: Scenario) => Datum[string] | undefined): Promise<void> => {
    const axis = name === "ranks" ? "producers x consumers" : name;
    const values = rates.flatMap((row) => {
      const one = scenarioOf(row);
      const value = one === undefined ? undefined : of(one);
      return value === undefined ? [] : [datum(row, { [axis]: value, "events/s": row.events_per_second })];
    });
    const those = new Set(values.map(({ [axis]: value }) => value));
    if (those.size < 2) return; // nothing to see
    const isNumber = [...those].every((value) => typeof value === "number");
    await add(`scaling-${name}`, `Events a second by ${axis}`, values, () => lines(values, axis, "events/s", isNumber));
  };
  const isOf = (one: Scenario, ...factors: string[]): boolean => factors.includes(one.factor);
  await scaling("partitions", (one) => (isOf(one, "base", "partitions") ? one.partitions : undefined));
  await scaling("batch", (one) => (isOf(one, "base", "batch") && one.batch !== "adaptive" ? one.batch : undefined));
  // One producer and one consumer of as many partitions as the others have, so that nothing else differs
  await scaling("ranks", (one) =>
    isOf(one, "ranks") || one.name === "partitions-4" ? `${one.producers} x ${one.consumers}` : undefined,
  );

  const latency = rows.flatMap((row) => {
    const { latency_us: times, scenario } = row;
    if (times === null || row.factor !== "latency") return [];
    return (["p50", "p99", "p999"] as const).flatMap((key) => {
      // A limit has no percentiles but the median
      const us = times[key];
      return Number.isFinite(us) ? [datum(row, { scenario: `${scenario} ${percentileNames[key]}`, us })] : [];
    });
  });
  await add("latency", "Latency at a fixed load, µs", latency, () => bars(latency, "us", "system"));

  const peers = Object.entries(ratios).flatMap(([scenario, of]) =>
    Object.entries(of)
      .filter(([system]) => !system.includes("/"))
      .map(([system, ratio]) => ({ scenario, system, ratio })),
  );
  await add("ratios", "Weftline's rate divided by that of each peer and of the limit", peers, () =>
    bars(peers, "ratio", "system"),
  );
  return plots;
}
