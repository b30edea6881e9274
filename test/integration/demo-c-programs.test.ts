// The small C programs of examples/c against a real server: what the producer pushes the consumer reads, with the right
// bytes, and a consumer with a name goes on where it was.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { cliPath, parseLines, Workplace } from "./support/weftline.js";

const native = process.env["WEFTLINE_TEST_NATIVE"] ?? fileURLToPath(new URL("../../build/native", import.meta.url));

let place: Workplace;
beforeEach(() => {
  place = new Workplace();
});
afterEach(() => place.close());

function run(
  name: string,
  argv: readonly string[],
  group: string,
): { status: number | null; lines: string[]; words: string } {
  const { status, stdout, stderr } = spawnSync(join(native, "examples", "c", `example_${name}`), argv, {
    encoding: "utf8",
    timeout: 60_000,
    env: { ...process.env, WEFTLINE_GROUP: group },
  });
  return { status, lines: stdout.split("\n").filter((line) => line !== ""), words: stderr };
}

test("events go from the C producer to the C consumer, whose name keeps its place", async () => {
  const server = await place.serve(["--data", "./weft"]);
  const { group } = server.facts;
  await place.ok(["topic", "create", "heat", "--group", group]);
  const produced = run("producer", ["heat", "7"], group);
  expect(produced).toEqual({ status: 0, words: "", lines: ["7 events pushed; the last is offset 6 of partition 0"] });

  // Cell (28 + y, 28 + x) of step s holds 4096 s + 64 (28 + y) + 28 + x: the box's mean is 4096 s + 31.5 * 65.
  const line = (step: number): string =>
    `0:${step} {"step":${step},"cells":4096} mean ${(4096 * step + 31.5 * 65).toFixed(1)}`;
  const first = run("consumer", ["heat", "3", "reader"], group);
  expect(first).toEqual({ status: 0, words: "", lines: [0, 1, 2].map(line) });
  const second = run("consumer", ["heat", "4", "reader"], group);
  expect(second).toEqual({ status: 0, words: "", lines: [3, 4, 5, 6].map(line) });
});

test("an error says what, why and what to do, and ends with a status", async () => {
  const server = await place.serve(["--data", "./weft"]);
  const unknown = run("producer", ["nowhere", "1"], server.facts.group);
  expect(unknown.status).toBe(1);
  expect(unknown.words).toMatch(/^WEFT_TOPIC_UNKNOWN: .*nowhere/);
  const missing = run("consumer", ["heat", "1"], place.path("absent"));
  expect(missing.status).toBe(1);
  expect(missing.words).toMatch(/WEFT_GROUP_MISSING/);
});

/** The environment without the variables of a launcher that the test itself may run under. */
function launcherEnvironment(): NodeJS.ProcessEnv {
  const launchers = /^(PMI_|PMIX_|PALS_|SLURM_|OMPI_COMM_|HYDI_|MPI_LOCALN)/;
  const kept = Object.entries(process.env).filter(([name]) => !launchers.test(name));
  return { ...Object.fromEntries(kept), OMPI_ALLOW_RUN_AS_ROOT: "1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1" };
}

const simulationOf = (family: string): string => join(native, "examples", `gray_scott_${family}`);
const families = ["mpich", "openmpi"].map((family) => ({ family, built: existsSync(simulationOf(family)) }));

describe.each(families)("with $family", ({ family, built }) => {
  test.skipIf(!built)("the simulation streams beside the command's server", () => streamBesideServer(family));
});

async function streamBesideServer(family: string): Promise<void> {
  const simulation = simulationOf(family);
  writeFileSync(place.path("weftline.yaml"), "topics:\n  field: { partitions: 2 }\n");
  const server = [process.execPath, cliPath, "serve", "--data", "./weft", "--until", "clients-gone"];
  const small = ["--shape", "64x48", "--steps", "40", "--every", "10", "--output", "weftline", "--report", "pushed"];
  const { status, stdout, stderr } = spawnSync(
    `mpiexec.${family}`,
    [
      ...(family === "openmpi" ? ["--oversubscribe", "--bind-to", "none"] : []),
      ...["-n", "1", ...server, ":", "-n", "3", simulation, ...small],
    ],
    { cwd: place.directory, encoding: "utf8", timeout: 90_000, env: launcherEnvironment() },
  );
  expect(status, stdout + stderr).toBe(0);
  expect(stdout.match(/^step \d+ checksum/gm)).toHaveLength(4);

  const pushed = [0, 1, 2].flatMap((rank) => {
    const report = JSON.parse(readFileSync(place.path(`pushed.${rank}.json`), "utf8")) as {
      pushed: { step: number; crc32c: string }[];
    };
    return report.pushed.map(({ step, crc32c }) => `${rank}/${step}/${crc32c}`);
  });
  const running = await place.serve(["--data", "./weft"]);
  const lines = parseLines<{ metadata: { rank: number; step?: number; crc32c?: string } }>(
    await place.ok(["consume", "field", "--until", "end", "--group", running.facts.group]),
  );
  const stored = lines.flatMap(({ metadata: { rank, step, crc32c } }) =>
    step === undefined ? [] : [`${rank}/${step}/${crc32c ?? ""}`],
  );
  expect(pushed).toHaveLength(12);
  expect(stored.sort()).toEqual(pushed.sort());
  expect(lines).toHaveLength(12 + 3); // the last event of each rank
}
