// What a site is: a file of facts about one machine, or one kind of machine, from which launches and job scripts are
// made. Nothing that holds for one site only is in the code: it is in such a file (launch/sites), or in a user's own.

import { LAUNCHERS, type Launcher } from "./plan-config.js";
import type { Problem } from "./topic-config.js";

export const SCHEDULERS = ["none", "slurm", "pbs"] as const;
export type Scheduler = (typeof SCHEDULERS)[number];

/** A line of a job script's head; `{account}` and the like become values of the plan's `job`. */
export interface HeaderLine {
  line: string;
  /** What whoever edits the script has to know. */
  edit?: string;
  /** Only where the plan's `job` has this member. */
  when?: string;
}

export interface SiteConfig {
  description: string;
  scheduler: Scheduler;
  launcher: Launcher;
  /** Environment variables by which the site is recognised: all must have these values. */
  detect?: Record<string, string>;
  mpi?: "mpich" | "openmpi";
  /** Of each node: cores, and how many of them the site keeps for itself. */
  node?: { cores?: number; reservedCores?: number };
  /** `NODE_LOCAL` and `SHARED` of plans, where the environment has none. */
  paths?: { nodeLocal?: string; shared?: string };
  /** Data directory of servers where the plan names none. */
  data?: string;
  /** Names of a node's network interfaces: `servers: { perNode: nic }` has a server for each. */
  nics?: string[];
  /** Of each of them the cores that are near, such as "0-7,64-71": the server of that interface is bound to them. */
  coresOfNics?: Record<string, string>;
  /** For every process of a launch, and for the launcher itself. */
  environment?: Record<string, string>;
  /** For the launcher's command line. */
  flags?: {
    /** Of the step that is the world. */
    world?: string[];
    /** Of steps beside it that attach. */
    attach?: string[];
    /** By MPI. */
    mpi?: { mpich?: string[]; openmpi?: string[] };
    bind?: string[];
    oversubscribe?: string[];
  };
  modules?: string[];
  /** Shell lines of a job script, behind the modules. */
  setup?: string[];
  header?: HeaderLine[];
}

const text = { type: "string" } as const;
const texts = { type: "array", items: text } as const;
const byName = { type: "object", additionalProperties: text } as const;
const mapping = (properties: Record<string, object>, required: readonly string[] = []): object => ({
  type: "object",
  additionalProperties: false,
  required,
  properties,
});

const CORES_PATTERN = "^[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*$";

export const SITE_SCHEMA = mapping(
  {
    description: text,
    scheduler: { enum: SCHEDULERS },
    launcher: { enum: LAUNCHERS },
    detect: byName,
    mpi: { enum: ["mpich", "openmpi"] },
    node: mapping({
      cores: { type: "integer", minimum: 1, maximum: 65_536 },
      reservedCores: { type: "integer", minimum: 0, maximum: 65_536 },
    }),
    paths: mapping({ nodeLocal: text, shared: text }),
    data: text,
    nics: { type: "array", items: text, uniqueItems: true },
    coresOfNics: { type: "object", additionalProperties: { type: "string", pattern: CORES_PATTERN } },
    environment: byName,
    flags: mapping({
      world: texts,
      attach: texts,
      mpi: mapping({ mpich: texts, openmpi: texts }),
      bind: texts,
      oversubscribe: texts,
    }),
    modules: texts,
    setup: texts,
    header: { type: "array", items: mapping({ line: text, edit: text, when: text }, ["line"]) },
  },
  ["description", "scheduler", "launcher"],
);

/** What no schema of single members can say. */
export function problemsOfSite({ nics = [], coresOfNics }: SiteConfig): Problem[] {
  if (coresOfNics === undefined) return [];
  const unknown = Object.keys(coresOfNics).find((name) => !nics.includes(name));
  if (unknown !== undefined) {
    const message = `"${unknown}" is not one of nics: ${nics.join(", ") || "there are none"}`;
    return [{ path: ["coresOfNics", unknown], atKey: true, message }];
  }
  const missing = nics.filter((name) => coresOfNics[name] === undefined);
  if (missing.length === 0) return [];
  return [{ path: ["coresOfNics"], atKey: false, message: `says nothing of ${missing.join(", ")}; name all or none` }];
}

/** How many servers `perNode: nic` is, and the cores of each where the site says which are near its interface. */
export function serversByNic({ nics = [], coresOfNics }: SiteConfig): { count: number; cores?: string[] } {
  const count = Math.max(1, nics.length);
  return coresOfNics === undefined ? { count } : { count, cores: nics.map((name) => coresOfNics[name] ?? "") };
}
