// The main job, small: both launches, under each MPI that is here. What it prints as JSON must say that nothing was lost,
// changed or repeated; and a launch that loses a rank must end, with the reason, instead of hanging.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { decode } from "fast-png";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { until } from "./support/weftline.js";

const inRoot = (...parts: string[]): string => fileURLToPath(new URL(join("../..", ...parts), import.meta.url));
/** WEFTLINE_TEST_NATIVE names another native build. */
const native = process.env["WEFTLINE_TEST_NATIVE"] ?? inRoot("build", "native");
const driver = inRoot("build", "ts", "examples", "demo", "main.js");

interface Outcome {
  readonly rows: readonly { readonly what: string; readonly events: number; readonly bytes: number }[];
  readonly eventsLost: number;
  readonly eventsExtra: number;
  readonly replayIdentical: boolean;
  readonly resumedExactly: boolean;
  readonly committed: number;
  readonly resumed: number;
  readonly addresses: readonly string[];
  readonly ranks: readonly number[];
  readonly pictures: readonly string[];
  readonly problems: readonly string[];
}

let folder: string;
let child: ChildProcess | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "weftline-demo-test-"));
});
afterEach(async () => {
  if (child !== undefined && child.exitCode === null && child.signalCode === null) {
    const ended = new Promise((resolve) => child?.once("close", resolve));
    child.kill("SIGTERM"); // it ends its launch, and itself
    await ended;
  }
  rmSync(folder, { recursive: true, force: true });
});

function start(family: string, options: readonly string[]): { output: () => string; ended: Promise<number | null> } {
  const places = ["--native", native, "--data", join(folder, "run"), "--output", join(folder, "pictures")];
  const started = spawn(process.execPath, [driver, "--mpi", family, "--json", ...places, ...options], {
    env: process.env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  child = started;
  let text = "";
  let words = "";
  started.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
  started.stderr.on("data", (chunk: Buffer) => (words += chunk.toString()));
  const ended = new Promise<number | null>((resolve, reject) => {
    started.on("error", reject);
    started.on("close", resolve);
  });
  return { output: () => text + words, ended };
}

/** The simulation's ranks that belong to this test's launch, by the report that they were told to write. */
function simulationRanks(): number[] {
  const found: number[] = [];
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const words = readFileSync(join("/proc", entry, "cmdline"), "utf8").split("\0");
      const isRank = words[0]?.includes("gray_scott_") === true;
      if (isRank && words.some((word) => word.startsWith(join(folder, "run")))) found.push(Number(entry));
    } catch {
      // it ended between the two looks
    }
  }
  return found;
}

describe.each(["mpich", "openmpi"])("the main job under %s", (family) => {
  const built = existsSync(join(native, "examples", `gray_scott_${family}`));

  test.skipIf(!built)("loses nothing, replays the same, goes on behind the committed position", async () => {
    const small = ["--shape", "128x128", "--steps", "60", "--every", "5", "--records", "5000", "--ranks", "3"];
    const { output, ended } = start(family, [...small, "--limit", "90"]);
    expect(await ended, output()).toBe(0);
    const outcome = JSON.parse(output().split("\n")[0] ?? "") as Outcome;
    expect(outcome).toMatchObject({
      ...{ eventsLost: 0, eventsExtra: 0, replayIdentical: true, resumedExactly: true, problems: [], ranks: [6, 3] },
    });
    const rowOf = (what: string) => outcome.rows.find((row) => row.what === what);
    expect(rowOf("simulation pushed")).toMatchObject({ events: 12 * 3, bytes: 12 * 128 * 128 * 8 });
    expect(rowOf("replay, field")).toMatchObject({ events: 12 * 3, bytes: 12 * 128 * 128 * 8 });
    expect(rowOf("flights pushed")?.events).toBe(5000);
    expect(rowOf("replay, flights")?.bytes).toBe(rowOf("flights pushed")?.bytes);
    // 9 of 12 steps and 3,750 records were acknowledged; the ends of the streams (3 + 1 events) were not.
    expect([outcome.committed, outcome.resumed]).toEqual([9 * 3 + 3750, 3 * 3 + 3 + 1250 + 1]);
    expect(outcome.addresses[0]).not.toBe(outcome.addresses[1]);
    // The whole grid in each picture: the pattern in the middle, the ground at the edges.
    expect(outcome.pictures).toHaveLength(4);
    for (const path of outcome.pictures) {
      const { width, height, channels, data } = decode(readFileSync(path));
      expect([width, height, channels]).toEqual([128, 128, 3]);
      expect(new Set(data).size).toBeGreaterThan(20);
      expect([...data.slice(0, 3)]).toEqual([...data.slice(-3)]);
    }
  });

  test.skipIf(!built)("ends with the reason when a rank of the simulation is killed", async () => {
    const { output, ended } = start(family, [
      "--shape",
      "256x256",
      "--steps",
      "1000000",
      "--every",
      "10",
      "--limit",
      "100",
    ]);
    const log = join(folder, "run", "launch-1.log");
    await until("the second step", () => existsSync(log) && readFileSync(log, "utf8").includes("step 20 "));
    const [victim] = simulationRanks();
    if (victim === undefined) throw new Error(`no rank of the simulation was found: ${output()}`);
    process.kill(victim, "SIGKILL");
    expect(await ended).toBe(1);
    expect(output()).toMatch(/demo: the launch failed: it ended with/);
    await until("the end of the other ranks", () => simulationRanks().length === 0);
  });
});

test("a data directory that is in use is not touched", async () => {
  const { output, ended } = start("mpich", ["--data", inRoot("examples")]);
  expect(await ended).toBe(1);
  expect(output()).toMatch(/--data .*examples is not empty/);
  expect(existsSync(inRoot("examples", "data"))).toBe(false);
});
