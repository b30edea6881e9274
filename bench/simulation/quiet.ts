/**
 * Whether other work took the machine's cores during a run. Processes that this one waited for, and those that they waited
 * for, are its own; the rest of what the cores did is others'.
 */
import { readFileSync } from "node:fs";
import os from "node:os";

const ticksPerSecond = 100; // USER_HZ of Linux
const idleShareWanted = 0.85;

interface Moment {
  readonly busyMs: number;
  readonly allMs: number;
  readonly ownMs: number;
}

function now(): Moment {
  let busyMs = 0;
  let idleMs = 0;
  for (const { times } of os.cpus()) {
    busyMs += times.user + times.nice + times.sys + times.irq;
    idleMs += times.idle;
  }
  // Behind the name, which may hold anything: utime, stime, cutime, cstime are the fields 14 to 17 of proc(5).
  const fields = readFileSync("/proc/self/stat", "utf8")
    .replace(/^.*\) /s, "")
    .split(" ");
  const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
  return { busyMs, allMs: busyMs + idleMs, ownMs: (ticks / ticksPerSecond) * 1000 };
}

/** Until the cores have little to do, for at most so long. */
export async function quiet(patienceMs: number): Promise<void> {
  const end = Date.now() + patienceMs;
  while (Date.now() < end) {
    const before = now();
    await new Promise((resolve) => setTimeout(resolve, 250));
    const after = now();
    if (1 - (after.busyMs - before.busyMs) / (after.allMs - before.allMs) >= idleShareWanted) return;
  }
}

/** What `work` brings, and which part of all the cores' time others took meanwhile. */
export async function withOthers<T>(work: () => Promise<T>): Promise<{ result: T; others: number }> {
  const before = now();
  const result = await work();
  const after = now();
  const othersMs = after.busyMs - before.busyMs - (after.ownMs - before.ownMs);
  return { result, others: Math.max(0, othersMs / (after.allMs - before.allMs)) };
}
