// A rank of an application that is a server and its own client: it serves, reads the blocks that the ranks in C beside it
// push, pushes what it found of each into another topic of itself, and reads that back.
// The topics are given to serve(): the launcher would make those of its plan later than the ranks in C ask for them.
// Says at last: {"slot":0,"transports":[…],"blocks":[{"step":20,"rank":0,"isSame":true}, …]}
import { all, attach, type Job, serve } from "weftline";
import { crc32c } from "../../examples/demo/crc32c.js";
import type { FieldMetadata } from "../../examples/demo/shared.js";

interface Finding {
  readonly step: number;
  readonly rank: number;
  readonly isSame: boolean;
}

const topics = { field: { partitions: 2 }, findings: { partitions: 1 } };
const server = await serve({ data: process.env["WEFTLINE_DATA"], name: "inside", until: "clients-gone", topics });
const job = await attach(server.group);

async function examine(of: Job): Promise<number> {
  const field = await of.topic<FieldMetadata>("field");
  await using out = await (await of.topic<Finding>("findings")).producer();
  // The last event of a rank says how many it pushed: in another partition some of them may still be to come.
  let count = 0;
  let pushed = 0;
  let ranksAreDone = false;
  const ended = new Set<number>();
  for await (const { metadata, data } of field.consumer({ select: all })) {
    if (metadata.last === true) {
      ended.add(metadata.rank);
      pushed += metadata.events;
      ranksAreDone = ended.size === metadata.ranks;
    } else {
      out.push({ step: metadata.step, rank: metadata.rank, isSame: crc32c(data) === metadata.crc32c });
      count++;
    }
    if (ranksAreDone && count === pushed) break;
  }
  await out.flush();
  return count;
}

const count = await examine(job);
const blocks: Finding[] = [];
for await (const { metadata } of (await job.topic<Finding>("findings")).consumer({ until: "end" })) {
  blocks.push(metadata);
}
if (blocks.length !== count) throw new Error(`${count} findings were pushed, ${blocks.length} read back`);
const { fabric } = job.counters() as { fabric: { transports: Record<string, { messagesSent: number }> } };
const transports = Object.entries(fabric.transports)
  .filter(([, { messagesSent }]) => messagesSent > 0)
  .map(([name]) => name);
console.log(JSON.stringify({ slot: server.slot, transports, blocks }));
await job.close();
await server.closed;
