// Launches for real on this machine, under each MPI that is here: servers and programs in TypeScript and C in one world, what
// attaches, exit statuses, what cannot work and is said before anything starts, signals, and a second launch on the same data.
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { until } from "../integration/support/weftline.js";
import { families, inRoot, jsonLines, LaunchPlace, program } from "./support/launches.js";

let place: LaunchPlace;
beforeEach(() => {
  place = new LaunchPlace();
});
afterEach(() => place.close());

const counter = program("examples/typescript/counter");
const part = program("test/programs/launched-part");
const countingPlan = (more = "", count = ""): string => `
servers: { count: 1, data: ./weft }
topics: { numbers: { partitions: 1 } }
run: [{ name: counter, command: node ${counter} ${count} }]
${more}
`;
/** How far a counter says that it came, or where it began. */
function numberIn(output: Buffer, what: "begins at" | "ends before"): number {
  return Number(new RegExp(`rank 0 ${what} (\\d+)`).exec(output.toString())?.[1]);
}

describe.each(families)("under $mpi", ({ mpi, there }) => {
  const env = { WEFTLINE_MPI: mpi };
  const run = it.skipIf(!there);
  // What is the launch's own, whichever MPI.
  const runOnce = mpi === families[0].mpi ? run : (): void => undefined;

  run("a server, a producer and a consumer are one world, with the plan's topics", async () => {
    writeFileSync(place.path("quakes.ndjson"), '{"mag":4.6}\n{"mag":2.1}\n');
    const plan = `
      servers: { count: 2, data: ./weft }
      topics: { quakes: { partitions: 2 } }
      run:
        - { name: producer, command: weftline produce quakes --file quakes.ndjson }
        - { name: consumer, command: weftline consume quakes --until count:2 --metadata-only }`;
    const { exitCode, output, words } = await place.launch(plan, [], env);
    expect(exitCode, words).toBe(0);
    expect(
      jsonLines<{ mag: number }>(output)
        .map(({ mag }) => mag)
        .sort(),
    ).toEqual([2.1, 4.6]);
    expect(words).toContain("4 ranks on 1 node: 2 server, 1 producer, 1 consumer");
    expect(readdirSync(place.path("weft")).sort()).toEqual(["0", "1"]); // and no group: they ended cleanly
  });

  run("a simulation in C streams while an analysis attaches", async () => {
    const plan = `
      servers: { count: 1, data: ./weft }
      topics: { field: { partitions: 2 } }
      run:
        - name: simulation
          ranks: 2
          command: ${inRoot(`build/native/examples/gray_scott_${mpi}`)} --shape 64x64 --steps 40 --every 20 --output weftline
        - { name: analysis, attach: true, command: weftline consume field --until count:4 --metadata-only }`;
    const { exitCode, output, words } = await place.launch(plan, ["--label"], env);
    expect(exitCode, words).toBe(0);
    const lines = output.toString().split("\n");
    expect(lines.filter((line) => line.startsWith("analysis.0: {")).length, output.toString()).toBe(4);
    expect(
      lines.some((line) => line.startsWith("simulation.0: ")),
      output.toString(),
    ).toBe(true);
    expect(words).toMatch(/^server\.0: .*slot 0 \(epoch 1\) runs/m);
  });

  run("the exit status is that of the part that failed", async () => {
    const plan = `servers: { count: 1 }\nrun: [{ name: part, ranks: 2, command: node ${part} exit 7 }]`;
    const { exitCode, words } = await place.launch(plan, [], env);
    expect(exitCode, words).toBe(7);
  });

  run("a part that is killed ends the launch, and its data can be used again", async () => {
    const plan = `servers: { count: 1 }\nrun: [{ name: part, ranks: 2, command: node ${part} die }]`;
    const { exitCode, words } = await place.launch(plan, [], env);
    expect(exitCode, words).not.toBe(0);
    const again = await place.launch(countingPlan("", "20"), [], env);
    expect(again.exitCode, again.words).toBe(0);
  });

  runOnce("a second launch goes on with the data of the first", async () => {
    const first = await place.launch(countingPlan("", "20"), [], env);
    expect([first.exitCode, numberIn(first.output, "begins at")], first.words).toEqual([0, 0]);
    const second = await place.launch(countingPlan("", "30"), [], env);
    expect([second.exitCode, numberIn(second.output, "begins at")], second.words).toEqual([0, 20]);
    expect(await place.ok(["log", "verify", "./weft"])).toMatch(/numbers\/0 +30 events +ok/);
  });

  run("SIGTERM drains the servers, and nothing that was stored is lost", async () => {
    const launch = place.startLaunch(countingPlan("end: { drain: 20s }"), [], env);
    await until("a begin", () => /begins at 0/.test(launch.output.toString()));
    await until("something stored", () => existsSync(place.path("weft/topics/numbers/0/metadata")));
    const { exitCode, words } = await launch.end("SIGTERM");
    expect(exitCode, words).toBe(143);
    expect(words).toContain("SIGTERM: the servers drain, for at most 20s");
    expect(words).toContain("slot 0 drains");
    const verified = /numbers\/0 +([\d,]+) events +ok/.exec(await place.ok(["log", "verify", "./weft"]))?.[1] ?? "";
    const stored = Number(verified.replaceAll(",", ""));
    expect(stored).toBeGreaterThan(0);
    const second = await place.launch(countingPlan("", String(stored + 10)), [], env);
    expect([second.exitCode, numberIn(second.output, "begins at")], second.words).toEqual([0, stored]);
  });

  run("SIGUSR1 is passed on, and an application that heeds it ends by itself", async () => {
    const launch = place.startLaunch(countingPlan("end: { warning: 60s }"), [], env);
    await until("a begin", () => /begins at 0/.test(launch.output.toString()));
    await until("a server that is there", () => launch.words.includes("is there after"));
    const { exitCode, output, words } = await launch.end("SIGUSR1");
    expect(exitCode, words).toBe(0);
    expect(numberIn(output, "ends before"), output.toString()).toBeGreaterThan(0);
  });

  run("SIGUSR1 while the ranks still start is passed on when they are there", async () => {
    const launch = place.startLaunch(countingPlan("end: { warning: 60s }"), [], env);
    await until("a launch", () => launch.words.includes("2 ranks on 1 node"));
    const { exitCode, output, words } = await launch.end("SIGUSR1");
    expect(words).not.toContain("is there after"); // the warning came before
    expect(exitCode, words).toBe(0);
    expect(output.toString()).toMatch(/rank 0 ends before/);
  });

  run("SIGUSR1 without an end in time drains, stages out, and says: come again", async () => {
    const launch = place.startLaunch(countingPlan("end: { stageOut: ./kept }"), [], env);
    await until("a begin", () => /begins at 0/.test(launch.output.toString()));
    const { exitCode, words } = await launch.end("SIGUSR1");
    expect(exitCode, words).toBe(75);
    expect(readdirSync(place.path("kept")).sort()).toEqual(["0", "stage.json"]);
    // Elsewhere, from what was put away.
    const plan = countingPlan("", "100000").replace("./weft", "./other, stageIn: ./kept");
    const second = place.startLaunch(plan, [], env);
    const began = await until("a begin", () => numberIn(second.output, "begins at") || undefined);
    expect(began).toBeGreaterThan(0);
    await second.end("SIGTERM");
  });

  run("servers can be inside of a program, whose topics the launcher makes", async () => {
    writeFileSync(place.path("quakes.ndjson"), '{"mag":4.6}\n');
    const plan = `
      servers: { inside: [host], data: ./weft }
      topics: { quakes: { partitions: 2 } }
      run:
        - { name: host, ranks: 2, command: node ${part} serve }
        - name: client
          attach: true
          command: sh -c 'weftline() { node ${inRoot("dist/cli/main.js")} "$@"; }; weftline produce quakes --group "$WEFTLINE_GROUP" --file quakes.ndjson && weftline topic list --group "$WEFTLINE_GROUP" && weftline stop --group "$WEFTLINE_GROUP"'`;
    const { exitCode, output, words } = await place.launch(plan, [], env);
    expect(exitCode, words).toBe(0);
    expect(output.toString()).toMatch(/quakes/);
    expect(output.toString()).toMatch(/serves slot 1/);
  });

  run("a rank of the application serves, consumes and produces at once, with ranks in C beside it", async () => {
    const plan = `
      servers: { inside: [analysis], data: ./weft }
      run:
        - { name: analysis, command: node ${program("test/programs/serving-part")} }
        - name: simulation
          ranks: 2
          command: ${inRoot(`build/native/examples/gray_scott_${mpi}`)} --shape 64x64 --steps 40 --every 20 --output weftline`;
    const { exitCode, output, words } = await place.launch(plan, [], env);
    expect(exitCode, words).toBe(0);
    const [found] = jsonLines<{ slot: number; transports: string[]; blocks: { step: number; rank: number }[] }>(output);
    expect(found, output.toString()).toMatchObject({ slot: 0, transports: ["inprocess"] });
    const blocks = [20, 40].flatMap((step) => [0, 1].map((rank) => ({ step, rank, isSame: true })));
    expect(found?.blocks.sort((left, right) => left.step - right.step || left.rank - right.rank)).toEqual(blocks);
    const verified = await place.ok(["log", "verify", "./weft"]);
    expect(verified.match(/ ok$/gm)).toHaveLength(3);
    expect(verified.match(/[\d,]+(?= events)/g)?.reduce((sum, events) => sum + Number(events), 0)).toBe(4 + 2 + 4);
  });

  run("the simple case needs no plan", async () => {
    writeFileSync(place.path("quakes.ndjson"), '{"mag":4.6}\n');
    const words_ = ["weftline", "produce", "quakes", "--file", "quakes.ndjson"];
    const reading = ["weftline", "consume", "quakes", "--until", "count:1", "--metadata-only"];
    const argv = ["launch", "--topic", "quakes:2", "--", "-n", "1", ...words_, ":", "-n", "1", ...reading];
    const { exitCode, output, words } = await place.weftline(argv, { env });
    expect(exitCode, words).toBe(0);
    expect(jsonLines(output)).toEqual([{ mag: 4.6 }]);
  });

  runOnce("two launches on one data directory are one too many", async () => {
    const first = place.startLaunch(countingPlan(), [], env);
    await until("a server that is there", () => first.words.includes("is there after"));
    const { exitCode, words } = await place.launch(countingPlan(), [], env);
    expect(exitCode).not.toBe(0);
    expect(words).toMatch(/WEFT_DATA_DIRECTORY_LOCKED: .*weft is served by process \d+ on .*\n.*next: end that launch/);
    await first.end("SIGTERM");
  });
});

describe("what cannot work is said before anything starts", () => {
  const run = it.skipIf(!families[0].there);
  const refused = async (plan: string, env = { WEFTLINE_MPI: "mpich" }): Promise<string> => {
    const { exitCode, words } = await place.launch(plan, [], env);
    expect(exitCode, words).not.toBe(0);
    expect(words).not.toContain("runs:"); // no server has started
    return words;
  };

  run("a command that is not there", async () => {
    expect(await refused("run: [{ name: solver, command: ./solver }]")).toMatch(
      /part 'solver' cannot be started: there is no program .*\/solver\n.*next: build it/,
    );
    expect(await refused("run: [{ name: solver, command: no-such-solver }]")).toContain(
      "'no-such-solver' is not on PATH",
    );
    expect(await refused("run: [{ name: solver, command: node ./solver.js }]")).toMatch(
      /part 'solver' cannot be started: there is no .*\/solver\.js for node to run/,
    );
    writeFileSync(place.path("plain"), "not a program");
    expect(await refused("run: [{ name: solver, command: ./plain }]")).toMatch(/cannot be started/);
  });

  run("a data directory that cannot be", async () => {
    writeFileSync(place.path("file"), "");
    const words = await refused("servers: { data: ./file/weft }\nrun: [{ name: a, command: 'true' }]");
    expect(words).toMatch(/WEFT_NOT_WRITABLE: the data directory .*file\/weft cannot be written/);
    expect(words).toMatch(/next: move the file that stands in its place, or give another one/);
  });

  it.skipIf(!families.every(({ there }) => there))("a program of another MPI than the launcher's", async () => {
    const words = await refused(
      `run: [{ name: solver, command: ${inRoot("build/native/examples/gray_scott_openmpi")} }]`,
    );
    expect(words).toMatch(/WEFT_MPI_WRONG_LAUNCHER: part 'solver' is linked with openmpi, but MPICH's mpiexec/);
  });

  it("no mpiexec", async () => {
    const bare = { PATH: "/nowhere", WEFTLINE_MPI: "" };
    const { exitCode, words } = await place.launch("run: [{ name: a, command: /bin/true }]", [], bare);
    expect(exitCode).not.toBe(0);
    expect(words).toMatch(/there is no mpiexec to launch with .*\n.*next: install MPICH or Open MPI/);
  });

  it("a launcher of a scheduler outside of its jobs, a script that cannot be written, a plan that is not there", async () => {
    const plan = "run: [{ name: a, command: 'true' }]";
    expect((await place.launch(plan, ["--site", "slurm"])).words).toMatch(
      /slurm launches with srun, which wants a job of its scheduler\n.*submit a job script/,
    );
    const script = ["launch", "slurm", "--plan", place.plan(plan), "--output", "./nowhere/job.sh"];
    expect((await place.weftline(script)).words).toMatch(
      /^weftline: WEFT_NOT_WRITABLE: the job script .*nowhere\/job.sh/,
    );
    expect((await place.weftline(["launch", "--plan", "none.yaml"])).words).toMatch(
      /there is no plan file .*none.yaml\n.*give --plan FILE/,
    );
  });

  run("data of an earlier launch that is not there", async () => {
    const words = await refused("servers: { stageIn: ./nothing }\nrun: [{ name: a, command: 'true' }]");
    expect(words).toMatch(/servers.stageIn: there is no complete data of an earlier launch in .*nothing/);
  });

  it("servers that do not come are named, after the time that they had", async () => {
    const plan = "servers: { count: 1, ready: 1s, command: sleep 600 }";
    const { exitCode, words } = await place.launch(plan);
    expect(exitCode).toBe(1);
    expect(words).toMatch(/WEFT_TIMED_OUT: after 1s 1 of 1 servers are not there: slot 0 \(rank 0 on .+\)/);
  });

  run("a place for the data that is taken, or cannot be written", async () => {
    mkdirSync(place.path("kept/0"), { recursive: true });
    writeFileSync(place.path("kept/0/manifest.json"), "{}");
    const words = await refused(
      "servers: { data: ./weft }\nrun: [{ name: a, command: 'true' }]\nend: { stageOut: ./kept }",
    );
    expect(words).toMatch(/end.stageOut .*kept holds the data of an earlier launch \(0\)/);
    writeFileSync(place.path("file"), "");
    const file = await refused("run: [{ name: a, command: 'true' }]\nend: { stageOut: ./file/kept }");
    expect(file).toMatch(/WEFT_NOT_WRITABLE: end.stageOut .*kept cannot be written/);
  });

  run("what an interrupted stage-out left is told, with what finishes it", async () => {
    mkdirSync(place.path("kept/0"), { recursive: true });
    writeFileSync(place.path("kept/0/manifest.json"), "{}");
    writeFileSync(place.path("kept/stage.json"), '{"format":"weftline-stage","version":1,"servers":2}');
    const words = await refused("servers: { count: 2, stageIn: ./kept }\nrun: [{ name: a, command: 'true' }]");
    expect(words).toMatch(/of the data of 2 servers in .*kept that of 1 is not whole/);
    expect(words).toMatch(/next: finish it where that data is: weftline stage out DATA .*kept\/1/);
  });

  run("a part that ended without joining is named", async () => {
    const plan = "servers: { count: 1, ready: 5s }\nrun: [{ name: quick, ranks: 2, command: 'true' }]";
    const { exitCode, words } = await place.launch(plan, [], { WEFTLINE_MPI: "mpich" });
    expect(exitCode).not.toBe(0);
    expect(words).toMatch(/ended without joining: rank 1 \(quick\.0\), rank 2 \(quick\.1\)\n.*every part has to join/);
  });

  it("a plan that holds nothing, and words that mean nothing", async () => {
    expect((await place.launch("topics: {}")).words).toContain("there is no plan in it");
    const { exitCode, words } = await place.weftline(["launch", "--plan", place.plan("run: []"), "local", "x"]);
    expect([exitCode, words]).toEqual([2, expect.stringContaining("has no meaning beside --plan")]);
  });
});

it("a dry run starts nothing, and shows ranks and the exact command line", async () => {
  const plan = "servers: { perNode: 1 }\nrun: [{ name: solver, ranks: 3, command: ./solver }]";
  const text = await place.ok(["launch", "--plan", place.plan(plan), "--dry-run", "--nodes", "2", "--site", "slurm"]);
  expect(text).toMatch(/^rank +node +part +command\n0 +node1 +server +.*serve --data/);
  expect(text).toMatch(/\n2-3 +node1 +solver +\.\/solver\n4 +node2 +solver +\.\/solver\n/);
  expect(text).toMatch(/\nenv SLURM_HOSTFILE=\S+ srun --ntasks=5 --nodes=2 /);
  expect(existsSync(place.path("weft"))).toBe(false);
});

it("a launch of a server alone is a service, which SIGTERM ends with status 0", async () => {
  const launch = place.startLaunch("servers: { count: 1, data: ./weft }\ntopics: { quakes: {} }", [], {
    PATH: "/nowhere",
  });
  await until("a server that is there", () => launch.words.includes("is there after"));
  expect(await place.ok(["topic", "list"])).toContain("quakes");
  const { exitCode, words } = await launch.end("SIGTERM");
  expect(exitCode, words).toBe(0);
});
