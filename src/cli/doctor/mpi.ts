// The launcher that started this process, and the MPI that it would join through. Loads no MPI.

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { bad, badOf, type Finding, note, ok } from "./finding.js";
import type { Host } from "./host.js";
import type { NativeReport } from "./native-report.js";

const LDD_TIMEOUT_MS = 10_000;
/** The first that is set names the launcher: mpiexec may run inside a Slurm step, whose variables are there, too. */
const LAUNCHERS: readonly { readonly rank: string; readonly size: string; readonly name: string }[] = [
  { rank: "OMPI_COMM_WORLD_RANK", size: "OMPI_COMM_WORLD_SIZE", name: "Open MPI's mpiexec" },
  { rank: "PALS_RANKID", size: "PMI_SIZE", name: "PALS" },
  { rank: "PMIX_RANK", size: "SLURM_STEP_NUM_TASKS", name: "a PMIx launcher" },
  { rank: "PMI_RANK", size: "PMI_SIZE", name: "hydra" },
  { rank: "SLURM_PROCID", size: "SLURM_STEP_NUM_TASKS", name: "Slurm" },
];

/** "hydra, rank 0 of 2"; undefined: none. */
export function launcherOf(environment: Host["environment"]): string | undefined {
  const found = LAUNCHERS.find(({ rank }) => environment[rank] !== undefined);
  if (found === undefined) return undefined;
  const inStep = environment["SLURM_STEP_ID"] !== undefined && /hydra|PMIx/.test(found.name);
  const size = environment[found.size];
  return `${inStep ? "Slurm" : found.name}, rank ${environment[found.rank]}${size === undefined ? "" : ` of ${size}`}`;
}

/** Open MPI under Slurm's pmix over several nodes crashes in some starts, unless its ranks meet in a ring (docs/mpi.md). */
function checkFence({ environment }: Host, family: string): Finding[] {
  const nodes = Number(environment["SLURM_STEP_NUM_NODES"] ?? "1");
  const isOfPmix = environment["PMIX_RANK"] !== undefined && environment["SLURM_STEP_ID"] !== undefined;
  if (family !== "openmpi" || !isOfPmix || !(nodes > 1) || environment["SLURM_PMIX_FENCE"] === "ring") return [];
  return [
    note(
      "launcher",
      `Slurm's pmix over ${nodes} nodes, where ranks do not meet in a ring: now and then one crashes in MPI_Init`,
      "export SLURM_PMIX_FENCE=ring before srun, as weftline launch does",
    ),
  ];
}

/** What the dynamic linker does not find for a file; undefined where there is no ldd to ask. */
async function missingLibraries(path: string): Promise<string[] | undefined> {
  try {
    const { stdout } = await promisify(execFile)("ldd", [path], { timeout: LDD_TIMEOUT_MS });
    return [...stdout.matchAll(/^\s*(\S+) => not found/gm)].map(([, name = ""]) => name);
  } catch {
    return undefined;
  }
}

export async function checkMpi(host: Host, { mpi }: NativeReport): Promise<Finding[]> {
  const launcher = launcherOf(host.environment);
  const findings = [ok("launcher", launcher ?? "none: a world of one"), ...checkFence(host, mpi.family)];
  for (const path of mpi.modules) {
    const missing = await missingLibraries(path);
    findings.push(
      missing === undefined || missing.length === 0
        ? ok("mpi module", path)
        : (path === mpi.module ? bad : note)(
            "mpi module",
            `${path}: ${missing.join(", ")} not found`,
            "put that MPI's folder on LD_LIBRARY_PATH (module load)",
          ),
    );
  }
  if (mpi.error !== undefined) {
    findings.push(badOf("mpi", mpi.error, "docs/mpi.md says which MPI goes with which launcher"));
  } else if (mpi.module !== "") {
    findings.push(ok("mpi", `${mpi.family} would be loaded: ${mpi.reason}`));
  } else if (mpi.modules.length === 0) {
    findings.push(
      note(
        "mpi",
        "no module: the ranks of a launch could not meet",
        "build with an MPI's mpicxx present (npm run build)",
      ),
    );
  } else {
    findings.push(ok("mpi", `none would be loaded: ${mpi.reason}`));
  }
  return findings;
}
