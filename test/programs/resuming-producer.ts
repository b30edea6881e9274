// A program that is killed and started again: it pushes numbers under its name, each partition its own count, and goes on
// behind what was stored. Prints how many it has stored itself. Argument: the group directory. It never ends by itself.
import { attach } from "weftline";

interface Numbered {
  readonly n: number;
}

const job = await attach(process.argv[2] ?? "");
const topic = await job.topic<Numbered>("resumed");
const out = await topic.producer({ name: "solver", batchEvents: 16, maxInFlight: 8 });
const next = Array.from({ length: topic.partitionCount }, (_, partition) => {
  const last = out.storedBefore(partition);
  return last === undefined ? 0 : last.offset + 1;
});
for (;;) {
  for (let count = 0; count < 64; count++) {
    const partition = count % next.length;
    const n = next[partition] ?? 0;
    out.push({ n }, undefined, { partition });
    next[partition] = n + 1;
  }
  await out.ready();
  console.log(out.stored);
  // Answers come in the turns of the event loop.
  await new Promise((resolve) => setImmediate(resolve));
}
