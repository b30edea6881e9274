// Launches of the built command on this machine, one folder each.
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Finished, type Running, until, Workplace } from "../../integration/support/weftline.js";

export const inRoot = (path: string): string => fileURLToPath(new URL(`../../../${path}`, import.meta.url));
export const program = (name: string): string => inRoot(`build/ts/${name}.js`);
export const there = (name: string): boolean => spawnSync("which", [name]).status === 0;

export const families = [
  { mpi: "mpich", there: spawnSync("mpiexec.mpich", ["--version"]).status === 0 },
  { mpi: "openmpi", there: spawnSync("mpiexec.openmpi", ["--version"]).status === 0 },
] as const;

// What the surroundings say of a scheduler or a launcher says nothing here; a variable that is empty would still be read by some.
for (const name of ["SLURM_JOB_ID", "PBS_NODEFILE", "PBS_JOBID", "LMOD_SYSTEM_NAME", "MPIEXEC"])
  delete process.env[name];

export class LaunchPlace extends Workplace {
  readonly #started: Running[] = [];

  override startProgram(...given: Parameters<Workplace["startProgram"]>): Running {
    const running = super.startProgram(...given);
    this.#started.push(running);
    return running;
  }

  /** A launcher that is just killed leaves what it has launched: it is asked first, and told twice to be quick. */
  override async close(): Promise<void> {
    const left = this.#started.filter(({ ended }) => !ended);
    for (const { child } of left) child.kill("SIGTERM");
    const insist = setTimeout(() => left.forEach(({ child }) => child.kill("SIGTERM")), 5_000);
    await until("the end of what a test left", () => left.every(({ ended }) => ended), 20_000).catch(() => undefined);
    clearTimeout(insist);
    await super.close();
  }

  plan(text: string): string {
    const file = this.path("plan.yaml");
    writeFileSync(file, text);
    return file;
  }

  async launch(text: string, flags: readonly string[] = [], env: Record<string, string> = {}): Promise<Finished> {
    return await this.startLaunch(text, flags, env).finished;
  }

  startLaunch(
    text: string,
    flags: readonly string[] = [],
    env: Record<string, string> = {},
  ): ReturnType<Workplace["start"]> {
    return this.start(["launch", "--plan", this.plan(text), ...flags], { env });
  }
}

/** JSON lines of an output that holds other lines too. */
export function jsonLines<T>(text: string | Buffer): T[] {
  return text
    .toString()
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as T);
}
