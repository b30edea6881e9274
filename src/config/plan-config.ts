// A launch plan as a user writes it, in the same file as the settings and topics: which processes serve, which run, and
// what happens at the end. The shape and what no schema can say of it; paths and words are resolved in src/launch.

import { describeValue } from "./units.js";
import type { Problem } from "./topic-config.js";

export const RANKS_MAX = 1_000_000;
const DAY_MS = 86_400_000;

/** Where the server slots of a launch are. One of `count`, `perNode` and `inside`; default one per node. */
export interface ServersConfig {
  /** So many in all, spread over the nodes; 0: the parts attach to a job that runs, whose `group` is given. */
  count?: number;
  /** So many on each node; "nic": one for each network interface that the site lists, one where it lists none. */
  perNode?: number | "nic";
  /** Ranks of the application that serve themselves: parts by their names, or single ranks among all parts. */
  inside?: (string | number)[];
  /** Data directory; `{rank}` in it is the rank among the servers. Default: the site's, else ./weft. */
  data?: string;
  /** Group directory; default `group` beside the data, or in the working directory where the data is a node's own. */
  group?: string;
  /** Data that `weftline stage out` put away comes back before the start, where the data directory is empty. */
  stageIn?: string;
  /** How long the servers may take until all of them are there; default 60s. */
  ready?: number | string;
  /** What runs in the place of `weftline serve`. */
  command?: string | string[];
  env?: Record<string, string | number>;
  /** So far behind other processes the scheduler puts them where cores are shared: 0 to 19, as nice(1). */
  nice?: number;
  /** The cores of a node that they may use, as taskset(1) takes them: "0-3,8". */
  bind?: string | number;
}

/** One program of the launch and how many ranks of it. */
export interface PartConfig {
  name: string;
  /** In all; default 1. */
  ranks?: number;
  ranksPerNode?: number;
  /** Words, with quotes as in a shell and `$NAME` from the environment; or a list that is taken as it is. */
  command: string | string[];
  env?: Record<string, string | number>;
  /** Where it starts; default the working directory. */
  directory?: string;
  /** These ranks serve themselves, as if `servers.inside` named the part. */
  servers?: "inside";
  /** Not ranks of the MPI world: started once the servers are there, to attach to them. */
  attach?: boolean;
  /** Cores of each rank, where the launcher binds; default 1. */
  cores?: number;
  /** The cores of a node that all its ranks there share, as taskset(1) takes them: "0-3,8". */
  bind?: string | number;
}

export interface EndConfig {
  /** For the drain of each server; default 30s. */
  drain?: number | string;
  /** After SIGUSR1 the application has so long to end by itself before the servers drain; default 0: none. */
  warning?: number | string;
  /** Where the data goes once the servers have ended. */
  stageOut?: string;
}

/** What only a job script needs. */
export interface JobConfig {
  name?: string;
  nodes?: number;
  /** "01:30:00". */
  time?: string;
  account?: string;
  queue?: string;
  /** So long before its time is over the job is warned; default 120s. */
  warn?: number | string;
}

export interface LaunchConfig {
  /** Name of a site file, or the path of one. */
  site?: string;
  launcher?: Launcher;
  mpi?: "mpich" | "openmpi";
  /** More for the launcher's command line. */
  options?: string[];
  /** More ranks than cores are no mistake. */
  oversubscribe?: boolean;
}

export const LAUNCHERS = ["mpiexec", "srun", "pals"] as const;
export type Launcher = (typeof LAUNCHERS)[number];

export interface PlanConfig {
  servers?: ServersConfig;
  run?: PartConfig[];
  end?: EndConfig;
  job?: JobConfig;
  launch?: LaunchConfig;
}

export const PLAN_SECTIONS = ["servers", "run", "end", "job", "launch"] as const;

const text = { type: "string" } as const;
const time = (minimum: number): object => ({ weftTime: { minimum, maximum: DAY_MS } });
const count = (minimum: number): object => ({ type: "integer", minimum, maximum: RANKS_MAX });
const words = { type: ["string", "array"], items: text, minItems: 1 } as const;
const variables = { type: "object", additionalProperties: { type: ["string", "number"] } } as const;
const coreList = {
  type: ["string", "integer"],
  minimum: 0,
  pattern: "^[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*$",
} as const;
const mapping = (properties: Record<string, object>, required: readonly string[] = []): object => ({
  type: "object",
  additionalProperties: false,
  required,
  properties,
});

/** JSON Schemas of the sections, for the schema of a configuration file. */
export const PLAN_SCHEMAS: Readonly<Record<(typeof PLAN_SECTIONS)[number], object>> = {
  servers: mapping({
    count: count(0),
    perNode: { type: ["integer", "string"], minimum: 1, maximum: RANKS_MAX, pattern: "^nic$" },
    inside: { type: "array", items: { type: ["string", "integer"] }, minItems: 1 },
    data: text,
    group: text,
    stageIn: text,
    ready: time(1),
    command: words,
    env: variables,
    nice: { type: "integer", minimum: 0, maximum: 19 },
    bind: coreList,
  }),
  run: {
    type: "array",
    items: mapping(
      {
        name: { type: "string", pattern: "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$" },
        ranks: count(1),
        ranksPerNode: count(1),
        command: words,
        env: variables,
        directory: text,
        servers: { enum: ["inside"] },
        attach: { type: "boolean" },
        cores: { type: "integer", minimum: 1, maximum: 4096 },
        bind: coreList,
      },
      ["name", "command"],
    ),
  },
  end: mapping({ drain: time(0), warning: time(0), stageOut: text }),
  job: mapping({
    name: { type: "string", pattern: "^[A-Za-z0-9_.-]{1,64}$" },
    nodes: count(1),
    time: { type: "string", pattern: "^[0-9]{1,3}:[0-5][0-9]:[0-5][0-9]$" },
    account: text,
    queue: text,
    warn: time(0),
  }),
  launch: mapping({
    site: text,
    launcher: { enum: LAUNCHERS },
    mpi: { enum: ["mpich", "openmpi"] },
    options: { type: "array", items: text },
    oversubscribe: { type: "boolean" },
  }),
};

/** What no schema of single members can say. */
export function problemsOfPlan({ servers = {}, run = [] }: PlanConfig): Problem[] {
  const problems: Problem[] = [];
  const say = (path: (string | number)[], message: string): void => {
    problems.push({ path, atKey: false, message });
  };
  const [first, second] = (["count", "perNode", "inside"] as const).filter((member) => servers[member] !== undefined);
  if (first !== undefined && second !== undefined) {
    say(["servers", second], `excludes ${first}: servers are counted in one of the two ways`);
  }
  const isElsewhere =
    servers.inside !== undefined || servers.count === 0 || run.some((part) => isInside(servers, part));
  for (const member of isElsewhere ? (["nice", "bind"] as const) : []) {
    if (servers[member] === undefined) continue;
    say(["servers", member], "is of servers that this launch starts as processes of their own, and there are none");
  }
  const names = run.map(({ name }) => name);
  for (const [index, part] of run.entries()) {
    if (names.indexOf(part.name) !== index) say(["run", index, "name"], `${describeValue(part.name)} is there twice`);
    if (part.name === "server") say(["run", index, "name"], '"server" is the name of the servers themselves');
    if (part.ranks !== undefined && part.ranksPerNode !== undefined) {
      say(["run", index, "ranksPerNode"], "excludes ranks: ranks are counted in one of the two ways");
    }
    if (part.attach === true && isInside(servers, part)) {
      say(["run", index, "attach"], "a part that serves itself is in the world of the launch, and cannot attach to it");
    }
    if (part.servers === "inside" && (servers.count !== undefined || servers.perNode !== undefined)) {
      say(["run", index, "servers"], "excludes servers.count and servers.perNode");
    }
    if (servers.count === 0 && part.attach !== true) {
      say(["run", index], "needs attach: true, for there are no servers in this launch (servers.count is 0)");
    }
  }
  for (const [index, name] of (servers.inside ?? []).entries()) {
    if (typeof name === "number" || names.includes(name)) continue;
    say(
      ["servers", "inside", index],
      `${describeValue(name)} is not the name of a part; there are ${names.join(", ")}`,
    );
  }
  if (servers.count === 0 && servers.group === undefined) {
    say(["servers"], "has no group: with a count of 0 it names the group directory of the job to attach to");
  }
  return problems;
}

/** Whether the ranks of a part serve themselves. */
export function isInside({ inside = [] }: ServersConfig, { name, servers }: PartConfig): boolean {
  return servers === "inside" || inside.includes(name);
}
