// What the system lets this process do: limits of the shell, the control group's processes, reading other processes'
// memory.

import { bad, type Finding, note, ok } from "./finding.js";
import { type Host, readNumber } from "./host.js";
import type { NativeReport } from "./native-report.js";

const MEBIBYTE = 1024 ** 2;
/** A server or a client with its rings, slabs and regions. */
const MEMLOCK_BYTES_WANTED = 1024 * MEBIBYTE;
/** Below that nothing that Weftline does works: lane, event loop, files of one topic. */
const FILES_NEEDED = 64;
/** A server of some hundred clients. */
const FILES_WANTED = 4096;
const STACK_BYTES_NEEDED = 256 * 1024;
/** Lane, log writers and readers, and what Node starts. */
const PROCESSES_NEEDED = 16;
const PROCESSES_WANTED = 64;

export interface Limit {
  /** Infinity: no limit. */
  readonly soft: number;
  readonly hard: number;
}

/** A line of /proc/self/limits: "Max locked memory   8388608   8388608   bytes". */
export function limitOf(limits: string, name: string): Limit | undefined {
  const line = limits.split("\n").find((each) => each.startsWith(name));
  const [soft, hard] = line === undefined ? [] : line.slice(name.length).trim().split(/\s+/);
  const number = (text: string): number => (text === "unlimited" ? Infinity : Number(text));
  return soft === undefined || hard === undefined ? undefined : { soft: number(soft), hard: number(hard) };
}

const shown = (value: number): string => (value === Infinity ? "unlimited" : value.toLocaleString("en-US"));
const shownBytes = (bytes: number): string =>
  bytes === Infinity ? "unlimited" : bytes >= MEBIBYTE ? `${bytes / MEBIBYTE} MiB` : `${bytes / 1024} KiB`;

function memlock({ soft, hard }: Limit, native: NativeReport): Finding {
  const area = "limit memlock";
  if (soft >= MEMLOCK_BYTES_WANTED) return ok(area, shownBytes(soft));
  const raise =
    hard > soft
      ? `ulimit -l ${hard === Infinity ? "unlimited" : hard / 1024} before the launch`
      : "ask for `memlock unlimited` in /etc/security/limits.conf, or LimitMEMLOCK=infinity of the launcher's service";
  const needing = native.transports.find((line) => /^(cxi|verbs): (?!not taken)/.test(line));
  if (needing !== undefined) {
    return bad(area, `${shownBytes(soft)}: ${needing.split(":")[0]} locks all memory that it moves`, raise);
  }
  return note(area, `${shownBytes(soft)}: enough for tcp and shm; verbs and cxi lock all memory that they move`, raise);
}

function files({ soft, hard }: Limit): Finding {
  const area = "limit nofile";
  const raise = `ulimit -n ${hard === Infinity ? 65_536 : hard} before the launch`;
  if (soft < FILES_NEEDED) return bad(area, `${shown(soft)} open files: too few for any work`, raise);
  if (soft >= FILES_WANTED) return ok(area, `${shown(soft)} open files`);
  return note(
    area,
    `${shown(soft)} open files: a server needs 1 for each client (2 on its host), 4 for each partition on disk`,
    hard > soft ? raise : "ask for a higher hard limit in /etc/security/limits.conf",
  );
}

function stack({ soft }: Limit): Finding {
  const area = "limit stack";
  if (soft >= STACK_BYTES_NEEDED) return ok(area, shownBytes(soft));
  return bad(area, `${shownBytes(soft)}: too little for Node`, "ulimit -s 8192 before the launch");
}

/** The folders of this process's control group, from its own to the root's. */
export function controlGroups(membership: string): string[] {
  const line = membership.split("\n").find((each) => each.startsWith("0::") || /^\d+:pids:/.test(each));
  if (line === undefined) return [];
  const [number, , path = "/"] = line.split(":");
  const root = number === "0" ? "/sys/fs/cgroup" : "/sys/fs/cgroup/pids";
  const parts = path.split("/").filter((part) => part !== "");
  return parts.map((_, index) => `${root}/${parts.slice(0, parts.length - index).join("/")}`).concat(root);
}

function processes(host: Host, limits: string): Finding {
  const area = "limit processes";
  let left = Infinity;
  let tightest = "";
  for (const folder of controlGroups(host.read("/proc/self/cgroup") ?? "")) {
    const most = readNumber(host, `${folder}/pids.max`);
    if (most === undefined) continue;
    const here = most - (readNumber(host, `${folder}/pids.current`) ?? 0);
    if (here >= left) continue;
    left = here;
    tightest = `${shown(most)} processes and threads in ${folder}, ${shown(here)} left`;
  }
  const own = limitOf(limits, "Max processes");
  const text = tightest === "" ? `${shown(own?.soft ?? Infinity)} processes and threads (ulimit -u)` : tightest;
  const remedy =
    "ask the site for a higher pids.max, start fewer ranks for each node, or give each fewer threads (WEFTLINE_THREADS)";
  if (left < PROCESSES_NEEDED) return bad(area, text, remedy);
  return left < PROCESSES_WANTED || (own?.soft ?? Infinity) < PROCESSES_WANTED
    ? note(area, text, remedy)
    : ok(area, text);
}

function tracing(host: Host): Finding {
  const area = "ptrace_scope";
  const scope = readNumber(host, "/proc/sys/kernel/yama/ptrace_scope");
  if (scope === undefined) return ok(area, "no Yama: processes of one user read each other's memory");
  if (scope === 0) return ok(area, "0: processes of one user read each other's memory");
  return note(
    area,
    `${scope}: processes of this host may not read each other's memory; they use the network instead of shm`,
    "ask for kernel.yama.ptrace_scope=0 on compute nodes",
  );
}

export function checkLimits(host: Host, native: NativeReport): Finding[] {
  const limits = host.read("/proc/self/limits") ?? "";
  const of = (name: string, check: (limit: Limit) => Finding): Finding[] => {
    const limit = limitOf(limits, name);
    return limit === undefined ? [] : [check(limit)];
  };
  return [
    ...of("Max locked memory", (limit) => memlock(limit, native)),
    ...of("Max open files", files),
    ...of("Max stack size", stack),
    processes(host, limits),
    tracing(host),
  ];
}
