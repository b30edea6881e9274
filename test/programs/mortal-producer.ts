// A producer that waits to be killed: `mortal-producer.js GROUP TOPIC NAME EVENTS` stores the events 0 to EVENTS - 1, says
// so, and keeps its producer open until its stdin ends.
import { attach } from "weftline";

const [, , group, topicName, name, events] = process.argv;
const job = await attach(group);
const topic = await job.topic<{ n: number }>(topicName ?? "");
const out = await topic.producer({ name });
for (let n = 0; n < Number(events); n++) out.push({ n });
await out.flush();
console.log("stored");
for await (const _ of process.stdin);
await out.close();
await job.close();
