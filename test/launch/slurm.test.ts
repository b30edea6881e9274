// The job scripts of slurm/ in real Slurms of two nodes on this machine (test/lab/slurm.sh), with the lab's site file. Those of
// slurm/ are submitted as they stand, under Open MPI through pmix, where each node is a host of its own: Open MPI takes nodes
// that share a name and /dev/shm for one. Those of slurm/frontier/, with what only Frontier has taken out of their heads, under
// MPICH through pmi2, where the nodes share this machine: between hosts its MPI_Finalize hangs in some runs (docs/mpi.md).
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { until } from "../integration/support/weftline.js";
import { inRoot, jsonLines, LaunchPlace, there } from "./support/launches.js";

const TEST_MS_MAX = 300_000;
const JOB_MS_MAX = 240_000;

const isBuilt = (mpi: string): boolean => existsSync(inRoot(`build/native/mpi/weftline_mpi_${mpi}.so`));
const hasSlurm = process.getuid?.() === 0 && ["slurmctld", "slurmd", "munged", "sbatch", "srun"].every(there);
const labs = [
  {
    folder: "slurm",
    mpi: "openmpi",
    nodes: "hosts of their own",
    flags: ["--hosts"],
    possible: hasSlurm && isBuilt("openmpi") && ["ip", "nsenter"].every(there),
  },
  {
    folder: "slurm/frontier",
    mpi: "mpich",
    nodes: "one host",
    flags: [],
    possible: hasSlurm && isBuilt("mpich"),
  },
] as const;

function slurm(directory: string, ...argv: string[]): void {
  const { status, stderr } = spawnSync(inRoot("test/lab/slurm.sh"), argv, {
    env: { ...process.env, LAB_DIR: directory },
    encoding: "utf8",
    timeout: 90_000,
  });
  expect(status, `slurm.sh ${argv.join(" ")}: ${stderr}`).toBe(0);
}

let place: LaunchPlace;
beforeEach(() => {
  place = new LaunchPlace();
  mkdirSync(place.path("bin"));
  writeFileSync(place.path("bin/module"), "#!/bin/bash\n", { mode: 0o755 });
});
afterEach(() => place.close());

interface Submitted {
  readonly flags?: readonly string[];
  readonly env?: Record<string, string>;
  /** While the job runs; `begun` waits for that many lines that match in what it says. */
  readonly during?: (job: string, begun: (line: RegExp, count: number) => Promise<void>) => Promise<void>;
}

describe.each(labs)("$folder under $mpi, nodes are $nodes", ({ folder, mpi, flags: labFlags, possible }) => {
  const run = it.skipIf(!possible);
  const lab = possible ? new LaunchPlace() : undefined;
  beforeAll(() => {
    if (lab) slurm(lab.directory, "up", "2", ...labFlags);
  }, 90_000);
  afterAll(async () => {
    if (lab) slurm(lab.directory, "down");
    await lab?.close();
  }, 90_000);

  const inLab = async (argv: readonly string[], env: Record<string, string> = {}): Promise<string> => {
    const surroundings = { LAB_DIR: lab?.directory ?? "", ...env };
    const running = place.startProgram(inRoot("test/lab/slurm.sh"), ["run", ...argv], { env: surroundings });
    const { exitCode, output, words } = await running.finished;
    expect(exitCode, `${argv.join(" ")}: ${words}`).toBe(0);
    return output.toString().trim();
  };

  /** Submits a script, waits for its end; its id, exit status and all that it said. `sbatch --wait` looks too seldom. */
  async function submit(
    script: string,
    { flags = [], env = {}, during }: Submitted = {},
  ): Promise<{ job: string; exitCode: number; said: string }> {
    const log = place.path("job.log");
    const said = (): string => (existsSync(log) ? readFileSync(log, "utf8") : "");
    const surroundings = {
      PATH: `${place.path("bin")}:${process.env["PATH"] ?? ""}`,
      WEFTLINE_HOME: inRoot("").replace(/\/$/, ""),
      WEFTLINE_SITE: "lab",
      WEFTLINE_MPI: mpi,
      ...env,
    };
    const words = ["sbatch", "--parsable", "--exclusive", `--output=${log}`, "--open-mode=append", ...flags, script];
    const job = await inLab(words, surroundings);
    let state = "";
    const hasEnded = async (): Promise<boolean> => {
      state = await inLab(["scontrol", "--oneliner", "show", "job", job]);
      return !/JobState=(PENDING|CONFIGURING|RUNNING|COMPLETING)/.test(state);
    };
    const end = Date.now() + JOB_MS_MAX;
    await during?.(job, async (line, count) => {
      const found = (): number =>
        said()
          .split("\n")
          .filter((each) => line.test(each)).length;
      while (found() < count) {
        if ((await hasEnded()) || Date.now() > end) throw new Error(`not ${count} of ${String(line)}: ${said()}`);
        await pause(200);
      }
    });
    while (!(await hasEnded()) && Date.now() < end) await pause(200);
    const statuses = [...state.matchAll(/ ExitCode=(\d+):(\d+)/g)];
    expect(statuses.length, state).toBeGreaterThan(0);
    return { job, exitCode: Math.max(...statuses.map(([, code, by]) => Number(code) + Number(by))), said: said() };
  }

  /** One of the folder's scripts, with what the lab has not taken out of its head: the constraint. */
  function script(name: string): string {
    const text = readFileSync(inRoot(`${folder}/${name}`), "utf8");
    const path = place.path(name);
    writeFileSync(path, text.replace("#SBATCH --constraint=nvme\n", ""));
    return path;
  }

  run("produce-consume.sh: one world of servers, producers and a consumer", async () => {
    const { job, exitCode, said } = await submit(script("produce-consume.sh"));
    expect(exitCode, said).toBe(0);
    expect(said).toContain("7 ranks on 2 nodes: 2 server, 4 producer, 1 consumer (lab, srun)");
    expect(jsonLines(said).length, said).toBe(80);
    const data = readdirSync(place.path(`runs/${job}/weft`)).filter((name) => name !== "group");
    expect(data.sort()).toEqual(["0", "1"]);
  });

  run("simulation.sh: a service inside the job of a simulation in C", async () => {
    const { exitCode, said } = await submit(script("simulation.sh"));
    expect(exitCode, said).toBe(0);
    expect(jsonLines(said).length, said).toBe(20);
  });

  run("attach.sh: steps of their own attach to a service, which is stopped and ends", async () => {
    const { exitCode, said } = await submit(script("attach.sh"));
    expect(exitCode, said).toBe(0);
    const found = jsonLines<{ mag: number }>(said).map(({ mag }) => mag);
    expect(found.sort(), said).toEqual([2.1, 4.6]);
  });

  run(
    "before-limit.sh and resume.sh: warned, staged out, and gone on with by the next job",
    async () => {
      const first = await submit(script("before-limit.sh"), {
        flags: ["--time=20", "--signal=B:USR1@110"],
        env: { NODE_LOCAL: place.path("first") },
        during: async (job, begun) => {
          await begun(/rank \d begins at 0/, 2);
          // By Slurm's own clock, which looks every 30 s, or as by it.
          if (mpi === "mpich") await inLab(["scontrol", "update", `JobId=${job}`, "TimeLimit=2"]);
          else await inLab(["scancel", "--batch", "--signal=USR1", job]);
        },
      });
      expect(first.said).toContain("SIGUSR1: passed on");
      expect(first.exitCode, first.said).toBe(0); // the counters heed the warning
      const ends = [...first.said.matchAll(/rank (\d) ends before (\d+)/g)].map(
        ([, rank, n]) => [rank, Number(n)] as const,
      );
      expect(new Map(ends).size, first.said).toBe(2);
      const staged = place.path(`runs/${first.job}`);
      expect(readdirSync(staged).sort()).toEqual(["0", "1", "stage.json"]);
      const second = await submit(script("resume.sh"), {
        env: {
          NODE_LOCAL: place.path("second"),
          RESUME_FROM: staged,
          COUNT_TO: String(Math.max(...ends.map(([, n]) => n)) + 20),
        },
      });
      expect(second.exitCode, second.said).toBe(0);
      for (const [rank, n] of ends) expect(second.said).toContain(`rank ${rank} begins at ${n}`);
    },
    TEST_MS_MAX,
  );

  run(
    "benchmark-sweep.sh: an array over numbers of nodes, gathered into one table",
    async () => {
      const { exitCode, said } = await submit(script("benchmark-sweep.sh"), {
        flags: ["--nodes=2", "--array=0-1"],
        env: { RESULTS: place.path("results"), EVENTS: "2048" },
      });
      expect(exitCode, said).toBe(0);
      const rows = readFileSync(place.path("results/table.csv"), "utf8").trim().split("\n").slice(1);
      const phases = ["metadata produce", "metadata consume", "data produce", "data consume"];
      expect(new Set(rows.map((row) => row.split(",").slice(0, 3).join(" "))), said).toEqual(
        new Set(["1", "2"].flatMap((nodes) => phases.map((each) => `${nodes} ${each}`))),
      );
    },
    TEST_MS_MAX,
  );

  if (folder !== "slurm") return; // what follows is not of one folder's scripts

  run("a script that `weftline launch lab` writes runs as it is", async () => {
    writeFileSync(place.path("quakes.ndjson"), '{"mag":4.6}\n');
    const plan = place.plan(`
      servers: { perNode: 1 }
      topics: { quakes: { partitions: 2 } }
      run:
        - { name: producer, command: weftline produce quakes --file quakes.ndjson }
        - { name: consumer, command: weftline consume quakes --until count:1 --metadata-only }
      job: { nodes: 2, time: "00:05:00" }`);
    await place.ok(["launch", "lab", "--plan", plan, "--output", "job.sh"]);
    const { exitCode, said } = await submit(place.path("job.sh"));
    expect(exitCode, said).toBe(0);
    expect(jsonLines(said), said).toEqual([{ mag: 4.6 }]);
  });

  run("a server for each network interface is first on its node, and bound where the site says so", async () => {
    const cpus = /Cpus_allowed_list:\s*(\d+)(?:.*?(\d+))?\n/.exec(readFileSync("/proc/self/status", "utf8"));
    const [first = "", last = first] = (cpus ?? []).slice(1);
    const site = readFileSync(inRoot("launch/sites/lab.yaml"), "utf8");
    writeFileSync(place.path("nics.yaml"), `${site}nics: [a, b]\ncoresOfNics: { a: "${first}", b: "${last}" }\n`);
    const server = [
      "#!/bin/bash",
      'echo "server $SLURM_PROCID on $SLURMD_NODENAME, $SLURM_LOCALID there, on cores $(taskset -cp $$ | sed "s/.*: //")"',
      'exec weftline serve --data "$WEFTLINE_DATA" --until clients-gone',
    ];
    writeFileSync(place.path("server.sh"), server.join("\n"), { mode: 0o755 });
    writeFileSync(place.path("quakes.ndjson"), '{"mag":4.6}\n');
    place.plan(`
      servers: { perNode: nic, command: ./server.sh }
      topics: { quakes: { partitions: 4 } }
      run: [{ name: producer, command: weftline produce quakes --file quakes.ndjson }]`);
    const job = [`export PATH=${inRoot("launch")}:$PATH`, "exec weftline launch --site ./nics.yaml --plan plan.yaml"];
    writeFileSync(place.path("nics.sh"), ["#!/bin/bash", ...job, ""].join("\n"));
    const { exitCode, said } = await submit(place.path("nics.sh"), { flags: ["--nodes=2"] });
    expect(exitCode, said).toBe(0);
    expect(said.match(/^server .*$/gm)?.sort(), said).toEqual([
      `server 0 on n1, 0 there, on cores ${first}`,
      `server 1 on n2, 0 there, on cores ${first}`,
      `server 2 on n1, 1 there, on cores ${last}`,
      `server 3 on n2, 1 there, on cores ${last}`,
    ]);
    expect(readdirSync(place.path("weft")).sort()).toEqual(["0", "1", "2", "3"]);
  });

  run("more ranks than a node has processors are refused, and so is a lost part reported", async () => {
    place.plan("run: [{ name: many, ranks: 40, command: 'true' }]");
    writeFileSync(place.path("many.sh"), `#!/bin/bash\nexec ${inRoot("launch/weftline")} launch --plan plan.yaml\n`);
    const many = await submit(place.path("many.sh"), { flags: ["--nodes=2"] });
    expect([many.exitCode, many.said]).toEqual([
      1,
      expect.stringMatching(/puts \d+ ranks on n1, which has room for 8/),
    ]);
  });

  run(
    "a job that its time limit kills: what was acknowledged is there for the next one, and nothing else is left",
    async () => {
      const part = inRoot("build/ts/test/programs/acknowledged-part.js");
      const planUntil = (count: number): string =>
        place.plan(`
        servers: { count: 1, data: ./weft }
        topics: { numbers: { partitions: 1 } }
        run: [{ name: solver, command: node ${part} numbers ${count} 1000 ${place.path("stored")} }]`);
      planUntil(1e6);
      writeFileSync(place.path("job.sh"), `#!/bin/bash\nexec ${inRoot("launch/weftline")} launch --plan plan.yaml\n`);
      const first = await submit(place.path("job.sh"), { flags: ["--nodes=1", "--exclusive", "--time=1"] });
      const stored = Number(readFileSync(place.path("stored.0"), "utf8"));
      expect(stored, first.said).toBeGreaterThan(0);
      expect(first.exitCode, first.said).not.toBe(0);
      expect(first.said).toContain("DUE TO TIME LIMIT");
      expect(first.said).toContain("slot 0 drains");
      const left = (): string =>
        spawnSync("pgrep", ["--list-full", "--full", place.directory], { encoding: "utf8" }).stdout;
      await until("the end of its processes", () => left() === "", 40_000).catch(() => undefined);
      expect(left()).toBe("");
      planUntil(stored + 1000);
      const second = await submit(place.path("job.sh"), { flags: ["--nodes=1", "--exclusive"] });
      expect(second.exitCode, second.said).toBe(0);
      const begins = [...second.said.matchAll(/begins at (\d+)/g)].map(([, n]) => Number(n)); // of both jobs: one log
      expect(begins.at(-1), second.said).toBeGreaterThanOrEqual(stored);
    },
    TEST_MS_MAX,
  );
});
