// Staging as a part of a launch: one `weftline stage` for each server, where that server's data is, before the world starts
// and after it has ended. What the commands themselves do is in src/stage.

import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { WeftError } from "../errors.js";
import { MANIFEST } from "../stage/manifest.js";
import { besideCommands, type PreparedLaunch } from "./prepare.js";
import type { LaunchCommand } from "./launchers/launcher.js";
import type { LaunchPlan, Part } from "./plan.js";
import type { RankRun } from "./rank-map.js";
import { quoteWord } from "./words.js";
import { requireWritableDirectory } from "./writable.js";

const SUMMARY = "stage.json";

interface StagedPlace {
  readonly servers: number;
  /** Those whose data is whole. */
  readonly complete: readonly number[];
}

/** What lies there; undefined: it is no such place. */
export function stagedPlace(directory: string): StagedPlace | undefined {
  const path = join(directory, SUMMARY);
  if (!existsSync(path)) return undefined;
  const { servers } = JSON.parse(readFileSync(path, "utf8")) as { servers?: unknown };
  if (typeof servers !== "number") return undefined;
  const all = Array.from({ length: servers }, (_, rank) => rank);
  return { servers, complete: all.filter((rank) => existsSync(join(directory, String(rank), MANIFEST))) };
}

export function checkStageIn({ plan, map }: PreparedLaunch): void {
  const { stageIn } = plan;
  if (stageIn === undefined) return;
  const refuse = (what: string, next: string): WeftError =>
    new WeftError("WEFT_CONFIG_INVALID", `servers.stageIn: ${what}`, { next });
  const staged = stagedPlace(stageIn);
  if (staged === undefined) {
    throw refuse(
      `there is no complete data of an earlier launch in ${stageIn} (no ${SUMMARY})`,
      "give the directory that end.stageOut of that launch named, or leave it out",
    );
  }
  const { servers, complete } = staged;
  if (complete.length < servers) {
    const missing = Array.from({ length: servers }, (_, rank) => rank).filter((rank) => !complete.includes(rank));
    throw refuse(
      `of the data of ${servers} servers in ${stageIn} that of ${missing.slice(0, 8).join(", ")} is not whole`,
      `finish it where that data is: weftline stage out DATA ${join(stageIn, String(missing[0] ?? 0))}`,
    );
  }
  if (servers !== map.slotCount) {
    throw refuse(
      `${stageIn} holds the data of ${servers} servers, and the plan has ${map.slotCount}`,
      "plan as many servers as there were",
    );
  }
}

/** What would be known only when the application has ended: that the place cannot be written, or is taken. */
export function checkStageOut({ plan, map }: PreparedLaunch): void {
  const { stageOut } = plan;
  if (stageOut === undefined || map.slotCount === 0) return;
  requireWritableDirectory("end.stageOut", stageOut, "another directory");
  const taken = readdirSync(stageOut).filter((name) => existsSync(join(stageOut, name, MANIFEST)));
  if (taken.length === 0) return;
  throw new WeftError(
    "WEFT_CONFIG_INVALID",
    `end.stageOut ${stageOut} holds the data of an earlier launch (${taken.slice(0, 8).join(", ")}), which is not replaced`,
    { next: "name one for each job, such as $SHARED/runs/$JOB_ID, or move what is there away" },
  );
}

/** Written first: until the data of so many servers is there with its manifests the place is not complete. */
export function writeStageSummary(directory: string, servers: number): void {
  mkdirSync(directory, { recursive: true });
  const path = join(directory, SUMMARY);
  writeFileSync(`${path}.new`, `${JSON.stringify({ format: "weftline-stage", version: 1, servers })}\n`);
  renameSync(`${path}.new`, path);
}

/** What does by hand what the end of a launch did not. */
export function stageOutWords({ data, stageOut = "" }: Pick<LaunchPlan, "data" | "stageOut">): string {
  return `weftline stage out ${quoteWord(data)} ${quoteWord(join(stageOut, data.includes("{rank}") ? "{rank}" : "0"))}`;
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
