// The faces in other languages: programs in Fortran, C++, Python and TypeScript in one MPI world, which read each other's
// bytes; the Python package's own tests; and programs outside the tree that are built with an installed prefix, which
// was moved.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, test } from "vitest";

import { launchers } from "./support/launchers.js";
import { cliPath, type Finished, Workplace } from "./support/weftline.js";

const native = process.env["WEFTLINE_TEST_NATIVE"] ?? fileURLToPath(new URL("../../build/native", import.meta.url));
const root = fileURLToPath(new URL("../../", import.meta.url));
const library = join(native, "library", "libweftline.so");
const example = (language: string, name: string): string => join(native, "examples", language, `example_${name}`);
const hasFortran = existsSync(example("fortran", "probe"));

/** A Python with NumPy: a distribution's is tried before the one on PATH, which may be another's. */
const python = [process.env["WEFTLINE_PYTHON"], "/usr/bin/python3", "python3"].find(
  (program) => program !== undefined && spawnSync(program, ["-c", "import numpy"]).status === 0,
);

let place: Workplace;
beforeEach(() => {
  place = new Workplace();
});
afterEach(() => place.close());

async function ended(running: { finished: Promise<Finished> }, what: string): Promise<string[]> {
  const { exitCode, signal, output, words } = await running.finished;
  expect({ exitCode, signal }, `${what}:\n${words}\n${output.toString()}`).toEqual({ exitCode: 0, signal: null });
  return output
    .toString()
    .split(/\r?\n/)
    .filter((line) => line !== "");
}

/** Runs a program to its end, which must be a good one; the lines of its output. */
function run(program: string, argv: readonly string[], env: Record<string, string> = {}): Promise<string[]> {
  const running = place.startProgram(program, argv, { env });
  const deadline = setTimeout(() => running.child.kill("SIGKILL"), 100_000);
  return ended(running, `${program} ${argv.join(" ")}`).finally(() => clearTimeout(deadline));
}

interface Report {
  readonly strips: readonly {
    readonly id: string;
    readonly step: number;
    readonly rank: number;
    readonly isSame: boolean;
    readonly corner: number;
    readonly probe: number;
    readonly half: number;
  }[];
  readonly steps: readonly { readonly step: number; readonly time: number; readonly isSame: boolean }[];
}

describe.each(launchers)("one world under $mpi", (launcher) => {
  const heat = example("fortran", `heat_${launcher.mpi}`);
  const possible = launcher.there && existsSync(heat) && python !== undefined;

  it.skipIf(!possible)("has programs in Fortran, C++, Python and TypeScript that read each other's bytes", async () => {
    writeFileSync(
      place.path("weftline.yaml"),
      `topics:
  heat: { partitions: 2, producers: 2 }
  particles:
    producers: 1
    packed: { fields: [{ name: step, type: u32 }, { name: time, type: f64 }, { name: count, type: u64 }] }
`,
    );
    const ranks = [
      ["1", process.execPath, cliPath, "serve", "--data", "./weft", "--until", "clients-gone"],
      ["2", heat, "50"],
      ["1", example("cpp", "particles"), "20"],
      ["1", example("cpp", "corner"), "heat", "32", "64", "corner"],
      ["1", python ?? "", join(root, "examples", "python", "analysis.py"), "analysis"],
      ["1", process.execPath, join(root, "build", "ts", "test", "programs", "languages.js")],
    ];
    const argv = ranks.flatMap((words, index) => [...(index === 0 ? [] : [":"]), "-n", ...words]);
    const surroundings = { ...launcher.env, PYTHONPATH: join(root, "python"), WEFTLINE_LIBRARY: library };
    const lines = await run(launcher.program, [...launcher.argv, ...argv], surroundings);

    expect(lines.filter((line) => /^rank [01]: 6 events are stored$/.test(line))).toHaveLength(2);
    expect(lines).toContain("20 steps are stored");
    const report = JSON.parse(lines.find((line) => line.startsWith('{"strips"')) ?? "{}") as Report;
    const named = report.strips.map(({ rank, step, isSame }) => `${rank} ${step} ${isSame}`);
    const expected = [0, 1].flatMap((rank) => [0, 10, 20, 30, 40, 50].map((step) => `${rank} ${step} true`));
    expect(named.sort()).toEqual(expected.sort());
    expect(report.steps).toEqual(Array.from({ length: 20 }, (_, step) => ({ step, time: step / 4, isSame: true })));
    expect(new Set(report.strips.map(({ corner }) => corner)).size).toBeGreaterThan(4); // something happened there

    // What C++ found in its box, and NumPy in every second column.
    const corners = lines.flatMap((line) => /^(\d:\d+) \{.*\} sum (\S+)$/.exec(line)?.slice(1) ?? []);
    expect(corners).toHaveLength(24);
    for (const { id, corner } of report.strips) expect(Number(corners[corners.indexOf(id) + 1]), id).toBe(corner);
    for (const step of [0, 10, 20, 30, 40, 50]) {
      const halves = report.strips.filter((strip) => strip.step === step).map(({ half }) => half);
      const mean = halves.reduce((sum, half) => sum + half, 0) / 2;
      const line = lines.find((one) => one.startsWith(`step ${step}: mean `)) ?? "";
      expect(line).toMatch(/ of 2 strips$/);
      expect(Number(/mean (\S+)/.exec(line)?.[1])).toBeCloseTo(mean, 5);
    }

    // The servers start again: Fortran reads boxes, twice under a name, once more without.
    const server = await place.serve(["--data", "./weft"]);
    const env = { WEFTLINE_GROUP: server.facts.group };
    const probed = await run(example("fortran", "probe"), ["probe"], env);
    expect(probed).toHaveLength(12);
    for (const { id, probe } of report.strips) {
      const line = probed.find((one) => one.startsWith(`${id} `)) ?? "";
      expect(Number(/ mean (\S+)$/.exec(line)?.[1]), line).toBeCloseTo(probe, 5);
    }
    expect(await run(example("fortran", "probe"), ["probe"], env)).toEqual([]);
    expect(await run(example("fortran", "probe"), [], env)).toHaveLength(12);
    const analysed = await run(python ?? "", [join(root, "examples", "python", "analysis.py")], {
      ...env,
      PYTHONPATH: join(root, "python"),
      WEFTLINE_LIBRARY: library,
    });
    expect(analysed).toHaveLength(6);
  });
});

test.skipIf(!hasFortran)("a Fortran program says what failed, and ends with a status", () => {
  const env = { ...process.env, WEFTLINE_GROUP: place.path("absent") };
  const { status, stderr } = spawnSync(example("fortran", "probe"), { encoding: "utf8", timeout: 60_000, env });
  expect(status).toBe(1);
  expect(stderr).toMatch(/^WEFT_GROUP_MISSING: /);
});

test.skipIf(!hasFortran)("Fortran has seek and sync", async () => {
  const server = await place.serve(["--data", "./weft"]);
  const env = { WEFTLINE_GROUP: server.facts.group };
  await place.ok(["topic", "create", "numbers", "--partitions", "2", "--group", env.WEFTLINE_GROUP]);
  await place.ok(["topic", "create", "fleeting", "--storage", "memory", "--group", env.WEFTLINE_GROUP]);
  const program = join(native, "test", "languages", "test_seek_sync_fortran");
  expect(await run(program, [], env)).toEqual(["all as it should be"]);
});

test.skipIf(!hasFortran)("Fortran's errmsg holds the words and no more, whatever it held before", async () => {
  const server = await place.serve(["--data", "./weft"]);
  const env = { WEFTLINE_GROUP: server.facts.group };
  await place.ok(["topic", "create", "words", "--group", env.WEFTLINE_GROUP]);
  const program = join(native, "test", "languages", "test_errmsg_fortran");
  expect(await run(program, [], env)).toEqual(["all as it should be"]);
});

test.skipIf(python === undefined)("the Python package passes its tests", async () => {
  const server = await place.serve(["--data", "./weft"]);
  const { status, stdout, stderr } = spawnSync(
    python ?? "",
    ["-W", "error", "-m", "unittest", "discover", "--start-directory", join(root, "test", "python"), "--verbose"],
    {
      cwd: place.directory,
      encoding: "utf8",
      timeout: 100_000,
      env: {
        ...process.env,
        PYTHONPATH: join(root, "python"),
        PYTHONDONTWRITEBYTECODE: "1",
        WEFTLINE_GROUP: server.facts.group,
        WEFTLINE_LIBRARY: library,
      },
    },
  );
  expect(status, stdout + stderr).toBe(0);
  expect(Number(/^Ran (\d+) tests/m.exec(stderr)?.[1])).toBeGreaterThanOrEqual(15);
});

describe("an installed prefix that was moved", () => {
  const installation = new Workplace();
  const prefix = installation.path("elsewhere", "prefix");
  beforeAll(() => {
    ran("cmake", ["--install", native, "--prefix", installation.path("first")], {}, installation.directory);
    mkdirSync(installation.path("elsewhere"));
    renameSync(installation.path("first"), prefix);
  });
  afterAll(() => installation.close());

  function ran(
    program: string,
    argv: readonly string[],
    env: Record<string, string> = {},
    cwd = place.directory,
  ): string {
    const surroundings = { ...process.env, ...env };
    const { status, stdout, stderr } = spawnSync(program, argv, {
      cwd,
      encoding: "utf8",
      timeout: 110_000,
      env: surroundings,
    });
    expect(status, `${program} ${argv.join(" ")}:\n${stdout}\n${stderr}`).toBe(0);
    return stdout;
  }

  /** Compiles one file with the flags of pkg-config. */
  function compiled(compiler: string, source: string, name: string): string {
    const env = { PKG_CONFIG_PATH: join(prefix, "lib", "pkgconfig") };
    const flags = ran("pkg-config", ["--cflags", "--libs", name], env).trim().split(/\s+/);
    const rpath = `-Wl,-rpath,${join(prefix, "lib")}`;
    ran(compiler, [join(root, "examples", source), "-o", "program", ...flags, rpath]);
    return place.path("program");
  }

  it("builds a C program with pkg-config", async () => {
    const program = compiled("cc", "c/producer.c", "weftline");
    expect(ran("ldd", [program])).toContain(join(prefix, "lib", "libweftline.so.0"));
    const { group } = (await place.serve(["--data", "./weft"])).facts;
    await place.ok(["topic", "create", "heat", "--group", group]);
    expect(ran(program, ["heat", "5"], { WEFTLINE_GROUP: group })).toContain("5 events pushed");
  });

  it("builds C++ programs with find_package, which find the modules of their MPI beside the library", async () => {
    cpSync(join(root, "examples", "cpp"), place.path("cpp"), { recursive: true });
    ran("cmake", ["-S", place.path("cpp"), "-B", place.path("cpp-build"), `-DCMAKE_PREFIX_PATH=${prefix}`]);
    ran("cmake", ["--build", place.path("cpp-build"), "--target", "example_corner"]);
    const corner = place.path("cpp-build", "example_corner");
    for (const launcher of launchers.filter(({ there }) => there)) {
      const ranks = [
        ["1", process.execPath, cliPath, "serve", "--data", `./${launcher.mpi}`, "--until", "clients-gone"],
        ["1", corner, "none-such", "8", "8"],
      ];
      const argv = ranks.flatMap((words, index) => [...(index === 0 ? [] : [":"]), "-n", ...words]);
      const running = place.startProgram(launcher.program, [...launcher.argv, ...argv], { env: launcher.env });
      const { output, words } = await running.finished;
      expect(output.toString() + words, launcher.mpi).toContain("WEFT_TOPIC_UNKNOWN"); // it had joined
    }
  });

  it.skipIf(!hasFortran)("builds Fortran programs", async () => {
    cpSync(join(root, "examples", "fortran", "probe.f90"), place.path("probe.f90"));
    writeFileSync(
      place.path("CMakeLists.txt"),
      `cmake_minimum_required(VERSION 3.20)
project(user LANGUAGES Fortran)
find_package(weftline 0.1 REQUIRED COMPONENTS fortran)
add_executable(probe probe.f90)
target_link_libraries(probe PRIVATE weftline::fortran)
# As another compiler has to.
add_executable(probe_of_source probe.f90 \${WEFTLINE_FORTRAN_SOURCES})
set_target_properties(probe_of_source PROPERTIES Fortran_MODULE_DIRECTORY of_source)
target_link_libraries(probe_of_source PRIVATE weftline::weftline)
`,
    );
    ran("cmake", ["-S", place.directory, "-B", place.path("build"), `-DCMAKE_PREFIX_PATH=${prefix}`]);
    ran("cmake", ["--build", place.path("build")]);
    const program = compiled("gfortran", "fortran/probe.f90", "weftline-fortran");
    const env = { WEFTLINE_GROUP: (await place.serve(["--data", "./weft"])).facts.group };
    await place.ok(["topic", "create", "heat", "--group", env.WEFTLINE_GROUP]);
    for (const one of [place.path("build", "probe"), place.path("build", "probe_of_source"), program]) {
      expect(ran(one, [], env)).toBe("");
    }
  });

  it.skipIf(python === undefined)("has the Python package, which finds the library beside it", async () => {
    const server = await place.serve(["--data", "./weft"]);
    const program = `
import weftline, weftline.library
with weftline.attach() as job:
    topic = job.create_topic("t")
    with topic.producer() as out:
        out.push({"n": 1}, b"some bytes")
    for event in topic.consumer(until="end", select=weftline.everything):
        print(event.metadata["n"], bytes(event.data).decode())
print(weftline.library.candidates()[0])`;
    const env = {
      PYTHONPATH: join(prefix, "lib", "weftline", "python"),
      PYTHONDONTWRITEBYTECODE: "1",
      WEFTLINE_GROUP: server.facts.group,
    };
    const lines = ran(python ?? "", ["-c", program], env)
      .trim()
      .split("\n");
    expect(lines).toEqual(["1 some bytes", join(prefix, "lib", "libweftline.so.0")]);
  });
});

describe("docs/languages.md", () => {
  const page = readFileSync(join(root, "docs", "languages.md"), "utf8");
  const sources: Record<string, readonly string[]> = {
    c: ["c/producer.c", "c/consumer.c"],
    cpp: ["cpp/particles.cpp", "cpp/corner.cpp"],
    fortran: ["fortran/heat.f90", "fortran/probe.f90"],
    python: ["python/analysis.py"],
  };

  it.each(Object.entries(sources))("shows code in %s that is in the examples", (language, files) => {
    const texts = files.map((name) => readFileSync(join(root, "examples", name), "utf8"));
    const shown = [...page.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, "gm"))];
    expect(shown.length).toBeGreaterThan(0);
    for (const { 1: block = "" } of shown)
      expect(
        texts.some((text) => text.includes(block)),
        block,
      ).toBe(true);
  });
});
