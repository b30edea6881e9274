/** What the runs say: step times beside those of the simulation alone, and where the solver waited. */
import Table from "cli-table3";

import { median } from "../smoke/statistics.js";

/** As examples/gray-scott writes it: of the slowest rank each. */
export interface Timing {
  readonly steps: number;
  readonly published: number;
  readonly steps_s: number;
  readonly describe_s: number;
  readonly push_s: number;
  readonly wait_s: number;
  readonly flush_s: number;
}

export interface Sample extends Timing {
  /** Part of the cores' time that other processes took meanwhile. */
  readonly others: number;
}

export interface Row {
  readonly ranks: number;
  readonly variant: string;
  readonly rounds: number;
  /** With all output and the last flush. */
  readonly step_ms: number;
  /** To the simulation alone, in the same round. */
  readonly ratio: number;
  readonly ratio_min: number;
  readonly ratio_max: number;
  /** For each published step: the call that pushes or writes; the wait until the field may be overwritten. */
  readonly push_ms: number;
  readonly wait_ms: number;
  /** Once, at the end. */
  readonly flush_ms: number;
  /** Of all the time, in push, wait and flush. */
  readonly within: number;
  readonly others: number;
  readonly samples: readonly Sample[];
}

/** `alone` holds the same rounds. */
export function rowOf(ranks: number, variant: string, samples: readonly Sample[], alone: readonly Sample[]): Row {
  const ratios = samples.map(({ steps_s }, round) => steps_s / (alone[round]?.steps_s ?? NaN));
  const middle = (of: (sample: Sample) => number): number => median(samples.map(of));
  return {
    ranks,
    variant,
    rounds: samples.length,
    step_ms: middle(({ steps_s, steps }) => (steps_s / steps) * 1000),
    ratio: median(ratios),
    ratio_min: Math.min(...ratios),
    ratio_max: Math.max(...ratios),
    push_ms: middle(({ push_s, published }) => (push_s / published) * 1000),
    wait_ms: middle(({ wait_s, published }) => (wait_s / published) * 1000),
    flush_ms: middle(({ flush_s }) => flush_s * 1000),
    within: middle(({ push_s, wait_s, flush_s, steps_s }) => (push_s + wait_s + flush_s) / steps_s),
    others: middle(({ others }) => others),
    samples,
  };
}

export function tableOf(rows: readonly Row[]): string {
  const table = new Table({
    head: ["ranks", "variant", "step ms", "ratio", "range", "push ms", "wait ms", "flush ms", "within", "others"],
    colAligns: ["right", "left", "right", "right", "right", "right", "right", "right", "right", "right"],
    style: { head: [], border: [], compact: true },
  });
  for (const row of rows) {
    const milliseconds = [row.push_ms, row.wait_ms, row.flush_ms].map((value) => value.toFixed(2));
    const range = `${row.ratio_min.toFixed(2)} – ${row.ratio_max.toFixed(2)}`;
    const shares = [row.within, row.others].map((part) => `${(part * 100).toFixed(1)} %`);
    table.push([
      row.ranks,
      row.variant,
      row.step_ms.toFixed(2),
      row.ratio.toFixed(2),
      range,
      ...milliseconds,
      ...shares,
    ]);
  }
  return table.toString();
}
