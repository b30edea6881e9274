// What this process may launch on: the nodes of a Slurm or PBS job, told by the environment, or this machine. Pure but for
// the reading of PBS's node file, which is handed in.

import { WeftError } from "../errors.js";
import type { SiteConfig } from "../config/site-config.js";
import type { Variables } from "./words.js";

export interface LaunchNode {
  readonly host: string;
  /** Ranks that have a core; undefined: nobody says. */
  readonly slots: number | undefined;
}

export interface Allocation {
  readonly scheduler: "slurm" | "pbs" | "none";
  readonly jobId: string;
  readonly nodes: readonly LaunchNode[];
}

const HOSTS_MAX = 100_000;

function invalid(what: string, text: string): WeftError {
  return new WeftError("WEFT_INVALID_ARGUMENT", `${what} is '${text.slice(0, 80)}', which is not understood`, {
    next: "run the launch inside a job of that scheduler",
  });
}

/** "n[1-3,07],login" as names; leading zeros are kept. */
export function expandHostList(text: string): string[] {
  const hosts: string[] = [];
  // Split at commas outside brackets.
  const parts = text.match(/(?:[^,[\]]|\[[^\]]*\])+/g) ?? [];
  if (parts.join(",") !== text) throw invalid("the list of hosts", text);
  for (const part of parts) {
    let names = [""];
    for (const piece of part.match(/\[[^\]]*\]|[^[]+/g) ?? []) {
      const choices = piece.startsWith("[") ? piece.slice(1, -1).split(",").flatMap(expandRange) : [piece];
      if (names.length * choices.length > HOSTS_MAX) throw invalid("the list of hosts", text);
      names = names.flatMap((name) => choices.map((choice) => name + choice));
    }
    hosts.push(...names);
  }
  if (hosts.length === 0) throw invalid("the list of hosts", text);
  return hosts;
}

function expandRange(text: string): string[] {
  const [, first, last] = /^(\d+)(?:-(\d+))?$/.exec(text) ?? [];
  if (first === undefined) throw invalid("a range of hosts", text);
  const [from, to] = [Number(first), Number(last ?? first)];
  if (to < from || to - from >= HOSTS_MAX) throw invalid("a range of hosts", text);
  return Array.from({ length: to - from + 1 }, (_, index) => String(from + index).padStart(first.length, "0"));
}

/** "8(x2),4": one number for each node. */
export function expandCounts(text: string): number[] {
  return text.split(",").flatMap((part) => {
    const [, count, times = "1"] = /^(\d+)(?:\(x(\d+)\))?$/.exec(part) ?? [];
    if (count === undefined || Number(times) > HOSTS_MAX) throw invalid("the list of processors", text);
    return Array.from({ length: Number(times) }, () => Number(count));
  });
}

/** Cores of a node that the site leaves to jobs. */
function coresOf({ node }: SiteConfig): number | undefined {
  return node?.cores === undefined ? undefined : Math.max(1, node.cores - (node.reservedCores ?? 0));
}

function ofSlurm(environment: Variables, jobId: string, site: SiteConfig): Allocation {
  const list = environment["SLURM_JOB_NODELIST"] ?? environment["SLURM_NODELIST"];
  if (list === undefined || list === "") {
    throw new WeftError("WEFT_INVALID_ARGUMENT", `SLURM_JOB_ID is ${jobId}, but SLURM_JOB_NODELIST is not set`, {
      next: "run the launch in the batch script or in salloc's shell",
    });
  }
  const counts = expandCounts(environment["SLURM_JOB_CPUS_PER_NODE"] ?? "");
  const most = coresOf(site);
  const nodes = expandHostList(list).map((host, index) => {
    const cores = counts[index];
    return { host, slots: cores === undefined || most === undefined ? (cores ?? most) : Math.min(cores, most) };
  });
  return { scheduler: "slurm", jobId, nodes };
}

function ofPbs(text: string, jobId: string, site: SiteConfig): Allocation {
  const lines = new Map<string, number>();
  for (const host of text.split("\n").map((line) => line.trim())) {
    if (host !== "") lines.set(host, (lines.get(host) ?? 0) + 1);
  }
  if (lines.size === 0) throw invalid("the file of PBS_NODEFILE", text);
  // One line for each MPI process that was asked for; one for each node where nothing was said of them.
  const isCounted = [...lines.values()].some((count) => count > 1);
  const nodes = [...lines].map(([host, count]) => ({ host, slots: coresOf(site) ?? (isCounted ? count : undefined) }));
  return { scheduler: "pbs", jobId, nodes };
}

/** `assumed`: so many nodes, for a look at what a job would do. */
export function allocationOf(
  environment: Variables,
  site: SiteConfig,
  given: { host: string; readFile: (path: string) => string; now: Date; assumed?: number | undefined },
): Allocation {
  const { host, readFile, now, assumed } = given;
  if (assumed !== undefined) {
    const nodes = Array.from({ length: assumed }, (_, index) => ({ host: `node${index + 1}`, slots: coresOf(site) }));
    return { scheduler: site.scheduler, jobId: "JOB", nodes };
  }
  const slurmJob = environment["SLURM_JOB_ID"];
  if (slurmJob !== undefined && slurmJob !== "") return ofSlurm(environment, slurmJob, site);
  const nodeFile = environment["PBS_NODEFILE"];
  if (nodeFile !== undefined && nodeFile !== "") {
    return ofPbs(readFile(nodeFile), environment["PBS_JOBID"] ?? "pbs", site);
  }
  const time = now.toISOString().slice(0, 19).replaceAll(/[-:]/g, "").replace("T", "-");
  return { scheduler: "none", jobId: `local-${time}`, nodes: [{ host, slots: coresOf(site) }] };
}
