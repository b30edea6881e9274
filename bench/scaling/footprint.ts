/** What a process holds: memory, descriptors, connections, threads, processor time. From /proc, for Linux. */
import { readFileSync, readdirSync, readlinkSync } from "node:fs";

export interface Footprint {
  readonly residentBytes: number;
  /** Resident pages that are nobody else's and no file's: what grows with what the process keeps. */
  readonly anonymousBytes: number;
  /** Of them, those that are not JavaScript's heap, which grows and shrinks as it likes. */
  readonly nativeBytes: number;
  readonly descriptors: number;
  /** Established tcp connections of its own, to whomever. */
  readonly connections: number;
  readonly threads: number;
  readonly cpuMs: number;
  /** Of the lane's thread alone, which serves sessions. */
  readonly laneCpuMs: number;
}

/** "Name:   123 kB" of a file in /proc, in bytes. */
export function kibibytesOf(text: string, name: string): number {
  const found = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text);
  if (found === null) throw new Error(`no line '${name}' in kB`);
  return Number(found[1]) * 1024;
}

/** Inodes of the established connections in /proc/net/tcp. */
export function establishedInodes(table: string): Set<string> {
  const inodes = new Set<string>();
  for (const line of table.split("\n").slice(1)) {
    const fields = line.trim().split(/\s+/);
    if (fields[3] === "01" && fields[9] !== undefined) inodes.add(fields[9]);
  }
  return inodes;
}

/** Processor time of the threads of that name, in milliseconds; /proc counts it in nanoseconds. */
function cpuMsOfThreads(name: string): number {
  let nanoseconds = 0;
  for (const thread of readdirSync("/proc/self/task")) {
    try {
      if (readFileSync(`/proc/self/task/${thread}/comm`, "utf8").trim() !== name) continue;
      nanoseconds += Number(readFileSync(`/proc/self/task/${thread}/schedstat`, "utf8").split(" ")[0]);
    } catch {
      // It ended meanwhile.
    }
  }
  return nanoseconds / 1e6;
}

function ownSockets(): string[] {
  const sockets: string[] = [];
  for (const name of readdirSync("/proc/self/fd")) {
    try {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${name}`))?.[1];
      if (inode !== undefined) sockets.push(inode);
    } catch {
      // The descriptor of the listing itself.
    }
  }
  return sockets;
}

export function footprint(): Footprint {
  const { gc } = globalThis as { gc?: () => void };
  for (let round = 0; round < 3; round++) gc?.();
  const heapBytes = process.memoryUsage().heapTotal;
  const memory = readFileSync("/proc/self/smaps_rollup", "utf8");
  const { user, system } = process.cpuUsage();
  const established = establishedInodes(
    readFileSync("/proc/self/net/tcp", "utf8") + readFileSync("/proc/self/net/tcp6", "utf8"),
  );
  return {
    residentBytes: kibibytesOf(memory, "Rss"),
    anonymousBytes: kibibytesOf(memory, "Anonymous"),
    nativeBytes: kibibytesOf(memory, "Anonymous") - heapBytes,
    descriptors: readdirSync("/proc/self/fd").length - 1,
    connections: ownSockets().filter((inode) => established.has(inode)).length,
    threads: readdirSync("/proc/self/task").length,
    cpuMs: (user + system) / 1000,
    laneCpuMs: cpuMsOfThreads("weft-lane"),
  };
}
