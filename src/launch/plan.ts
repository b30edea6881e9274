// A plan in its normal form: every default filled in, every path and word resolved with the variables of the job. Pure.

import { dirname, isAbsolute, join, resolve } from "node:path";
import { WeftError } from "../errors.js";
import { isInside, type PartConfig, type PlanConfig } from "../config/plan-config.js";
import { expandVariables } from "../config/settings.js";
import { parseTime } from "../config/units.js";
import { splitWords, type Variables } from "./words.js";

/** A program of the launch; the servers are one too. */
export interface Part {
  readonly name: string;
  readonly kind: "server" | "program";
  /** `perNode`: on each node; else in all. */
  readonly count: { readonly ranks: number } | { readonly perNode: number };
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly directory: string | undefined;
  readonly cores: number;
  /** What lowers its priority and binds it: `nice -n 19 taskset -c 0-3`. Before the command, whatever the launcher is. */
  readonly manner: readonly string[];
  /** The cores that each of its ranks on a node is bound to, in turn; undefined: as the launcher does it. */
  readonly boundTo?: readonly string[] | undefined;
  /** Outside the MPI world. */
  readonly attaches: boolean;
  /** Which of its ranks are servers. */
  readonly serves: "all" | "none" | readonly number[];
}

export interface LaunchPlan {
  readonly parts: readonly Part[];
  /** What a server's data directory is called; `{rank}` is its rank among the servers. */
  readonly data: string;
  readonly group: string;
  /** Whether each node has its own file system there. */
  readonly dataIsNodeLocal: boolean;
  readonly readyMs: number;
  readonly drainMs: number;
  readonly warningMs: number;
  readonly stageIn: string | undefined;
  readonly stageOut: string | undefined;
  readonly oversubscribe: boolean;
}

export interface PlanSurroundings {
  /** With NODE_LOCAL, SHARED and JOB_ID of the site and the job. */
  readonly variables: Variables;
  readonly directory: string;
  readonly nodeCount: number;
  /** What `perNode: nic` is. */
  readonly serversByNic: { readonly count: number; readonly cores?: readonly string[] };
  readonly jobId: string;
  /** Of the site. */
  readonly data: string | undefined;
  readonly nodeLocal: string | undefined;
  /** The `weftline` that is running, as words. */
  readonly weftline: readonly string[];
  /** File of the plan, for whom it has settings and topics. */
  readonly file: string | undefined;
}

const READY_MS_DEFAULT = 60_000;
const DRAIN_MS_DEFAULT = 30_000;

function wrong(where: string, problem: string): WeftError {
  return new WeftError("WEFT_CONFIG_INVALID", `${where}: ${problem}`, { next: `correct ${where}` });
}

class PlanReader {
  private readonly drainMs: number;
  /** As given, without what tells several servers apart. */
  private readonly dataGiven: string;
  private readonly dataIsNodeLocal: boolean;
  private readonly group: string;

  constructor(
    private readonly config: PlanConfig,
    private readonly around: PlanSurroundings,
  ) {
    const { servers = {}, end = {} } = config;
    this.drainMs = this.time("end.drain", end.drain, DRAIN_MS_DEFAULT);
    this.dataGiven = this.path("servers.data", servers.data ?? around.data ?? "weft");
    this.dataIsNodeLocal = around.nodeLocal !== undefined && isBelow(this.dataGiven, around.nodeLocal);
    this.group = this.groupOf(servers.group);
  }

  read(): LaunchPlan {
    const { config } = this;
    const { servers = {}, end = {} } = config;
    this.checkInside();
    const several = this.serverCount() > 1;
    const data = several && !this.dataGiven.includes("{rank}") ? join(this.dataGiven, "{rank}") : this.dataGiven;
    const stageOut = end.stageOut === undefined ? undefined : this.path("end.stageOut", end.stageOut);
    const stageIn = servers.stageIn === undefined ? undefined : this.path("servers.stageIn", servers.stageIn);
    return {
      parts: [...this.serverPart(data), ...(config.run ?? []).map((part, index) => this.part(part, index, data))],
      data,
      group: this.group,
      dataIsNodeLocal: this.dataIsNodeLocal,
      readyMs: this.time("servers.ready", servers.ready, READY_MS_DEFAULT),
      drainMs: this.drainMs,
      warningMs: this.time("end.warning", end.warning, 0),
      stageIn,
      stageOut,
      oversubscribe: config.launch?.oversubscribe === true,
    };
  }

  /** What every process of the launch finds in its environment. */
  private surroundings(data: string | undefined): Record<string, string> {
    return {
      WEFTLINE_GROUP: this.group,
      ...(this.around.file === undefined ? {} : { WEFTLINE_CONFIG: this.around.file }),
      ...(data === undefined ? {} : { WEFTLINE_DATA: data }),
    };
  }

  private ranksOf({ ranks, ranksPerNode }: PartConfig): number {
    return ranksPerNode === undefined ? (ranks ?? 1) : ranksPerNode * this.around.nodeCount;
  }

  /** Single ranks are counted over all parts that are in the world. */
  private checkInside(): void {
    const { servers = {}, run = [] } = this.config;
    const size = run.reduce((sum, part) => (part.attach === true ? sum : sum + this.ranksOf(part)), 0);
    const beyond = servers.inside?.find((each) => typeof each === "number" && (each < 0 || each >= size));
    if (beyond !== undefined)
      throw wrong("servers.inside", `names rank ${beyond}; the parts have ${size} ranks, from 0`);
  }

  private serverCount(): number {
    const { servers = {}, run = [] } = this.config;
    const { nodeCount } = this.around;
    if (servers.count !== undefined) return servers.count;
    const insideParts = run.filter((part) => isInside(servers, part));
    const single = (servers.inside ?? []).filter((each) => typeof each === "number").length;
    if (insideParts.length > 0 || single > 0) {
      return insideParts.reduce((sum, part) => sum + this.ranksOf(part), 0) + single;
    }
    return this.serversPerNode() * nodeCount;
  }

  private serversPerNode(): number {
    const { perNode = 1 } = this.config.servers ?? {};
    return perNode === "nic" ? this.around.serversByNic.count : perNode;
  }

  private serverPart(data: string): Part[] {
    const { config, around } = this;
    const { servers = {}, run = [] } = config;
    const inside = servers.inside !== undefined || run.some((part) => isInside(servers, part));
    if (inside || servers.count === 0) return [];
    const until = run.length === 0 ? [] : ["--until", "clients-gone"];
    // What attaches comes later than what joins, which may be gone by then.
    const hold = run.some(({ attach }) => attach === true) ? ["--hold", holdFile(this.group)] : [];
    const command =
      servers.command === undefined
        ? [...around.weftline, "serve", "--data", data, "--drain", `${this.drainMs}ms`, ...until, ...hold]
        : this.words("servers.command", servers.command);
    return [
      {
        name: "server",
        kind: "server",
        count: servers.count === undefined ? { perNode: this.serversPerNode() } : { ranks: servers.count },
        command,
        environment: { ...this.surroundings(data), ...texts(servers.env) },
        directory: undefined,
        cores: 1,
        manner: mannerOf(servers),
        boundTo: servers.perNode === "nic" ? around.serversByNic.cores : undefined,
        attaches: false,
        serves: "all",
      },
    ];
  }

  private part(part: PartConfig, index: number, data: string): Part {
    const { servers = {}, run = [] } = this.config;
    const where = `run[${index}]`;
    const directory = part.directory === undefined ? undefined : this.path(`${where}.directory`, part.directory);
    // Single ranks are counted among all parts that are in the world.
    const first = run.slice(0, index).reduce((sum, before) => {
      return before.attach === true ? sum : sum + this.ranksOf(before);
    }, 0);
    const singles = (servers.inside ?? [])
      .filter((each) => typeof each === "number")
      .map((rank) => rank - first)
      .filter((rank) => part.attach !== true && rank >= 0 && rank < this.ranksOf(part));
    const inside = isInside(servers, part);
    return {
      name: part.name,
      kind: "program",
      count: part.ranksPerNode === undefined ? { ranks: part.ranks ?? 1 } : { perNode: part.ranksPerNode },
      command: this.words(`${where}.command`, part.command),
      environment: {
        ...this.surroundings(inside || singles.length > 0 ? data : undefined),
        ...texts(part.env),
      },
      directory,
      cores: part.cores ?? 1,
      manner: mannerOf(part),
      attaches: part.attach === true,
      serves: inside ? "all" : singles.length > 0 ? singles : "none",
    };
  }

  /** Beside the data where all can see it; else where the launch was started, which nodes share. */
  private groupOf(given: string | undefined): string {
    if (given !== undefined) return this.path("servers.group", given);
    if (this.dataIsNodeLocal && this.around.nodeCount > 1) {
      return join(this.around.directory, `weftline-${this.around.jobId.replaceAll(/[^\w.-]/g, "_")}`, "group");
    }
    return join(beforeRank(this.dataGiven), "group");
  }

  private words(where: string, given: string | readonly string[]): string[] {
    const split = typeof given === "string" ? splitWords(given, this.around.variables) : { words: [...given] };
    if ("problem" in split) throw wrong(where, split.problem);
    return split.words;
  }

  private path(where: string, given: string): string {
    const expanded = expandVariables(given, this.around.variables);
    if ("problem" in expanded) throw wrong(where, expanded.problem);
    return isAbsolute(expanded.value) ? resolve(expanded.value) : resolve(this.around.directory, expanded.value);
  }

  private time(where: string, given: number | string | undefined, byDefault: number): number {
    if (given === undefined) return byDefault;
    const parsed = parseTime(given);
    if ("problem" in parsed) throw wrong(where, parsed.problem);
    return parsed.value;
  }
}

function texts(variables: Readonly<Record<string, string | number>> = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, String(value)]));
}

function mannerOf({ nice = 0, bind }: { readonly nice?: number; readonly bind?: string | number }): string[] {
  return [
    ...(nice === 0 ? [] : ["nice", "-n", String(nice)]),
    ...(bind === undefined ? [] : ["taskset", "-c", String(bind)]),
  ];
}

function isBelow(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith("/") ? folder : `${folder}/`);
}

/** The last folder above what differs from server to server. */
function beforeRank(path: string): string {
  return path.includes("{rank}") ? beforeRank(dirname(path)) : path;
}

/** While it is there, servers do not end with their clients. */
export function holdFile(group: string): string {
  return `${group}.hold`;
}

export function readPlan(config: PlanConfig, around: PlanSurroundings): LaunchPlan {
  return new PlanReader(config, around).read();
}
