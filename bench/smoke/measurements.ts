/**
 * The measurements: each repetition measures what Weftline does and, right before it, what would be possible, so that
 * both see the same machine.
 */
import { crossingModule, fileRate, halfRoundTrip, rmaRate, singleEventsInC } from "./limits.js";
import { dataItems, floors, metadataEvents, ringMebibytes, singleEvents, singleLimits } from "./plan.js";
import type { Result } from "./results.js";
import { quantile } from "./statistics.js";
import type { Worker } from "./worker.js";

/** The processes that talk over one transport. */
export interface Pair {
  readonly transport: string;
  readonly producer: Worker;
  readonly consumer: Worker;
}

/** Repetition 0 warms up; then at least two, and more as long as there is time. */
const repetitionsMin = 2;
function* rounds(repetitions: number, seconds: number): Generator<number> {
  const end = performance.now() + seconds * 1000;
  for (let round = 0; round <= repetitions; round++) {
    if (round > repetitionsMin && performance.now() > end) return;
    yield round;
  }
}

/** How often, and for how long, a measurement is repeated. */
export interface Effort {
  readonly repetitions: number;
  readonly seconds: number;
}

type Kind = Pick<Result, "name" | "unit" | "limitName" | "kind" | "floor">;
const started = (transport: string, kind: Kind): Result => ({ ...kind, transport, measured: [], limits: [] });

/** 256 B of JSON, beside JSON.stringify and JSON.parse of the same. */
export async function measureMetadata(
  { transport, producer, consumer }: Pair,
  { repetitions, seconds }: Effort,
): Promise<Result[]> {
  const unit = "events/s";
  const produced = started(transport, {
    ...{ name: "256 B JSON produced", unit, limitName: "JSON.stringify alone", kind: "rate" },
    floor: floors.produced,
  });
  const consumed = started(transport, {
    ...{ name: "256 B JSON consumed", unit, limitName: "JSON.parse alone", kind: "rate" },
    floor: floors.consumed,
  });
  await producer.ask("prepareMetadata", { count: metadataEvents });
  await consumer.ask("prepareMetadata", { count: metadataEvents });
  const topic = `metadata-${transport}`;
  for (const repetition of rounds(repetitions, seconds)) {
    const stringify = await producer.ask<{ seconds: number }>("stringify");
    const push = await producer.ask<number>("metadata", { topic });
    const parse = await consumer.ask<{ seconds: number; sum: number }>("parse");
    const from = repetition * metadataEvents;
    const pull = await consumer.ask<{ seconds: number; sum: number }>("metadata", {
      ...{ topic, from, count: metadataEvents },
    });
    if (pull.sum !== parse.sum) throw new Error(`${topic}: other events came back than were pushed`);
    if (repetition === 0) continue; // warms up
    produced.limits.push(metadataEvents / stringify.seconds);
    produced.measured.push(metadataEvents / push);
    consumed.limits.push(metadataEvents / parse.seconds);
    consumed.measured.push(metadataEvents / pull.seconds);
  }
  return [produced, consumed];
}

/** 1 MiB in memory, beside RMA and CRC32C over the same fabric provider. */
export async function measureData(
  { transport, producer, consumer }: Pair,
  { repetitions, seconds }: Effort,
): Promise<Result[]> {
  const unit = "MiB/s";
  const produced = started(transport, {
    ...{ name: "1 MiB produced, memory", unit, limitName: "RMA reads + CRC32C", kind: "rate" },
    floor: floors.memory,
  });
  const consumed = started(transport, {
    ...{ name: "1 MiB consumed, memory", unit, limitName: "RMA writes", kind: "rate" },
    floor: undefined,
  });
  await producer.ask("prepareData", { count: dataItems });
  const ring = ringMebibytes(repetitions);
  const topic = `data-${transport}`;
  for (const repetition of rounds(repetitions, seconds)) {
    const reads = await rmaRate(transport, "read", dataItems, ring);
    const push = await producer.ask<number>("data", { topic, count: dataItems });
    const writes = await rmaRate(transport, "write", 24, ring);
    const pull = await consumer.ask<number>("data", { topic, from: repetition * dataItems, count: dataItems });
    if (repetition === 0) continue;
    produced.limits.push(reads);
    produced.measured.push(dataItems / push);
    consumed.limits.push(writes);
    consumed.measured.push(dataItems / pull);
  }
  return [produced, consumed];
}

interface SyncCounters {
  readonly syncs: number;
  readonly batches: number;
}

/** 1 MiB onto disk, beside CRC32C and file writes of the same sizes, synced as often. `settle` empties the page cache. */
export async function measureDisk(
  { transport, producer }: Pair,
  topic: "written" | "synced",
  { repetitions, seconds }: Effort,
  directory: string,
  syncCounters: () => Promise<SyncCounters>,
  settle: () => Promise<void>,
): Promise<Result[]> {
  const result = started(transport, {
    ...{ name: `1 MiB produced, ${topic}`, unit: "MiB/s", kind: "rate", floor: floors[topic] },
    limitName: topic === "written" ? "CRC32C + pwrite" : "CRC32C + pwrite + fdatasync",
  });
  await producer.ask("prepareData", { count: dataItems });
  for (const repetition of rounds(repetitions, seconds)) {
    await settle();
    const before = await syncCounters();
    const push = await producer.ask<number>("data", { topic, count: dataItems });
    const after = await syncCounters();
    await settle();
    const batchesPerSync = Math.max(1, Math.round((after.batches - before.batches) / (after.syncs - before.syncs)));
    const limit = await fileRate(directory, topic === "written" ? 0 : batchesPerSync);
    if (repetition === 0) continue;
    result.limits.push(limit);
    result.measured.push(dataItems / push);
  }
  return [result];
}

/**
 * One event after another, beside what its way is made of: from JavaScript, where it crosses to a thread and back, and
 * through the C API, where it is handed to a thread and back.
 */
export async function measureEvents(
  { transport, producer }: Pair,
  { repetitions, seconds }: Effort,
  group: string,
): Promise<Result[]> {
  const unit = "us, p50";
  const isTcp = transport === "tcp";
  const time = (name: string, limitName: string, floor?: number, percentile = unit): Result =>
    started(transport, { name, unit: percentile, limitName, kind: "time", floor });
  const whole = time("one event acknowledged", "as in C + a crossing", isTcp ? 1 : undefined);
  const inC = time("one event acknowledged, C", "2 half round trips + 1.5 x hand-overs", isTcp ? 1 : undefined);
  const late = time("… its p99", "2 x p99 of a round trip + 1.5 x hand-overs", isTcp ? 1 : undefined, "us, p99");
  const trips = time("half round trip alone", "");
  const crossings = time("crossing to a thread and back alone", "");
  const handOvers = time("hand-over to a thread and back, C", "");
  const topic = `event-${transport}`;
  for (const repetition of rounds(repetitions, seconds)) {
    const trip = await halfRoundTrip(transport);
    const crossing = quantile(
      await producer.ask<number[]>("crossings", { module: crossingModule, count: singleLimits }),
      0.5,
    );
    const event = quantile(await producer.ask<number[]>("events", { topic, count: singleEvents }), 0.5);
    const single = await singleEventsInC(group, topic, transport);
    if (repetition === 0) continue;
    const threads = 1.5 * single.handOversUs;
    for (const [part, value, limit] of [
      [whole, event, 2 * trip.p50Us + threads + crossing],
      [inC, single.p50Us, 2 * trip.p50Us + threads],
      [late, single.p99Us, 2 * (2 * trip.p99Us) + threads],
      [trips, trip.p50Us, trip.p50Us],
      [crossings, crossing, crossing],
      [handOvers, single.handOversUs, single.handOversUs],
    ] as const) {
      part.measured.push(value);
      part.limits.push(limit);
    }
  }
  return [whole, inC, late, trips, crossings, handOvers];
}
