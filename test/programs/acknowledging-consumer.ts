// The process that test/model/acknowledge.test.ts kills: reads GROUP's TOPIC under the name NAME, commits behind the first
// COMMITTED events, acknowledges up to ACKNOWLEDGED without a commit, says what it saw, and waits for more.
import { attach } from "weftline";

const [, , group, topicName, name, committed, acknowledged] = process.argv;
await using job = await attach(group);
const topic = await job.topic<{ n: number }>(topicName ?? "");
await using consumer = topic.consumer({ name: name ?? "", from: "cursor", ackEvery: 0 });
const seen: number[] = [];
for await (const event of consumer) {
  seen.push(event.metadata.n);
  if (seen.length <= Number(acknowledged)) event.ack();
  if (seen.length === Number(committed)) await consumer.commit();
  if (seen.length === Number(acknowledged)) console.log(JSON.stringify({ seen }));
}
