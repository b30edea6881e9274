// `npm run bench` as a process, with Weftline alone: real ranks under an mpiexec, one scenario of each kind, the JSON.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { type Encoding, scenario } from "../../bench/suite/scenario.js";
import type * as worlds from "../../bench/suite/world.js";
import { launchers } from "./support/launchers.js";
import { Workplace, until } from "./support/weftline.js";

const compiled = (name: string): string => fileURLToPath(new URL(`../../build/ts/bench/${name}`, import.meta.url));
const program = compiled("main.js");
const native = fileURLToPath(new URL("../../build/native", import.meta.url));
const hasMpi = ["mpiexec", "mpiexec.mpich", "mpiexec.openmpi"].some((name) => spawnSync("which", [name]).status === 0);

let place: Workplace;
beforeEach(() => {
  place = new Workplace();
});
afterEach(() => place.close());

test.skipIf(!hasMpi)("measures, checks what came, and writes rows", async () => {
  const json = place.path("result.json");
  const argv = ["--quick", "--only", "batch-1,both,latency-1000", "--runs", "1", "--systems", "weftline,weftline-c"];
  const run = place.startProgram(process.execPath, [program, ...argv, "--json", json, "--directory", place.directory]);
  const { exitCode, words, output } = await run.finished;
  expect(exitCode, words).toBe(0);
  expect(output.toString()).toContain("batch-1/produce");
  const result = JSON.parse(readFileSync(json, "utf8")) as {
    version: number;
    rows: { scenario: string; client: string; events_per_second: number; latency_us: { p50: number } | null }[];
    failures: unknown[];
  };
  expect(result.version).toBe(1);
  expect(result.failures).toEqual([]);
  for (const client of ["typescript", "c"]) {
    const rows = result.rows.filter((row) => row.client === client);
    const phases = ["batch-1/produce", "batch-1/consume", "both/both", "both-64KiB/both"];
    const latencies = ["latency-1000/acknowledged", "latency-1000/delivered"];
    expect(rows.map((row) => row.scenario).sort()).toEqual([...phases, ...latencies].sort());
    for (const row of rows.filter(({ scenario: name }) => latencies.includes(name))) {
      expect(row.latency_us?.p50, `${client} ${row.scenario}`).toBeGreaterThan(0);
    }
  }
  for (const row of result.rows) expect(row.events_per_second).toBeGreaterThan(0);
});

test("the micro-benchmarks alone: native ones where google-benchmark is there, and those in JavaScript", async () => {
  const json = place.path("result.json");
  const argv = ["--quick", "--only", "micro", "--json", json, "--directory", place.directory];
  const { exitCode, words, output } = await place.startProgram(process.execPath, [program, ...argv]).finished;
  expect(exitCode, words).toBe(0);
  const result = JSON.parse(readFileSync(json, "utf8")) as {
    rows: object[];
    micro: { name: string; nanoseconds: number }[];
    not_run: string[];
  };
  expect(result.rows).toEqual([]);
  const isNative = ({ name }: { name: string }): boolean => !name.startsWith("javascript: ");
  expect(result.micro.filter((row) => !isNative(row)).length).toBeGreaterThan(10);
  if (existsSync(`${native}/bench/micro`)) expect(result.micro.filter(isNative).length).toBeGreaterThan(4);
  else expect(result.not_run).toEqual([expect.stringContaining("micro")]);
  for (const { name, nanoseconds } of result.micro) {
    expect(nanoseconds, name).toBeGreaterThan(0);
    expect(output.toString().split(`  ${name}: `), name).toHaveLength(2); // printed once
  }
});

test("an unknown scenario is refused with the names there are", async () => {
  const { exitCode, words } = await place.startProgram(process.execPath, [program, "--only", "bse"]).finished;
  expect(exitCode).not.toBe(0);
  expect(words).toContain("no scenario 'bse'");
});

test.each([
  [["--frob"], "unknown option '--frob'"],
  [["--json"], "argument missing"],
  [["--minutes", "-1"], "It must be a number above 0"],
  [["stray"], "too many arguments"],
  [["--json", "/"], "It cannot be written"],
  [["--report", program], "is not a folder"],
  [["--directory", "/proc/nothing"], "Nothing can be put there"],
])("what cannot be followed is said at once: %j", async (argv, said) => {
  const { exitCode, words } = await place.startProgram(process.execPath, [program, ...argv]).finished;
  expect(exitCode).toBe(2);
  expect(words).toContain(said);
  expect(words.trimEnd().split("\n")).toHaveLength(1); // and no stack
});

test.skipIf(!hasMpi)("a second signal ends it at once, and nothing stays", async () => {
  const argv = ["--only", "base", "--runs", "50", "--systems", "weftline", "--directory", place.directory];
  const run = place.startProgram(process.execPath, [program, ...argv]);
  await until("the scenario's start", () => / base$/m.test(run.words));
  run.child.kill("SIGTERM");
  await until("the answer", () => run.words.includes("ends after this scenario"));
  run.child.kill("SIGTERM");
  const { exitCode, words } = await run.finished;
  expect(exitCode).toBe(1);
  expect(words).toMatch(/ends now\n/);
  expect(readdirSync(place.directory)).toEqual([]);
});

describe.each(launchers)("ranks by themselves under $mpi", ({ program: mpiexec, argv, env, there }) => {
  const factors = { servers: 2, producers: 2, consumers: 2, partitions: 4, events: 10_240, warmUpEvents: 1024 };
  const launch = (count: number, topics: object[]): ReturnType<Workplace["startProgram"]> => {
    const plan = { system: { name: "weftline" }, directory: place.path("node-local"), topics };
    writeFileSync(place.path("plan.json"), JSON.stringify(plan));
    const files = ["--plan", place.path("plan.json"), "--result", place.path("result.json")];
    const rank = [process.execPath, compiled("driver/rank.js"), ...files];
    return place.startProgram(mpiexec, [...argv, "-n", String(count), ...rank], { env });
  };

  test.skipIf(!there)("two servers, two producers and two consumers measure, and leave no files", async () => {
    const topics = [
      { name: "t0", scenario: scenario("apart", "ranks", factors) },
      { name: "t1", scenario: scenario("together", "mode", { ...factors, mode: "both" }) },
    ];
    const { exitCode, words } = await launch(6, topics).finished;
    expect(exitCode, words).toBe(0);
    const { phases } = JSON.parse(readFileSync(place.path("result.json"), "utf8")) as {
      phases: { topic: string; phase: string; events: number }[];
    };
    expect(phases.map(({ topic, phase, events }) => `${topic} ${phase} ${events}`)).toEqual([
      "t0 produce 10240",
      "t0 consume 10240",
      "t1 both 10240",
    ]);
    expect(readdirSync(place.path("node-local"))).toEqual([]);
  });

  test.skipIf(!there)("a plan that does not fit the launch is refused", async () => {
    const fitting = scenario("apart", "ranks", factors);
    const few = await launch(5, [{ name: "t0", scenario: fitting }]).finished;
    expect(few.exitCode).toBe(2);
    expect(few.words).toContain("the launch has 1 ranks in the role of consumer, topic 't0' of the plan wants 2");
    const uneven = await launch(6, [{ name: "t0", scenario: { ...fitting, warmUpEvents: 1000 } }]).finished;
    expect(uneven.exitCode).toBe(2);
    expect(uneven.words).toContain("1000 'warmUpEvents' of each producer are not shared equally by 4 partitions");
  });
});

// Rank 0 adds up the numbers of all events that came: one that is lost, twice there or misread ends the launch.
test.skipIf(!hasMpi).each<Encoding>(["json", "raw", "packed"])(
  "clients in C measure latency with %s metadata, and data",
  async (encoding) => {
    const { World } = (await import(compiled("suite/world.js"))) as typeof worlds;
    const factors = { encoding, dataBytes: 4096, partitions: 2, producers: 2, load: 400, events: 200 };
    const one = scenario("c", "latency", { mode: "latency", batch: "adaptive", ...factors });
    const world = new World({ name: "weftline" }, one, 1, place.path("world"), "c", { inC: true });
    try {
      const phases = await world.turn(0);
      expect(phases.map(({ phase, events }) => [phase, events])).toEqual([
        ["acknowledged", 200],
        ["delivered", 200],
      ]);
      for (const { latencyUs, seconds } of phases) {
        // Of this clock, and after the due time: another reading of the metadata would be decades off
        expect(latencyUs?.p50).toBeGreaterThan(0);
        expect(latencyUs?.p999).toBeLessThan(60e6);
        expect(seconds).toBeGreaterThan(0.4); // 100 arrivals of each producer, 200 a second
      }
      await world.end(true);
    } finally {
      await world.end(false);
    }
  },
);
