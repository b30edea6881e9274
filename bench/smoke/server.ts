/** The server of a measurement: one slot in a process of its own, as `weftline serve` has it. */
import { type Server, type ServeOptions, serve } from "weftline";

import { answerAll } from "./worker.js";

let server: Server | undefined;

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
  },
  async () => {
    await server?.close();
  },
);
