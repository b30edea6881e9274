// The mpiexec of each MPI, with what each needs on a small machine. One that is not there is skipped by its tests, so that
// it is counted.
import { spawnSync } from "node:child_process";

export interface Launcher {
  readonly mpi: string;
  readonly program: string;
  readonly argv: readonly string[];
  readonly env: Record<string, string>;
  readonly there: boolean;
}

const known: readonly Omit<Launcher, "there">[] = [
  { mpi: "mpich", program: "mpiexec.mpich", argv: [], env: {} },
  {
    mpi: "openmpi",
    program: "mpiexec.openmpi",
    argv: ["--oversubscribe", "--bind-to", "none"],
    env: { OMPI_ALLOW_RUN_AS_ROOT: "1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1" },
  },
];

export const launchers: readonly Launcher[] = known.map((launcher) => ({
  ...launcher,
  there: spawnSync(launcher.program, ["--version"]).status === 0,
}));
