// A program that is stopped at a time limit and started again, in another job: `node counter.js [COUNT]`. Each rank counts in
// a partition of its own, goes on behind what it has stored, and ends at COUNT or when a warning (SIGUSR1) comes.
import { setTimeout as pause } from "node:timers/promises";
import { join } from "weftline";

const count = Number(process.argv[2] ?? Infinity);
const warned = new AbortController();
process.once("SIGUSR1", () => warned.abort());

await using job = await join({ name: "counter" });
const topic = await job.createTopic<{ n: number }>("numbers", {}, { ifExists: "open" });
const partition = job.groupRank % topic.partitionCount;
await using out = await topic.producer({ name: `counter-${job.groupRank}` });
const before = out.storedBefore(partition);
let n = before === undefined ? 0 : before.offset + 1;
console.log(`rank ${job.groupRank} begins at ${n}`);
while (n < count && !warned.signal.aborted) {
  for (let step = 0; step < 10 && n < count; step++) out.push({ n: n++ }, undefined, { partition });
  await out.flush();
  await pause(10); // what a step of a simulation takes
}
console.log(`rank ${job.groupRank} ends before ${n}`);
