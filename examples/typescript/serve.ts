// A server, alone or beside others: `node serve.js DIRECTORY`. SIGTERM drains it. Clients find it through the group
// directory that it prints.
import { serve } from "weftline";

const data = process.argv[2] ?? "./weft";
await using server = await serve({
  data,
  topics: { field: { partitions: 4 }, log: { durability: "synced" } },
  log: (level, line) => {
    if (level !== "debug") console.error(line);
  },
});
console.log(server.group);
await server.closed;
