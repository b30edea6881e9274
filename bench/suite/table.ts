/** Rows as a table for people. */
import Table from "cli-table3";

import type { Row } from "./rows.js";

function short(value: number): string {
  if (!Number.isFinite(value)) return "-";
  if (value >= 100) return Math.round(value).toLocaleString("en");
  return value.toPrecision(3);
}

export function tableOf(rows: readonly Row[]): string {
  const table = new Table({
    head: ["scenario", "system", "client", "events/s", "MiB/s", "p50/p99/p99.9 µs", "CPU s/M", "of the limit", "range"],
    colAligns: ["left", "left", "left", "right", "right", "right", "right", "right", "right"],
    style: { head: [], border: [], compact: true },
  });
  for (const row of rows) {
    const latency = row.latency_us;
    table.push([
      ...[row.scenario, row.system, row.client, short(row.events_per_second), short(row.bytes_per_second / 2 ** 20)],
      latency === null ? "" : [latency.p50, latency.p99, latency.p999].map(short).join(" / "),
      row.cpu_seconds_per_million_events === null ? "" : short(row.cpu_seconds_per_million_events),
      row.limit_ratio === null ? "" : row.limit_ratio.toFixed(2),
      `${short(row.min)} – ${short(row.max)}`,
    ]);
  }
  return table.toString();
}
