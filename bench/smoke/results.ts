/** What was measured beside what was possible: samples in pairs, their medians, the floor, a table. */
import Table from "cli-table3";

import { median } from "./statistics.js";

/** One line of the table. */
export interface Result {
  readonly name: string;
  readonly transport: string;
  readonly unit: string;
  /** What the limit is made of. */
  readonly limitName: string;
  readonly measured: number[];
  /** Measured next to `measured` of the same index. */
  readonly limits: number[];
  /** "rate": measured / limit has to reach the floor; "time": measured must not exceed limit x floor. */
  readonly kind: "rate" | "time";
  /** Undefined: shown for information. */
  readonly floor: number | undefined;
}

/** The median over the pairs, which drift of the machine touches less than a ratio of medians. */
export function ratioOf({ measured, limits }: Result): number {
  return median(measured.map((value, index) => value / (limits[index] ?? NaN)));
}

export function isMet(result: Result): boolean {
  if (result.floor === undefined) return true;
  const ratio = ratioOf(result);
  return result.kind === "rate" ? ratio >= result.floor : ratio <= result.floor;
}

/** Why a run failed, a line each; empty where every floor was reached. A run that measured nothing has shown nothing. */
export function missedLines(results: readonly Result[]): string[] {
  if (results.length === 0) return ["nothing was measured: no part and transport of those asked for is known"];
  return results
    .filter((result) => !isMet(result))
    .map((result) => {
      const { name, transport, floor } = result;
      return `missed: ${name} over ${transport}: ratio ${ratioOf(result).toFixed(2)}, floor ${String(floor)}`;
    });
}

function text(value: number): string {
  if (value >= 1000) return Math.round(value).toLocaleString("en");
  return value >= 100 ? value.toFixed(0) : value.toFixed(value >= 10 ? 1 : 2);
}

export function tableOf(results: readonly Result[]): string {
  const table = new Table({
    head: ["what", "over", "Weftline", "limit", "unit", "ratio", "floor", "", "the limit is"],
    colAligns: ["left", "left", "right", "right", "left", "right", "right", "left", "left"],
    style: { head: [], border: [] },
  });
  for (const result of results) {
    const { name, transport, measured, limits, unit, floor, kind, limitName } = result;
    const sign = kind === "rate" ? ">=" : "<=";
    table.push([
      ...[name, transport, text(median(measured)), text(median(limits)), unit, ratioOf(result).toFixed(2)],
      ...[floor === undefined ? "" : `${sign} ${floor.toFixed(2)}`, verdict(result), limitName],
    ]);
  }
  return table.toString();
}

function verdict(result: Result): string {
  if (result.floor === undefined) return "";
  return isMet(result) ? "ok" : "MISSED";
}

/** For --json. */
export function reportOf(results: readonly Result[], machine: object): object {
  return {
    machine,
    results: results.map((result) => ({ ...result, ratio: ratioOf(result), met: isMet(result) })),
  };
}
