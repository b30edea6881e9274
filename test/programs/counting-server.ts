// A server of its own process that prints its group directory, then its counters for each byte of its input. Argument:
// the data directory.
import { serve } from "weftline";

const server = await serve({ data: process.argv[2] ?? "", signals: false });
console.log(server.group);
process.stdin.on("data", () => {
  console.log(JSON.stringify(server.counters()));
});
