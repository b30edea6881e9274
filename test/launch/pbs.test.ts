// The job scripts of pbs/ with a qsub that runs them here and an mpiexec that checks every option of PALS (support/): there is
// no PBS to be had as a package. What is shown is that scripts, options and numbers agree, not that a real one takes them.
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { until } from "../integration/support/weftline.js";
import { families, inRoot, jsonLines, LaunchPlace, there } from "./support/launches.js";

const possible = families[0].there;
let place: LaunchPlace;
beforeEach(() => {
  place = new LaunchPlace();
  mkdirSync(place.path("bin"));
  symlinkSync(inRoot("test/launch/support/pals-mpiexec"), place.path("bin/mpiexec"));
  writeFileSync(place.path("bin/module"), "#!/bin/bash\n", { mode: 0o755 });
});
afterEach(() => place.close());

function submit(
  script: string,
  flags: readonly string[] = [],
  env: Record<string, string> = {},
): ReturnType<LaunchPlace["startProgram"]> {
  return place.startProgram(inRoot("test/launch/support/qsub"), [...flags, inRoot(script)], {
    env: {
      PATH: `${place.path("bin")}:${process.env["PATH"] ?? ""}`,
      NODES: "x1 x2 x3 x4",
      PALS_CALLS: place.path("calls.txt"),
      WEFTLINE_HOME: inRoot("").replace(/\/$/, ""),
      NODE_LOCAL: place.path("local"),
      ...env,
    },
  });
}

/** On plain PBS the mpiexec is that of an MPI; its nodes are this one. */
const plain = { NODES: "localhost", MPIEXEC: "mpiexec.mpich" };
const both = [
  { site: "plain OpenPBS", folder: "pbs", env: plain, servers: 1 },
  { site: "Polaris", folder: "pbs/polaris", env: {}, servers: 2 },
] as const;

describe.each(both)("on $site", ({ folder, env, servers }) => {
  const run = it.skipIf(!possible);

  run("produce-consume.sh", async () => {
    const { exitCode, output, words } = await submit(`${folder}/produce-consume.sh`, [], env).finished;
    expect(exitCode, words).toBe(0);
    expect(jsonLines(output).length, words).toBe(80);
    if (servers === 2) {
      expect(readFileSync(place.path("calls.txt"), "utf8")).toMatch(
        /^--single-node-vni -n 2 --ppn 1 --depth 1 --hosts x1,x2 --cpu-bind none env .* : -n 4 --ppn 2 --depth 1 --hosts x1,x2 /,
      );
    }
  });

  run("simulation.sh", async () => {
    const { exitCode, output, words } = await submit(`${folder}/simulation.sh`, [], env).finished;
    expect(exitCode, words).toBe(0);
    expect(jsonLines(output).length, words).toBe(20);
  });

  run("attach.sh", async () => {
    const { exitCode, output, words } = await submit(`${folder}/attach.sh`, [], env).finished;
    expect(exitCode, words).toBe(0);
    expect(
      jsonLines<{ mag: number }>(output)
        .map(({ mag }) => mag)
        .sort(),
      words,
    ).toEqual([2.1, 4.6]);
  });

  run("before-limit.sh, warned by its own clock, and resume.sh", async () => {
    // Long enough for the launcher to be there on a loaded machine; or, not to wait, by the alarm that is `timeout`'s clock.
    const byClock = servers === 1;
    const job = submit(`${folder}/before-limit.sh`, [], byClock ? { ...env, WARN_AFTER: "12" } : env);
    if (!byClock) {
      await until("a begin", () => /begins at 0/.test(job.output.toString()) || job.ended);
      job.child.kill("SIGALRM");
    }
    const first = await job.finished;
    expect(first.exitCode, first.words).toBe(0);
    expect(first.words).toContain("SIGUSR1: passed on");
    const ends = [...first.output.toString().matchAll(/rank (\d) ends before (\d+)/g)];
    expect(ends.length, first.words).toBe(2);
    const staged = place.path("runs/42.stub");
    expect(readdirSync(staged).filter((name) => /^\d$/.test(name)).length).toBe(servers);
    const goal = Math.max(...ends.map(([, , n]) => Number(n))) + 20;
    const flags = ["-v", `RESUME_FROM=${staged},COUNT_TO=${goal},PBS_JOBID=43.stub`];
    const again = { ...env, NODE_LOCAL: place.path("other") };
    const second = await submit(`${folder}/resume.sh`, flags, again).finished;
    expect(second.exitCode, second.words).toBe(0);
    for (const [, rank, n] of ends) expect(second.output.toString()).toContain(`rank ${rank} begins at ${n}\n`);
  });

  run("benchmark-sweep.sh", async () => {
    const index = { PBS_ARRAY_INDEX: String(servers - 1), RESULTS: place.path("results"), EVENTS: "2048" };
    const { exitCode, output, words } = await submit(`${folder}/benchmark-sweep.sh`, [], { ...env, ...index }).finished;
    expect(exitCode, words).toBe(0);
    expect(output.toString()).toMatch(new RegExp(`^${servers},data,consume,`, "m"));
  });
});

// Several hosts: network namespaces of this machine, the job on the first of them, as PBS starts it. Between hosts the end of
// MPICH's MPI_Finalize is not sure (docs/mpi.md): what is promised then is that the time limit ends it, and the error says so.
const tools = ["ip", "nsenter", "nft", "tc"];
const withHosts = process.getuid?.() === 0 && tools.every(there);
describe.each(families)("over two hosts, with $mpi", ({ mpi, there: isThere }) => {
  const lab = (...argv: string[]): string => {
    const env = { ...process.env, LAB_DIR: place.path("lab") };
    const { status, stdout, stderr } = spawnSync(inRoot("test/lab/hosts.sh"), argv, { env, encoding: "utf8" });
    expect(status, `hosts.sh ${argv.join(" ")}: ${stderr}`).toBe(0);
    return stdout.trim();
  };
  afterEach(() => {
    if (withHosts) lab("down"); // with what still runs there
  });

  it.skipIf(!isThere || !withHosts)("produce-consume.sh has ranks on each as its node file says", async () => {
    lab("up", "2");
    const [first, second] = [lab("address", "h1"), lab("address", "h2")];
    // What a site's mpiexec knows by itself: how to start something on another node.
    const agent = place.path("lab/launch");
    const options =
      mpi === "mpich" ? `-launcher ssh -launcher-exec ${agent} -localhost ${first}` : `--mca plm_rsh_agent ${agent}`;
    const wrapper = `#!/bin/bash\necho "$*" >>${place.path("calls.txt")}\nexec mpiexec.${mpi} ${options} "$@"\n`;
    writeFileSync(place.path("bin/mpiexec-of-site"), wrapper, { mode: 0o755 });
    const job = place.startProgram(
      inRoot("test/lab/hosts.sh"),
      ["launch", "h1", inRoot("test/launch/support/qsub"), inRoot("pbs/produce-consume.sh")],
      {
        env: {
          LAB_DIR: place.path("lab"),
          NODES: [...Array<string>(5).fill(first), second, second].join(" "),
          MPIEXEC: place.path("bin/mpiexec-of-site"),
          WEFTLINE_MPI: mpi,
          WEFTLINE_HOME: inRoot("").replace(/\/$/, ""),
        },
      },
    );
    const { exitCode, output, words } = await job.finished;
    expect(jsonLines(output).length, words).toBe(80);
    expect(words).toContain("7 ranks on 2 nodes: 2 server, 4 producer, 1 consumer (pbs, ");
    expect(readFileSync(place.path("calls.txt"), "utf8")).toMatch(`${first}:5,${second}:2`);
    expect(words.match(/the clients are gone: slot \d drains/g)?.length, words).toBe(2);
    const data = readdirSync(place.path("runs/42.stub/weft"));
    expect(data.filter((name) => /^\d$/.test(name)).sort()).toEqual(["0", "1"]);
    const verified = await place.ok(["log", "verify", "runs/42.stub/weft/0"]);
    expect(verified).toMatch(/ ok$/m);
    if (mpi === "mpich" && exitCode !== 0) {
      expect([...new Set(words.match(/WEFT_[A-Z_]{6,}(?=:)/g))], words).toEqual(["WEFT_RANK_LOST"]); // and of nothing else
      expect(words).toContain("WEFT_RANK_LOST: MPI was not finalized");
    } else expect(exitCode, words).toBe(0);
  });
});

it.skipIf(!possible)(
  "a script that `weftline launch polaris` writes is taken, and SIGTERM ends its job in order",
  async () => {
    const counter = inRoot("build/ts/examples/typescript/counter.js");
    const plan = place.plan(`
    servers: { perNode: 1 }
    topics: { numbers: { partitions: 1 } }
    run: [{ name: counter, command: node ${counter} }]
    job: { nodes: 2, time: "00:05:00", account: CFD101, queue: debug }`);
    await place.ok(["launch", "polaris", "--plan", plan, "--output", "job.sh"]);
    const job = place.startProgram(inRoot("test/launch/support/qsub"), ["job.sh"], {
      env: {
        PATH: `${place.path("bin")}:${process.env["PATH"] ?? ""}`,
        NODES: "x1 x2",
        PALS_CALLS: place.path("calls.txt"),
        NODE_LOCAL: place.path("local"),
      },
    });
    await until("a begin", () => /begins at 0/.test(job.output.toString()));
    const { exitCode, words } = await job.end("SIGTERM");
    expect(exitCode, words).toBe(143);
    expect(words).toContain("the servers drain");
  },
);
