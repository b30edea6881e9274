/** Processor time of other processes, all their threads included: from /proc, whose clock has 100 ticks a second. */
import { readFileSync } from "node:fs";

const ticksPerSecond = 100;

/** Behind the name in brackets, which may hold anything: user time is the 12th field there, then system time; then both of children. */
export function cpuSecondsIn(stat: string, whose: "process" | "children"): number {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const first = whose === "process" ? 11 : 13;
  return (Number(fields[first]) + Number(fields[first + 1])) / ticksPerSecond;
}

/** So far; undefined for a process on another host, or another user's. */
export function cpuSecondsOf(pid: number): number | undefined {
  try {
    return cpuSecondsIn(readFileSync(`/proc/${pid}/stat`, "utf8"), "process");
  } catch {
    return undefined;
  }
}

/**
 * Of all children of this process that have ended so far, and of theirs. What it grows by while a program runs is that
 * program's, as long as no other child ends meanwhile: contestants of the suite take turns.
 */
export function endedChildrenCpuSeconds(): number {
  return cpuSecondsIn(readFileSync("/proc/self/stat", "utf8"), "children");
}
