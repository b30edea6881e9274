/**
 * What was measured, as rows, and ratios of pairs of the same run: the median over the runs, which drift of the machine
 * touches less than a ratio of medians. docs/benchmarks.md is the description of the JSON.
 */
import type { Percentiles } from "./statistics.js";
import { median } from "./statistics.js";

export const formatVersion = 1;

/** One run of one system. */
export interface Sample {
  readonly eventsPerSecond: number;
  readonly bytesPerSecond: number;
  readonly latencyUs: Percentiles | null;
  readonly cpuSecondsPerMillionEvents: number | null;
}

/** Everything of one system in one scenario and phase; sample `i` is of run `i`. */
export interface Series {
  readonly scenario: string;
  readonly factor: string;
  readonly system: string;
  readonly client: string;
  readonly storage: string;
  readonly durability: string;
  readonly fabric: string;
  /** What latency is compared in place of rates. */
  readonly isLatency: boolean;
  /** It has less to do than the others (Kafka's consumer tool reads no payload): shown, but never a system's best client. */
  readonly doesLess?: boolean;
  readonly samples: (Sample | undefined)[];
}

export interface Row {
  readonly scenario: string;
  readonly factor: string;
  readonly system: string;
  readonly client: string;
  readonly storage: string;
  readonly durability: string;
  readonly fabric: string;
  readonly events_per_second: number;
  readonly bytes_per_second: number;
  readonly latency_us: Percentiles | null;
  readonly cpu_seconds_per_million_events: number | null;
  /** This system's rate divided by the limit's; of latency the limit's p50 divided by this system's. */
  readonly limit_ratio: number | null;
  readonly runs: number;
  /** Of events a second; of latency, of the p50 in microseconds. */
  readonly min: number;
  readonly max: number;
}

export type Ratios = Record<string, Record<string, number>>;

const present = (series: Series): Sample[] => series.samples.filter((sample) => sample !== undefined);

/** What is compared: larger is better for rates, smaller for latency. */
function valueOf(series: Series, sample: Sample): number {
  return series.isLatency ? (sample.latencyUs?.p50 ?? NaN) : sample.eventsPerSecond;
}

/** Median over the runs of both of one value divided by the other; undefined where they share none. */
export function ratioOf(ours: Series, theirs: Series): number | undefined {
  const ratios = ours.samples.flatMap((sample, run) => {
    const other = theirs.samples[run];
    return sample === undefined || other === undefined ? [] : [valueOf(ours, sample) / valueOf(theirs, other)];
  });
  return ratios.length === 0 ? undefined : median(ratios);
}

const sameCase = (left: Series, right: Series): boolean => left.scenario === right.scenario;

/** The least of a scenario's limits: what bounds whoever has to do all of it. */
export function limitOf(all: readonly Series[], one: Series): Series | undefined {
  const limits = all.filter((other) => sameCase(one, other) && other.system === "limit" && other.client !== "mpi");
  const first = limits[0];
  if (first === undefined) return undefined;
  const samples = first.samples.map((_, run) => {
    const of = limits.flatMap(({ samples: list }) => list[run] ?? []);
    return of.sort((left, right) => left.eventsPerSecond - right.eventsPerSecond)[0];
  });
  return { ...first, client: "least", samples };
}

function rowOf(all: readonly Series[], series: Series): Row {
  const samples = present(series);
  const middle = (of: (sample: Sample) => number): number => median(samples.map(of));
  const values = samples.map((sample) => valueOf(series, sample));
  const limit = limitOf(all, series);
  const ratio = limit === undefined ? undefined : ratioOf(series, limit);
  const cpu = samples.flatMap((sample) => sample.cpuSecondsPerMillionEvents ?? []);
  const latency = samples.flatMap((sample) => sample.latencyUs ?? []);
  const { scenario, factor, system, client, storage, durability, fabric } = series;
  return {
    ...{ scenario, factor, system, client, storage, durability, fabric },
    events_per_second: middle((sample) => sample.eventsPerSecond),
    bytes_per_second: middle((sample) => sample.bytesPerSecond),
    latency_us:
      latency.length === 0
        ? null
        : {
            p50: median(latency.map(({ p50 }) => p50)),
            p99: median(latency.map(({ p99 }) => p99)),
            p999: median(latency.map(({ p999 }) => p999)),
          },
    cpu_seconds_per_million_events: cpu.length === 0 ? null : median(cpu),
    limit_ratio: ratio === undefined ? null : series.isLatency ? 1 / ratio : ratio,
    runs: samples.length,
    min: Math.min(...values),
    max: Math.max(...values),
  };
}

export function rowsOf(all: readonly Series[]): Row[] {
  return all.filter((series) => present(series).length > 0).map((series) => rowOf(all, series));
}

/**
 * Ours divided by each other system's, by scenario: rates in `ratios` (above 1 is faster), p50 of latency in
 * `latencyRatios` (below 1 is faster). A system of several clients has a key of its own, which is its best client's, and
 * one for each client; `limit` is the least of the limits.
 */
export function ratiosOf(all: readonly Series[]): { ratios: Ratios; latencyRatios: Ratios } {
  const ratios: Ratios = {};
  const latencyRatios: Ratios = {};
  for (const ours of all.filter(({ system, client }) => system === "weftline" && client === "typescript")) {
    const into: Record<string, number> = {};
    const put = (key: string, ratio: number | undefined): void => {
      if (ratio !== undefined && Number.isFinite(ratio)) into[key] = ratio;
    };
    for (const theirs of all.filter((other) => sameCase(ours, other) && other !== ours)) {
      const ratio = ratioOf(ours, theirs);
      put(`${theirs.system}/${theirs.client}`, ratio);
      const best = into[theirs.system];
      if (theirs.system === "limit" || theirs.system === "weftline" || ratio === undefined) continue;
      if (theirs.doesLess === true) continue;
      // The peer's best client: the one that we compare worst with
      const isBest = best === undefined || (ours.isLatency ? ratio > best : ratio < best);
      if (isBest) put(theirs.system, ratio);
    }
    const limit = limitOf(all, ours);
    if (limit !== undefined) put("limit", ratioOf(ours, limit));
    if (Object.keys(into).length > 0) (ours.isLatency ? latencyRatios : ratios)[ours.scenario] = into;
  }
  return { ratios, latencyRatios };
}
