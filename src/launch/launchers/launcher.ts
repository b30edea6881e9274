// What every launcher is asked, and what it answers: one command line that starts the whole world. Pure: nothing is run.

import type { SiteConfig } from "../../config/site-config.js";
import type { RankMap, RankOrder, RankRun } from "../rank-map.js";
import type { Part } from "../plan.js";

export type MpiFamily = "mpich" | "openmpi";

export interface LaunchRequest {
  readonly map: RankMap;
  /** Of the map's world, or of one part that attaches. */
  readonly runs: readonly RankRun[];
  readonly site: SiteConfig;
  readonly mpi: MpiFamily;
  /** More of the user's for the command line. */
  readonly options: readonly string[];
  readonly oversubscribe: boolean;
  readonly label: boolean;
  /** A step beside the world, of processes that need no MPI. */
  readonly beside: boolean;
  /** Where files of the launcher are put; made by whoever runs the command. */
  readonly filesDirectory: string;
  readonly userId: number;
}

export interface LaunchCommand {
  readonly program: string;
  readonly argv: readonly string[];
  /** On top of what this process has. */
  readonly environment: Readonly<Record<string, string>>;
  /** To be written before it is run. */
  readonly files: readonly { readonly path: string; readonly text: string }[];
  /** Rank and text of a line that the launcher has labelled; undefined where there is no launcher. */
  readonly labelled?: RegExp;
}

export interface LauncherKind {
  /** For messages: "MPICH's mpiexec". */
  readonly name: string;
  readonly order: RankOrder;
  command(request: LaunchRequest): LaunchCommand;
}

/** By these a process would take itself for a rank of the world. */
const RANK_VARIABLES = ["PMI_RANK", "PMI_FD", "PMI_SIZE", "PALS_RANKID", "PMIX_RANK", "OMPI_COMM_WORLD_RANK"];

/**
 * The command of a run's part with its variables before it, which every launcher takes: few agree on how else to give them,
 * nor on how to bind some ranks of a launch. What attaches and is started by a launcher forgets that it was.
 */
export function commandOf(
  { part, boundTo }: Pick<RankRun, "part" | "boundTo">,
  { environment = {} }: Pick<SiteConfig, "environment">,
  isLaunched = false,
): string[] {
  const variables = Object.entries({ ...environment, ...part.environment }).map(([name, value]) => `${name}=${value}`);
  const forgotten = isLaunched && part.attaches ? RANK_VARIABLES.flatMap((name) => ["-u", name]) : [];
  const where = part.directory === undefined ? [] : [`--chdir=${part.directory}`];
  const before = [...where, ...forgotten, ...variables];
  return [...(before.length > 0 ? ["env", ...before] : []), ...bound(boundTo, part)];
}

/** The command with what binds it before it. Innermost is what the plan says, which holds. */
export function bound(boundTo: string | undefined, { manner, command }: Pick<Part, "manner" | "command">): string[] {
  return [...(boundTo === undefined ? [] : ["taskset", "--cpu-list", boundTo]), ...manner, ...command];
}

/** Nodes in the order of their first rank, with how many ranks each gets. */
export function hostCounts({ map, runs }: LaunchRequest): { host: string; count: number }[] {
  const counts = new Map<number, number>();
  for (const { node, count } of runs) counts.set(node, (counts.get(node) ?? 0) + count);
  return [...counts].map(([node, count]) => ({ host: map.nodes[node]?.host ?? "", count }));
}
