/** The server of a measurement: one slot in a process of its own, as `weftline serve` has it. */
import { readFileSync, readdirSync } from "node:fs";

import { type Server, type ServeOptions, serve } from "weftline";

import { answerAll } from "./worker.js";

let server: Server | undefined;

/** Of all threads, to the nanosecond: the system's clock of users' time has ticks of 10 ms. */
function processorSeconds(): number {
  const threads = readdirSync("/proc/self/task");
  const nanoseconds = threads.map(
    (thread) => readFileSync(`/proc/self/task/${thread}/schedstat`, "utf8").split(" ")[0],
  );
  return nanoseconds.reduce((sum, one) => sum + Number(one), 0) / 1e9;
}

answerAll(
  {
    async start({ data, topics }: { data: string; topics: NonNullable<ServeOptions["topics"]> }): Promise<string> {
      server = await serve({
        data,
        topics,
        log: (level, text) => {
          if (level === "warning" || level === "error") console.error(text);
        },
      });
      return server.group;
    },
    counters: () => server?.counters(),
    /** Of this process, so far. */
    usage: () => ({
      processorSeconds: processorSeconds(),
      anonymousBytes: Number(/^RssAnon:\s*(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1]) * 1024,
    }),
  },
  async () => {
    await server?.close();
  },
);
