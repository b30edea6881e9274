// Staging as a part of a launch: one `weftline stage` for each server, where that server's data is, before the world starts
// and after it has ended. What the commands themselves do is in src/stage.

import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { WeftError } from "../errors.js";
import { besideCommands, type PreparedLaunch } from "./prepare.js";
import type { LaunchCommand } from "./launchers/launcher.js";
import type { Part } from "./plan.js";
import type { RankRun } from "./rank-map.js";

const SUMMARY = "stage.json";

/** How many servers' data lies there; undefined: it is no such place. */
export function stagedServers(directory: string): number | undefined {
  const path = join(directory, SUMMARY);
  if (!existsSync(path)) return undefined;
  const { servers } = JSON.parse(readFileSync(path, "utf8")) as { servers?: unknown };
  return typeof servers === "number" ? servers : undefined;
}

export function checkStageIn({ plan, map }: PreparedLaunch): void {
  if (plan.stageIn === undefined) return;
  const servers = stagedServers(plan.stageIn);
  if (servers === map.slotCount) return;
  const what =
    servers === undefined
      ? `there is no complete data of an earlier launch in ${plan.stageIn} (no ${SUMMARY})`
      : `${plan.stageIn} holds the data of ${servers} servers, and the plan has ${map.slotCount}`;
  throw new WeftError("WEFT_CONFIG_INVALID", `servers.stageIn: ${what}`, {
    next: "give the directory that end.stageOut of that launch named, with as many servers, or leave it out",
  });
}

/** Written last, when the data of every server is there. */
export function writeStageSummary(directory: string, servers: number): void {
  mkdirSync(directory, { recursive: true });
  const path = join(directory, SUMMARY);
  writeFileSync(`${path}.new`, `${JSON.stringify({ format: "weftline-stage", version: 1, servers })}\n`);
  renameSync(`${path}.new`, path);
}

/** The places of the servers, with another command in each. */
function runsOfServers({ map }: PreparedLaunch, command: readonly string[]): RankRun[] {
  const part: Part = {
    name: "stage",
    kind: "program",
    count: { ranks: map.slotCount },
    command,
    environment: {},
    directory: undefined,
    cores: 1,
    manner: [],
    attaches: false,
    serves: "none",
  };
  const runs: RankRun[] = [];
  let first = 0;
  for (const run of map.world) {
    const { serves } = run.part;
    const count =
      serves === "all"
        ? run.count
        : serves === "none"
          ? 0
          : serves.filter((rank) => rank >= run.firstOfPart && rank < run.firstOfPart + run.count).length;
    if (count === 0) continue;
    runs.push({ part, node: run.node, firstRank: first, firstOfPart: first, count });
    first += count;
  }
  return runs;
}

/** On one machine a command for each server, else one for the launcher, in which `{rank}` becomes the rank of each. */
export function stageCommands(prepared: PreparedLaunch, direction: "in" | "out"): LaunchCommand[] {
  const { plan, map, input } = prepared;
  const place = direction === "in" ? plan.stageIn : plan.stageOut;
  if (place === undefined || map.slotCount === 0) return [];
  const staged = join(place, "{rank}");
  const command = [
    ...input.weftline,
    ...(direction === "out" ? ["stage", "out", plan.data, staged] : ["stage", "in", staged, plan.data, "--if-empty"]),
  ];
  const runs = runsOfServers(prepared, command);
  if (map.nodes.length > 1) return besideCommands(prepared, runs);
  const [program = "", ...argv] = command;
  return Array.from({ length: map.slotCount }, (_, rank) => ({
    program,
    argv: argv.map((word) => word.replaceAll("{rank}", String(rank))),
    environment: {},
    files: [],
  }));
}
