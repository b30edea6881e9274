/**
 * The demo's online analysis: consumes both topics while they are being produced. Of every block of the field it takes
 * only what lies in a box in the middle of the grid, and computes statistics; at a few steps it also fetches the whole
 * blocks and draws a picture.
 *
 * It acknowledges what it did only up to a given step and a given record, and commits that position: the rest is what
 * the named consumer of the second launch must get, neither more nor less.
 */
import { mkdirSync } from "node:fs";
import { join as joinPath } from "node:path";
import { parseArgs } from "node:util";
import { all, box, type Consumer, type Event, join, metadataOnly, type Selection } from "weftline";
import { Picture } from "./picture.js";
import {
  type BlockMetadata,
  type FieldMetadata,
  type FlightsMetadata,
  needed,
  type Position,
  progress,
  runRank,
  type StepStatistics,
  wholeNumber,
  writeReport,
} from "./shared.js";

const { values } = parseArgs({
  options: {
    reports: { type: "string" },
    pictures: { type: "string" },
    "picture-every": { type: "string" },
    "acknowledge-steps": { type: "string" },
    "acknowledge-records": { type: "string" },
  },
});

/** Steps that may be half complete at a time: the ranks of the simulation are at most one published step apart. */
const openStepsMax = 16;

interface LocalBox {
  readonly origin: readonly [number, number];
  readonly size: readonly [number, number];
}

/** The middle quarter of the grid's sides, as far as it lies in a block; undefined if it does not. */
function boxIn(block: BlockMetadata): LocalBox | undefined {
  const cut = (dimension: 0 | 1): [origin: number, size: number] => {
    const length = block.grid[dimension];
    const from = Math.max(Math.floor((length * 3) / 8), block.origin[dimension]);
    const to = Math.min(Math.ceil((length * 5) / 8), block.origin[dimension] + block.shape[dimension]);
    return [from - block.origin[dimension], to - from];
  };
  const [row, rows] = cut(0);
  const [column, columns] = cut(1);
  return rows > 0 && columns > 0 ? { origin: [row, column], size: [rows, columns] } : undefined;
}

function selectBox(metadata: FieldMetadata): Selection {
  const local = metadata.last === true ? undefined : boxIn(metadata);
  if (metadata.last === true || local === undefined) return metadataOnly;
  return box({ shape: metadata.shape, origin: local.origin, size: local.size, itemSize: 8 });
}

class Moments {
  count = 0;
  sum = 0;
  squares = 0;
  min = Infinity;
  max = -Infinity;
  add(values: Float64Array): void {
    for (const value of values) {
      this.sum += value;
      this.squares += value * value;
      if (value < this.min) this.min = value;
      if (value > this.max) this.max = value;
    }
    this.count += values.length;
  }
  statistics(step: number): StepStatistics {
    const mean = this.sum / this.count;
    const deviation = Math.sqrt(Math.max(0, this.squares / this.count - mean * mean));
    return { step, mean, deviation, min: this.min, max: this.max };
  }
}

/** Counts a stream whose end is said by one event of each of its ranks. */
class StreamEnd {
  #ended = 0;
  #ranks = 1;
  #expected = 0;
  events = 0;
  rankEnded(ranks: number, events: number): void {
    this.#ranks = ranks;
    this.#ended++;
    this.#expected += events;
  }
  get reached(): boolean {
    return this.#ended > 0 && this.#ended === this.#ranks && this.events === this.#expected;
  }
}

class FieldAnalysis {
  readonly end = new StreamEnd();
  readonly statistics: StepStatistics[] = [];
  readonly pictures: string[] = [];
  boxBytes = 0;
  pictureBytes = 0;
  readonly #steps = new Map<number, { readonly moments: Moments; cellsMissing: number }>();
  readonly #drawn = new Map<number, Picture>();

  constructor(
    private readonly folder: string,
    private readonly pictureEvery: number,
  ) {}

  async take(event: Event<FieldMetadata>): Promise<void> {
    const { metadata } = event;
    if (metadata.last === true) {
      this.end.rankEnded(metadata.ranks, metadata.events);
      return;
    }
    this.end.events++;
    this.#measure(metadata, event.float64());
    if (metadata.step % this.pictureEvery === 0) await this.#draw(metadata, event);
  }

  #measure(block: BlockMetadata, values: Float64Array): void {
    this.boxBytes += values.byteLength;
    let step = this.#steps.get(block.step);
    if (step === undefined) {
      if (this.#steps.size >= openStepsMax)
        throw new Error(`${openStepsMax} steps are incomplete at step ${block.step}`);
      step = { moments: new Moments(), cellsMissing: block.grid[0] * block.grid[1] };
      this.#steps.set(block.step, step);
    }
    step.moments.add(values);
    step.cellsMissing -= block.shape[0] * block.shape[1];
    if (step.cellsMissing > 0) return;
    this.#steps.delete(block.step);
    this.statistics.push(step.moments.statistics(block.step));
    progress(`analysis step ${block.step}`);
  }

  async #draw(block: BlockMetadata, event: Event<FieldMetadata>): Promise<void> {
    const bytes = await event.fetch(all);
    this.pictureBytes += bytes.byteLength;
    const picture = this.#drawn.get(block.step) ?? new Picture(block.grid);
    this.#drawn.set(block.step, picture);
    picture.add(block, new Float64Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 8));
    if (!picture.complete) return;
    this.#drawn.delete(block.step);
    const path = joinPath(this.folder, `v-${String(block.step).padStart(5, "0")}.png`);
    picture.write(path);
    this.pictures.push(path);
  }
}

async function positions(consumer: Consumer<never>): Promise<Position[]> {
  return (await consumer.lag()).map(({ partition, position }) => ({ partition, offset: position }));
}

async function analyseField(
  consumer: Consumer<FieldMetadata>,
  analysis: FieldAnalysis,
  lastStep: number,
): Promise<void> {
  for await (const events of consumer.batches({ max: 64 })) {
    for (const event of events) {
      await analysis.take(event);
      if (event.metadata.last !== true && event.metadata.step <= lastStep) event.ack();
    }
    await consumer.commit();
    if (analysis.end.reached) return;
  }
}

interface FlightsTotals {
  events: number;
  bytes: number;
  delays: number;
}

async function analyseFlights(
  consumer: Consumer<FlightsMetadata>,
  totals: FlightsTotals,
  records: number,
): Promise<void> {
  for await (const events of consumer.batches({ max: 4096 })) {
    for (const event of events) {
      const { metadata } = event;
      if (metadata.last === true) {
        if (metadata.records === totals.events) return;
        throw new Error(`${metadata.records} records were pushed, ${totals.events} came`);
      }
      totals.events++;
      totals.bytes += event.metadataBytes.byteLength;
      totals.delays += metadata.delay;
      if (totals.events <= records) event.ack();
    }
    await consumer.commit();
  }
}

await runRank("analysis", async () => {
  const reports = needed("reports", values.reports);
  const folder = needed("pictures", values.pictures);
  mkdirSync(folder, { recursive: true });
  const job = await join({ name: "analysis" });
  const { world } = job;
  const field = await job.topic<FieldMetadata>("field");
  const flights = await job.topic<FlightsMetadata>("flights");
  const ofField = field.consumer({ name: "analysis", select: selectBox, ackEvery: 0 });
  const ofFlights = flights.consumer({ name: "analysis", ackEvery: 0 });

  const analysis = new FieldAnalysis(folder, wholeNumber("picture-every", values["picture-every"], 1));
  const totals: FlightsTotals = { events: 0, bytes: 0, delays: 0 };
  const beganMs = performance.now();
  const secondsOf = async (work: Promise<void>): Promise<number> => {
    await work;
    return (performance.now() - beganMs) / 1000;
  };
  const [fieldSeconds, flightsSeconds] = await Promise.all([
    secondsOf(analyseField(ofField, analysis, wholeNumber("acknowledge-steps", values["acknowledge-steps"], 0))),
    secondsOf(analyseFlights(ofFlights, totals, wholeNumber("acknowledge-records", values["acknowledge-records"], 0))),
  ]);
  await Promise.all([ofField.commit(), ofFlights.commit()]);
  writeReport(reports, "analysis", {
    fieldEvents: analysis.end.events,
    boxBytes: analysis.boxBytes,
    pictureBytes: analysis.pictureBytes,
    fieldSeconds,
    flightsEvents: totals.events,
    flightsBytes: totals.bytes,
    flightsSeconds,
    delayMean: totals.delays / totals.events,
    statistics: analysis.statistics,
    pictures: analysis.pictures,
    committed: {
      field: await positions(ofField as Consumer<never>),
      flights: await positions(ofFlights as Consumer<never>),
    },
  });
  await Promise.all([ofField.close(), ofFlights.close()]);
  await world.barrier();
  await job.close();
});
