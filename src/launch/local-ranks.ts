// Which ranks of a launch run on this machine, from what the kernel says of processes: MPICH goes on waiting for a rank that
// ended before its MPI_Init, and does not say for which.

import { readdirSync, readFileSync } from "node:fs";

const RANK = /^(?:PMI_RANK|OMPI_COMM_WORLD_RANK|PMIX_RANK|PALS_RANKID|SLURM_PROCID)=(\d+)$/;

/** Ranks whose processes are there; those of other users are not seen. */
export function ranksOnThisMachine(group: string): ReadonlySet<number> {
  const ranks = new Set<number>();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    let variables: string[];
    try {
      variables = readFileSync(`/proc/${name}/environ`, "utf8").split("\0");
    } catch {
      continue; // another user's, or it has ended
    }
    if (!variables.includes(`WEFTLINE_GROUP=${group}`)) continue;
    const rank = variables.map((variable) => RANK.exec(variable)?.[1]).find((each) => each !== undefined);
    if (rank !== undefined) ranks.add(Number(rank));
  }
  return ranks;
}
