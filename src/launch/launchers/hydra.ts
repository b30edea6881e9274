// mpiexec of MPICH (hydra), and of those that descend from it. Ranks fill the hosts in order, so they are numbered node by
// node. It passes its whole environment on, and SIGUSR1 too.

import { mergeRuns } from "../rank-map.js";
import { commandOf, hostCounts, type LauncherKind, type LaunchRequest } from "./launcher.js";

const LABELLED = /^\[(\d+)\] ?(.*)$/;

/** `mpiexec` is the program that was found. */
export function hydra(mpiexec: string): LauncherKind {
  return {
    name: "MPICH's mpiexec",
    order: "node",
    command: (request) => {
      const { site, options, label, beside } = request;
      const hosts = hostCounts(request);
      const words = [
        ...(label ? ["-prepend-rank"] : []),
        ...(request.map.nodes.length > 1
          ? ["-hosts", hosts.map(({ host, count }) => `${host}:${count}`).join(",")]
          : []),
        ...((beside ? site.flags?.attach : site.flags?.world) ?? []),
        ...(site.flags?.mpi?.mpich ?? []),
        ...(site.flags?.bind ?? []),
        ...options,
      ];
      return {
        program: mpiexec,
        argv: [...words, ...segments(request)],
        environment: {},
        files: [],
        labelled: LABELLED,
      };
    },
  };
}

/** `-n 1 server : -n 4 ./solver`. */
export function segments({ runs, site }: LaunchRequest): string[] {
  return mergeRuns(runs).flatMap((run, index) => [
    ...(index === 0 ? [] : [":"]),
    ...["-n", String(run.count)],
    ...commandOf(run, site, true),
  ]);
}
