// From a plan and a place to what will be run: allocation, ranks, launcher and command lines. Starts nothing but
// `mpiexec --version`; what is wrong with a plan is found here.

import { readFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import type { PlanConfig } from "../config/plan-config.js";
import { serversByNic } from "../config/site-config.js";
import { WeftError } from "../errors.js";
import type { TopicConfig } from "../config/topic-config.js";
import { type Allocation, allocationOf } from "./allocation.js";
import { chooseLauncher } from "./launchers/choose.js";
import { bound, type LaunchCommand, type LauncherKind, type MpiFamily } from "./launchers/launcher.js";
import { type LaunchPlan, type Part, readPlan } from "./plan.js";
import { mapRanks, type RankMap, type RankOrder, type RankRun } from "./rank-map.js";
import { detectSite, readSite, type Site, variablesOf } from "./sites.js";
import { quoteWord, type Variables } from "./words.js";

export interface LaunchInput {
  readonly config: PlanConfig;
  readonly topics: Readonly<Record<string, TopicConfig>>;
  /** That the plan and the topics are from; the launched processes read it too. */
  readonly file: string | undefined;
  readonly site: string | undefined;
  readonly environment: Variables;
  readonly directory: string;
  /** The words that run this same command line. */
  readonly weftline: readonly string[];
  readonly label: boolean;
  /** Instead of what is allocated: a look at so many nodes. */
  readonly assumedNodes: number | undefined;
  /** Only so many of the nodes there are. */
  readonly firstNodes: number | undefined;
}

export interface PreparedLaunch {
  readonly input: LaunchInput;
  readonly site: Site;
  readonly allocation: Allocation;
  readonly variables: Variables;
  readonly plan: LaunchPlan;
  readonly map: RankMap;
  /** undefined: nothing needs one, a world of one is started as it is. */
  readonly launcher: { readonly kind: LauncherKind; readonly mpi: MpiFamily } | undefined;
  /** undefined: no world, for all parts attach to a job that runs. */
  readonly world: LaunchCommand | undefined;
  /** For each part that attaches. */
  readonly attached: readonly { readonly part: Part; readonly commands: readonly LaunchCommand[] }[];
}

export function prepareLaunch(input: LaunchInput): PreparedLaunch {
  const { config, directory } = input;
  const environment = input.assumedNodes === undefined ? input.environment : asInAJob(input);
  const named = input.site ?? config.launch?.site ?? (environment["WEFTLINE_SITE"] || undefined);
  const site = named === undefined ? detectSite(environment) : readSite(named, directory);
  const allocated = allocationOf(environment, site.config, {
    host: hostname(),
    readFile: (path) => readFileSync(path, "utf8"),
    now: new Date(),
    assumed: input.assumedNodes,
  });
  const allocation = firstOf(allocated, input.firstNodes);
  const variables = variablesOf(site.config, environment, allocation.jobId);
  const plan = readPlan(config, {
    variables,
    directory,
    nodeCount: allocation.nodes.length,
    serversByNic: serversByNic(site.config),
    jobId: allocation.jobId,
    data: site.config.data,
    nodeLocal: variables["NODE_LOCAL"],
    weftline: input.weftline,
    file: input.file,
  });
  const single = allocation.nodes.length === 1;
  const map = mapRanks(plan, allocation.nodes, "part");
  const wanted = config.launch?.launcher ?? site.config.launcher;
  if (wanted !== "mpiexec" && allocation.scheduler === "none") {
    throw new WeftError(
      "WEFT_UNSUPPORTED",
      `${site.name} launches with ${wanted}, which wants a job of its scheduler`,
      {
        next: `submit a job script: weftline launch ${quoteWord(site.name)} --plan FILE --output job.sh; a look from outside: --dry-run --nodes 2`,
      },
    );
  }
  // A world of one on this machine needs no launcher, nor do processes beside it.
  const isDirect = single && wanted === "mpiexec" && map.worldSize <= 1;
  const launcher = isDirect
    ? undefined
    : chooseLauncher({
        launcher: wanted,
        mpi: config.launch?.mpi ?? site.config.mpi,
        environment,
        directory,
        assumed: input.assumedNodes !== undefined,
      });
  const ordered = orderedMap(plan, allocation, launcher?.kind.order ?? "part", map);
  const prepared = { input, site, allocation, variables, plan, map: ordered, launcher };
  return {
    ...prepared,
    world: ordered.worldSize === 0 ? undefined : worldCommand(prepared),
    attached: ordered.attached.map((runs) => ({
      part: runs[0]?.part as Part,
      commands: besideCommands(prepared, runs),
    })),
  };
}

/** What a job would find in its environment, for a look at one from outside. */
function asInAJob({ config, environment, directory }: LaunchInput): Variables {
  const account = config.job?.account ?? "PROJECT";
  return { SLURM_SUBMIT_DIR: directory, PBS_O_WORKDIR: directory, SLURM_JOB_ACCOUNT: account, ...environment };
}

function firstOf(allocation: Allocation, count: number | undefined): Allocation {
  const { nodes } = allocation;
  if (count === undefined) return allocation;
  if (count >= 1 && count <= nodes.length) return { ...allocation, nodes: nodes.slice(0, count) };
  throw new WeftError("WEFT_LIMIT", `--first-nodes is ${count}, and there are ${nodes.length} nodes`, {
    next: "ask for more nodes, or use fewer",
  });
}

function orderedMap(plan: LaunchPlan, allocation: Allocation, order: RankOrder, byPart: RankMap): RankMap {
  return order === "part" ? byPart : mapRanks(plan, allocation.nodes, order);
}

type Partly = Omit<PreparedLaunch, "world" | "attached">;

/** Without a launcher: its variables are those of the process itself. */
function directCommand({ part, boundTo }: Pick<RankRun, "part" | "boundTo">, site: Site): LaunchCommand {
  const environment = { ...site.config.environment, ...part.environment };
  const command = bound(boundTo, part);
  const words = part.directory === undefined ? command : ["env", `--chdir=${part.directory}`, ...command];
  const [program = "", ...argv] = words;
  return { program, argv, environment, files: [] };
}

function requestOf(
  prepared: Partly,
  runs: readonly RankRun[],
  beside: boolean,
): Parameters<LauncherKind["command"]>[0] {
  const { input, site, map, plan, launcher, allocation } = prepared;
  return {
    map,
    runs,
    site: site.config,
    mpi: launcher?.mpi ?? "mpich",
    options: beside ? [] : (input.config.launch?.options ?? []),
    oversubscribe: plan.oversubscribe,
    label: input.label,
    beside,
    filesDirectory: join(tmpdir(), `weftline-launch-${allocation.jobId.replaceAll(/[^\w.-]/g, "_")}-${process.pid}`),
    userId: process.getuid?.() ?? 1,
  };
}

function worldCommand(prepared: Partly): LaunchCommand {
  const { launcher, map, site } = prepared;
  if (launcher) return throughLauncher(prepared, map.world, false);
  return directCommand(map.world[0] as RankRun, site);
}

/** The site's variables are the launcher's own, too: some are for it, such as PALS_LOCAL_LAUNCH. */
function throughLauncher(prepared: Partly, runs: readonly RankRun[], beside: boolean): LaunchCommand {
  const command = (prepared.launcher as { kind: LauncherKind }).kind.command(requestOf(prepared, runs, beside));
  return { ...command, environment: { ...prepared.site.config.environment, ...command.environment } };
}

/**
 * Processes beside the world: on one machine each by itself, else as a step of the launcher; so is every one where a network
 * card lets in only what the launcher started.
 */
export function besideCommands(prepared: Partly, runs: readonly RankRun[]): LaunchCommand[] {
  const { launcher, map, site } = prepared;
  const isStep = map.nodes.length > 1 || launcher?.kind.name === "srun" || (site.config.nics ?? []).length > 0;
  if (launcher && isStep) return [throughLauncher(prepared, runs, true)];
  return runs.flatMap((run) => Array.from({ length: run.count }, () => directCommand(run, site)));
}
