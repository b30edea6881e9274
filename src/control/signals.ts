// What a server does with signals. SIGTERM and SIGINT drain it; the same again ends the process at once, as if nobody had
// listened. SIGUSR1 is taken and only noted: launchers send it as a warning, and Node would open its inspector for it.

import type { Log } from "./server-host.js";

const ENDING = ["SIGTERM", "SIGINT"] as const;

/** Listens until the returned function is called. */
export function listenToSignals(drain: (signal: string) => void, log: Log): () => void {
  let draining = false;
  const onEnding = (signal: NodeJS.Signals): void => {
    if (!draining) {
      draining = true;
      drain(signal);
      return;
    }
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
