/** The scenarios of `npm run bench`: one factor at a time from the base case. */
import { type Scenario, kibibyte, mebibyte, scenario } from "./scenario.js";

const sizeName = (bytes: number): string => {
  if (bytes >= mebibyte) return `${bytes / mebibyte}MiB`;
  return bytes >= kibibyte ? `${bytes / kibibyte}KiB` : `${bytes}B`;
};

/** All of them. `scale` makes each shorter (below 1) or longer. */
export function allScenarios(scale = 1): Scenario[] {
  const make = (name: string, factor: string, change: Partial<Scenario>): Scenario =>
    scenario(name, factor, change, scale);
  const list: Scenario[] = [make("base", "base", {})];
  for (const metadataBytes of [64, 1 * kibibyte, 4 * kibibyte]) {
    list.push(make(`metadata-${sizeName(metadataBytes)}`, "metadata", { metadataBytes }));
  }
  for (const encoding of ["raw", "packed"] as const) list.push(make(`encoding-${encoding}`, "encoding", { encoding }));
  for (const dataBytes of [1 * kibibyte, 64 * kibibyte, 1 * mebibyte, 8 * mebibyte, 256 * mebibyte]) {
    list.push(make(`data-${sizeName(dataBytes)}`, "data", { dataBytes }));
  }
  for (const batch of [1, 16, 1024, "adaptive"] as const) list.push(make(`batch-${batch}`, "batch", { batch }));
  for (const partitions of [4, 16]) list.push(make(`partitions-${partitions}`, "partitions", { partitions }));
  list.push(make("ranks-4x1", "ranks", { producers: 4, partitions: 4 }));
  list.push(make("ranks-4x4", "ranks", { producers: 4, consumers: 4, partitions: 4 }));
  list.push(make("both", "mode", { mode: "both" }));
  list.push(make("both-64KiB", "mode", { mode: "both", dataBytes: 64 * kibibyte }));
  for (const selectData of [10, 1]) {
    list.push(make(`select-data-${selectData}`, "select", { dataBytes: mebibyte, selectData }));
  }
  list.push(make("select-8MiB-1", "select", { dataBytes: 8 * mebibyte, selectData: 1 }));
  list.push(make("select-events-10", "select", { dataBytes: 64 * kibibyte, selectEvents: 10 }));
  list.push(make("storage-memory", "durability", { storage: "memory", durability: "memory" }));
  list.push(make("durability-memory", "durability", { durability: "memory" }));
  list.push(make("durability-synced", "durability", { durability: "synced" }));
  // One partition: its syncs are shared by whoever produces
  list.push(make("synced-4x1", "durability", { durability: "synced", producers: 4 }));
  list.push(make("synced-1MiB", "durability", { durability: "synced", dataBytes: mebibyte }));
  list.push(make("transport-shm", "transport", { transport: "shm" }));
  list.push(make("shm-1MiB", "transport", { transport: "shm", dataBytes: mebibyte }));
  for (const transport of ["tcp", "shm"] as const) {
    const inMemory = { transport, storage: "memory", durability: "memory", dataBytes: mebibyte } as const;
    list.push(make(`memory-${transport}-1MiB`, "large", inMemory));
  }
  list.push(make("synced-shm-1MiB", "large", { transport: "shm", durability: "synced", dataBytes: mebibyte }));
  // What the encodings make of the same route where it is widest.
  for (const encoding of ["json", "raw", "packed"] as const) {
    const widest = { transport: "shm", storage: "memory", durability: "memory", batch: 1024 } as const;
    list.push(make(`widest-${encoding}`, "widest", { ...widest, encoding }));
  }
  list.push(make("hosts-2", "transport", { hosts: 2 }));
  list.push(make("hosts-2-1MiB", "transport", { hosts: 2, dataBytes: mebibyte }));
  for (const load of [1000, 5000]) {
    list.push(make(`latency-${load}`, "latency", { mode: "latency", batch: "adaptive", load }));
  }
  list.push(make("latency-shm-1000", "latency", { mode: "latency", batch: "adaptive", load: 1000, transport: "shm" }));
  list.push(
    make("latency-synced-200", "latency", { mode: "latency", batch: "adaptive", load: 200, durability: "synced" }),
  );
  list.push(
    make("latency-64KiB-200", "latency", { mode: "latency", batch: "adaptive", load: 200, dataBytes: 64 * kibibyte }),
  );
  return list;
}

/** The telling part for `--quick`. */
export const quickNames: readonly string[] = [
  ...["base", "data-64KiB", "data-1MiB", "batch-1", "both", "durability-synced", "transport-shm", "latency-1000"],
];

/** Those whose name equals one of `only`, or begins with it and a dash; an unknown one is an error that names all. */
export function chooseScenarios(all: readonly Scenario[], only: readonly string[]): Scenario[] {
  if (only.length === 0) return [...all];
  for (const wanted of only) {
    if (!all.some(({ name, factor }) => matches(wanted, name, factor))) {
      throw new Error(`no scenario '${wanted}'; there are ${all.map(({ name }) => name).join(", ")}`);
    }
  }
  return all.filter(({ name, factor }) => only.some((wanted) => matches(wanted, name, factor)));
}

function matches(wanted: string, name: string, factor: string): boolean {
  return name === wanted || factor === wanted || name.startsWith(`${wanted}-`);
}
