// What a launch would do, for --dry-run: who runs where, and the exact command lines. Pure.

import type { LaunchCommand } from "./launchers/launcher.js";
import type { PreparedLaunch } from "./prepare.js";
import { mergeRuns, type RankRun } from "./rank-map.js";
import { quoteWords } from "./words.js";

export interface RankRow {
  /** "0-3", or "-" outside the world. */
  readonly ranks: string;
  readonly node: string;
  readonly part: string;
  readonly command: string;
}

function rows({ map }: PreparedLaunch, runs: readonly RankRun[], inWorld: boolean): RankRow[] {
  return runs.map(({ part, node, firstRank, count }) => {
    const last = firstRank + count - 1;
    return {
      ranks: !inWorld ? `- (${count})` : count === 1 ? String(firstRank) : `${firstRank}-${last}`,
      node: map.nodes[node]?.host ?? "",
      part: part.name,
      command: quoteWords(part.command),
    };
  });
}

export function rankRows(prepared: PreparedLaunch): RankRow[] {
  const { map } = prepared;
  return [...rows(prepared, map.world, true), ...map.attached.flatMap((runs) => rows(prepared, runs, false))];
}

/** The command line as a shell takes it, with its variables before it. */
export function commandText({ program, argv, environment }: LaunchCommand): string {
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  return quoteWords([...(variables.length > 0 ? ["env", ...variables] : []), program, ...argv]);
}

export interface LaunchDescription {
  readonly site: string;
  readonly scheduler: string;
  readonly launcher: string;
  readonly nodes: readonly string[];
  readonly data: string;
  readonly group: string;
  readonly ranks: readonly RankRow[];
  readonly commands: readonly string[];
  readonly files: readonly { readonly path: string; readonly text: string }[];
}

export function describeLaunch(prepared: PreparedLaunch): LaunchDescription {
  const { site, allocation, plan, launcher, world, attached } = prepared;
  const commands = [...(world ? [world] : []), ...attached.flatMap((each) => each.commands)];
  return {
    site: site.name,
    scheduler: allocation.scheduler,
    launcher: launcher?.kind.name ?? "none: a world of one",
    nodes: allocation.nodes.map(({ host }) => host),
    data: plan.data,
    group: plan.group,
    ranks: rankRows(prepared),
    commands: commands.map(commandText),
    files: commands.flatMap(({ files }) => files),
  };
}

/** One line of words about the world: "6 ranks on 2 nodes: 2 server, 4 solver". */
export function summaryOf({ map, allocation }: PreparedLaunch): string {
  const counts = new Map<string, number>();
  for (const { part, count } of [...mergeRuns(map.world), ...map.attached.flatMap((runs) => mergeRuns(runs))]) {
    counts.set(part.name, (counts.get(part.name) ?? 0) + count);
  }
  const parts = [...counts].map(([name, count]) => `${count} ${name}`).join(", ");
  const nodes = allocation.nodes.length;
  return `${map.worldSize} rank${map.worldSize === 1 ? "" : "s"} on ${nodes} node${nodes === 1 ? "" : "s"}: ${parts}`;
}
