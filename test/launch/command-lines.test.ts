// From a plan and a recorded environment to ranks and the exact command line of each launcher.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { expandCounts, expandHostList } from "../../src/launch/allocation.js";
import { commandText, describeLaunch } from "../../src/launch/describe.js";
import { familyOfVersion } from "../../src/launch/launchers/choose.js";
import { labelOfRank, serverOfSlot } from "../../src/launch/rank-map.js";
import { prepared, problemOf, slurmEnvironment } from "./support/surroundings.js";

const plan = `
servers: { perNode: 1, data: /d }
run:
  - { name: solver, ranks: 3, command: ./solver "a b" }
  - { name: corner, ranks: 1, command: node corner.js, env: { STEP: 10 } }
`;
const environmentOf = (data: string): string =>
  `WEFTLINE_GROUP=/d/group WEFTLINE_CONFIG=/work/plan.yaml${data === "" ? "" : ` WEFTLINE_DATA=${data}`}`;
const server = (data: string): string =>
  `env ${environmentOf(data)} weftline serve --data ${data} --drain 30000ms --until clients-gone`;
const solver = `env ${environmentOf("")} ./solver 'a b'`;
const corner = `env ${environmentOf("")} STEP=10 node corner.js`;

describe("lists of a scheduler", () => {
  it.each([
    ["n1", ["n1"]],
    ["n[1-3,07],login", ["n1", "n2", "n3", "n07", "login"]],
    ["r[1-2]n[08-10]", ["r1n08", "r1n09", "r1n10", "r2n08", "r2n09", "r2n10"]],
  ])("%s", (text, hosts) => {
    expect(expandHostList(text)).toEqual(hosts);
  });
  it.each(["", "n[1-", "n[3-1]", "n[a]"])("'%s' is refused", (text) => {
    expect(problemOf(() => expandHostList(text))).toMatch(/is not understood/);
  });
  it("8(x2),4", () => expect(expandCounts("8(x2),4")).toEqual([8, 8, 4]));
});

describe("the launcher is known by its version", () => {
  it.each([
    ["HYDRA build details:", "mpich"],
    ["Intel(R) MPI Library for Linux", "mpich"],
    ["mpiexec (OpenRTE) 4.1.4", "openmpi"],
    ["mpirun (Open MPI) 5.0.1", "openmpi"],
    ["slurm 22.05", undefined],
  ])("%s", (text, family) => {
    expect(familyOfVersion(text)).toBe(family);
  });
});

describe("srun in a Slurm job", () => {
  const place = { environment: slurmEnvironment, assumedNodes: undefined };
  const site = { ...place, site: "slurm" };

  it("is one step of --multi-prog with a host for each rank", () => {
    // srun itself is not here: what it would be asked is looked at for nodes that are assumed.
    const launch = prepared(plan, { site: "slurm", assumedNodes: 2 });
    const { commands, files, ranks } = describeLaunch(launch);
    expect(ranks.map(({ ranks: rank, node, part }) => [rank, node, part])).toEqual([
      ["0", "node1", "server"],
      ["1", "node2", "server"],
      ["2-3", "node1", "solver"],
      ["4", "node2", "solver"],
      ["5", "node2", "corner"],
    ]);
    const [programs, hosts] = files;
    expect(commands).toEqual([
      `env SLURM_HOSTFILE=${hosts?.path} srun --ntasks=6 --nodes=2 --distribution=arbitrary --overlap --mpi=pmi2 ` +
        `--cpu-bind=none --kill-on-bad-exit=1 --multi-prog ${programs?.path}`,
    ]);
    expect(programs?.text).toBe([`0-1 ${server("/d/{rank}")}`, `2-4 ${solver}`, `5 ${corner}`, ""].join("\n"));
    expect(hosts?.text).toBe("node1\nnode2\nnode1\nnode1\nnode2\nnode2\n");
  });

  it("takes pmix for Open MPI, labels, --overcommit and what the user adds", () => {
    const text = `${plan}launch: { mpi: openmpi, oversubscribe: true, options: [--verbose] }`;
    const [command = ""] = describeLaunch(prepared(text, { site: "slurm", assumedNodes: 1, label: true })).commands;
    expect(command).toMatch(
      /^srun --ntasks=5 --nodes=1 --overlap --mpi=pmix --cpu-bind=none --overcommit --kill-on-bad-exit=1 --label --verbose --multi-prog /,
    );
  });

  it("has the ranks of several nodes meet in a ring where Slurm's pmix brings them together, unless the site says else", () => {
    const openmpi = `${plan}launch: { mpi: openmpi }`;
    const worldOf = (text: string, site: string, assumedNodes: number): string => {
      const { world } = prepared(text, { site, assumedNodes, environment: { USER: "me" } });
      return world === undefined ? "" : commandText(world);
    };
    expect(worldOf(openmpi, "slurm", 2)).toMatch(/^env .*SLURM_PMIX_FENCE=ring srun .*--mpi=pmix /);
    const others: [string, string, number][] = [
      [openmpi, "slurm", 1],
      [plan, "slurm", 2],
      [plan, "frontier", 2],
    ];
    for (const [text, site, nodes] of others) expect(worldOf(text, site, nodes)).not.toContain("SLURM_PMIX_FENCE");
    const directory = mkdtempSync(join(tmpdir(), "weftline-test-"));
    try {
      const own = join(directory, "own.yaml");
      writeFileSync(
        own,
        `${readFileSync("launch/sites/slurm.yaml", "utf8")}environment: { SLURM_PMIX_FENCE: mixed }\n`,
      );
      expect(worldOf(openmpi, own, 2)).toMatch(/^env SLURM_PMIX_FENCE=mixed .*--mpi=pmix /);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it("on Frontier shares the network of the job, with steps that attach too", () => {
    const text = `${plan}  - { name: look, attach: true, command: node look.js }`;
    const launch = prepared(text, { site: "frontier", assumedNodes: 2, environment: { USER: "me" } });
    const [world, beside] = [launch.world, launch.attached[0]?.commands[0]].map((each) => each && commandText(each));
    expect(world).toMatch(/--mpi=cray_shasta .*--network=job_vni,single_node_vni/);
    expect(beside).toMatch(/srun --ntasks=1 --nodes=1 .*--overlap --mpi=none .*--network=job_vni,single_node_vni/);
    expect(launch.world?.files[0]?.text).toContain("CXI_FORK_SAFE=1");
  });

  it("is what a job that is found leads to", () => {
    expect(problemOf(() => prepared(plan, { ...site, environment: { ...slurmEnvironment, PATH: "" } }))).toMatch(
      /there is no srun on PATH/,
    );
    const one = { ...slurmEnvironment, SLURM_JOB_NODELIST: "" };
    expect(problemOf(() => prepared(plan, { environment: one }))).toMatch(/SLURM_JOB_NODELIST is not set/);
  });

  it("refuses more ranks than a node has processors", () => {
    const text = "run: [{ name: solver, ranks: 16, command: ./solver }]\nlaunch: { launcher: mpiexec }";
    expect(problemOf(() => prepared(text, { environment: slurmEnvironment }))).toBe(
      "WEFT_LIMIT: the plan puts 9 ranks on n1, which has room for 8 | ask for more nodes or run fewer ranks; " +
        "launch: { oversubscribe: true } lets ranks share cores",
    );
  });

  it("refuses what --multi-prog cannot pass on", () => {
    const text = `run: [{ name: a, command: [sh, -c, "echo 'x'"] }]`;
    expect(problemOf(() => prepared(text, { site: "slurm", assumedNodes: 1 }))).toMatch(/script of its own/);
  });
});

describe("an mpiexec", () => {
  it("of MPICH fills hosts in order, node by node", () => {
    const text = `${plan}launch: { launcher: mpiexec, mpi: mpich }`;
    const launch = prepared(text, { assumedNodes: 2 });
    expect(describeLaunch(launch).commands).toEqual([
      `mpiexec -hosts node1:3,node2:3 -n 1 ${server("/d/{rank}")} : -n 2 ${solver} : -n 1 ${server("/d/{rank}")} ` +
        `: -n 1 ${solver} : -n 1 ${corner}`,
    ]);
    expect(labelOfRank(launch.map.world, 4)).toBe("solver.2");
    expect(serverOfSlot(launch.map, 1)).toEqual({ rank: 3, host: "node2" });
  });

  it("of Open MPI lets ranks share cores, and says twice that it may run as root", () => {
    const text = `${plan}launch: { launcher: mpiexec, mpi: openmpi }`;
    const [command = ""] = describeLaunch(prepared(text, { assumedNodes: 1, label: true })).commands;
    const root = process.getuid?.() === 0 ? "env OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 " : "";
    expect(command).toBe(
      `${root}mpiexec --bind-to none --oversubscribe --tag-output -n 1 ${server("/d")} : -n 3 ${solver} : -n 1 ${corner}`,
    );
  });

  it("of PALS has hosts, ranks per node and depth for each program", () => {
    const text = `${plan}  - { name: gpu, ranksPerNode: 4, cores: 7, command: ./gpu }`;
    const [command] = describeLaunch(
      prepared(text, { site: "polaris", assumedNodes: 2, environment: { USER: "me" } }),
    ).commands;
    const variables = `CXI_FORK_SAFE=1 PALS_LOCAL_LAUNCH=0`;
    const with_ = (each: string): string => each.replace("env ", `env ${variables} `);
    const segment = (n: number, ppn: number, depth: number, hosts: string): string =>
      `-n ${n} --ppn ${ppn} --depth ${depth} --hosts ${hosts} --cpu-bind none`;
    expect(command).toBe(
      `env ${variables} mpiexec --single-node-vni ${segment(2, 1, 1, "node1,node2")} ${with_(server("/d/{rank}"))} ` +
        `: ${segment(2, 2, 1, "node1")} ${with_(solver)} : ${segment(1, 1, 1, "node2")} ${with_(solver)} ` +
        `: ${segment(1, 1, 1, "node2")} ${with_(corner)} ` +
        `: ${segment(8, 4, 7, "node1,node2")} ${with_(`env ${environmentOf("")} ./gpu`)}`,
    );
  });

  it("is found by its family, and what was looked at is said", () => {
    const environment = { PATH: "/nowhere", WEFTLINE_MPI: "mpich" };
    expect(problemOf(() => prepared(plan, { environment }))).toBe(
      "WEFT_UNSUPPORTED: there is no mpiexec of mpich to launch with (mpiexec.mpich: not on PATH; mpiexec: not on PATH) | " +
        "install MPICH or Open MPI, or name its mpiexec: MPIEXEC=/path/to/mpiexec",
    );
  });
});

describe("priority and cores", () => {
  const text = `
servers: { perNode: 1, data: /d, nice: 19, bind: "7,15" }
run:
  - { name: solver, ranks: 3, command: ./solver "a b", bind: 0-6 }
  - { name: look, attach: true, command: node look.js, directory: /tmp, bind: 7 }
`;
  const nicely = server("/d").replace("weftline serve", "nice -n 19 taskset -c 7,15 weftline serve");
  const bound = solver.replace("./solver", "taskset -c 0-6 ./solver");
  const hold = " --hold /d/group.hold";

  it("stand before the commands of an mpiexec, and of what attaches", () => {
    const launch = prepared(`${text}launch: { launcher: mpiexec, mpi: mpich }`, { assumedNodes: 1 });
    const { commands, ranks } = describeLaunch(launch);
    expect(commands).toEqual([
      `mpiexec -n 1 ${nicely}${hold} : -n 3 ${bound}`,
      `env ${environmentOf("")} env --chdir=/tmp taskset -c 7 node look.js`,
    ]);
    expect(ranks.map(({ part, command }) => [part, command])).toContainEqual(["solver", "./solver 'a b'"]);
  });

  it("stand in the programs of srun, and before a server without a launcher", () => {
    const [programs] = describeLaunch(prepared(text, { site: "slurm", assumedNodes: 1 })).files;
    expect(programs?.text).toBe(`0 ${nicely}${hold}\n1-3 ${bound}\n`);
    const alone = "servers: { data: /d, nice: 5 }";
    const { world } = prepared(alone, { environment: { PATH: "/nowhere" } });
    expect(world && commandText(world)).toMatch(/ nice -n 5 weftline serve --data \/d /);
  });
});

describe("a server for each network interface", () => {
  const text = plan.replace("perNode: 1", "perNode: nic").replace("ranks: 3", "ranks: 2");
  const bare = (command: string): string => command.replaceAll(/env (CXI\S+ |PALS\S+ |WEFTLINE\S+ |STEP\S+ )*/g, "");
  let directory = "";
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "weftline-test-"));
    const near = "nics: [cxi0, cxi1]\ncoresOfNics: { cxi0: 0-15, cxi1: 16-31 }\n";
    writeFileSync(
      join(directory, "slurm.yaml"),
      `description: x\nscheduler: slurm\nlauncher: srun\n${near}flags: { bind: [--cpu-bind=none] }\n`,
    );
    const pals = "description: x\nscheduler: pbs\nlauncher: pals\nflags: { bind: [--cpu-bind, none] }\n";
    writeFileSync(join(directory, "pals.yaml"), pals + near);
  });
  afterAll(() => rmSync(directory, { recursive: true }));
  const at = (site: string, more = ""): ReturnType<typeof prepared> =>
    prepared(text + more, { site: site.includes("/") ? site : join(directory, site), assumedNodes: 2 });

  it("under srun is bound to the cores that are near it, and first on its node", () => {
    const { ranks, files } = describeLaunch(at("slurm.yaml"));
    expect(ranks.map(({ ranks: rank, node, part }) => `${rank} ${node} ${part}`)).toEqual([
      ...["0 node1 server", "1 node2 server", "2 node1 server", "3 node2 server"],
      ...["4 node1 solver", "5 node2 solver", "6 node1 corner"],
    ]);
    const serve = "weftline serve --data /d/{rank} --drain 30000ms --until clients-gone";
    expect(bare(files[0]?.text ?? "").split("\n")).toEqual([
      `0-1 taskset --cpu-list 0-15 ${serve}`,
      `2-3 taskset --cpu-list 16-31 ${serve}`,
      "4-5 ./solver 'a b'",
      "6 node corner.js",
      "",
    ]);
    expect(files[1]?.text).toBe("node1\nnode2\nnode1\nnode2\nnode1\nnode2\nnode1\n");
    expect([0, 1, 2, 3].map((slot) => serverOfSlot(at("slurm.yaml").map, slot)?.rank)).toEqual([0, 1, 2, 3]);
  });

  it("under PALS is a program for each, over all nodes", () => {
    const [command = ""] = describeLaunch(at("pals.yaml")).commands;
    const segment = "-n 2 --ppn 1 --depth 1 --hosts node1,node2 --cpu-bind none";
    const serve = "weftline serve --data '/d/{rank}' --drain 30000ms --until clients-gone".replaceAll("'", "");
    expect(bare(command)).toBe(
      `mpiexec ${segment} taskset --cpu-list 0-15 ${serve} : ${segment} taskset --cpu-list 16-31 ${serve} ` +
        `: ${segment} ./solver 'a b' : -n 1 --ppn 1 --depth 1 --hosts node1 --cpu-bind none node corner.js`,
    );
  });

  it("under an mpiexec that fills its hosts is one of a node's first", () => {
    const [command = ""] = describeLaunch(at("slurm.yaml", "launch: { launcher: mpiexec, mpi: mpich }")).commands;
    const servers = ["0-15", "16-31"].map((cores) => `-n 1 taskset --cpu-list ${cores} weftline serve \\S+ \\S+ .*`);
    expect(bare(command)).toMatch(
      new RegExp(`^mpiexec -hosts node1:4,node2:3 .*${servers.join(" : ")} : -n 1 ./solver`),
    );
  });

  it("is left unbound where the site does not say which cores are near, and takes its interface by its rank", () => {
    const launch = prepared(text, { site: "frontier", assumedNodes: 2, environment: { USER: "me" } });
    const [programs, hosts] = describeLaunch(launch).files;
    expect(programs?.text).toMatch(/^0-7 env CXI_FORK_SAFE=1 \S+ \S+ \S+ weftline serve /);
    expect(hosts?.text.split("\n").slice(0, 8)).toEqual([
      ...Array<string>(4).fill("node1"),
      ...Array<string>(4).fill("node2"),
    ]);
  });
});

describe("a world of one", () => {
  it("needs no launcher, nor do processes that attach to it", () => {
    const text = "servers: { data: /d }\nrun: [{ name: look, ranks: 2, attach: true, command: node look.js }]";
    const launch = prepared(text, { environment: { PATH: "/nowhere" } });
    expect(launch.launcher).toBeUndefined();
    expect(launch.world && commandText(launch.world)).toBe(`${server("/d")} --hold /d/group.hold`);
    expect(launch.attached[0]?.commands.map(commandText)).toEqual(
      Array.from({ length: 2 }, () => `env ${environmentOf("")} node look.js`),
    );
  });
});

describe("nodes of a PBS job", () => {
  const countsOf = (lines: string, ranks = 4): [string, number][] => {
    const directory = mkdtempSync(join(tmpdir(), "weftline-test-"));
    try {
      const file = join(directory, "nodes");
      writeFileSync(file, lines.split(" ").join("\n"));
      const mpiexec = join(directory, "mpiexec");
      writeFileSync(mpiexec, "#!/bin/sh\necho HYDRA\n", { mode: 0o755 });
      const environment = {
        PATH: "/usr/bin:/bin",
        MPIEXEC: mpiexec,
        PBS_NODEFILE: file,
        PBS_JOBID: "8.pbs",
        PBS_O_WORKDIR: "/work",
      };
      const text = `servers: { data: /d }\nrun: [{ name: solver, ranks: ${ranks}, command: ./solver }, { name: corner, command: ./c }]`;
      const { map } = prepared(text, { environment });
      const counts = new Map<string, number>();
      for (const { node, count } of map.world) {
        const host = map.nodes[node]?.host ?? "";
        counts.set(host, (counts.get(host) ?? 0) + count);
      }
      return [...counts];
    } finally {
      rmSync(directory, { recursive: true });
    }
  };

  it("get ranks evenly where each is named once, else as often as they are named", () => {
    expect(countsOf("a b")).toEqual([
      ["a", 4],
      ["b", 3],
    ]);
    expect(countsOf("a b", 40)).toEqual([
      ["a", 22],
      ["b", 21],
    ]); // nobody said how many there is room for
    expect(countsOf("a a a a a b b")).toEqual([
      ["a", 5],
      ["b", 2],
    ]);
    expect(countsOf("a a b b b b b")).toEqual([
      ["a", 2],
      ["b", 5],
    ]);
    expect(countsOf("a b a a b a a")).toEqual([
      ["a", 5],
      ["b", 2],
    ]);
    expect(countsOf("a a a a b b b b")).toEqual([
      ["a", 4],
      ["b", 3],
    ]);
    expect(problemOf(() => countsOf("a a a a a b"))).toMatch(/puts \d ranks on [ab], which has room for/);
  });

  it("are those of its file, each once", () => {
    const files = new URL("support/pbs-nodes.txt", import.meta.url).pathname;
    const environment = { PATH: "", PBS_NODEFILE: files, PBS_JOBID: "8.pbs", PBS_O_WORKDIR: "/work" };
    const text =
      "servers: { count: 0, group: /g }\nrun: [{ name: a, ranks: 3, attach: true, command: ./a }]\nlaunch: { launcher: pals }";
    const problem = problemOf(() => prepared(text, { environment }));
    expect(problem).toMatch(/there is no mpiexec on PATH/); // the nodes were read, the launcher is what is missing
  });
});
