// A part of a launch that keeps record of what was acknowledged: node acknowledged-part.js TOPIC COUNT BYTES RECORD
// Events with a number and so many bytes of data, each rank in a partition of its own, behind what it has stored. RECORD.RANK
// holds how many are stored for certain, at the topic's durability: what a test may ask for after whatever happened.
import { renameSync, writeFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { join } from "weftline";

const [name = "", count, bytes, record = ""] = process.argv.slice(2);
const job = await join({ name: "acknowledged" });
const topic = await job.topic<{ n: number }>(name);
const partition = job.groupRank % topic.partitionCount;
const out = await topic.producer({ name: `acknowledged-${job.groupRank}` });
const before = out.storedBefore(partition);
let n = before === undefined ? 0 : before.offset + 1;
console.log(`rank ${job.groupRank} begins at ${n}`);

function keep(stored: number): void {
  const file = `${record}.${job.groupRank}`;
  writeFileSync(`${file}.new`, String(stored));
  renameSync(`${file}.new`, file);
}

keep(n);
while (n < Number(count)) {
  for (let step = 0; step < 10 && n < Number(count); step++, n++) {
    out.push({ n }, new Uint8Array(Number(bytes)).fill(n % 251), { partition });
  }
  await out.flush();
  keep(n);
  await pause(5); // what a step of a simulation takes
}
console.log(`rank ${job.groupRank} ends at ${n}`);
await out.close();
await job.close();
