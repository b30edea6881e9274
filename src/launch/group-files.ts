// The files of a group directory, as far as the launcher has to know them: which slots have come, and whether they are of
// the launch that it started (docs/formats in short: a title, "key value" lines, a checksum). Reads only. What is half
// written does not exist, for files are replaced atomically.

import { readFileSync, statSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";

export interface SlotFile {
  readonly slot: number;
  readonly job: string;
  readonly host: string;
  readonly pid: number;
  /** The whole text: another process writes another one. */
  readonly text: string;
}

/** A file's text; undefined if there is none, or it cannot be read. */
export function readTextIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/** "key value" lines. */
export function recordOf(text: string): Map<string, string> {
  const lines = text.split("\n").map((line) => /^(\S+) (.*)$/.exec(line));
  return new Map(lines.flatMap((match) => (match ? [[match[1] ?? "", match[2] ?? ""]] : [])));
}

export function readSlotFile(group: string, slot: number): SlotFile | undefined {
  const text = readTextIfThere(join(group, `slot-${slot}`));
  if (text === undefined || !text.startsWith("weftline-slot ")) return undefined;
  const record = recordOf(text);
  return {
    slot,
    job: record.get("job") ?? "",
    host: record.get("host") ?? "",
    pid: Number(record.get("pid")),
    text,
  };
}

export function readJobId(group: string): string | undefined {
  const text = readTextIfThere(join(group, "job"));
  return text === undefined ? undefined : recordOf(text).get("job");
}

/** What tells processes of this kernel apart. */
export interface ThisMachine {
  readonly host: string;
  readonly bootId: string;
  /** Field 22 of /proc/PID/stat; undefined: no such process. */
  startTimeOf(pid: number): string | undefined;
}

export function thisMachine(): ThisMachine {
  return {
    host: hostname(),
    bootId: readTextIfThere("/proc/sys/kernel/random/boot_id")?.trim() ?? "",
    startTimeOf: (pid) => {
      const stat = readTextIfThere(`/proc/${pid}/stat`);
      const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
      return fields === undefined || fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19];
    },
  };
}

/** Who holds a data directory, if that is a process of this machine that certainly lives. */
export function liveOwnerOf(data: string, machine: ThisMachine): { pid: number; host: string } | undefined {
  const text = readTextIfThere(join(data, "lock"));
  if (text === undefined) return undefined;
  const record = recordOf(text);
  const pid = Number(record.get("pid"));
  const [host = "", boot = "", start = ""] = ["host", "boot", "start"].map((key) => record.get(key));
  if (boot !== machine.bootId || boot === "" || !Number.isSafeInteger(pid)) return undefined;
  return machine.startTimeOf(pid) === start ? { pid, host } : undefined;
}

export function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
