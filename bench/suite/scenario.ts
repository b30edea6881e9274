/**
 * One scenario: what is done, with every factor named, and how many events of it are measured. The same object, as JSON,
 * is what ranks are given. Nothing here has an effect.
 */
export const kibibyte = 1024;
export const mebibyte = 1024 * kibibyte;

export type Durability = "memory" | "written" | "synced";
export type Encoding = "json" | "raw" | "packed";

export interface Scenario {
  readonly name: string;
  /** Which one differs from the base case. */
  readonly factor: string;
  readonly metadataBytes: number;
  readonly encoding: Encoding;
  readonly dataBytes: number;
  /** Events that a producer sends together; "adaptive": as each system thinks best. */
  readonly batch: number | "adaptive";
  readonly partitions: number;
  readonly producers: number;
  readonly consumers: number;
  readonly servers: number;
  /**
   * separate: all is produced, then all is consumed, and each is measured; both: at the same time, measured as one;
   * latency: at a fixed load.
   */
  readonly mode: "separate" | "both" | "latency";
  /** Part of each event's data that the consumer wants, in percent. */
  readonly selectData: number;
  /** Part of the events whose data it wants, in percent. */
  readonly selectEvents: number;
  readonly storage: "disk" | "memory";
  readonly durability: Durability;
  readonly transport: "tcp" | "shm";
  readonly hosts: 1 | 2;
  /** Latency: arrivals a second, all producers together. */
  readonly load: number;
  /** Measured, all producers together. */
  readonly events: number;
  /** Pushed before, by each producer, and left out. */
  readonly warmUpEvents: number;
}

export const baseScenario: Omit<Scenario, "name" | "factor" | "events" | "warmUpEvents"> = {
  metadataBytes: 256,
  encoding: "json",
  dataBytes: 0,
  batch: 128,
  partitions: 1,
  producers: 1,
  consumers: 1,
  servers: 1,
  mode: "separate",
  selectData: 100,
  selectEvents: 100,
  storage: "disk",
  durability: "written",
  transport: "tcp",
  hosts: 1,
  load: 0,
};

/** Events of one batch that go to one partition before the next one is taken; of all systems. */
export const batchOf = ({ batch }: Pick<Scenario, "batch">): number => (batch === "adaptive" ? 128 : batch);

const eventBytesOf = ({ metadataBytes, dataBytes }: Pick<Scenario, "metadataBytes" | "dataBytes">): number =>
  metadataBytes + dataBytes;

function roundUp(value: number, unit: number): number {
  return Math.max(unit, Math.ceil(value / unit) * unit);
}

/**
 * Fills in what is not given. Events: about as many as a second or two takes, at least one round over all partitions by
 * each producer, and all producers send as many. Warm-up: whole rounds, so that it ends at the same offset everywhere.
 */
export function scenario(name: string, factor: string, change: Partial<Scenario> = {}, scale: number = 1): Scenario {
  const filled = { ...baseScenario, ...change };
  const { producers, partitions, mode } = filled;
  const round = batchOf(filled) * partitions;
  const bytes = eventBytesOf(filled);
  const bytesMeasured = (filled.storage === "memory" ? 1024 : 512) * mebibyte;
  // What no JSON holds up takes a quarter of the time.
  const eventsMax = filled.encoding === "json" ? 200_000 : 800_000;
  let wanted = Math.max(4, Math.min(eventsMax, bytesMeasured / bytes));
  if (filled.batch === 1) wanted = Math.min(wanted, 20_000);
  else if (filled.batch !== "adaptive" && filled.batch < 64) wanted = Math.min(wanted, 80_000);
  if (filled.durability === "synced") wanted = Math.min(wanted, 40_000, filled.batch === 1 ? 4_000 : Infinity);
  if (mode === "latency") wanted = filled.load * 3;
  const unit = bytes >= mebibyte || mode === "latency" ? 1 : round;
  const each = roundUp((wanted * scale) / producers, unit);
  // A round of large events would be as much as what is measured; some go first all the same, for the windows of tcp
  // start small, and memory is made.
  const large = roundUp(Math.max(2, (64 * mebibyte) / bytes), partitions);
  const warm = bytes >= mebibyte ? large : roundUp(Math.min(each / 2, eventsMax / 4), round);
  return { ...filled, name, factor, events: each * producers, warmUpEvents: warm, ...pickCounts(change) };
}

/** The same with fewer events, for a system that would take minutes: its rate is as telling. */
export function shortened(one: Scenario, scale: number): Scenario {
  const { events: _events, warmUpEvents: _warmUpEvents, ...factors } = one;
  return one.mode === "latency" ? one : scenario(one.name, one.factor, factors, scale);
}

/** Why ranks cannot go through a scenario, or undefined. */
export function problemOf(one: Scenario): string | undefined {
  const counts = ["partitions", "producers", "consumers", "servers", "events", "warmUpEvents"] as const;
  const odd = counts.find((name) => !(Number.isSafeInteger(one[name]) && one[name] >= 1));
  if (odd !== undefined) return `its '${odd}' is ${JSON.stringify(one[odd])}, not a whole number above 0`;
  if (one.batch !== "adaptive" && !(Number.isSafeInteger(one.batch) && one.batch >= 1)) {
    return `its 'batch' is ${JSON.stringify(one.batch)}, neither "adaptive" nor a whole number above 0`;
  }
  if (one.events % one.producers !== 0) {
    return `its ${one.events} 'events' are not shared equally by ${one.producers} producers`;
  }
  if (one.consumers > one.partitions) {
    return `it has ${one.consumers} consumers for ${one.partitions} partitions, each of which is read by one`;
  }
  // The measured part begins at the same offset in each.
  if (new Set(countsByPartition(one, 0, one.warmUpEvents)).size > 1) {
    const round = one.partitions * runOf(one);
    return (
      `its ${one.warmUpEvents} 'warmUpEvents' of each producer are not shared equally by ${one.partitions} partitions ` +
      `in batches of ${runOf(one)}; make them a multiple of ${round}`
    );
  }
  return undefined;
}

function pickCounts(change: Partial<Scenario>): Partial<Scenario> {
  return {
    ...(change.events === undefined ? {} : { events: change.events }),
    ...(change.warmUpEvents === undefined ? {} : { warmUpEvents: change.warmUpEvents }),
  };
}

/** Events of one producer to a partition before the next one gets some. Large events go singly. */
const runOf = (one: Scenario): number => (eventBytesOf(one) >= mebibyte ? 1 : batchOf(one));

/** The partition of a producer's event number `index`: whole batches in turn. */
export function partitionOf(one: Scenario, index: number): number {
  return one.partitions === 1 ? 0 : Math.floor(index / runOf(one)) % one.partitions;
}

/** How many of a producer's events `first` to `first + count` are in each partition. */
export function countsByPartition(one: Scenario, first: number, count: number): number[] {
  const counts = Array.from({ length: one.partitions }, () => 0);
  if (one.partitions === 1) return [count];
  for (let index = first; index < first + count; index++) {
    const partition = partitionOf(one, index);
    counts[partition] = (counts[partition] ?? 0) + 1;
  }
  return counts;
}

/** Partitions that consumer number `consumer` reads: each is read by one. */
export function partitionsOfConsumer(one: Scenario, consumer: number): number[] {
  return Array.from({ length: one.partitions }, (_, partition) => partition).filter(
    (partition) => partition % one.consumers === consumer,
  );
}

/** Bytes of one event's data that its consumer reads, if it wants any of it. */
export function selectedBytes({ dataBytes, selectData }: Pick<Scenario, "dataBytes" | "selectData">): number {
  return Math.floor((dataBytes * selectData) / 100);
}

/** Whether the consumer wants data of the event of this number. */
export function wantsData({ selectEvents }: Pick<Scenario, "selectEvents">, step: number): boolean {
  return selectEvents === 100 || step % Math.round(100 / selectEvents) === 0;
}
