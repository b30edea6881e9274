// The job scripts of slurm/ in a real Slurm of two nodes on this machine (test/lab/slurm.sh), with the lab's site file: MPICH
// through pmi2 over both nodes, Open MPI through pmix on one (why: docs/mpi.md). The scripts are submitted as they stand.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { until } from "../integration/support/weftline.js";
import { inRoot, jsonLines, LaunchPlace, there } from "./support/launches.js";

const daemons = ["slurmctld", "slurmd", "munged", "sbatch", "srun"];
const possible =
  process.getuid?.() === 0 && daemons.every(there) && existsSync(inRoot("build/native/mpi/weftline_mpi_mpich.so"));
const withOpenMpi = possible && existsSync(inRoot("build/native/mpi/weftline_mpi_openmpi.so"));

const lab = possible ? new LaunchPlace() : undefined;
function slurm(...argv: string[]): string {
  const env = { ...process.env, LAB_DIR: lab?.directory };
  const { status, stdout, stderr } = spawnSync(inRoot("test/lab/slurm.sh"), argv, {
    env,
    encoding: "utf8",
    timeout: 90_000,
  });
  expect(status, `slurm.sh ${argv.join(" ")}: ${stderr}`).toBe(0);
  return stdout.trim();
}
beforeAll(() => {
  if (possible) slurm("up", "2");
}, 90_000);
afterAll(async () => {
  if (possible) slurm("down");
  await lab?.close();
}, 90_000);

let place: LaunchPlace;
beforeEach(() => {
  place = new LaunchPlace();
});
afterEach(() => place.close());

/** Submits a script, waits for its end; its id, exit status and everything that it said. `sbatch --wait` looks too seldom. */
async function submit(
  script: string,
  flags: readonly string[] = [],
  env: Record<string, string> = {},
): Promise<{ job: string; exitCode: number; said: string }> {
  const log = place.path("job.log");
  const home = inRoot("").replace(/\/$/, "");
  const surroundings = { LAB_DIR: lab?.directory ?? "", WEFTLINE_HOME: home, WEFTLINE_SITE: "lab", ...env };
  const run = async (...argv: string[]): Promise<string> => {
    const running = place.startProgram(inRoot("test/lab/slurm.sh"), ["run", ...argv], { env: surroundings });
    const { exitCode, output, words } = await running.finished;
    expect(exitCode, `${argv.join(" ")}: ${words}`).toBe(0);
    return output.toString().trim();
  };
  const job = await run("sbatch", "--parsable", `--output=${log}`, "--open-mode=append", ...flags, script);
  const end = Date.now() + 240_000;
  let state: string;
  do {
    state = await run("scontrol", "--oneliner", "show", "job", job);
    await new Promise((resolve) => setTimeout(resolve, 200));
  } while (/JobState=(PENDING|CONFIGURING|RUNNING|COMPLETING)/.test(state) && Date.now() < end);
  const said = existsSync(log) ? readFileSync(log, "utf8") : "";
  const statuses = [...state.matchAll(/ ExitCode=(\d+):(\d+)/g)].map(
    ([, code, signal]) => Number(code) + Number(signal),
  );
  expect(statuses.length, state).toBeGreaterThan(0);
  return { job, exitCode: Math.max(...statuses), said };
}

const mpis = [
  { mpi: "mpich", nodes: 2, can: possible },
  { mpi: "openmpi", nodes: 1, can: withOpenMpi },
] as const;

for (const { mpi, nodes, can } of mpis) {
  it.skipIf(!can)(`produce-consume.sh: one world of servers, producers and a consumer, under ${mpi}`, async () => {
    const { job, exitCode, said } = await submit(inRoot("slurm/produce-consume.sh"), [`--nodes=${nodes}`], {
      WEFTLINE_MPI: mpi,
    });
    expect(exitCode, said).toBe(0);
    expect(jsonLines(said).length, said).toBe(80);
    expect(
      readdirSync(place.path(`runs/${job}/weft`)).filter((name) => /^\d$/.test(name) || name === "topics"),
    ).toEqual(nodes === 2 ? ["0", "1"] : ["topics"]);
  });

  it.skipIf(!can)(`simulation.sh: a service inside the job of a simulation in C, under ${mpi}`, async () => {
    const { exitCode, said } = await submit(inRoot("slurm/simulation.sh"), [`--nodes=${nodes}`], { WEFTLINE_MPI: mpi });
    expect(exitCode, said).toBe(0);
    expect(jsonLines(said).length, said).toBe(20);
  });
}

it.skipIf(!possible)("attach.sh: steps of their own attach to a service, which is stopped and ends", async () => {
  const { exitCode, said } = await submit(inRoot("slurm/attach.sh"));
  expect(exitCode, said).toBe(0);
  expect(
    jsonLines<{ mag: number }>(said)
      .map(({ mag }) => mag)
      .sort(),
    said,
  ).toEqual([2.1, 4.6]);
});

it.skipIf(!possible)(
  "before-limit.sh and resume.sh: warned by Slurm, staged out, and gone on with by the next job",
  async () => {
    const first = await submit(inRoot("slurm/before-limit.sh"), ["--time=2", "--signal=B:USR1@90"], {
      NODE_LOCAL: place.path("first"),
    });
    expect(first.said).toContain("SIGUSR1: passed on");
    expect(first.exitCode, first.said).toBe(0); // the counters heed the warning
    const ends = [...first.said.matchAll(/rank (\d) ends before (\d+)/g)].map(
      ([, rank, n]) => [rank, Number(n)] as const,
    );
    expect(new Map(ends).size, first.said).toBe(2);
    const staged = place.path(`runs/${first.job}`);
    expect(readdirSync(staged).sort()).toEqual(["0", "1", "stage.json"]);
    const counts = ends.map(([, n]) => n);
    const second = await submit(inRoot("slurm/resume.sh"), [], {
      NODE_LOCAL: place.path("second"),
      RESUME_FROM: staged,
      COUNT_TO: String(Math.max(...counts) + 20),
    });
    expect(second.exitCode, second.said).toBe(0);
    for (const [rank, n] of ends) expect(second.said).toContain(`rank ${rank} begins at ${n}`);
  },
  300_000,
);

it.skipIf(!possible)(
  "benchmark-sweep.sh: an array over numbers of nodes, gathered into one table",
  async () => {
    const results = place.path("results");
    const { exitCode, said } = await submit(inRoot("slurm/benchmark-sweep.sh"), ["--nodes=2", "--array=0-1"], {
      RESULTS: results,
      EVENTS: "2048",
    });
    expect(exitCode, said).toBe(0);
    const rows = readFileSync(`${results}/table.csv`, "utf8").trim().split("\n").slice(1);
    expect(new Set(rows.map((row) => row.split(",").slice(0, 3).join(" "))), said).toEqual(
      new Set(
        ["1", "2"].flatMap((nodes) =>
          ["metadata produce", "metadata consume", "data produce", "data consume"].map((each) => `${nodes} ${each}`),
        ),
      ),
    );
  },
  300_000,
);

it.skipIf(!possible)("the scripts for Frontier are those of slurm/ with a head of their own", async () => {
  mkdirSync(place.path("bin"));
  writeFileSync(place.path("bin/module"), "#!/bin/bash\n", { mode: 0o755 });
  for (const name of readdirSync(inRoot("slurm/frontier"))) {
    const text = readFileSync(inRoot(`slurm/frontier/${name}`), "utf8");
    expect(text).toContain(`source "$WEFTLINE_HOME/slurm/${name}"`);
    expect(text).toMatch(/^#SBATCH --network=job_vni,single_node_vni$/m);
  }
  // What the lab has not: accounts, the constraint, the network.
  const text = readFileSync(inRoot("slurm/frontier/produce-consume.sh"), "utf8");
  writeFileSync(place.path("job.sh"), text.replaceAll(/^#SBATCH --(account|constraint|network).*\n/gm, ""));
  const { exitCode, said } = await submit(place.path("job.sh"), ["--exclusive"], {
    PATH: `${place.path("bin")}:${process.env["PATH"] ?? ""}`,
  });
  expect(exitCode, said).toBe(0);
  expect(jsonLines(said).length, said).toBe(80);
});

it.skipIf(!possible)("a script that `weftline launch lab` writes runs as it is", async () => {
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

it.skipIf(!possible)("more ranks than a node has processors are refused, and so is a lost part reported", async () => {
  place.plan("run: [{ name: many, ranks: 40, command: 'true' }]");
  writeFileSync(place.path("many.sh"), `#!/bin/bash\nexec ${inRoot("launch/weftline")} launch --plan plan.yaml\n`);
  const many = await submit(place.path("many.sh"), ["--nodes=2", "--exclusive"]);
  expect([many.exitCode, many.said]).toEqual([1, expect.stringMatching(/puts \d+ ranks on n1, which has room for 8/)]);
});

it.skipIf(!possible)(
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
    const first = await submit(place.path("job.sh"), ["--nodes=1", "--exclusive", "--time=1"]);
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
    const second = await submit(place.path("job.sh"), ["--nodes=1", "--exclusive"]);
    expect(second.exitCode, second.said).toBe(0);
    const begins = [...second.said.matchAll(/begins at (\d+)/g)].map(([, n]) => Number(n)); // of both jobs: one log
    expect(begins.at(-1), second.said).toBeGreaterThanOrEqual(stored);
  },
  240_000,
);
