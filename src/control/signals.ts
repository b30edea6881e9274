// What a server does with signals. SIGTERM and SIGINT drain it; one that comes later ends the process at once, as if nobody had
// listened. SIGUSR1 is taken and only noted: launchers send it as a warning, and Node would open its inspector for it.

import type { Log } from "./server-host.js";

const ENDING = ["SIGTERM", "SIGINT"] as const;
/**
 * What comes within this time is the same wish: at a job's time limit Slurm signals every process of a step, and srun, signalled
 * too, passes its own on.
 */
export const SAME_WISH_MS = 1_000;

/** Listens until the returned function is called. */
export function listenToSignals(drain: (signal: string) => void, log: Log): () => void {
  let drainingSinceMs: number | undefined;
  const onEnding = (signal: NodeJS.Signals): void => {
    if (drainingSinceMs === undefined) {
      drainingSinceMs = performance.now();
      drain(signal);
      return;
    }
    if (performance.now() - drainingSinceMs < SAME_WISH_MS) return;
    log("warning", `${signal} again: the process ends at once; what was acknowledged is kept as its topic promises`);
    stop();
    process.kill(process.pid, signal);
  };
  const onUser = (): void => {
    log("info", "SIGUSR1 is noted; it changes nothing");
  };
  const stop = (): void => {
    for (const signal of ENDING) process.removeListener(signal, onEnding);
    process.removeListener("SIGUSR1", onUser);
  };
  for (const signal of ENDING) process.on(signal, onEnding);
  process.on("SIGUSR1", onUser);
  return stop;
}
