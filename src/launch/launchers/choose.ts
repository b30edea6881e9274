// Which launcher a launch goes through: the one that the plan or the site names, else the scheduler's own, else the mpiexec
// that is there, chosen by the rules of launch/mpiexec.sh. Looks at programs, starts only `mpiexec --version`.

import { execFileSync } from "node:child_process";
import { accessSync, constants, statSync } from "node:fs";
import { delimiter, isAbsolute, join, resolve } from "node:path";
import { WeftError } from "../../errors.js";
import type { Launcher } from "../../config/plan-config.js";
import { hydra } from "./hydra.js";
import type { LauncherKind, MpiFamily } from "./launcher.js";
import { openmpi } from "./openmpi.js";
import { pals } from "./pals.js";
import { srun } from "./srun.js";
import type { Variables } from "../words.js";

const VERSION_MS_MAX = 20_000;

/** The program that a name stands for, as execvp finds it; undefined if there is none that may be run. */
export function findProgram(name: string, variables: Variables, directory: string): string | undefined {
  const candidates = name.includes("/")
    ? [isAbsolute(name) ? name : resolve(directory, name)]
    : (variables["PATH"] ?? "").split(delimiter).map((folder) => join(folder === "" ? "." : folder, name));
  return candidates.find((candidate) => {
    try {
      accessSync(candidate, constants.X_OK);
      return statSync(candidate).isFile();
    } catch {
      return false;
    }
  });
}

/** "mpich" (which Intel MPI and MVAPICH are too), "openmpi", or undefined for a launcher of something else. */
export function familyOfVersion(text: string): MpiFamily | undefined {
  if (/OpenRTE|Open MPI|PRRTE/.test(text)) return "openmpi";
  return /HYDRA|Hydra|Intel.*MPI/.test(text) ? "mpich" : undefined;
}

function versionOf(mpiexec: string, environment: Variables): string {
  try {
    return execFileSync(mpiexec, ["--version"], {
      encoding: "utf8",
      env: environment,
      timeout: VERSION_MS_MAX,
      stdio: ["ignore", "pipe", "ignore"],
    });
  } catch (error) {
    const { stdout } = error as { stdout?: unknown };
    return typeof stdout === "string" ? stdout : "";
  }
}

function findMpiexec(
  wanted: MpiFamily | undefined,
  environment: Variables,
  directory: string,
): { kind: LauncherKind; mpi: MpiFamily } {
  const named = environment["MPIEXEC"] || undefined;
  const plain = ["mpiexec", "mpiexec.mpich", "mpiexec.openmpi"];
  const candidates = named !== undefined ? [named] : wanted === undefined ? plain : [`mpiexec.${wanted}`, "mpiexec"];
  const looked: string[] = [];
  for (const candidate of candidates) {
    const program = findProgram(candidate, environment, directory);
    if (program === undefined) {
      looked.push(`${candidate}: not on PATH`);
      continue;
    }
    const family = familyOfVersion(versionOf(program, environment));
    if (family !== undefined && (wanted ?? family) === family) {
      return { kind: family === "openmpi" ? openmpi(program) : hydra(program), mpi: family };
    }
    looked.push(`${program}: ${family ?? "neither MPICH nor Open MPI"}`);
  }
  throw new WeftError(
    "WEFT_UNSUPPORTED",
    `there is no mpiexec${wanted === undefined ? "" : ` of ${wanted}`} to launch with (${looked.join("; ")})`,
    { next: "install MPICH or Open MPI, or name its mpiexec: MPIEXEC=/path/to/mpiexec" },
  );
}

/** `assumed`: for a look at what would be run elsewhere, so that nothing has to be there. */
export function chooseLauncher(options: {
  readonly launcher: Launcher;
  readonly mpi: MpiFamily | undefined;
  readonly environment: Variables;
  readonly directory: string;
  readonly assumed: boolean;
}): { kind: LauncherKind; mpi: MpiFamily } {
  const { launcher, environment, directory, assumed } = options;
  const fromEnvironment = environment["WEFTLINE_MPI"];
  const named = fromEnvironment === "mpich" || fromEnvironment === "openmpi" ? fromEnvironment : undefined;
  const wanted = named ?? options.mpi;
  if (launcher === "mpiexec") {
    if (!assumed) return findMpiexec(wanted, environment, directory);
    const family = wanted ?? "mpich";
    return { kind: family === "openmpi" ? openmpi("mpiexec") : hydra("mpiexec"), mpi: family };
  }
  const kind = launcher === "srun" ? srun : pals;
  const program = launcher === "srun" ? "srun" : "mpiexec";
  if (!assumed && findProgram(program, environment, directory) === undefined) {
    throw new WeftError("WEFT_UNSUPPORTED", `there is no ${program} on PATH, which this site launches with`, {
      next: "run the launch inside a job of the scheduler, or choose another launcher: launch: { launcher: mpiexec }",
    });
  }
  return { kind, mpi: wanted ?? "mpich" };
}
