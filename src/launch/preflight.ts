// What can be known before anything is started: that each command is there, that its MPI is the launcher's, that the data
// can be written, and that nobody else serves it. Each failure is one sentence, with what to do.

import { closeSync, existsSync, openSync, readSync } from "node:fs";
import { basename, resolve } from "node:path";
import { WeftError } from "../errors.js";
import { findProgram } from "./launchers/choose.js";
import type { MpiFamily } from "./launchers/launcher.js";
import { isDirectory, liveOwnerOf, readSlotFile, type ThisMachine } from "./group-files.js";
import type { LaunchPlan, Part } from "./plan.js";
import type { RankMap } from "./rank-map.js";
import { requireWritableDirectory } from "./writable.js";
import type { Variables } from "./words.js";

const PROGRAM_BYTES_MAX = 64 * 1024 * 1024;

export interface Preflight {
  readonly plan: LaunchPlan;
  readonly map: RankMap;
  /** undefined: there is no launcher, as everything runs without one. */
  readonly mpi: MpiFamily | undefined;
  readonly launcherName: string;
  readonly environment: Variables;
  readonly directory: string;
  readonly machine: ThisMachine;
}

export function checkBefore(given: Preflight): void {
  for (const part of given.plan.parts) checkCommand(part, given);
  checkData(given);
}

function checkCommand(part: Part, { mpi, launcherName, environment, directory }: Preflight): void {
  const from = part.directory ?? directory;
  if (!isDirectory(from)) {
    throw new WeftError("WEFT_CONFIG_INVALID", `part '${part.name}' starts in ${from}, which is not a directory`, {
      next: "make it, or correct the part's directory",
    });
  }
  const [name = ""] = part.command;
  const search = { ...environment, ...part.environment };
  const program = findProgram(name, search, from);
  if (program === undefined) {
    const where = name.includes("/") ? `there is no program ${resolve(from, name)}` : `'${name}' is not on PATH`;
    throw new WeftError("WEFT_CONFIG_INVALID", `part '${part.name}' cannot be started: ${where}`, {
      next: "build it, make it executable, or correct the part's command",
    });
  }
  const script = scriptOf(part.command);
  if (script !== undefined && !["", ".js"].some((ending) => existsSync(resolve(from, script + ending)))) {
    throw new WeftError(
      "WEFT_CONFIG_INVALID",
      `part '${part.name}' cannot be started: there is no ${resolve(from, script)} for ${name} to run`,
      { next: "build it, or correct the part's command" },
    );
  }
  const missing = part.manner
    .filter((word) => word === "nice" || word === "taskset")
    .find((word) => {
      return findProgram(word, search, from) === undefined;
    });
  if (missing !== undefined) {
    throw new WeftError("WEFT_CONFIG_INVALID", `part '${part.name}' cannot be started: '${missing}' is not on PATH`, {
      next: missing === "nice" ? "install coreutils, or leave out nice" : "install util-linux, or leave out bind",
    });
  }
  const linked = part.attaches ? undefined : mpiOfProgram(program);
  if (mpi === undefined || linked === undefined || linked === mpi) return;
  throw new WeftError(
    "WEFT_MPI_WRONG_LAUNCHER",
    `part '${part.name}' is linked with ${linked}, but ${launcherName} would start it: each of its ranks would be alone`,
    { next: `launch with the mpiexec of ${linked} (launch: { mpi: ${linked} }), or build the program with ${mpi}` },
  );
}

/**
 * The file that an interpreter is to run. A world of MPICH waits for a rank that ends before MPI_Init, so that this most usual of
 * mistakes would take the whole time that servers have to come.
 */
function scriptOf([program = "", first = ""]: readonly string[]): string | undefined {
  const isInterpreter = /^(?:node|python[\d.]*)$/.test(basename(program)); // a shell would look for it on PATH, too
  return isInterpreter && first !== "" && !first.startsWith("-") ? first : undefined;
}

/** Which MPI library a program asks the loader for; undefined for scripts, and for those that ask for none. */
export function mpiOfProgram(program: string): MpiFamily | undefined {
  const file = openSync(program, "r");
  try {
    const head = Buffer.alloc(4);
    if (readSync(file, head, 0, 4, 0) < 4 || head.toString("latin1") !== "\u007fELF") return undefined;
    // Names of libraries stand in the file as text; pieces overlap so that none is missed.
    const piece = Buffer.alloc(1024 * 1024);
    for (let at = 0; at < PROGRAM_BYTES_MAX; at += piece.length - 64) {
      const got = readSync(file, piece, 0, piece.length, at);
      const text = piece.toString("latin1", 0, got);
      if (/\0libmpi(?:ch|_cray|\.so\.12|cxx\.so\.12)/.test(text)) return "mpich";
      if (/\0libmpi\.so\.[24]0/.test(text)) return "openmpi";
      if (got < piece.length) return undefined;
    }
    return undefined;
  } finally {
    closeSync(file);
  }
}

/** The data directories that are on this machine. Those of other nodes are their servers' to check. */
export function localDataDirectories({ plan, map }: Pick<Preflight, "plan" | "map">): string[] {
  if (map.slotCount === 0) return [];
  if (!plan.data.includes("{rank}")) return [plan.data];
  if (plan.dataIsNodeLocal && map.nodes.length > 1) return [];
  return Array.from({ length: map.slotCount }, (_, rank) => plan.data.replaceAll("{rank}", String(rank)));
}

function checkData(given: Preflight): void {
  const { plan, map, machine } = given;
  for (const data of localDataDirectories(given)) {
    requireWritableDirectory("the data directory", data, "another one: servers: { data: … }");
    const owner = liveOwnerOf(data, machine);
    if (owner === undefined) continue;
    throw new WeftError("WEFT_DATA_DIRECTORY_LOCKED", `${data} is served by process ${owner.pid} on ${owner.host}`, {
      next: "end that launch (weftline stop), or give this one another data directory: servers: { data: … }",
    });
  }
  for (let slot = 0; slot < map.slotCount; slot++) {
    const file = readSlotFile(plan.group, slot);
    if (file === undefined || file.host !== machine.host || machine.startTimeOf(file.pid) === undefined) continue;
    if (!isCertainlyOf(file.text, machine)) continue;
    throw new WeftError(
      "WEFT_DATA_DIRECTORY_LOCKED",
      `slot ${slot} of the group directory ${plan.group} is served by process ${file.pid} on this host`,
      { next: "end that launch (weftline stop), or give this one another group: servers: { group: … }" },
    );
  }
}

function isCertainlyOf(text: string, machine: ThisMachine): boolean {
  const [, boot] = /^boot-id (.*)$/m.exec(text) ?? [];
  const [, pid] = /^pid (\d+)$/m.exec(text) ?? [];
  const [, start] = /^start-time (\d+)$/m.exec(text) ?? [];
  return boot === machine.bootId && start !== undefined && machine.startTimeOf(Number(pid)) === start;
}
