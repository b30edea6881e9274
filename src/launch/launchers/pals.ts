// mpiexec of PALS, the launcher of HPE Cray machines under PBS. Each program has its own hosts, ranks per node and depth;
// one where nodes get different numbers of ranks becomes several programs of the same command. Written from public
// documentation, and tried against a stub that checks each option only (docs/sites/polaris.md).

import type { RankRun } from "../rank-map.js";
import { commandOf, type LaunchCommand, type LauncherKind, type LaunchRequest } from "./launcher.js";

/** Ranks in a row on nodes that get equally many, bound alike. */
interface Block {
  readonly first: RankRun;
  readonly hosts: string[];
}

function blocksOf({ map, runs }: LaunchRequest): Block[] {
  const blocks: Block[] = [];
  for (const run of runs) {
    const host = map.nodes[run.node]?.host ?? "";
    const last = blocks.at(-1);
    const { first } = last ?? {};
    if (last && first?.part === run.part && first.count === run.count && first.boundTo === run.boundTo) {
      last.hosts.push(host);
    } else blocks.push({ first: run, hosts: [host] });
  }
  return blocks;
}

function command(request: LaunchRequest): LaunchCommand {
  const { site, options, label, beside } = request;
  const { flags } = site;
  const words = [
    ...(label ? ["--label"] : []),
    ...((beside ? flags?.attach : flags?.world) ?? []),
    ...(flags?.mpi?.mpich ?? []),
    ...options,
  ];
  for (const [index, { first, hosts }] of blocksOf(request).entries()) {
    words.push(
      ...(index === 0 ? [] : [":"]),
      ...["-n", String(first.count * hosts.length), "--ppn", String(first.count)],
      ...["--depth", String(first.part.cores), "--hosts", hosts.join(",")],
      ...(flags?.bind ?? ["--cpu-bind", "depth"]),
      ...commandOf(first, site, true),
    );
  }
  return { program: "mpiexec", argv: words, environment: {}, files: [], labelled: /^(?:\S+ )?(\d+): ?(.*)$/ };
}

export const pals: LauncherKind = { name: "PALS's mpiexec", order: "part", command };
