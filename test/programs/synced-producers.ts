// A server with one `synced` partition and several clients that push small events at the same time, all in this process;
// says what the server counted as JSON: a child process of test/integration/group-commit.test.ts, which slows its syncs down.
//   synced-producers.js DATA PRODUCERS BATCHES BATCH_EVENTS
import { attach, isWeftError, serve } from "weftline";

const [, , data = "", ...numbers] = process.argv;
const [producers = 0, batches = 0, batchEvents = 0] = numbers.map(Number);
const server = await serve({ data, signals: false, topics: { steps: { partitions: 1, durability: "synced" } } });

async function produce(client: number): Promise<void> {
  await using job = await attach(server.group, { transports: "tcp" });
  const topic = await job.topic<{ client: number; step: number }>("steps");
  await using out = await topic.producer({ batchEvents });
  for (let step = 0; step < batches * batchEvents;) {
    try {
      out.push({ client, step });
      step++;
    } catch (error) {
      if (!isWeftError(error, "WEFT_BUSY")) throw error;
      await out.ready();
    }
  }
  await out.flush();
}

const begun = performance.now();
await Promise.all(Array.from({ length: producers }, (_, client) => produce(client)));
const ms = performance.now() - begun;
console.log(JSON.stringify({ ms, counters: server.counters()["server"] }));
await server.close();
