// How processes end: in every state of the library a program exits with its own code, without a crash, and the server
// goes on. A failure with "signal SIGSEGV" or "SIGABRT" is a fault of the teardown (native/addon/environment.h).
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { attach } from "../../src/index.js";
import { launchers } from "./support/launchers.js";
import { Running, until, Workplace } from "./support/weftline.js";

const program =
  process.env["WEFTLINE_TEST_PROGRAMS"] ?? fileURLToPath(new URL("../../build/ts/test/programs/", import.meta.url));

let place: Workplace;
let group: string;
let dataNumber = 0;
beforeAll(async () => {
  place = new Workplace();
  group = (await place.serve(["--data", "./weft"])).facts.group;
  await place.ok(["topic", "create", "exits", "--group", group]);
});
afterAll(() => place.close());

function freshData(): string {
  return place.path(`data-${dataNumber++}`);
}

function start(state: string): Running {
  const child = spawn(process.execPath, [`${program}/exit-states.js`, state, group, freshData()], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  return new Running(child);
}

async function end(state: string): Promise<{ exitCode: number | null; signal: NodeJS.Signals | null; words: string }> {
  const running = start(state);
  const deadline = setTimeout(() => running.child.kill("SIGKILL"), 60_000);
  const { exitCode, signal, words, output } = await running.finished;
  clearTimeout(deadline);
  expect(output.toString(), words).toContain("ready");
  return { exitCode, signal, words };
}

describe("a process ends", () => {
  it.each([
    ["closed", 0],
    ["forgotten", 0],
    ["exit", 7],
    ["exit-at-once", 7],
    ["worker", 0],
    ["worker-and-exit", 7],
    ["shared-and-exit", 7],
    ["shared-forgotten", 0],
    ["serve-closed", 0],
    ["serve-exit", 7],
    ["serve-in-worker", 0],
  ])("%s: with its own code", async (state, wanted) => {
    const { exitCode, signal, words } = await end(state);
    expect({ exitCode, signal, words }).toEqual({ exitCode: wanted, signal: null, words: "" });
  });

  it.each(["throw", "serve-throw"])("%s: with the error it threw", async (state) => {
    const { exitCode, signal, words } = await end(state);
    expect({ exitCode, signal }).toEqual({ exitCode: 1, signal: null });
    expect(words).toContain("uncaught on purpose");
  });

  it.each(["SIGTERM", "SIGINT", "SIGKILL"] as const)("waiting: by %s", async (wanted) => {
    const running = start("waiting");
    await until("the program's start", () => running.output.includes("ready"));
    const { exitCode, signal } = await running.end(wanted);
    expect({ exitCode, signal }).toEqual({ exitCode: null, signal: wanted });
  });

  it("exits at many moments of its work", async () => {
    for (let round = 0; round < 5; round++) {
      const [exit, thrown] = await Promise.all([end("exit"), end("throw")]);
      expect([exit.exitCode, exit.signal, thrown.exitCode, thrown.signal]).toEqual([7, null, 1, null]);
    }
  });
});

describe.each(launchers)("under $mpi", ({ program: mpiexec, argv, env, there }) => {
  it.skipIf(!there)("a rank's uncaught error ends the whole launch, and is told", async () => {
    const node = [process.execPath, `${program}/exit-states.js`];
    const data = freshData();
    const launch = place.startProgram(
      mpiexec,
      [...argv, "-n", "1", ...node, "rank-serve", "", data, ":", "-n", "1", ...node, "rank-throw"],
      { env },
    );
    const deadline = setTimeout(() => launch.child.kill("SIGTERM"), 60_000);
    const { exitCode, signal, words, output } = await launch.finished;
    clearTimeout(deadline);
    expect(output.toString(), words).toContain("ready");
    expect(words).toContain("uncaught on purpose");
    expect([exitCode, signal], words).toEqual([1, null]);
  });
});

describe("the server", () => {
  it("goes on after all of them", async () => {
    await using job = await attach(group);
    const topic = await job.topic("exits");
    await using out = await topic.producer();
    expect((await out.push({ index: -1 }).wait()).offset).toBeGreaterThan(0);
  });
});
