// launch/mpiexec.sh: which launcher it becomes and with which options, with launchers that only say what they were given;
// and the launch that docs/mpi.md shows, as it stands, under each MPI that is here.
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { cliPath, Workplace } from "./support/weftline.js";

const root = fileURLToPath(new URL("../../", import.meta.url));
const script = join(root, "launch", "mpiexec.sh");
const versions = {
  mpich: "HYDRA build details:",
  openmpi: "mpiexec.openmpi (OpenRTE) 4.1.4",
  slurm: "slurm 22.05",
} as const;

let place: Workplace;
beforeEach(() => {
  place = new Workplace();
  mkdirSync(place.path("bin"));
  for (const tool of ["bash", "echo", "env", "grep"]) {
    symlinkSync(spawnSync("which", [tool], { encoding: "utf8" }).stdout.trim(), place.path("bin", tool));
  }
});
afterEach(() => place.close());

function program(name: string, text: string): void {
  const file = place.path("bin", name);
  writeFileSync(file, `#!/bin/bash\n${text}\n`);
  chmodSync(file, 0o755);
}

/** A launcher that says how it was called. */
function fakeLauncher(name: string, family: keyof typeof versions): void {
  program(
    name,
    `if [ "$*" = --version ]; then echo "${versions[family]}"; exit; fi\necho "${name} $*"\nenv | grep ^OMPI_ALLOW; exit 7`,
  );
}

function run(argv: readonly string[], env: Record<string, string> = {}, userId = 1000) {
  program("id", `echo ${userId}`);
  const surroundings = { PATH: place.path("bin"), ...env };
  const { status, stdout, stderr } = spawnSync(script, argv, { encoding: "utf8", env: surroundings });
  return { status, stderr, lines: stdout.split("\n").slice(0, -1).sort() };
}

describe("launch/mpiexec.sh", () => {
  it("adds nothing for MPICH, and ends as the launcher does", () => {
    fakeLauncher("mpiexec", "mpich");
    const ended = run(["-n", "2", "a", ":", "-n", "1", "b"], {}, 0);
    expect(ended).toEqual({ status: 7, stderr: "", lines: ["mpiexec -n 2 a : -n 1 b"] });
  });

  it("gives Open MPI its options, and leave to run as root only to root", () => {
    fakeLauncher("mpiexec", "openmpi");
    const called = "mpiexec --bind-to none --oversubscribe -n 2 a";
    expect(run(["-n", "2", "a"]).lines).toEqual([called]);
    expect(run(["-n", "2", "a"], {}, 0).lines).toEqual([
      "OMPI_ALLOW_RUN_AS_ROOT=1",
      "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
      called,
    ]);
  });

  it("takes the launcher of the family that WEFTLINE_MPI names, and the program that MPIEXEC names", () => {
    fakeLauncher("mpiexec", "openmpi");
    fakeLauncher("mpiexec.mpich", "mpich");
    expect(run(["a"], { WEFTLINE_MPI: "mpich" }).lines).toEqual(["mpiexec.mpich a"]);
    expect(run(["a"], { WEFTLINE_MPI: "none" }).lines[0]).toMatch(/^mpiexec --bind-to/);
    expect(run(["a"], { MPIEXEC: place.path("bin", "mpiexec.mpich") }).lines).toEqual(["mpiexec.mpich a"]);
  });

  it("refuses a launcher that it does not know, and says what it looked at", () => {
    expect(run(["a"])).toMatchObject({ status: 2, lines: [] });
    fakeLauncher("mpiexec", "slurm");
    fakeLauncher("mpiexec.openmpi", "openmpi");
    const refused = run(["a"], { WEFTLINE_MPI: "mpich" });
    expect(refused).toMatchObject({ status: 2, lines: [] });
    expect(refused.stderr).toContain("no mpiexec of mpich to launch with (mpiexec.mpich: not on PATH; ");
    expect(refused.stderr).toContain("neither MPICH nor Open MPI");
    expect(run(["a"]).lines[0]).toMatch(/^mpiexec.openmpi /); // the next one that it does know
  });
});

describe.each(["mpich", "openmpi"])("the launch that docs/mpi.md shows, under %s", (family) => {
  it.skipIf(spawnSync(`mpiexec.${family}`, ["--version"]).status !== 0)("runs as it stands", async () => {
    const page = readFileSync(join(root, "docs", "mpi.md"), "utf8");
    const [, shown = ""] = /^```sh\n([^`]*launch\/mpiexec\.sh[^`]*)^```/m.exec(page) ?? [];
    expect(shown).toContain("weftline consume");
    symlinkSync(join(root, "launch"), place.path("launch"));
    program("weftline", `exec ${JSON.stringify(process.execPath)} ${JSON.stringify(cliPath)} "$@"`);
    const env = { WEFTLINE_MPI: family, PATH: `${place.path("bin")}:${process.env["PATH"] ?? ""}` };
    const { exitCode, output, words } = await place.startProgram("bash", ["-euc", shown], { env }).finished;
    expect(exitCode, words).toBe(0);
    const events = output.toString().match(/\{"mag":[0-9.]+\}/g) ?? [];
    expect(events.sort(), words).toEqual(['{"mag":2.1}', '{"mag":4.6}']);
  });
});
