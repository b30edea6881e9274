// The mpiexec of each MPI that is here, with what each needs on a small machine.
import { spawnSync } from "node:child_process";

export interface Launcher {
  readonly mpi: string;
  readonly program: string;
  readonly argv: readonly string[];
  readonly env: Record<string, string>;
}

const known: readonly Launcher[] = [
  { mpi: "mpich", program: "mpiexec.mpich", argv: [], env: {} },
  {
    mpi: "openmpi",
    program: "mpiexec.openmpi",
    argv: ["--oversubscribe", "--bind-to", "none"],
    env: { OMPI_ALLOW_RUN_AS_ROOT: "1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1" },
  },
];

export const launchers = known.filter(({ program }) => spawnSync(program, ["--version"]).status === 0);
