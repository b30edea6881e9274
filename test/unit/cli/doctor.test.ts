// The checks of `weftline doctor` on the files, limits and launches of machines that are not this one.
import { describe, expect, test } from "vitest";

import { mountOf } from "../../../src/cli/doctor/data-directory.js";
import { badOf, type Finding, findingLines, note, ok, summary } from "../../../src/cli/doctor/finding.js";
import type { Host } from "../../../src/cli/doctor/host.js";
import { checkLimits, controlGroups, limitOf } from "../../../src/cli/doctor/limits.js";
import { checkMpi, launcherOf } from "../../../src/cli/doctor/mpi.js";
import { type NativeReport, timeText } from "../../../src/cli/doctor/native-report.js";
import { checkNetwork, whyNot } from "../../../src/cli/doctor/network.js";
import { schedule } from "../../../src/cli/doctor/pairing.js";
import { merged, nodesOf, rankList } from "../../../src/cli/doctor/ranks.js";
import { makerOf } from "../../../src/cli/doctor/shared-memory.js";
import { checkNode } from "../../../src/cli/doctor/software.js";

function hostOf(files: Record<string, string>, environment: Record<string, string> = {}): Host {
  return {
    environment,
    read: (path) => files[path],
    list: (path) => [
      ...new Set(
        Object.keys(files)
          .filter((name) => name.startsWith(`${path}/`))
          .map((name) => name.slice(path.length + 1).split("/")[0] ?? ""),
      ),
    ],
  };
}

const report: NativeReport = {
  compiler: "gcc 12.2.0",
  libfabric: {
    version: "1.17",
    path: "/usr/lib/libfabric.so.1",
    providers: [
      { name: "tcp;ofi_rxm", endpoints: ["RDM"], domains: ["eth0"], messages: true, rma: true, usable: true },
      { name: "sockets", endpoints: ["RDM"], domains: ["eth0"], messages: true, rma: true, usable: true },
      { name: "udp", endpoints: ["DGRAM"], domains: ["eth0"], messages: false, rma: false, usable: false },
    ],
  },
  transports: [
    "inprocess: for lanes of this process, by memcpy",
    "shm: same host, rings of 512 KiB",
    "tcp: tcp;ofi_rxm of libfabric 1.17 on eth0",
    "cxi: not taken: cxi: looking for the provider: No data available (libfabric error 61)",
  ],
  mpi: { family: "none", reason: "no launcher's variables are set", module: "", modules: [], ranks: 0 },
  numaNode: 0,
  slingshot: { devices: [], device: "", reason: "this host has no Slingshot NIC", reachesJob: false },
};
const cxi: NativeReport = { ...report, transports: ["cxi: cxi of libfabric 1.20 on cxi0 at …, polled"] };

const of = (findings: readonly Finding[], area: string): Finding[] => findings.filter((each) => each.area === area);

describe("limits", () => {
  const limits = (memlock: string, files: string, stack = "8388608"): string =>
    [
      "Limit                     Soft Limit           Hard Limit           Units",
      `Max stack size            ${stack}              unlimited            bytes`,
      "Max processes             96364                96364                processes",
      `Max open files            ${files}                524288               files`,
      `Max locked memory         ${memlock}              ${memlock}              bytes`,
    ].join("\n");
  const check = (text: string, files: Record<string, string> = {}, native = report): Finding[] =>
    checkLimits(hostOf({ "/proc/self/limits": text, ...files }), native);

  test("are read as the kernel writes them", () => {
    expect(limitOf(limits("unlimited", "1024"), "Max locked memory")).toEqual({ soft: Infinity, hard: Infinity });
    expect(limitOf(limits("65536", "1024"), "Max open files")).toEqual({ soft: 1024, hard: 524_288 });
    expect(limitOf("", "Max open files")).toBeUndefined();
  });

  test("of locked memory are a note, and bad where the network card locks what it moves", () => {
    expect(of(check(limits("unlimited", "65536")), "limit memlock")[0]?.state).toBe("ok");
    expect(of(check(limits("65536", "65536")), "limit memlock")[0]).toMatchObject({
      state: "note",
      text: expect.stringContaining("64 KiB") as string,
    });
    expect(of(check(limits("65536", "65536"), {}, cxi), "limit memlock")[0]).toMatchObject({
      state: "bad",
      text: expect.stringContaining("cxi locks") as string,
      remedy: expect.stringContaining("memlock") as string,
    });
  });

  test("of files and stack have three and two steps", () => {
    const state = (files: string): string | undefined =>
      of(check(limits("unlimited", files)), "limit nofile")[0]?.state;
    expect([state("32"), state("1024"), state("65536")]).toEqual(["bad", "note", "ok"]);
    expect(of(check(limits("unlimited", "65536", "65536")), "limit stack")[0]?.state).toBe("bad");
  });

  test("of processes are the tightest of all control groups above", () => {
    expect(controlGroups("0::/pbs/job-7/me")).toEqual([
      "/sys/fs/cgroup/pbs/job-7/me",
      "/sys/fs/cgroup/pbs/job-7",
      "/sys/fs/cgroup/pbs",
      "/sys/fs/cgroup",
    ]);
    expect(controlGroups("9:cpu:/a\n5:pids:/b")[0]).toBe("/sys/fs/cgroup/pids/b");
    const group = {
      "/proc/self/cgroup": "0::/job/step",
      "/sys/fs/cgroup/job/step/pids.max": "max",
      "/sys/fs/cgroup/job/pids.max": "100",
    };
    const left = (current: string): Finding | undefined =>
      of(
        check(limits("unlimited", "65536"), { ...group, "/sys/fs/cgroup/job/pids.current": current }),
        "limit processes",
      )[0];
    expect(left("10")).toMatchObject({ state: "ok", text: "100 processes and threads in /sys/fs/cgroup/job, 90 left" });
    expect(left("50")?.state).toBe("note");
    expect(left("95")?.state).toBe("bad");
  });

  test("of reading other processes' memory take shm away", () => {
    const scope = (value: string): Finding | undefined =>
      of(check(limits("unlimited", "65536"), { "/proc/sys/kernel/yama/ptrace_scope": value }), "ptrace_scope")[0];
    expect(scope("0")?.state).toBe("ok");
    expect(scope("1")).toMatchObject({ state: "note", remedy: expect.stringContaining("ptrace_scope=0") as string });
  });
});

describe("the network", () => {
  test("says which transport a peer is reached by, and why no other", () => {
    const peers = of(checkNetwork(hostOf({}), report), "peers").map(({ text }) => text);
    expect(peers).toEqual([
      "same process: inprocess",
      "same host and user: shm, else tcp",
      "other hosts: tcp: tcp;ofi_rxm of libfabric 1.17 on eth0; no cxi: no such card here",
    ]);
    expect(whyNot("cxi: not taken: cxi: SLINGSHOT_VNIS is 'x', which is no list")).toBe(
      "no cxi: SLINGSHOT_VNIS is 'x', which is no list",
    );
  });

  test("without a network transport is a note, without any is bad", () => {
    const alone = { ...report, transports: report.transports.slice(0, 2) };
    expect(of(checkNetwork(hostOf({}), alone), "peers")[2]).toMatchObject({ state: "note" });
    const none = { ...report, transports: [], transportsError: "no transport could be opened; run weftline doctor" };
    expect(of(checkNetwork(hostOf({}), none), "transports")[0]).toMatchObject({
      state: "bad",
      text: "no transport could be opened",
      remedy: "run weftline doctor",
    });
    const missing = { ...report, libfabric: { error: "loading libfabric.so.1: not there; install libfabric" } };
    expect(of(checkNetwork(hostOf({}), missing), "libfabric")[0]).toMatchObject({
      state: "bad",
      remedy: "install libfabric",
    });
  });

  test("cards that are up, with their NUMA nodes", () => {
    const host = hostOf({
      "/sys/class/net/lo/operstate": "unknown",
      "/sys/class/net/eth0/operstate": "down",
      "/sys/class/net/hsn0/operstate": "up",
      "/sys/class/net/hsn0/speed": "200000",
      "/sys/class/net/hsn0/device/numa_node": "3",
      "/sys/class/cxi/cxi0/device/numa_node": "-1",
    });
    expect(of(checkNetwork(host, report), "nic").map(({ text }) => text)).toEqual([
      "hsn0: up, 200 Gb/s, NUMA node 3",
      "cxi0 (cxi)",
    ]);
    expect(of(checkNetwork(hostOf({}), report), "nic")[0]?.state).toBe("note");
  });

  test("Slingshot's VNI: of the job, of the step, unreadable", () => {
    const found = (slingshot: NativeReport["slingshot"]): Finding | undefined =>
      of(checkNetwork(hostOf({}), { ...report, slingshot }), "slingshot")[0];
    const devices = ["cxi0", "cxi1"];
    expect(found({ devices, device: "cxi1", reason: "cxi1, VNI 9 of the job", reachesJob: true })?.state).toBe("ok");
    expect(
      found({ devices, device: "cxi1", reason: "cxi1", reachesJob: false, advice: "srun --network=job_vni" }),
    ).toEqual({
      area: "slingshot",
      state: "note",
      text: "cxi1; other steps cannot be reached",
      remedy: "srun --network=job_vni",
    });
    expect(found({ devices, error: "cxi: SLINGSHOT_VNIS is 'x'; start through the launcher" })?.state).toBe("bad");
    expect(found({ devices: [] })).toBeUndefined();
  });
});

describe("MPI", () => {
  test.each([
    [{}, undefined],
    [{ PMI_RANK: "1", PMI_SIZE: "4" }, "hydra, rank 1 of 4"],
    [{ PMI_RANK: "1", PMI_SIZE: "4", SLURM_STEP_ID: "0" }, "Slurm, rank 1 of 4"],
    [{ PMIX_RANK: "3", SLURM_STEP_ID: "0", SLURM_STEP_NUM_TASKS: "8" }, "Slurm, rank 3 of 8"],
    [{ OMPI_COMM_WORLD_RANK: "0", OMPI_COMM_WORLD_SIZE: "2", PMIX_RANK: "0" }, "Open MPI's mpiexec, rank 0 of 2"],
    [{ PALS_RANKID: "5", PMI_RANK: "5", PMI_SIZE: "64" }, "PALS, rank 5 of 64"],
    [{ SLURM_PROCID: "0", SLURM_STEP_NUM_TASKS: "2" }, "Slurm, rank 0 of 2"],
  ])("the launcher of %j is %s", (environment, launcher) => {
    expect(launcherOf(environment)).toBe(launcher);
  });

  test("Open MPI over several nodes of Slurm's pmix wants a ring", async () => {
    const step = { PMIX_RANK: "0", SLURM_PROCID: "0", SLURM_STEP_ID: "3", SLURM_STEP_NUM_NODES: "2" };
    const launcherNotes = async (environment: Record<string, string>, family = "openmpi"): Promise<Finding[]> => {
      const found = await checkMpi(hostOf({}, environment), { ...report, mpi: { ...report.mpi, family } });
      return of(found, "launcher").filter(({ state }) => state === "note");
    };
    expect(await launcherNotes(step)).toEqual([
      {
        area: "launcher",
        state: "note",
        text: "Slurm's pmix over 2 nodes, where ranks do not meet in a ring: now and then one crashes in MPI_Init",
        remedy: "export SLURM_PMIX_FENCE=ring before srun, as weftline launch does",
      },
    ]);
    expect(await launcherNotes({ ...step, SLURM_PMIX_FENCE: "ring" })).toEqual([]);
    expect(await launcherNotes({ ...step, SLURM_STEP_NUM_NODES: "1" })).toEqual([]);
    expect(await launcherNotes(step, "mpich")).toEqual([]);
    expect(await launcherNotes({})).toEqual([]);
  });

  test("no module is a note, an error is bad, with what helps", async () => {
    expect(of(await checkMpi(hostOf({}), report), "mpi")[0]?.state).toBe("note");
    const error =
      "srun started 2 tasks without MPI (neither PMI_RANK nor PMIX_RANK is set): use srun --mpi=pmi2 for an MPICH";
    expect(of(await checkMpi(hostOf({}), { ...report, mpi: { ...report.mpi, error } }), "mpi")[0]).toEqual({
      area: "mpi",
      state: "bad",
      text: "srun started 2 tasks without MPI (neither PMI_RANK nor PMIX_RANK is set)",
      remedy: "use srun --mpi=pmi2 for an MPICH",
    });
  });
});

describe("pairs of ranks", () => {
  test.each([2, 3, 4, 7, 8])("of %i nodes: each two meet once, nobody twice in a round", (count) => {
    const nodes = Array.from({ length: count }, (_, node) => [node * 2, node * 2 + 1]);
    const { rounds, roundsWanted } = schedule(nodes);
    expect(rounds.length).toBe(roundsWanted);
    const met = new Map<string, number>();
    for (const round of rounds) {
      const busy = round.flat().map((rank) => Math.floor(rank / 2));
      expect(new Set(busy).size).toBe(busy.length);
      for (const [from, to] of round) {
        expect(from % 2).toBe(to % 2);
        const key = [Math.floor(from / 2), Math.floor(to / 2)].join("-");
        met.set(key, (met.get(key) ?? 0) + 1);
      }
    }
    expect(met.size).toBe((count * (count - 1)) / 2);
    expect([...met.values()].every((times) => times === 2)).toBe(true);
  });

  test("of one node are neighbours, one pair at a time; of one rank none", () => {
    expect(schedule([[0, 1, 2, 3, 4]]).rounds).toEqual([[[0, 1]], [[2, 3]]]);
    expect(schedule([[0]]).rounds).toEqual([]);
  });

  test("of nodes with different numbers of ranks, and too many rounds", () => {
    expect(schedule([[0, 1, 2], [3]]).rounds).toEqual([[[0, 3]]]);
    const many = Array.from({ length: 200 }, (_, node) => [node]);
    expect(schedule(many)).toMatchObject({ roundsWanted: 199 });
    expect(schedule(many).rounds.length).toBe(64);
  });
});

test("findings of ranks are told once, with the ranks", () => {
  const memlock = note("limit memlock", "8 MiB", "raise it");
  const data = badOf("data", "cannot be written; give another", "");
  const card = (rank: number, host: string, findings: Finding[]): Parameters<typeof merged>[0][number] => ({
    rank,
    host,
    nodeRank: 0,
    findings: [ok("node", "v20"), ...findings],
    address: "",
  });
  const cards = [card(0, "a", [memlock]), card(1, "a", [memlock, data]), card(2, "b", [memlock, data])];
  expect(merged(cards)).toEqual([
    { ...memlock, text: "all ranks: 8 MiB" },
    { area: "data", state: "bad", text: "rank 1-2: cannot be written", remedy: "give another" },
  ]);
  expect([...nodesOf(cards)]).toEqual([
    ["a", [0, 1]],
    ["b", [2]],
  ]);
  expect(rankList([0, 1, 2, 5, 7, 8])).toBe("0-2, 5, 7-8");
});

test("the mount of a path is the one on top", () => {
  const mountinfo = [
    "22 1 254:1 / / rw - ext4 /dev/vda1 rw",
    "30 22 0:28 / /scratch rw - lustre 10.0.0.1@tcp:/fs rw",
    "31 22 0:29 / /with\\040space rw shared:1 - xfs /dev/vdb rw",
    "32 22 0:30 / /scratch rw - tmpfs none rw",
  ].join("\n");
  expect(mountOf(mountinfo, "/home/me")).toEqual({ point: "/", type: "ext4" });
  expect(mountOf(mountinfo, "/scratch/me")).toEqual({ point: "/scratch", type: "tmpfs" });
  expect(mountOf(mountinfo, "/scratched")).toEqual({ point: "/", type: "ext4" });
  expect(mountOf(mountinfo, "/with space/x")).toEqual({ point: "/with space", type: "xfs" });
  expect(mountOf("", "/")).toBeUndefined();
});

test("left-over files say whose they are", () => {
  expect(makerOf("4711:1000:3")).toBe(4711);
  expect(makerOf("weftline-f0000001-1267-99-abc")).toBe(0x1267);
  expect(makerOf("sem.other")).toBeUndefined();
});

test("lines, summaries, versions, times", () => {
  expect(findingLines([ok("a", "x"), note("long", "y", "do")])).toBe(
    "ok    a     x\nnote  long  y\n            -> do\n",
  );
  expect(summary([ok("a", "x"), note("b", "y")])).toBe("0 bad, 1 note, 1 ok");
  expect(["v20.18.0", "v20.19.0", "v22.1.0", "v18.20.1"].map((version) => checkNode(version).state)).toEqual([
    "bad",
    "ok",
    "ok",
    "bad",
  ]);
  expect([0.314, 12.36, 3880.2].map(timeText)).toEqual(["0.31 us", "12.4 us", "3,880 us"]);
});
