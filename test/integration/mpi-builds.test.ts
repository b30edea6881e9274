// The native build with no MPI, with each alone and with both: it makes a module for each family that it was given, keeps
// word of that in WEFT_MPI_FAMILIES, and leaves one skipped test for each that is not there.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";

const source = fileURLToPath(new URL("../../native", import.meta.url));
const there = (program: string): boolean => spawnSync("which", [program]).status === 0;
const launcher = there("ccache") ? ["-DCMAKE_CXX_COMPILER_LAUNCHER=ccache", "-DCMAKE_C_COMPILER_LAUNCHER=ccache"] : [];

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "weftline-test-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

function run(program: string, argv: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(program, argv, { encoding: "utf8" });
  expect(status, `${program} ${argv.join(" ")}:\n${stdout}\n${stderr}`).toBe(0);
  return stdout;
}

const both = ["mpich", "openmpi"];
const cases = [
  { name: "no MPI", compilers: [], families: [] },
  { name: "a compiler of no MPI", compilers: ["g++"], families: [] },
  { name: "MPICH alone", compilers: ["mpicxx.mpich"], families: ["mpich"] },
  { name: "Open MPI alone", compilers: ["mpicxx.openmpi"], families: ["openmpi"] },
  {
    name: "both, and one of them twice",
    compilers: ["mpicxx.mpich", "mpicxx.openmpi", "mpicxx.mpich"],
    families: both,
  },
];

for (const { name, compilers, families } of cases) {
  test.skipIf(!compilers.every(there))(`builds with ${name}`, () => {
    // An empty list would be CMake's own default in a fresh folder.
    const list = compilers.length === 0 ? "no-such-compiler" : compilers.join(";");
    const options = ["-DWEFT_TESTS=ON", "-DWEFT_ADDON=OFF", `-DWEFT_MPI_COMPILERS=${list}`];
    const words = run("cmake", ["-S", source, "-B", folder, ...options, ...launcher]);
    const cache = readFileSync(join(folder, "CMakeCache.txt"), "utf8");
    expect(/^WEFT_MPI_FAMILIES:INTERNAL=(.*)$/m.exec(cache)?.[1]).toBe(families.join(";"));
    for (const family of both) {
      const has = families.includes(family);
      expect(words.includes(`no module for ${family}: its tests are left out`)).toBe(!has);
      if (has) run("cmake", ["--build", folder, "--target", `weftline_mpi_${family}`]);
      expect(existsSync(join(folder, "mpi", `weftline_mpi_${family}.so`))).toBe(has);
    }
    expect(words.includes("only a world of one will work")).toBe(families.length === 0);

    const { tests } = JSON.parse(run("ctest", ["--test-dir", folder, "--show-only=json-v1"])) as {
      tests: { name: string }[];
    };
    const names = tests.map((one) => one.name);
    for (const family of both) {
      const ofFamily = names.filter((one) => one.startsWith(`mpi_${family}`) && !one.includes("_under_"));
      if (families.includes(family)) expect(ofFamily).toContain(`mpi_${family}_collectives`);
      else expect(ofFamily).toEqual([`mpi_${family}`]);
    }
    const missing = both.filter((family) => !families.includes(family)).map((family) => `mpi_${family}`);
    if (missing.length > 0) {
      const ended = run("ctest", ["--test-dir", folder, "-R", `^(${missing.join("|")})$`]);
      expect(ended.match(/\*\*\*Skipped/g)).toHaveLength(missing.length);
    }
  });
}
