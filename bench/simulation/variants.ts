/** The ways in which the same simulation is run: alone, with plain files, and with a server beside it. */
import { writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

/** From build/ts/bench/simulation, where this runs. */
const root = fileURLToPath(new URL("../../../../", import.meta.url));
const mpiexec = path.join(root, "launch/mpiexec.sh");
const weftline = path.join(root, "dist/cli/main.js");

export interface Variant {
  readonly name: string;
  readonly output: "none" | "files" | "weftline";
  /** Of the server. */
  readonly nice?: number;
  /** The server on the last core, the simulation on the others. */
  readonly isBound?: boolean;
}

/** The first one is what the others are compared with; from `streamed` on all are streamed. */
export const variants: readonly Variant[] = [
  { name: "alone", output: "none" },
  { name: "files", output: "files" },
  { name: "streamed", output: "weftline" },
  { name: "nice", output: "weftline", nice: 19 },
  { name: "bound", output: "weftline", isBound: true },
  { name: "nice-bound", output: "weftline", nice: 19, isBound: true },
];

export interface Simulation {
  readonly program: string;
  readonly mpi: string;
  readonly ranks: number;
  readonly cores: number;
  readonly shape: string;
  readonly steps: number;
  readonly every: number;
}

/** Binding wants a core that no rank of the simulation computes on. */
export function isPossible({ isBound }: Variant, { ranks, cores }: Pick<Simulation, "ranks" | "cores">): boolean {
  return isBound !== true || ranks < cores;
}

export function planOf(variant: Variant, simulation: Simulation, command: readonly string[], data: string): object {
  const { ranks, cores, mpi } = simulation;
  const { nice, isBound = false } = variant;
  const servers = { count: 1, data, ...(nice === undefined ? {} : { nice }), ...(isBound ? { bind: cores - 1 } : {}) };
  const solver = { name: "solver", ranks, command, ...(isBound ? { bind: cores === 2 ? 0 : `0-${cores - 2}` } : {}) };
  return {
    servers,
    network: { transports: "shm" },
    topics: { field: { partitions: ranks, durability: "written" } },
    run: [solver],
    launch: { mpi, oversubscribe: true },
  };
}

/** The command line of a run, whose files are all in `directory`. */
export function commandLine(
  variant: Variant,
  simulation: Simulation,
  directory: string,
): { readonly words: readonly string[]; readonly timingFile: string } {
  const { program, ranks, shape, steps, every } = simulation;
  const timingFile = path.join(directory, "timing.json");
  const solver = [
    ...[program, "--shape", shape, "--steps", String(steps), "--every", String(every)],
    ...["--output", variant.output, "--files", path.join(directory, "files"), "--timing", timingFile],
  ];
  if (variant.output !== "weftline") return { words: [mpiexec, "-n", String(ranks), ...solver], timingFile };
  const plan = path.join(directory, "plan.yaml"); // which JSON is, too
  writeFileSync(plan, JSON.stringify(planOf(variant, simulation, solver, path.join(directory, "data"))));
  return { words: [process.execPath, weftline, "launch", "--plan", plan], timingFile };
}
